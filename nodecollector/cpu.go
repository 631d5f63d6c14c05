// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// UserHZ is how many ticks the kernel counts a second in what it shows. It is 100
// on every platform that Go supports.
const UserHZ = 100

const (
	// hotplugTicks is how far back idle time falls when a CPU was taken away and
	// brought back: 3 seconds, as in node_exporter. Less is known to happen.
	hotplugTicks = 3 * UserHZ
	// A CPU cannot have counted less than half or more than twice the ticks that
	// passed. When it seems so, what is left would be shown as a false peak.
	leastTicks, mostTicks = 0.5, 2.0
)

// CPUTimes is how long a CPU was in each state since boot, in ticks of 1/UserHZ s.
// Guest is part of User and GuestNice of Nice.
type CPUTimes struct {
	User, Nice, System, Idle, IOWait, IRQ, SoftIRQ, Steal, Guest, GuestNice uint64
}

// CoreTimes is the times of one CPU.
type CoreTimes struct {
	// Number of the CPU, as the kernel counts them.
	Number int
	// Times since boot.
	Times CPUTimes
}

// Stat is what /proc/stat says.
type Stat struct {
	// At is when it was read, since the collector began; 0 with Known false.
	At time.Duration
	// Known is false when it could not be read.
	Known bool
	// Total is the sum over CPUs.
	Total CPUTimes
	// Cores is the CPUs that are online, in the kernel's order; all of them when
	// HasAllCores is true.
	Cores       []CoreTimes
	HasAllCores bool
	// ContextSwitches, Forks since boot.
	ContextSwitches, Forks Number
	// Running and Blocked are tasks at this moment.
	Running, Blocked Number
	// BootTime is seconds since 1970.
	BootTime Number
}

// Number is a number that may be absent.
type Number struct {
	// Value is 0 when Known is false.
	Value uint64
	// Known is false when the kernel did not tell.
	Known bool
}

// parseStat reads /proc/stat into s and reports whether it has a line for all
// CPUs. Own, because procfs scans it with reflection and reads every interrupt.
func parseStat(b []byte, s *Stat) bool {
	*s = Stat{Cores: s.Cores[:0]}
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return s.Known
		}
		b = rest
		key, values := nextField(line)
		if number, ok := bytes.CutPrefix(key, []byte("cpu")); ok {
			s.addCPU(number, values)
			continue
		}
		s.HasAllCores = s.Known // whatever follows the CPUs follows all of them
		switch string(key) {
		case "ctxt":
			s.ContextSwitches = numberField(values)
		case "btime":
			s.BootTime = numberField(values)
		case "processes":
			s.Forks = numberField(values)
		case "procs_running":
			s.Running = numberField(values)
		case "procs_blocked":
			s.Blocked = numberField(values)
		}
	}
}

func (s *Stat) addCPU(number, values []byte) {
	var t [10]uint64
	// Linux 2.6.0 had seven states; those that came later stay 0.
	if uints(values, t[:]) < 7 {
		return
	}
	times := CPUTimes{t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]}
	if len(number) == 0 {
		s.Total, s.Known = times, true
	} else if n, ok := parseUint(number); ok && n < 1<<16 && (len(s.Cores) == 0 || int(n) > s.Cores[len(s.Cores)-1].Number) {
		s.Cores = append(s.Cores, CoreTimes{int(n), times})
	}
}

func numberField(line []byte) Number {
	field, _ := nextField(line)
	n, ok := parseUint(field)
	return Number{n, ok}
}

// CPUUsage is where the time of a CPU, or of all of them, went, in percent of it.
// User, Nice, System, Idle, IOWait, IRQ, SoftIRQ, Steal and Guest add up to 100.
type CPUUsage struct {
	// Ticks is the time that was counted.
	Ticks float64
	// Usage is all but Idle and IOWait, UsageNoSteal without Steal too.
	Usage, UsageNoSteal float64
	// User and Nice are without guests, which are in Guest.
	User, Nice, System, Idle, IOWait, IRQ, SoftIRQ, Steal, Guest float64
}

// cpuUsage compares the times of two moments. expected is how many ticks should
// have passed on all CPUs that the times are of, or 0 when that is not known. ok is
// false when they say nothing: a counter began anew, or too much or too little was
// counted.
func cpuUsage(prev, cur CPUTimes, expected float64) (u CPUUsage, ok bool) {
	return usageOfTicks(prev, cur, expected, hotplugTicks)
}

