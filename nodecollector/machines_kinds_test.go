// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"fmt"
	"maps"
	"strings"
)

// metal64 is a server: 64 cores, two sockets with sensors of the same names, two
// links in a bond, a VLAN on it, and more interrupts than fit into a page.
func metal64() machine {
	m := basis(64)
	interrupts := "intr 123456789" + strings.Repeat(" 1234567", 4000) + "\n"
	for _, moment := range []map[string]string{m.a, m.b} {
		moment["proc/stat"] = strings.Replace(moment["proc/stat"], "intr 123456789 9 0 0 0 0 0 0 0 1\n", interrupts, 1)
	}
	bond := func(eth [8]uint64) string {
		double := eth
		for i := range double {
			double[i] *= 2
		}
		return netText(map[string][8]uint64{"lo": {1, 1, 0, 0, 1, 1, 0, 0}, "eth0": eth, "eth1": eth, "bond0": double, "bond0.100": eth})
	}
	m.a["proc/1/net/dev"], m.b["proc/1/net/dev"] = bond(eth0Before()), bond(eth0After())
	m.network("eth1", "1000", true)
	m.network("bond0", "2000", false)
	m.network("bond0.100", "2000", false)
	m.a["sys/class/net/bond0.100/uevent"] = "DEVTYPE=vlan\nINTERFACE=bond0.100\nIFINDEX=7\n"
	m.a["sys/class/net/eth0/master"], m.a["sys/class/net/eth1/master"] = "-> ../bond0", "-> ../bond0"
	for socket := range 2 {
		folder := fmt.Sprintf("sys/class/hwmon/hwmon%d/", socket)
		m.a[folder+"name"] = "coretemp\n"
		m.a[folder+"device"] = fmt.Sprintf("-> ../../../devices/platform/coretemp.%d", socket)
		m.a[fmt.Sprintf("sys/devices/platform/coretemp.%d/driver_override", socket)] = "(null)\n"
		m.a[folder+"temp1_input"], m.a[folder+"temp1_label"], m.a[folder+"temp1_crit"] = "47000\n", fmt.Sprintf("Package id %d\n", socket), "100000\n"
		m.a[folder+"temp2_input"], m.a[folder+"temp2_label"] = "45500\n", "Core 0\n"
		m.a[folder+"fan1_input"] = "1200\n"
	}
	m.a["sys/class/thermal/thermal_zone0/type"] = "x86_pkg_temp\n"
	m.a["sys/class/thermal/thermal_zone0/policy"] = "step_wise\n"
	m.a["sys/class/thermal/thermal_zone0/temp"] = "52000\n"
	disks := func(n [11]uint64) string {
		return diskText(" 259       0 nvme0n1", 20, n) + diskText(" 259       1 nvme0n1p1", 20, n) + diskText("   8       0 sdaa", 20, n) +
			diskText("  65     161 sdaa1", 20, n) + diskText(" 253       0 dm-0", 20, n) + diskText("   7       0 loop0", 20, n)
	}
	m.a["proc/diskstats"], m.b["proc/diskstats"] = disks(sdaBefore()), disks(sdaAfter())
	return m
}

// stealVM is a small virtual machine whose host gives time to others, and whose
// network card does not know its speed.
func stealVM() machine {
	m := basis(2)
	before := []CPUTimes{{User: 1000, System: 400, Idle: 8000, Steal: 50}, {User: 1000, System: 400, Idle: 8000, Steal: 50}}
	after := []CPUTimes{{User: 1300, System: 550, Idle: 8450, Steal: 650}, {User: 1300, System: 550, Idle: 8450, Steal: 650}}
	m.a["proc/stat"], m.b["proc/stat"] = statText(before, 1000, 10), statText(after, 2500, 25)
	m.network("eth0", "-1", true)
	vda := strings.NewReplacer("   8       0 sda", " 254       0 vda")
	m.a["proc/diskstats"], m.b["proc/diskstats"] = vda.Replace(m.a["proc/diskstats"]), vda.Replace(m.b["proc/diskstats"])
	return m
}

