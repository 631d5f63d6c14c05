// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package exposition

import (
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/nodecollector"
)

// page writes everything there is to show.
type page struct {
	text

	// cores are the counters shown last, by CPU.
	cores map[int]nodecollector.CPUTimes
}

func (p *page) write(now time.Time, c *nodecollector.Counters) {
	p.bytes = p.bytes[:0]
	p.cpu(&c.Stat)
	p.tasks(&c.Stat)
	p.load(c)
	p.pressure(c)
	p.memory(&c.Memory)
	p.paging(&c.Paging)
	p.filesystems(c.Filesystems)
	p.disks(c.Disks.List)
	// The interfaces of a pod are not those of its node.
	if c.Network.Scope == telemetry.NetworkHost {
		p.network(c.Network.List)
	}
	p.temperatures(c.Temperatures)
	p.rest(now, c)
}

// forward keeps counters from falling, as Prometheus would take that for a restart:
// the kernel lets idle time and others fall a little. A CPU that was taken away and
// brought back begins anew.
func (p *page) forward(core nodecollector.CoreTimes) nodecollector.CPUTimes {
	const hotplug = 3 * nodecollector.UserHZ
	t, last := core.Times, p.cores[core.Number]
	if last.Idle < t.Idle+hotplug {
		t = nodecollector.CPUTimes{
			User: max(t.User, last.User), Nice: max(t.Nice, last.Nice), System: max(t.System, last.System), Idle: max(t.Idle, last.Idle),
			IOWait: max(t.IOWait, last.IOWait), IRQ: max(t.IRQ, last.IRQ), SoftIRQ: max(t.SoftIRQ, last.SoftIRQ),
			Steal: max(t.Steal, last.Steal), Guest: max(t.Guest, last.Guest), GuestNice: max(t.GuestNice, last.GuestNice),
		}
	}
	return t
}

func (p *page) cpu(s *nodecollector.Stat) {
	if len(s.Cores) == 0 {
		return
	}
	cores := make(map[int]nodecollector.CPUTimes, len(s.Cores))
	for _, core := range s.Cores {
		cores[core.Number] = p.forward(core)
	}
	p.cores = cores
	seconds := func(name string, number int, mode string, ticks uint64) {
		p.sample(name, float64(ticks)/nodecollector.UserHZ, "cpu", strconv.Itoa(number), "mode", mode)
	}
	const guest, total = "node_cpu_guest_seconds_total", "node_cpu_seconds_total"
	p.family(guest, counter, "Seconds the CPUs spent in guests (VMs) for each mode.")
	for _, core := range s.Cores {
		t := cores[core.Number]
		seconds(guest, core.Number, "nice", t.GuestNice)
		seconds(guest, core.Number, "user", t.Guest)
	}
	p.family(total, counter, "Seconds the CPUs spent in each mode.")
	for _, core := range s.Cores {
		t := cores[core.Number]
		seconds(total, core.Number, "idle", t.Idle)
		seconds(total, core.Number, "iowait", t.IOWait)
		seconds(total, core.Number, "irq", t.IRQ)
		seconds(total, core.Number, "nice", t.Nice)
		seconds(total, core.Number, "softirq", t.SoftIRQ)
		seconds(total, core.Number, "steal", t.Steal)
		seconds(total, core.Number, "system", t.System)
		seconds(total, core.Number, "user", t.User)
	}
}

func (p *page) tasks(s *nodecollector.Stat) {
	p.number("node_boot_time_seconds", gauge, "Node boot time, in unixtime.", s.BootTime, 1)
	p.number("node_context_switches_total", counter, "Total number of context switches.", s.ContextSwitches, 1)
	p.number("node_forks_total", counter, "Total number of forks.", s.Forks, 1)
	p.number("node_procs_blocked", gauge, "Number of processes blocked waiting for I/O to complete.", s.Blocked, 1)
	p.number("node_procs_running", gauge, "Number of processes in runnable state.", s.Running, 1)
}

// number adds a family of one number, in units.
func (p *page) number(name, kind, help string, n nodecollector.Number, units float64) {
	p.one(name, kind, help, float64(n.Value)/units, n.Known)
}

func (p *page) load(c *nodecollector.Counters) {
	p.one("node_load1", gauge, "1m load average.", c.Load.Load1, c.Load.Known)
	p.one("node_load5", gauge, "5m load average.", c.Load.Load5, c.Load.Known)
	p.one("node_load15", gauge, "15m load average.", c.Load.Load15, c.Load.Known)
}

