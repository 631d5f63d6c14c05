// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package nodecollector

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
)

// Our parsers and those of procfs say the same of every tree, and of this machine,
// where they read the same.
func TestParsersAgreeWithProcfs(t *testing.T) {
	places := map[string]string{"this machine": "/proc"}
	for name := range machines() {
		if name != "hidepid" { // procfs has no other way to the interfaces
			places[name] = treePath(name, "a", "proc")
		}
	}
	for name, proc := range places {
		t.Run(name, func(t *testing.T) {
			theirs, err := procfs.NewFS(proc)
			if err != nil {
				t.Fatal(err)
			}
			read := func(path string) []byte {
				data, err := os.ReadFile(filepath.Join(proc, path))
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			agreeOnMemory(t, theirs, read("meminfo"))
			agreeOnDisks(t, proc, read("diskstats"))
			agreeOnInterfaces(t, proc, read("1/net/dev"))
			agreeOnMounts(t, theirs, read("1/mountinfo"))
			agreeOnCPUs(t, theirs, read("stat"))
		})
	}
}

// busy is for counters of this machine, which go on between two readings.
func busy(ours, theirs uint64) bool {
	return theirs < ours || float64(theirs-ours) > 1e6+float64(ours)/100
}

func agreeOnCPUs(t *testing.T, theirs procfs.FS, data []byte) {
	t.Helper()
	var ours Stat
	parseStat(data, &ours)
	stat, err := theirs.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if len(stat.CPU) != len(ours.Cores) || !ours.HasAllCores || stat.BootTime != ours.BootTime.Value {
		t.Errorf("%d cores and boot time %d, procfs has %d and %d", len(ours.Cores), ours.BootTime.Value, len(stat.CPU), stat.BootTime)
	}
	for _, c := range ours.Cores {
		o, p := c.Times, stat.CPU[int64(c.Number)]
		for i, pair := range [][2]float64{
			{float64(o.User), p.User},
			{float64(o.Nice), p.Nice},
			{float64(o.System), p.System},
			{float64(o.SoftIRQ), p.SoftIRQ},
			{float64(o.IRQ), p.IRQ},
			{float64(o.Steal), p.Steal},
			{float64(o.Guest), p.Guest},
			{float64(o.GuestNice), p.GuestNice},
		} {
			if busy(uint64(pair[0]), uint64(pair[1]*UserHZ+0.5)) {
				t.Errorf("cpu%d state %d is %g, procfs has %g s", c.Number, i, pair[0], pair[1])
			}
		}
	}
	if busy(ours.ContextSwitches.Value, stat.ContextSwitches) || busy(ours.Forks.Value, stat.ProcessCreated) {
		t.Errorf("%d switches and %d forks, procfs has %d and %d", ours.ContextSwitches.Value, ours.Forks.Value, stat.ContextSwitches, stat.ProcessCreated)
	}
}

func agreeOnMemory(t *testing.T, theirs procfs.FS, data []byte) {
	t.Helper()
	var ours Memory
	parseMemory(data, &ours)
	mem, err := theirs.Meminfo()
	if err != nil {
		t.Fatal(err)
	}
	for f, p := range map[MemoryField]*uint64{
		MemTotal: mem.MemTotalBytes, MemSwapTotal: mem.SwapTotalBytes, MemHugepagesize: mem.HugepagesizeBytes,
		MemHugePagesTotal: mem.HugePagesTotal, MemShmem: mem.ShmemBytes,
	} {
		v, ok := ours.Get(f)
		if ok != (p != nil) || ok && f != MemShmem && v != *p {
			t.Errorf("%s is %d %v, procfs has %v", f, v, ok, p)
		}
	}
}

func agreeOnDisks(t *testing.T, proc string, data []byte) {
	t.Helper()
	theirs, err := blockdevice.NewFS(proc, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stats, err := theirs.ProcDiskstats()
	if err != nil {
		t.Fatal(err)
	}
	ours := parseDisks(data, nil, func(name []byte) string { return string(name) })
	if len(ours) != len(stats) {
		t.Fatalf("%d disks, procfs has %d", len(ours), len(stats))
	}
	for i, d := range ours {
		p := stats[i]
		if d.Name != p.DeviceName || busy(d.ReadIOs, p.ReadIOs) || busy(d.WriteSectors, p.WriteSectors) || busy(d.ReadTicks, p.ReadTicks) ||
			busy(d.WriteTicks, p.WriteTicks) || busy(d.IOTicks, p.IOsTotalTicks) || busy(d.WeightedTicks, p.WeightedIOTicks) {
			t.Errorf("%+v, procfs has %+v", d, p)
		}
	}
}

func agreeOnInterfaces(t *testing.T, proc string, data []byte) {
	t.Helper()
	theirs, err := procfs.NewFS(filepath.Join(proc, "1")) // net/dev below it
	if err != nil {
		t.Fatal(err)
	}
	lines, err := theirs.NetDev()
	if err != nil {
		t.Fatal(err)
	}
	ours := parseInterfaces(data, nil, func(name []byte) string { return string(name) })
	if len(ours) != len(lines) {
		t.Errorf("%d interfaces, procfs has %d", len(ours), len(lines))
	}
	for _, n := range ours {
		c, p := n.Counters, lines[n.Name]
		if busy(c.ReceiveBytes, p.RxBytes) || busy(c.ReceivePackets, p.RxPackets) || c.ReceiveErrors != p.RxErrors || busy(c.ReceiveDrops, p.RxDropped) ||
			busy(c.TransmitBytes, p.TxBytes) || busy(c.TransmitPackets, p.TxPackets) || c.TransmitErrors != p.TxErrors || c.TransmitDrops != p.TxDropped {
			t.Errorf("%s has %+v, procfs has %+v", n.Name, c, p)
		}
	}
}

func agreeOnMounts(t *testing.T, theirs procfs.FS, data []byte) {
	t.Helper()
	mounts, err := theirs.GetProcMounts(1)
	if err != nil {
		t.Fatal(err)
	}
	var want []Mount
	for _, m := range mounts {
		_, readOnly := m.Options["ro"]
		_, superReadOnly := m.SuperOptions["ro"]
		_, emergency := m.SuperOptions["emergency_ro"]
		want = append(want, Mount{
			Device: m.Source, Number: m.MajorMinorVer, Point: unescape(m.MountPoint), Type: m.FSType, ReadOnly: readOnly || superReadOnly || emergency,
		})
	}
	if diff := cmp.Diff(want, slices.Clip(parseMounts(data, nil))); diff != "" {
		t.Errorf("mounts (-procfs +ours):\n%s", diff)
	}
}