// kvmHost runs guests: the numbers of the reference's vector cpu-guest, over four
// cores.
func kvmHost() machine {
	m := basis(4)
	before := CPUTimes{User: 250, Nice: 25, System: 100, Idle: 2000, IOWait: 50, IRQ: 2, SoftIRQ: 10, Steal: 12, Guest: 75, GuestNice: 5}
	after := CPUTimes{User: 700, Nice: 40, System: 250, Idle: 2750, IOWait: 125, IRQ: 10, SoftIRQ: 32, Steal: 42, Guest: 225, GuestNice: 12}
	m.a["proc/stat"] = statText([]CPUTimes{before, before, before, before}, 0, 0)
	m.b["proc/stat"] = statText([]CPUTimes{after, after, after, after}, 150, 15)
	tap := func(eth [8]uint64) string {
		return netText(map[string][8]uint64{"lo": {}, "br0": eth, "eth0": eth, "vnet0": eth, "vnet1": eth})
	}
	m.a["proc/1/net/dev"], m.b["proc/1/net/dev"] = tap(eth0Before()), tap(eth0After())
	m.network("br0", "1000", false)
	m.a["sys/class/net/eth0/master"] = "-> ../br0"
	return m
}

// cgroupV1 is Linux 3.10 as vendors shipped it without backports: 14 fields in
// diskstats, no MemAvailable, no PSI, no oom_kill, sensors in the device's folder.
func cgroupV1() machine {
	m := basis(8)
	m.a["proc/diskstats"] = diskText("   8       0 sda", 14, sdaBefore()) + diskText("   8       1 sda1", 14, sdaBefore())
	m.b["proc/diskstats"] = diskText("   8       0 sda", 14, sdaAfter()) + diskText("   8       1 sda1", 14, sdaAfter())
	m.a["proc/meminfo"] = memText(map[string]string{"MemAvailable": ""})
	m.a["proc/vmstat"], m.b["proc/vmstat"] = "pswpin 100\npswpout 200\npgmajfault 5000\n", "pswpin 115\npswpout 260\npgmajfault 5030\n"
	m.withoutPressure()
	m.a["proc/1/mountinfo"] += "30 24 0:25 / /sys/fs/cgroup ro,nosuid shared:8 - tmpfs none ro,mode=755\n" +
		"31 30 0:26 / /sys/fs/cgroup/systemd rw - cgroup none rw,xattr,name=systemd\n32 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup none rw,cpuacct,cpu\n"
	m.a["sys/class/hwmon/hwmon0/device/name"] = "coretemp\n"
	m.a["sys/class/hwmon/hwmon0/device/temp1_input"] = "39000\n"
	m.a["sys/class/hwmon/hwmon0/device/temp1_crit"] = "81000\n"
	return m
}

func (m *machine) withoutPressure() {
	for _, moment := range []map[string]string{m.a, m.b} {
		maps.DeleteFunc(moment, func(path, _ string) bool { return strings.HasPrefix(path, "proc/pressure/") })
	}
}

// modern is Linux 6: 20 fields, pressure of interrupts, and an ext4 that stopped
// writing.
func modern() machine {
	m := basis(4)
	m.a["sys/class/hwmon/hwmon0/name"] = "nvme\n"
	m.a["sys/class/hwmon/hwmon0/temp1_input"], m.a["sys/class/hwmon/hwmon0/temp1_label"] = "35850\n", "Composite\n"
	m.a["sys/class/hwmon/hwmon0/temp1_crit"] = "84850\n"
	m.a["sys/class/thermal/thermal_zone0/type"], m.a["sys/class/thermal/thermal_zone0/policy"] = "acpitz\n", "step_wise\n"
	m.a["sys/class/thermal/thermal_zone0/temp"] = "-2800\n"
	m.a["proc/pressure/irq"] = "full avg10=0.00 avg60=0.00 avg300=0.00 total=4000\n"
	m.b["proc/pressure/irq"] = "full avg10=0.00 avg60=0.00 avg300=0.00 total=154000\n"
	m.a["proc/1/mountinfo"] += `40 22 8:17 / /mnt/my\040disk\011x\134y rw,relatime shared:2 - ext4 /dev/sdb1 rw,emergency_ro` + "\n" +
		"41 22 8:33 / /var/lib/containerd rw shared:3 - xfs /dev/sdc1 rw,prjquota\n" +
		"42 22 8:49 / /boot/efi ro shared:4 - vfat /dev/sdd1 rw,umask=0077\n" +
		"43 22 8:65 /exports/a /srv/a rw shared:5 - xfs /dev/sde1 rw\n44 22 8:65 / /srv rw shared:6 - xfs /dev/sde1 rw\n" +
		"45 22 0:40 / /run rw - tmpfs none rw,size=1024k\n46 45 0:41 / /run/containerd/io.containerd.grpc.v1.cri/sandboxes/a/shm rw - tmpfs shm rw\n" +
		"47 22 0:42 / /var/lib/kubelet/pods/b/volumes/kubernetes.io~projected/token rw - tmpfs none rw\n"
	maps.Copy(m.statfs, map[string]string{
		"/mnt/my disk\tx\\y":  "1000 500 400 4096 100 50",
		"/var/lib/containerd": "2000 300 300 4096 0 0",
		"/boot/efi":           "100 90 90 4096 0 0",
		"/srv":                "denied",
		"/run":                "256 250 250 4096 1000 900",
	})
	return m
}