func (p *page) pressure(c *nodecollector.Counters) {
	const micros = 1e6
	some := func(r nodecollector.Resource) nodecollector.Number { return c.Pressure[r].Some }
	full := func(r nodecollector.Resource) nodecollector.Number { return c.Pressure[r].Full }
	p.number("node_pressure_cpu_waiting_seconds_total", counter, "Total time in seconds that processes have waited for CPU time", some(nodecollector.PressureCPU), micros)
	p.number("node_pressure_io_stalled_seconds_total", counter, "Total time in seconds no process could make progress due to IO congestion", full(nodecollector.PressureIO), micros)
	p.number("node_pressure_io_waiting_seconds_total", counter, "Total time in seconds that processes have waited due to IO congestion", some(nodecollector.PressureIO), micros)
	p.number("node_pressure_irq_stalled_seconds_total", counter, "Total time in seconds no process could make progress due to IRQ congestion", full(nodecollector.PressureIRQ), micros)
	p.number("node_pressure_memory_stalled_seconds_total", counter, "Total time in seconds no process could make progress due to memory congestion", full(nodecollector.PressureMemory), micros)
	p.number("node_pressure_memory_waiting_seconds_total", counter, "Total time in seconds that processes have waited for memory", some(nodecollector.PressureMemory), micros)
}

func (p *page) memory(m *nodecollector.Memory) {
	for f := range nodecollector.MemoryFields {
		v, ok := m.Get(f)
		if !ok {
			continue
		}
		name := "node_memory_" + f.String()
		if f.IsBytes() {
			name += "_bytes"
		}
		p.one(name, gauge, "Memory information field "+f.String()+".", float64(v), true)
	}
}

func (p *page) paging(v *nodecollector.Paging) {
	p.number("node_vmstat_oom_kill", untyped, "/proc/vmstat information field oom_kill.", v.OOMKills, 1)
	p.number("node_vmstat_pgmajfault", untyped, "/proc/vmstat information field pgmajfault.", v.MajorFaults, 1)
	p.number("node_vmstat_pswpin", untyped, "/proc/vmstat information field pswpin.", v.SwapIn, 1)
	p.number("node_vmstat_pswpout", untyped, "/proc/vmstat information field pswpout.", v.SwapOut, 1)
}

func (p *page) temperatures(list []nodecollector.Temperature) {
	const temp, critical, zone = "node_hwmon_temp_celsius", "node_hwmon_temp_crit_celsius", "node_thermal_zone_temp"
	each(p, list, temp, gauge, "Hardware monitor for temperature (input)", func(t *nodecollector.Temperature) {
		if t.Chip != "" {
			p.sample(temp, t.Celsius, "chip", t.Chip, "sensor", t.Sensor)
		}
	})
	each(p, list, critical, gauge, "Hardware monitor for temperature (crit)", func(t *nodecollector.Temperature) {
		if t.Chip != "" && t.HasCritical {
			p.sample(critical, t.Critical, "chip", t.Chip, "sensor", t.Sensor)
		}
	})
	each(p, list, zone, gauge, "Zone temperature in Celsius", func(t *nodecollector.Temperature) {
		if t.Chip == "" {
			p.sample(zone, t.Celsius, "type", t.Type, "zone", t.Sensor)
		}
	})
}

func (p *page) rest(now time.Time, c *nodecollector.Counters) {
	p.number("node_filefd_allocated", gauge, "File descriptor statistics: allocated.", c.FileHandles.Used, 1)
	p.number("node_filefd_maximum", gauge, "File descriptor statistics: maximum.", c.FileHandles.Limit, 1)
	p.number("node_nf_conntrack_entries", gauge, "Number of currently allocated flow entries for connection tracking.", c.Conntrack.Used, 1)
	p.number("node_nf_conntrack_entries_limit", gauge, "Maximum size of connection tracking table.", c.Conntrack.Limit, 1)
	p.number("node_processes_max_processes", gauge, "Number of max PIDs limit", c.Threads.Limit, 1)
	p.number("node_processes_threads", gauge, "Allocated threads in system", c.Threads.Used, 1)
	p.one("node_time_seconds", gauge, "System time in seconds since epoch (1970).", float64(now.UnixMilli())/1000, true)
	p.one("node_timex_offset_seconds", gauge, "Time offset in between local system and reference clock.", c.Clock.Offset, c.Clock.Known)
	synced := 0.0
	if c.Clock.Synced {
		synced = 1
	}
	p.one("node_timex_sync_status", gauge, "Is clock synchronized to a reliable server (1 = yes, 0 = no).", synced, c.Clock.Known)
}

// each adds a family with what add adds for the items, and nothing when that is
// nothing.
func each[T any](p *page, list []T, name, kind, help string, add func(*T)) {
	begin := len(p.bytes)
	p.family(name, kind, help)
	header := len(p.bytes)
	for i := range list {
		add(&list[i])
	}
	if len(p.bytes) == header {
		p.bytes = p.bytes[:begin]
	}
}
