// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const bootOfTree = "6f1d9c1e-2b7a-4d0c-8d53-0c6a1f3b9e42"

// machines generates the trees.
func machines() map[string]machine {
	return map[string]machine{
		"metal-64-cores":      metal64(),
		"vm-with-steal":       stealVM(),
		"kvm-host":            kvmHost(),
		"cgroup-v1-14-fields": cgroupV1(),
		"modern-20-fields":    modern(),
		"no-psi":              noPSI(),
		"no-swap":             noSwap(),
		"btrfs":               btrfs(),
		"nfs":                 nfs(),
		"veth-300":            veth300(),
		"hidepid":             hidepid(),
		"arm64-no-hwmon":      arm64(),
	}
}

// basis is a machine with what every kernel has: cores that were busy for a
// quarter of the 15 s between the moments.
func basis(cores int) machine {
	before, after := make([]CPUTimes, cores), make([]CPUTimes, cores)
	for i := range cores {
		n := uint64(i)
		before[i] = CPUTimes{User: 90000 + n, Nice: 100, System: 30000 + n, Idle: 4000000 + n, IOWait: 500, IRQ: 20, SoftIRQ: 700}
		after[i] = before[i]
		after[i].User += 300
		after[i].System += 75
		after[i].Idle += 1095
		after[i].IOWait += 15
		after[i].SoftIRQ += 15
	}
	m := machine{
		a: map[string]string{
			"proc/stat":                               statText(before, 5_000_000, 120_000),
			"proc/loadavg":                            "0.52 0.48 0.40 3/812 41234\n",
			"proc/uptime":                             "43210.98 160000.10\n",
			"proc/meminfo":                            memText(nil),
			"proc/vmstat":                             "nr_free_pages 1024\npswpin 100\npswpout 200\npgmajfault 5000\noom_kill 1\n",
			"proc/diskstats":                          diskText("   8       0 sda", 20, sdaBefore()),
			"proc/1/net/dev":                          netText(map[string][8]uint64{"lo": {5000, 50, 0, 0, 5000, 50, 0, 0}, "eth0": eth0Before()}),
			"proc/1/net/stat/nf_conntrack":            "entries  searched found new invalid ignore delete\n000001f4  00000000 00000000 00000000 00000003 00000000 00000000\n",
			"proc/1/mountinfo":                        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n23 22 0:21 / /proc rw - proc none rw\n24 22 0:22 / /sys rw - sysfs none rw\n",
			"proc/sys/fs/file-nr":                     "2048\t0\t9223372036854775807\n",
			"proc/sys/kernel/pid_max":                 "4194304\n",
			"proc/sys/kernel/random/boot_id":          bootOfTree + "\n",
			"proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
		},
		b: map[string]string{
			"proc/stat":      statText(after, 5_015_000, 120_030),
			"proc/uptime":    "43225.98 160044.20\n",
			"proc/vmstat":    "nr_free_pages 1000\npswpin 115\npswpout 260\npgmajfault 5030\noom_kill 2\n",
			"proc/diskstats": diskText("   8       0 sda", 20, sdaAfter()),
			"proc/1/net/dev": netText(map[string][8]uint64{"lo": {6500, 65, 0, 0, 6500, 65, 0, 0}, "eth0": eth0After()}),
		},
		statfs:   map[string]string{"/": "26214400 5242880 3932160 4096 6553600 6225920"},
		pageSize: 4096,
	}
	for _, r := range []string{"cpu", "memory", "io"} {
		m.a["proc/pressure/"+r] = pressureText(1_000_000, 100_000)
		m.b["proc/pressure/"+r] = pressureText(1_750_000, 130_000)
	}
	m.network("eth0", "1000", true)
	return m
}

// network adds what sysfs says of an interface.
func (m *machine) network(name, speed string, device bool) {
	folder := "sys/class/net/" + name + "/"
	m.a[folder+"operstate"] = "up\n"
	m.a[folder+"mtu"] = "1500\n"
	m.a[folder+"speed"] = speed + "\n"
	if device {
		m.a[folder+"device/vendor"] = "0x8086\n"
	}
}

func eth0Before() [8]uint64 {
	return [8]uint64{1_000_000_000, 2_000_000, 0, 10, 500_000_000, 1_500_000, 0, 0}
}

