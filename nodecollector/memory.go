// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// MemoryField is one of the lines of /proc/meminfo that are read.
type MemoryField int

// The fields, in bytes unless said otherwise.
const (
	MemTotal MemoryField = iota
	MemFree
	MemAvailable
	MemBuffers
	MemCached
	MemSReclaimable
	MemSlab
	MemShmem
	MemDirty
	MemSwapTotal
	MemSwapFree
	// MemHugePagesTotal and MemHugePagesFree are numbers of pages.
	MemHugePagesTotal
	MemHugePagesFree
	// MemHugepagesize is the size of one.
	MemHugepagesize
	// MemoryFields is how many there are.
	MemoryFields
)

var memoryNames = [MemoryFields]string{
	MemTotal:          "MemTotal",
	MemFree:           "MemFree",
	MemAvailable:      "MemAvailable",
	MemBuffers:        "Buffers",
	MemCached:         "Cached",
	MemSReclaimable:   "SReclaimable",
	MemSlab:           "Slab",
	MemShmem:          "Shmem",
	MemDirty:          "Dirty",
	MemSwapTotal:      "SwapTotal",
	MemSwapFree:       "SwapFree",
	MemHugePagesTotal: "HugePages_Total",
	MemHugePagesFree:  "HugePages_Free",
	MemHugepagesize:   "Hugepagesize",
}

// String returns the name of the line.
func (f MemoryField) String() string { return memoryNames[f] }

// IsBytes says whether the field is bytes, and not a number of pages.
func (f MemoryField) IsBytes() bool { return f != MemHugePagesTotal && f != MemHugePagesFree }

// Memory is what /proc/meminfo says.
type Memory struct {
	fields [MemoryFields]Number
}

// Get returns a field, and whether the kernel has it.
func (m *Memory) Get(f MemoryField) (uint64, bool) { return m.fields[f].Value, m.fields[f].Known }

// Set gives a field a value.
func (m *Memory) Set(f MemoryField, value uint64) { m.fields[f] = Number{value, true} }

func (m *Memory) has(fields ...MemoryField) bool {
	for _, f := range fields {
		if !m.fields[f].Known {
			return false
		}
	}
	return true
}

func (m *Memory) bytes(f MemoryField) float64 { return float64(m.fields[f].Value) }

// memoryField finds the field of a name; it runs for every line.
func memoryField(name []byte) (MemoryField, bool) {
	for f, known := range memoryNames {
		if string(name) == known {
			return MemoryField(f), true
		}
	}
	return 0, false
}

// parseMemory reads /proc/meminfo into m and reports whether it says how much
// memory there is. Own, because procfs makes a string of every word of it.
func parseMemory(b []byte, m *Memory) bool {
	*m = Memory{}
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return m.has(MemTotal)
		}
		b = rest
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		f, ok := memoryField(name)
		if !ok {
			continue
		}
		digits, unit := nextField(value)
		n, ok := parseUint(digits)
		if !ok {
			continue
		}
		if unit, _ = nextField(unit); string(unit) == "kB" && n < 1<<54 {
			m.Set(f, n<<10)
		} else if len(unit) == 0 && !f.IsBytes() {
			m.Set(f, n)
		}
	}
}

// MemoryUsage is how much memory is in use, in bytes and percent.
type MemoryUsage struct {
	Total, Available, Used float64
	// UsedPercent is Used by Total.
	UsedPercent float64
	// Estimated is true when the kernel is older than MemAvailable and available
	// memory was computed.
	Estimated bool
}

// memoryUsage says how much memory is in use; ok is false when the kernel does
// not tell enough.
func memoryUsage(m *Memory) (u MemoryUsage, ok bool) {
	switch {
	case !m.has(MemTotal):
		return MemoryUsage{}, false
	case m.has(MemAvailable):
		u.Available = m.bytes(MemAvailable)
	case m.has(MemFree, MemBuffers, MemCached, MemSlab):
		u.Available = m.bytes(MemFree) + m.bytes(MemBuffers) + m.bytes(MemCached) + m.bytes(MemSlab)
		u.Estimated = true
	default:
		return MemoryUsage{}, false
	}
	u.Total = m.bytes(MemTotal)
	u.Available = min(u.Available, u.Total)
	u.Used = u.Total - u.Available
	u.UsedPercent = percentOf(u.Used, u.Total)
	return u, true
}

// cachedBytes is the page cache with what the kernel can take back from itself.
func cachedBytes(m *Memory) (float64, bool) {
	return m.bytes(MemCached) + m.bytes(MemSReclaimable), m.has(MemCached, MemSReclaimable)
}