// usageOfTicks is cpuUsage for ticks of any length, 3 s of which are hotplug.
func usageOfTicks(prev, cur CPUTimes, expected float64, hotplug uint64) (u CPUUsage, ok bool) {
	if cur.Idle < prev.Idle && prev.Idle-cur.Idle >= hotplug {
		return CPUUsage{}, false
	}
	var d struct{ user, nice, system, irq, softIRQ, steal, guest, guestNice float64 }
	for _, c := range [...]struct {
		to        *float64
		prev, cur uint64
	}{
		{&d.user, prev.User, cur.User},
		{&d.nice, prev.Nice, cur.Nice},
		{&d.system, prev.System, cur.System},
		{&d.irq, prev.IRQ, cur.IRQ},
		{&d.softIRQ, prev.SoftIRQ, cur.SoftIRQ},
		{&d.steal, prev.Steal, cur.Steal},
		{&d.guest, prev.Guest, cur.Guest},
		{&d.guestNice, prev.GuestNice, cur.GuestNice},
	} {
		if *c.to, ok = increase(c.prev, c.cur); !ok {
			return CPUUsage{}, false
		}
	}
	// The kernel documents that these two may fall: they are computed from each
	// other while a CPU sleeps.
	idle, _ := increase(prev.Idle, cur.Idle)
	iowait, _ := increase(prev.IOWait, cur.IOWait)

	total := d.user + d.nice + d.system + idle + iowait + d.irq + d.softIRQ + d.steal
	if total <= 0 || expected > 0 && (total < leastTicks*expected || total > mostTicks*expected) {
		return CPUUsage{}, false
	}
	percent := func(ticks float64) float64 { return 100 * max(ticks, 0) / total }
	// guest counts what user counts already, a moment earlier.
	guest, guestNice := min(d.guest, d.user), min(d.guestNice, d.nice)
	return CPUUsage{
		Ticks:        total,
		Usage:        percent(total - idle - iowait),
		UsageNoSteal: percent(total - idle - iowait - d.steal),
		User:         percent(d.user - guest),
		Nice:         percent(d.nice - guestNice),
		System:       percent(d.system),
		Idle:         percent(idle),
		IOWait:       percent(iowait),
		IRQ:          percent(d.irq),
		SoftIRQ:      percent(d.softIRQ),
		Steal:        percent(d.steal),
		Guest:        percent(guest + guestNice),
	}, true
}

// coreUsage yields the usage of every CPU that both moments know.
func coreUsage(prev, cur []CoreTimes, seconds float64, yield func(number int, usage float64)) {
	next := 0
	for i := range cur {
		at, ok := find(prev, next, func(c *CoreTimes) bool { return c.Number == cur[i].Number })
		if !ok {
			continue
		}
		next = at + 1
		if u, ok := cpuUsage(prev[at].Times, cur[i].Times, seconds*UserHZ); ok {
			yield(cur[i].Number, u.Usage)
		}
	}
}

// find looks for an item, first where it is if nothing came or went since.
func find[T any](items []T, hint int, is func(*T) bool) (int, bool) {
	for i := range items {
		at := hint + i
		if at >= len(items) {
			at -= len(items)
		}
		if at < len(items) && is(&items[at]) {
			return at, true
		}
	}
	return 0, false
}

func (b *builder) cpu(prev, cur *Stat) {
	if !cur.Known {
		return
	}
	if cur.HasAllCores {
		b.add(telemetry.MetricCPUCores, "", float64(len(cur.Cores)))
	}
	seconds, ok := between(prev.Known, prev.At, cur.At)
	if !ok {
		return
	}
	expected := 0.0
	if cur.HasAllCores {
		expected = seconds * UserHZ * float64(len(cur.Cores))
	}
	if u, ok := cpuUsage(prev.Total, cur.Total, expected); ok {
		b.add(telemetry.MetricCPUUsage, "", u.Usage)
		b.add(telemetry.MetricCPUUser, "", u.User)
		b.add(telemetry.MetricCPUNice, "", u.Nice)
		b.add(telemetry.MetricCPUSystem, "", u.System)
		b.add(telemetry.MetricCPUIOWait, "", u.IOWait)
		b.add(telemetry.MetricCPUIRQ, "", u.IRQ)
		b.add(telemetry.MetricCPUSoftIRQ, "", u.SoftIRQ)
		b.add(telemetry.MetricCPUSteal, "", u.Steal)
		b.add(telemetry.MetricCPUGuest, "", u.Guest)
		b.add(telemetry.MetricCPUIdle, "", u.Idle)
	}
}

func (b *builder) cores(prev, cur *Stat) {
	seconds, ok := between(prev.Known && cur.Known, prev.At, cur.At)
	if !ok {
		return
	}
	coreUsage(prev.Cores, cur.Cores[:min(len(cur.Cores), mostCores)], seconds, func(number int, usage float64) {
		b.add(telemetry.MetricCPUCoreUsage, b.digits(number), usage)
	})
}
