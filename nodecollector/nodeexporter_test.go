// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package nodecollector_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/testing/nodeexporter"
	"github.com/atlhyper/atlhyper/nodecollector"
	"github.com/atlhyper/atlhyper/nodecollector/exposition"
)

// both is what the node collector measures on this machine right before and right
// after node_exporter does.
type both struct {
	before, theirs, after map[string]float64
	sample                telemetry.NodeSample
}

// TestAgreesWithNodeExporter runs both on this machine. What they measure at the
// same moment must agree: counters of node_exporter lie between ours from before
// and after, gauges differ no more than the machine changed. And so must the rates
// that we send and those that Prometheus would compute from node_exporter's.
func TestAgreesWithNodeExporter(t *testing.T) {
	server, err := nodeexporter.Start(t.Context(), t.TempDir(), nodeexporter.Collectors()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	collector, err := nodecollector.New(nodecollector.Options{Node: "this-one"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(collector.Close)
	handler := exposition.Handler(collector)

	// What comes and goes between two measurements, and a machine that stalls between
	// them, makes them differ. What is wrong differs each time.
	const tries = 5
	for try := 1; ; try++ {
		d := &differences{T: t}
		first := measureBoth(t, server, collector, handler)
		<-time.After(3 * time.Second)
		second := measureBoth(t, server, collector, handler)
		for _, m := range []both{first, second} {
			compareMoment(d, m)
		}
		compareRates(d, first, second)
		compareGauges(d, second)
		if len(d.found) == 0 {
			return
		}
		if try == tries {
			t.Fatal(strings.Join(d.found, "\n"))
		}
		t.Logf("try %d:\n%s", try, strings.Join(d.found, "\n"))
	}
}

// differences collects what is wrong in one comparison.
type differences struct {
	*testing.T

	found []string
}

func (d *differences) Errorf(format string, args ...any) {
	d.found = append(d.found, fmt.Sprintf(format, args...))
}

func measureBoth(t *testing.T, server *nodeexporter.Server, c *nodecollector.Collector, h http.Handler) (m both) {
	t.Helper()
	ours := func() map[string]float64 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
		values, err := nodeexporter.Parse(w.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	var err error
	m.before = ours()
	if m.sample, err = c.Collect(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if m.theirs, err = server.Scrape(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.after = ours()
	return m
}

// onlyOurs are families that node_exporter has in collectors that look at every
// process.
var onlyOurs = []string{"node_processes_max_processes", "node_processes_threads"}

// compareMoment checks that node_exporter has every series that we show, with a
// value between ours, or near them where values go up and down.
func compareMoment(t *differences, m both) {
	t.Helper()
	compared := 0
	for _, series := range slices.Sorted(maps.Keys(m.before)) {
		family, _, _ := strings.Cut(series, "{")
		theirs, ok := m.theirs[series]
		switch {
		case slices.Contains(onlyOurs, family):
			continue
		case !ok:
			t.Errorf("node_exporter has no %s", series)
			continue
		}
		before, after := m.before[series], m.after[series]
		low, high := min(before, after), max(before, after)
		slack := tolerance(family, high)
		if theirs < low-slack || theirs > high+slack {
			t.Errorf("%s is %g, ours was %g before and %g after", series, theirs, before, after)
		}
		compared++
	}
	if compared < 100 {
		t.Errorf("only %d series could be compared", compared)
	}
	t.Logf("%d series agree; node_exporter has %d", compared, len(m.theirs))
}

// tolerance is by how much a value may differ from both of ours.
func tolerance(family string, v float64) float64 {
	switch {
	case family == "node_boot_time_seconds": // it wobbles by one
		return 1
	case family == "node_cpu_seconds_total": // idle and iowait may fall by some ticks
		return 0.1
	case strings.HasPrefix(family, "node_memory_"), strings.HasPrefix(family, "node_filesystem_"):
		return v/20 + 64<<20 // others are at work
	case strings.HasPrefix(family, "node_procs_"), family == "node_disk_io_now":
		return 32
	case strings.HasPrefix(family, "node_load"):
		return 0.5
	case family == "node_filefd_allocated", family == "node_nf_conntrack_entries":
		return v/5 + 256
	case strings.HasSuffix(family, "_celsius"), family == "node_thermal_zone_temp":
		return 5
	case family == "node_timex_offset_seconds":
		return 0.01
	default:
		return math.Abs(v) * 1e-9 // rounding, and nothing else
	}
}

// compareRates computes from node_exporter's counters what we send.
func compareRates(t *differences, a, b both) {
	t.Helper()
	seconds := b.theirs["node_time_seconds"] - a.theirs["node_time_seconds"]
	rate := func(series string) float64 { return (b.theirs[series] - a.theirs[series]) / seconds }
	near := func(metric telemetry.MetricID, label string, theirs, slack float64) {
		t.Helper()
		ours, ok := b.sample.Value(metric, label)
		if !ok {
			t.Errorf("there is no %s %q", metric, label)
		} else if math.Abs(ours-theirs) > slack+math.Abs(theirs)/4 {
			t.Errorf("%s %q is %g, from node_exporter's counters it is %g", metric, label, ours, theirs)
		}
	}
	cores := 0
	var busy float64
	for ; ; cores++ {
		mode := func(name string) float64 {
			return rate(fmt.Sprintf(`node_cpu_seconds_total{cpu="%d", mode=%q}`, cores, name))
		}
		if _, ok := b.theirs[fmt.Sprintf(`node_cpu_seconds_total{cpu="%d", mode="idle"}`, cores)]; !ok {
			break
		}
		use := 0.0
		for _, name := range []string{"user", "nice", "system", "irq", "softirq", "steal"} {
			use += mode(name)
		}
		idle := mode("idle") + mode("iowait")
		near(telemetry.MetricCPUCoreUsage, fmt.Sprint(cores), 100*use/(use+idle), 5)
		busy += 100 * use / (use + idle)
	}
	if cores == 0 {
		t.Fatal("node_exporter has no CPU")
	}
	near(telemetry.MetricCPUCores, "", float64(cores), 0)
	near(telemetry.MetricCPUUsage, "", busy/float64(cores), 5)
	near(telemetry.MetricContextSwitches, "", rate("node_context_switches_total"), 2000)
	near(telemetry.MetricForks, "", rate("node_forks_total"), 20)
	near(telemetry.MetricMajorFaults, "", rate("node_vmstat_pgmajfault"), 100)
	for series := range b.theirs {
		name, labels, _ := strings.Cut(series, "{")
		device, found := strings.CutPrefix(strings.TrimSuffix(labels, `"}`), `device="`)
		if !found {
			continue
		}
		if _, shown := b.before[series]; !shown {
			continue
		}
		switch name {
		case "node_network_receive_bytes_total":
			near(telemetry.MetricNetReceive, device, rate(series), 256<<10)
		case "node_network_transmit_packets_total":
			near(telemetry.MetricNetTransmitPackets, device, rate(series), 500)
		case "node_disk_written_bytes_total":
			near(telemetry.MetricDiskWrite, device, rate(series), 8<<20)
		case "node_disk_reads_completed_total":
			near(telemetry.MetricDiskReads, device, rate(series), 300)
		case "node_disk_io_time_seconds_total":
			near(telemetry.MetricDiskUtil, device, min(100*rate(series), 100), 10)
		}
	}
}

// compareGauges compares what needs no earlier moment, in the units that we send.
func compareGauges(t *differences, m both) {
	t.Helper()
	theirs := m.theirs
	for _, tc := range []struct {
		metric telemetry.MetricID
		want   float64
		slack  float64
	}{
		{telemetry.MetricMemoryTotal, theirs["node_memory_MemTotal_bytes"], 0},
		{telemetry.MetricMemoryUsedPercent, 100 * (1 - theirs["node_memory_MemAvailable_bytes"]/theirs["node_memory_MemTotal_bytes"]), 2},
		{telemetry.MetricSwapTotal, theirs["node_memory_SwapTotal_bytes"], 0},
		{telemetry.MetricLoad1, theirs["node_load1"], 0.5},
		{telemetry.MetricFileDescriptorsMax, theirs["node_filefd_maximum"], theirs["node_filefd_maximum"] / 1e9},
		{telemetry.MetricUptime, theirs["node_time_seconds"] - theirs["node_boot_time_seconds"], 2},
		{telemetry.MetricClockSynced, theirs["node_timex_sync_status"], 0},
	} {
		if got, ok := m.sample.Value(tc.metric, ""); !ok || math.Abs(got-tc.want) > tc.slack {
			t.Errorf("%s is %g (%v), node_exporter has %g", tc.metric, got, ok, tc.want)
		}
	}
	free := 0
	for series, size := range theirs {
		labels, found := strings.CutPrefix(series, "node_filesystem_size_bytes{")
		if !found || m.before[series] == 0 {
			continue
		}
		_, point, _ := strings.Cut(labels, `mountpoint="`)
		point = strings.TrimSuffix(point, `"}`)
		if got, ok := m.sample.Value(telemetry.MetricFSSize, point); !ok || got != size {
			t.Errorf("the size of %s is %g, node_exporter has %g", point, got, size)
		}
		free++
	}
	if free == 0 {
		t.Errorf("no filesystem could be compared")
	}
}
