// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package exposition_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/nodecollector"
	"github.com/atlhyper/atlhyper/nodecollector/exposition"
)

// go test ./nodecollector/... -args -vectors FILE gives the flag to every package.
var _ = flag.String("vectors", "", "not for this package")

// treeSource is a collector of one of nodecollector's trees.
func treeSource(t *testing.T, name string) *nodecollector.Collector {
	t.Helper()
	root := filepath.Join("..", "testdata", "trees", name, "a")
	c, err := nodecollector.New(nodecollector.Options{
		Node: "node-1", Root: root, PageSize: 4096,
		Clock: func() nodecollector.Clock { return nodecollector.Clock{Known: true, Offset: 0.25, Synced: true} },
		Statfs: func(path string) (nodecollector.SpaceCounts, error) {
			if strings.HasSuffix(path, "/srv") {
				return nodecollector.SpaceCounts{}, errors.New("broken")
			}
			return nodecollector.SpaceCounts{Blocks: 1000, Free: 500, Available: 400, BlockSize: 4096, Files: 100, FilesFree: 60}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// scrape asks a handler as Prometheus does, and reads the answer with its parser.
func scrape(t *testing.T, h http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("status %d, type %s", w.Code, w.Header().Get("Content-Type"))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatalf("Prometheus cannot read it: %v\n%s", err, w.Body)
	}
	return families
}

// find returns the value of a series by its name and labels.
func find(t *testing.T, families map[string]*dto.MetricFamily, name string, labels map[string]string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		if cmp.Equal(have, labels) || len(have)+len(labels) == 0 {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	t.Errorf("there is no %s %v", name, labels)
	return -1
}

func TestExposition(t *testing.T) {
	families := scrape(t, exposition.Handler(treeSource(t, "modern-20-fields")))
	odd := map[string]string{"device": "/dev/sdb1", "device_error": "", "fstype": "ext4", "mountpoint": "/mnt/my disk\tx\\y"}
	broken := map[string]string{"device": "/dev/sde1", "device_error": "statfs failed", "fstype": "xfs", "mountpoint": "/srv"}
	for _, tc := range []struct {
		name   string
		labels map[string]string
		want   float64
	}{
		{"node_cpu_seconds_total", map[string]string{"cpu": "0", "mode": "user"}, 900},
		{"node_cpu_seconds_total", map[string]string{"cpu": "3", "mode": "system"}, 300.03},
		{"node_cpu_guest_seconds_total", map[string]string{"cpu": "3", "mode": "nice"}, 0},
		{"node_load15", nil, 0.4},
		{"node_memory_MemAvailable_bytes", nil, 9830400 << 10},
		{"node_memory_HugePages_Total", nil, 512},
		{"node_memory_SReclaimable_bytes", nil, 512000 << 10},
		{"node_vmstat_pgmajfault", nil, 5000},
		{"node_pressure_irq_stalled_seconds_total", nil, 0.004},
		{"node_pressure_memory_stalled_seconds_total", nil, 0.1},
		{"node_disk_read_bytes_total", map[string]string{"device": "sda"}, 8_000_000 * 512},
		{"node_disk_io_time_weighted_seconds_total", map[string]string{"device": "sda"}, 490},
		{"node_network_receive_drop_total", map[string]string{"device": "eth0"}, 10},
		{"node_network_speed_bytes", map[string]string{"device": "eth0"}, 125e6},
		{"node_network_up", map[string]string{"device": "eth0"}, 1},
		{"node_filesystem_avail_bytes", odd, 400 * 4096},
		{"node_filesystem_readonly", odd, 1},
		{"node_filesystem_files_free", odd, 60},
		{"node_filesystem_device_error", broken, 1},
		{"node_hwmon_temp_celsius", map[string]string{"chip": "nvme", "sensor": "temp1"}, 35.85},
		{"node_thermal_zone_temp", map[string]string{"zone": "0", "type": "acpitz"}, -2.8},
		{"node_filefd_allocated", nil, 2048},
		{"node_nf_conntrack_entries", nil, 500},
		{"node_nf_conntrack_entries_limit", nil, 262144},
		{"node_boot_time_seconds", nil, 1763850000},
		{"node_context_switches_total", nil, 5_000_000},
		{"node_timex_offset_seconds", nil, 0.25},
		{"node_timex_sync_status", nil, 1},
	} {
		if got := find(t, families, tc.name, tc.labels); got < tc.want*0.999999 && got < tc.want-1e-9 || got > tc.want*1.000001 && tc.want >= 0 {
			t.Errorf("%s %v is %g, want %g", tc.name, tc.labels, got, tc.want)
		}
	}
	for name, f := range families {
		if counter := strings.HasSuffix(name, "_total"); counter != (f.GetType() == dto.MetricType_COUNTER) {
			t.Errorf("%s is a %s", name, f.GetType())
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		if len(f.GetMetric()) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for _, m := range families["node_filesystem_size_bytes"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetValue() == "/srv" {
				t.Error("a filesystem that does not answer has a size")
			}
		}
	}
}

// What is absent from a node has no family, rather than zeros.
func TestExpositionOfWhatIsAbsent(t *testing.T) {
	families := scrape(t, exposition.Handler(treeSource(t, "cgroup-v1-14-fields")))
	for name := range families {
		if strings.Contains(name, "pressure") || name == "node_memory_MemAvailable_bytes" || name == "node_vmstat_oom_kill" || name == "node_thermal_zone_temp" {
			t.Errorf("there is %s", name)
		}
	}
}

// fake hands out counters, or fails.
type fake struct {
	counters nodecollector.Counters
	err      error
}

func (f *fake) Scrape(_ context.Context, _ time.Time, use func(*nodecollector.Counters)) error {
	if f.err == nil {
		use(&f.counters)
	}
	return f.err
}

// Idle time that falls a little is not shown falling; a CPU that was away is shown
// as it is.
func TestCPUCountersOnlyGoForward(t *testing.T) {
	f := &fake{}
	h := exposition.Handler(f)
	show := func(idle, iowait uint64) (float64, float64) {
		f.counters.Stat.Cores = []nodecollector.CoreTimes{{Number: 7, Times: nodecollector.CPUTimes{Idle: idle, IOWait: iowait}}}
		families := scrape(t, h)
		return find(t, families, "node_cpu_seconds_total", map[string]string{"cpu": "7", "mode": "idle"}),
			find(t, families, "node_cpu_seconds_total", map[string]string{"cpu": "7", "mode": "iowait"})
	}
	for _, step := range []struct {
		idle, iowait         uint64
		wantIdle, wantIOWait float64
	}{
		{100_000, 500, 1000, 5}, {99_900, 400, 1000, 5}, {100_100, 600, 1001, 6}, {2000, 10, 20, 0.1}, {2100, 20, 21, 0.2},
	} {
		if idle, iowait := show(step.idle, step.iowait); idle != step.wantIdle || iowait != step.wantIOWait {
			t.Errorf("%d and %d ticks are shown as %g s idle and %g s iowait, want %g and %g", step.idle, step.iowait, idle, iowait, step.wantIdle, step.wantIOWait)
		}
	}
}

func TestPodTrafficIsNotShown(t *testing.T) {
	f := &fake{}
	for scope, want := range map[telemetry.NetworkScope]bool{telemetry.NetworkHost: true, telemetry.NetworkPod: false, 0: false} {
		f.counters.Network = nodecollector.Network{Scope: scope, List: []nodecollector.Interface{{Name: "eth0"}}}
		_, shown := scrape(t, exposition.Handler(f))["node_network_receive_bytes_total"]
		if shown != want {
			t.Errorf("scope %s: shown is %v", scope, shown)
		}
	}
}

func TestRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		method string
		err    error
		status int
		body   bool
	}{
		"read":              {http.MethodGet, nil, http.StatusOK, true},
		"look":              {http.MethodHead, nil, http.StatusOK, false},
		"write":             {http.MethodPost, nil, http.StatusMethodNotAllowed, true},
		"a node that fails": {http.MethodGet, errors.New("secret details"), http.StatusServiceUnavailable, true},
	} {
		w := httptest.NewRecorder()
		exposition.Handler(&fake{err: tc.err}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tc.method, "/metrics", http.NoBody))
		if w.Code != tc.status || (w.Body.Len() > 0) != tc.body || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: status %d, body %q", name, w.Code, w.Body)
		}
	}
}