// swapUsage returns used swap space in bytes and in percent of all, which is 0
// when there is none.
func swapUsage(m *Memory) (used, percent float64, ok bool) {
	if !m.has(MemSwapTotal, MemSwapFree) {
		return 0, 0, false
	}
	used = max(m.bytes(MemSwapTotal)-m.bytes(MemSwapFree), 0)
	return used, percentOf(used, m.bytes(MemSwapTotal)), true
}

// hugepages returns the bytes set aside for huge pages of the default size, and
// those of pages in use. They are not part of available memory any more.
func hugepages(m *Memory) (reserved, used float64, ok bool) {
	if !m.has(MemHugePagesTotal, MemHugePagesFree, MemHugepagesize) {
		return 0, 0, false
	}
	total, free, size := m.bytes(MemHugePagesTotal), m.bytes(MemHugePagesFree), m.bytes(MemHugepagesize)
	return total * size, max(total-free, 0) * size, true
}

// Paging is what is read of /proc/vmstat, since boot.
type Paging struct {
	// At is when it was read, since the collector began.
	At time.Duration
	// SwapIn and SwapOut are pages, MajorFaults page faults that needed I/O,
	// OOMKills processes killed for lack of memory.
	SwapIn, SwapOut, MajorFaults, OOMKills Number
}

// parsePaging reads /proc/vmstat into p and reports whether it has any of it. Own,
// because procfs does not read the file as a whole.
func parsePaging(b []byte, p *Paging) bool {
	*p = Paging{}
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return p.SwapIn.Known || p.SwapOut.Known || p.MajorFaults.Known || p.OOMKills.Known
		}
		b = rest
		// Four lines of two hundred.
		if len(line) == 0 || line[0] != 'p' && line[0] != 'o' {
			continue
		}
		name, value := nextField(line)
		switch string(name) {
		case "pswpin":
			p.SwapIn = numberField(value)
		case "pswpout":
			p.SwapOut = numberField(value)
		case "pgmajfault":
			p.MajorFaults = numberField(value)
		case "oom_kill":
			p.OOMKills = numberField(value)
		}
	}
}

func (b *builder) memory(m *Memory) {
	for _, plain := range [...]struct {
		metric telemetry.MetricID
		field  MemoryField
	}{
		{telemetry.MetricMemoryTotal, MemTotal},
		{telemetry.MetricMemoryFree, MemFree},
		{telemetry.MetricMemoryBuffers, MemBuffers},
		{telemetry.MetricMemoryShared, MemShmem},
		{telemetry.MetricMemoryDirty, MemDirty},
		{telemetry.MetricMemorySlab, MemSlab},
		{telemetry.MetricSwapTotal, MemSwapTotal},
	} {
		if m.has(plain.field) {
			b.add(plain.metric, "", m.bytes(plain.field))
		}
	}
	if u, ok := memoryUsage(m); ok {
		b.add(telemetry.MetricMemoryAvailable, "", u.Available)
		b.add(telemetry.MetricMemoryUsed, "", u.Used)
		b.add(telemetry.MetricMemoryUsedPercent, "", u.UsedPercent)
		b.flag(telemetry.MetricMemoryAvailableEstimated, "", u.Estimated)
	}
	if cached, ok := cachedBytes(m); ok {
		b.add(telemetry.MetricMemoryCached, "", cached)
	}
	if used, percent, ok := swapUsage(m); ok {
		b.add(telemetry.MetricSwapUsed, "", used)
		b.add(telemetry.MetricSwapUsedPercent, "", percent)
	}
	if reserved, used, ok := hugepages(m); ok {
		b.add(telemetry.MetricHugepagesReserved, "", reserved)
		b.add(telemetry.MetricHugepagesUsed, "", used)
	}
}

func (b *builder) paging(prev, cur *Paging, pageSize float64) {
	if cur.OOMKills.Known {
		b.add(telemetry.MetricOOMKills, "", float64(cur.OOMKills.Value))
	}
	b.rate(telemetry.MetricSwapIn, prev.At, cur.At, prev.SwapIn, cur.SwapIn, pageSize)
	b.rate(telemetry.MetricSwapOut, prev.At, cur.At, prev.SwapOut, cur.SwapOut, pageSize)
	b.rate(telemetry.MetricMajorFaults, prev.At, cur.At, prev.MajorFaults, cur.MajorFaults, 1)
}