func noPSI() machine {
	m := basis(4)
	m.withoutPressure()
	return m
}

func noSwap() machine {
	m := basis(4)
	m.a["proc/meminfo"] = memText(map[string]string{"SwapTotal": "0 kB", "SwapFree": "0 kB"})
	return m
}

// btrfs has subvolumes, which share their space, and no inodes to run out of.
func btrfs() machine {
	m := basis(4)
	m.a["proc/1/mountinfo"] = "22 1 0:20 /@ / rw,relatime - btrfs /dev/sda2 rw,space_cache=v2,subvolid=256,subvol=/@\n" +
		"60 22 0:20 /@home /home rw,relatime - btrfs /dev/sda2 rw,space_cache=v2,subvolid=257,subvol=/@home\n" +
		"61 22 0:20 /@var /var rw,relatime - btrfs /dev/sda2 rw,space_cache=v2,subvolid=258,subvol=/@var\n"
	m.statfs = map[string]string{"/": "26214400 5242880 3932160 4096 0 0"}
	return m
}

// nfs has a server that answers and one whose export is gone.
func nfs() machine {
	m := basis(4)
	m.a["proc/1/mountinfo"] += "70 22 0:50 / /mnt/share rw,relatime shared:9 - nfs4 storage.example:/share rw,vers=4.2,hard,addr=192.0.2.10\n" +
		"71 22 0:51 / /mnt/gone rw,relatime shared:10 - nfs storage.example:/gone rw,vers=3,soft,addr=192.0.2.10\n" +
		"72 22 0:52 / /misc rw,relatime shared:11 - autofs /etc/auto.misc rw,fd=6\n"
	maps.Copy(m.statfs, map[string]string{"/mnt/share": "1000000 250000 250000 1048576 0 0", "/mnt/gone": "stale"})
	return m
}

// veth300 runs 300 pods.
func veth300() machine {
	m := basis(16)
	links := func(eth [8]uint64) string {
		all := map[string][8]uint64{"lo": {}, "eth0": eth, "cni0": eth, "flannel.1": eth}
		for i := range 300 {
			all[fmt.Sprintf("veth%08x", i*7919)] = eth
		}
		return netText(all)
	}
	m.a["proc/1/net/dev"], m.b["proc/1/net/dev"] = links(eth0Before()), links(eth0After())
	return m
}

// hidepid does not show process 1; the collector has the machine's /sys, and sees
// its mounts below /host/root.
func hidepid() machine {
	m := basis(4)
	m.root = "/host/root"
	for _, moment := range []map[string]string{m.a, m.b} {
		maps.DeleteFunc(moment, func(path, _ string) bool { return strings.HasPrefix(path, "proc/1/") })
	}
	m.a["proc/self/mountinfo"] = "500 400 0:60 / / rw - overlay none rw\n501 500 0:61 / /host/proc ro - proc none rw,hidepid=2\n" +
		"502 500 8:1 / /host/root ro,relatime master:1 - ext4 /dev/sda1 rw\n503 502 8:17 / /host/root/data ro master:2 - xfs /dev/sdb1 rw\n" +
		"504 500 8:1 /var/lib/kubelet/pods/x/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
	m.a["proc/self/net/dev"] = netText(map[string][8]uint64{"lo": {}, "eth0": {1, 1, 0, 0, 1, 1, 0, 0}})
	m.statfs["/data"] = "1000 500 500 4096 1000 900"
	for i, file := range statistics {
		m.a["sys/class/net/eth0/statistics/"+file] = fmt.Sprintln(eth0Before()[i])
		m.b["sys/class/net/eth0/statistics/"+file] = fmt.Sprintln(eth0After()[i])
	}
	return m
}

// arm64 is a small board: pages of 64 KiB, an SD card, a thermal zone and no hwmon.
func arm64() machine {
	m := basis(4)
	m.pageSize = 64 << 10
	m.a["sys/class/thermal/thermal_zone0/type"] = "cpu-thermal\n"
	m.a["sys/class/thermal/thermal_zone0/policy"] = "step_wise\n"
	m.a["sys/class/thermal/thermal_zone0/temp"] = "48312\n"
	card := func(n [11]uint64) string {
		return diskText(" 179       0 mmcblk0", 20, n) + diskText(" 179       1 mmcblk0p1", 20, n)
	}
	m.a["proc/diskstats"], m.b["proc/diskstats"] = card(sdaBefore()), card(sdaAfter())
	return m
}