// eth0After is 187,500,000 bytes and 150,000 packets later, 15 of them with errors.
func eth0After() [8]uint64 {
	return [8]uint64{1_187_500_000, 2_150_000, 15, 40, 515_000_000, 1_650_000, 0, 0}
}

func sdaBefore() [11]uint64 {
	return [11]uint64{100_000, 50, 8_000_000, 90_000, 200_000, 70, 16_000_000, 400_000, 0, 300_000, 490_000}
}

// sdaAfter is the disk of the reference's vector disk-basic, 15 s later.
func sdaAfter() [11]uint64 {
	return [11]uint64{100_600, 50, 8_048_000, 91_200, 200_900, 70, 16_144_000, 404_500, 2, 305_250, 495_700}
}

func statText(cores []CPUTimes, switches, forks uint64) string {
	var b strings.Builder
	line := func(name string, t CPUTimes) {
		fmt.Fprintf(&b, "%s %d %d %d %d %d %d %d %d %d %d\n", name,
			t.User, t.Nice, t.System, t.Idle, t.IOWait, t.IRQ, t.SoftIRQ, t.Steal, t.Guest, t.GuestNice)
	}
	var sum CPUTimes
	for _, c := range cores {
		sum.User += c.User
		sum.Nice += c.Nice
		sum.System += c.System
		sum.Idle += c.Idle
		sum.IOWait += c.IOWait
		sum.IRQ += c.IRQ
		sum.SoftIRQ += c.SoftIRQ
		sum.Steal += c.Steal
		sum.Guest += c.Guest
		sum.GuestNice += c.GuestNice
	}
	line("cpu ", sum)
	for i, c := range cores {
		line(fmt.Sprintf("cpu%d", i), c)
	}
	fmt.Fprintf(&b, "intr 123456789 9 0 0 0 0 0 0 0 1\nctxt %d\nbtime 1763850000\nprocesses %d\nprocs_running 3\nprocs_blocked 1\n", switches, forks)
	b.WriteString("softirq 500 0 1 2 3 4 0 5 6 0 7\n")
	return b.String()
}

// memText writes meminfo as of the reference's vector mem-basic, with some lines
// changed, or removed where the value is "".
func memText(change map[string]string) string {
	lines := []string{
		"MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapCached", "SwapTotal", "SwapFree", "Dirty",
		"Shmem", "Slab", "SReclaimable", "HugePages_Total", "HugePages_Free", "Hugepagesize", "DirectMap4k",
	}
	values := map[string]string{
		"MemTotal": "16384000 kB", "MemFree": "1024000 kB", "MemAvailable": "9830400 kB", "Buffers": "204800 kB",
		"Cached": "7168000 kB", "SwapCached": "0 kB", "SwapTotal": "2097152 kB", "SwapFree": "1572864 kB", "Dirty": "1024 kB",
		"Shmem": "307200 kB", "Slab": "819200 kB", "SReclaimable": "512000 kB", "HugePages_Total": "512", "HugePages_Free": "128",
		"Hugepagesize": "2048 kB", "DirectMap4k": "123456 kB",
	}
	maps.Copy(values, change)
	var b strings.Builder
	for _, name := range lines {
		if values[name] != "" {
			fmt.Fprintf(&b, "%-16s%12s\n", name+":", values[name])
		}
	}
	return b.String()
}

// diskText writes a line of diskstats with as many fields as a kernel has.
func diskText(device string, fields int, n [11]uint64) string {
	words := []string{device}
	for _, v := range n {
		words = append(words, fmt.Sprint(v))
	}
	for i := 14; i < fields; i++ {
		words = append(words, fmt.Sprint(i))
	}
	return strings.Join(words, " ") + "\n"
}

func netText(interfaces map[string][8]uint64) string {
	var b strings.Builder
	b.WriteString("Inter-|   Receive                                                |  Transmit\n")
	b.WriteString(" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n")
	for _, name := range slices.Sorted(maps.Keys(interfaces)) {
		n := interfaces[name]
		fmt.Fprintf(&b, "%6s: %d %d %d %d 0 0 0 0 %d %d %d %d 0 0 0 0\n", name, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7])
	}
	return b.String()
}

func pressureText(some, full uint64) string {
	return fmt.Sprintf("some avg10=1.50 avg60=0.80 avg300=0.20 total=%d\nfull avg10=0.10 avg60=0.00 avg300=0.00 total=%d\n", some, full)
}
