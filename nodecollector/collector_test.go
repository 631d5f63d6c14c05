// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

type want struct {
	metric telemetry.MetricID
	label  string
	value  float64
}

// What each tree is there for. absent are series that must not be there, by metric
// and label; a label of "*" is any.
func TestTrees(t *testing.T) {
	every := func(ids ...telemetry.MetricID) (absent []telemetry.Series) {
		for _, id := range ids {
			absent = append(absent, telemetry.Series{Metric: id, Label: "*"})
		}
		return absent
	}
	pressure := every(
		telemetry.MetricPressureCPUSome, telemetry.MetricPressureCPUFull, telemetry.MetricPressureMemorySome,
		telemetry.MetricPressureMemoryFull, telemetry.MetricPressureIOSome, telemetry.MetricPressureIOFull, telemetry.MetricPressureIRQFull)
	for name, tc := range map[string]struct {
		want   []want
		absent []telemetry.Series
		scope  telemetry.NetworkScope
	}{
		"metal-64-cores": {
			want: []want{
				{telemetry.MetricCPUCores, "", 64},
				{telemetry.MetricCPUUsage, "", 26},
				{telemetry.MetricCPUCoreUsage, "63", 26},
				{telemetry.MetricNetTotalReceive, "", 25_000_000},
				{telemetry.MetricNetPhysical, "bond0", 0},
				{telemetry.MetricNetPhysical, "eth1", 1},
				{telemetry.MetricTemperature, "coretemp/Core 0 #2", 45.5},
				{telemetry.MetricTemperature, "thermal_zone0/x86_pkg_temp", 52},
				{telemetry.MetricTemperatureCritical, "coretemp/Package id 1", 100},
				{telemetry.MetricDiskUtil, "nvme0n1", 35},
			},
			absent: []telemetry.Series{
				{Metric: telemetry.MetricDiskUtil, Label: "nvme0n1p1"},
				{Metric: telemetry.MetricDiskUtil, Label: "sdaa1"},
				{Metric: telemetry.MetricDiskUtil, Label: "loop0"},
				{Metric: telemetry.MetricTemperatureCritical, Label: "coretemp/Core 0"},
			},
		},
		"vm-with-steal": {
			want: []want{
				{telemetry.MetricCPUSteal, "", 40},
				{telemetry.MetricCPUUsage, "", 70},
				{telemetry.MetricCPUUser, "", 20},
				{telemetry.MetricCPUIdle, "", 30},
				{telemetry.MetricNetTotalReceive, "", 12_500_000},
			},
			absent: every(telemetry.MetricNetSpeed, telemetry.MetricNetUtil),
		},
		"kvm-host": {
			want: []want{
				{telemetry.MetricCPUUsage, "", 45},
				{telemetry.MetricCPUGuest, "", 10.47},
				{telemetry.MetricCPUUser, "", 20},
				{telemetry.MetricNetTotalReceive, "", 12_500_000},
				{telemetry.MetricNetPhysical, "br0", 0},
				{telemetry.MetricNetPhysical, "vnet0", 0},
			},
		},
		"cgroup-v1-14-fields": {
			want: []want{
				{telemetry.MetricDiskUtil, "sda", 35},
				{telemetry.MetricDiskQueue, "sda", 0.38},
				{telemetry.MetricDiskAwait, "sda", 3.8},
				{telemetry.MetricMemoryUsedPercent, "", 43.75},
				{telemetry.MetricMemoryAvailableEstimated, "", 1},
				{telemetry.MetricTemperature, "coretemp/temp1", 39},
				{telemetry.MetricTemperatureCritical, "coretemp/temp1", 81},
			},
			absent: slices.Concat(pressure, every(telemetry.MetricOOMKills), []telemetry.Series{
				{Metric: telemetry.MetricDiskUtil, Label: "sda1"}, {Metric: telemetry.MetricFSSize, Label: "/sys/fs/cgroup"},
			}),
		},
		"modern-20-fields": {
			want: []want{
				{telemetry.MetricPressureIRQFull, "", 1},
				{telemetry.MetricDiskAwait, "sda", 3.8},
				{telemetry.MetricMemoryUsedPercent, "", 40},
				{telemetry.MetricFSReadOnly, "/mnt/my disk\tx\\y", 1},
				{telemetry.MetricFSReadOnly, "/boot/efi", 1},
				{telemetry.MetricFSReadOnly, "/", 0},
				{telemetry.MetricFSRole, "/", telemetry.FSRoleNode},
				{telemetry.MetricFSRole, "/var/lib/containerd", telemetry.FSRoleImage},
				{telemetry.MetricFSError, "/srv", telemetry.FSErrorPermission},
			},
			absent: append(every(), []telemetry.Series{
				{Metric: telemetry.MetricFSSize, Label: "/srv"},
				{Metric: telemetry.MetricFSError, Label: "/srv/a"},
				{Metric: telemetry.MetricFSInodesUsedPercent, Label: "/boot/efi"},
				{Metric: telemetry.MetricFSError, Label: "/run/containerd/io.containerd.grpc.v1.cri/sandboxes/a/shm"},
				{Metric: telemetry.MetricFSError, Label: "/var/lib/kubelet/pods/b/volumes/kubernetes.io~projected/token"},
			}...),
		},
		"no-psi":  {want: []want{{telemetry.MetricCPUUsage, "", 26}}, absent: pressure},
		"no-swap": {want: []want{{telemetry.MetricSwapUsedPercent, "", 0}, {telemetry.MetricSwapTotal, "", 0}}},
		"btrfs": {
			want: []want{{telemetry.MetricFSUsedPercent, "/", 84.21}, {telemetry.MetricFSRole, "/", telemetry.FSRoleNode | telemetry.FSRoleImage}},
			absent: append(every(telemetry.MetricFSInodes, telemetry.MetricFSInodesUsedPercent),
				telemetry.Series{Metric: telemetry.MetricFSSize, Label: "/home"}, telemetry.Series{Metric: telemetry.MetricFSSize, Label: "/var"}),
		},
		"nfs": {
			want: []want{
				{telemetry.MetricFSUsedPercent, "/mnt/share", 75},
				{telemetry.MetricFSError, "/mnt/share", 0},
				{telemetry.MetricFSError, "/mnt/gone", telemetry.FSErrorOther},
			},
			absent: []telemetry.Series{{Metric: telemetry.MetricFSSize, Label: "/mnt/gone"}, {Metric: telemetry.MetricFSError, Label: "/misc"}},
		},
		"veth-300": {
			want: []want{
				{telemetry.MetricNetTotalReceive, "", 12_500_000}, {telemetry.MetricNetReceive, "cni0", 12_500_000}, {telemetry.MetricNetPhysical, "cni0", 0},
			},
			absent: []telemetry.Series{{Metric: telemetry.MetricNetReceive, Label: "veth00000000"}},
		},
		"hidepid": {
			want: []want{
				{telemetry.MetricNetTotalReceive, "", 12_500_000},
				{telemetry.MetricNetReceiveErrors, "eth0", 1},
				{telemetry.MetricFSUsedPercent, "/", 84.21},
				{telemetry.MetricFSUsedPercent, "/data", 50},
				{telemetry.MetricThreads, "", 812},
			},
			absent: append(every(telemetry.MetricConntrack), telemetry.Series{Metric: telemetry.MetricFSError, Label: "/etc/hosts"}),
		},
		"arm64-no-hwmon": {
			want: []want{
				{telemetry.MetricSwapIn, "", 65536}, {telemetry.MetricTemperature, "thermal_zone0/cpu-thermal", 48.3}, {telemetry.MetricDiskUtil, "mmcblk0", 35},
			},
			absent: append(every(telemetry.MetricTemperatureCritical), telemetry.Series{Metric: telemetry.MetricDiskUtil, Label: "mmcblk0p1"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := measureTree(t, name)
			for _, w := range tc.want {
				if got := value(t, &second, w.metric, w.label); got != w.value {
					t.Errorf("%s %q is %g, want %g", w.metric, w.label, got, w.value)
				}
			}
			for _, a := range tc.absent {
				if i := slices.IndexFunc(second.Series, func(s telemetry.Series) bool {
					return s.Metric == a.Metric && (a.Label == "*" || s.Label == a.Label)
				}); i >= 0 {
					t.Errorf("%s %q is %g, want none", a.Metric, second.Series[i].Label, second.Values[i])
				}
			}
			if second.Scope != telemetry.NetworkHost || second.Interval != 15*time.Second || second.BootID != bootOfTree || second.CollectorSeq != 2 {
				t.Errorf("the sample has scope %s, interval %s, boot %s, number %d", second.Scope, second.Interval, second.BootID, second.CollectorSeq)
			}
			checkNoRates(t, &first)
		})
	}
}

// rates are metrics that need an earlier reading.
var rates = []telemetry.MetricID{
	telemetry.MetricCPUUsage, telemetry.MetricCPUIdle, telemetry.MetricCPUCoreUsage, telemetry.MetricContextSwitches, telemetry.MetricForks,
	telemetry.MetricPressureCPUSome, telemetry.MetricSwapIn, telemetry.MetricSwapOut, telemetry.MetricMajorFaults,
	telemetry.MetricDiskRead, telemetry.MetricDiskUtil, telemetry.MetricDiskAwait, telemetry.MetricNetReceive, telemetry.MetricNetTransmitDrops,
	telemetry.MetricNetUtil, telemetry.MetricNetTotalReceive,
}

func checkNoRates(t *testing.T, s *telemetry.NodeSample) {
	t.Helper()
	if s.Interval != 0 {
		t.Errorf("the interval is %s without an earlier reading", s.Interval)
	}
	for i, series := range s.Series {
		if slices.Contains(rates, series.Metric) {
			t.Errorf("%s %q is %g without an earlier reading", series.Metric, series.Label, s.Values[i])
		}
	}
}

// Without a source its values are absent, never 0, and all others are as before.
func TestMissingSources(t *testing.T) {
	_, whole := measureTree(t, "metal-64-cores")
	named := func(prefixes ...string) func(telemetry.Series) bool {
		return func(s telemetry.Series) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s.Metric.String()+" "+s.Label, p) })
		}
	}
	cpus := named("cpu_", "load1_per_core", "procs_", "context_switches", "forks")
	for _, tc := range []struct {
		gone     string
		concerns func(telemetry.Series) bool
	}{
		{"proc/stat", cpus},
		{"proc/loadavg", named("load", "threads")},
		{"proc/uptime", named("uptime")},
		{"proc/meminfo", named("memory_", "swap_total", "swap_used", "hugepages")},
		{"proc/vmstat", named("swap_in", "swap_out", "major_faults", "oom_kills")},
		{"proc/diskstats", named("disk_")},
		{"proc/pressure", named("pressure_")},
		{"proc/pressure/io", named("pressure_io_")},
		{"proc/sys/fs/file-nr", named("file_descriptors")},
		{"proc/sys/kernel/pid_max", named("pid_max", "threads_used")},
		{"proc/1/net/stat/nf_conntrack", named("conntrack")},
		{"proc/1/mountinfo", named("fs_")},
		{"proc/1/net/dev", named("net_")},
		{"proc/sys/net/netfilter/nf_conntrack_max", named("conntrack_entries_max", "conntrack_used")},
		{"sys/class/net/eth0/operstate", named("net_up eth0")},
		{"sys/class/net/eth0/speed", named("net_speed_bits_per_second eth0", "net_util_percent eth0")},
		{"sys/class/net/eth0/mtu", named("net_mtu_bytes eth0")},
		{"sys/class/hwmon/hwmon0/temp2_input", named("temperature_celsius coretemp/Core 0")},
		{"sys/class/hwmon/hwmon0/temp1_crit", named("temperature_critical_celsius coretemp/Package id 0")},
		{"sys/class/hwmon", named("temperature_celsius coretemp", "temperature_critical_celsius coretemp")},
		{"sys/class/thermal", named("temperature_celsius thermal_zone")},
		{"sys", named("temperature", "net_up", "net_speed", "net_mtu", "net_util")},
	} {
		gone, concerns := tc.gone, tc.concerns
		t.Run(gone, func(t *testing.T) {
			c, dir := openTree(t, "metal-64-cores")
			remove := func() {
				if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
					t.Fatal(err)
				}
			}
			remove()
			collect(t, c, treeStart)
			overlay(t, treePath("metal-64-cores", "b"), dir)
			remove()
			s := collect(t, c, treeStart.Add(15*time.Second))
			missing := 0
			for i, series := range whole.Series {
				v, ok := s.Value(series.Metric, series.Label)
				switch {
				case series.Metric == telemetry.MetricCollectorCPU:
				case !ok && concerns(series):
					missing++
				case !ok:
					t.Errorf("%s %q is missing as well", series.Metric, series.Label)
				case v != whole.Values[i] && !concerns(series):
					t.Errorf("%s %q is %g, was %g", series.Metric, series.Label, v, whole.Values[i])
				case v == 0 && whole.Values[i] != 0:
					t.Errorf("%s %q is 0 instead of absent", series.Metric, series.Label)
				}
			}
			if missing == 0 {
				t.Error("nothing is missing")
			}
		})
	}
}

// Counters that go down began anew: nothing is said of that interval, and the next
// one is measured from there.
func TestCountersThatGoDown(t *testing.T) {
	c, dir := openTree(t, "no-swap")
	moments := []string{"b", "a", "b"} // forward, back, forward
	collect(t, c, treeStart)
	var samples []telemetry.NodeSample
	for i, moment := range moments {
		overlay(t, treePath("no-swap", moment), dir)
		samples = append(samples, collect(t, c, treeStart.Add(time.Duration(i+1)*15*time.Second)))
	}
	back := samples[1]
	back.Interval = 0
	checkNoRates(t, &back)
	if v := value(t, &back, telemetry.MetricOOMKills, ""); v != 1 {
		t.Errorf("a total is %g, want what the kernel says, 1", v)
	}
	ignore := cmp.FilterPath(func(p cmp.Path) bool {
		name := p.String()
		return name == "CollectorSeq" || name == "Values" || name == "Series"
	}, cmp.Ignore())
	if diff := cmp.Diff(samples[0], samples[2], ignore); diff != "" {
		t.Errorf("the interval after the one that is left out (-want +got):\n%s", diff)
	}
	if a, b := sampleText(&samples[0]), sampleText(&samples[2]); a != b {
		t.Errorf("the interval after the one that is left out:\n%s", cmp.Diff(a, b))
	}
}
