// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// SectorBytes is the size of a sector in /proc/diskstats, whatever the device's
// own block size is.
const SectorBytes = 512

// wrapSlack is by how much a time field may have grown more than time passed and
// still be believed to have wrapped.
const wrapSlack = 1.1

// Disk is one line of /proc/diskstats. Ticks are milliseconds in 32 bits, all else
// counts since the device was added.
type Disk struct {
	// Name is such as sda.
	Name                                                                                         string
	ReadIOs, ReadMerges, ReadSectors, ReadTicks, WriteIOs, WriteMerges, WriteSectors, WriteTicks uint64
	// InFlight is requests at this moment.
	InFlight uint64
	// IOTicks is time with I/O in progress, WeightedTicks the same times the
	// requests in flight.
	IOTicks, WeightedTicks uint64
}

// Disks is what /proc/diskstats says.
type Disks struct {
	// At is when it was read, since the collector began.
	At time.Duration
	// Known is false when it could not be read.
	Known bool
	// List is in the kernel's order.
	List []Disk
}

// parseDisks reads /proc/diskstats, which has 14, 18 or 20 fields in a line
// depending on the kernel; the first 14 are read. keep returns the name to use, or
// "" for a device to leave out. Own, because procfs scans it with reflection.
func parseDisks(b []byte, list []Disk, keep func(name []byte) string) []Disk {
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return list
		}
		b = rest
		_, line = nextField(line)
		_, line = nextField(line)
		device, line := nextField(line)
		if len(device) == 0 {
			continue
		}
		name := keep(device)
		if name == "" {
			continue
		}
		var n [11]uint64
		if uints(line, n[:]) < len(n) {
			continue
		}
		list = append(list, Disk{name, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10]})
	}
}

// DiskUsage is what a disk did in an interval. Awaits are milliseconds.
type DiskUsage struct {
	ReadBytes, WriteBytes float64 // per second
	Reads, Writes         float64 // per second
	// UtilPercent is time with I/O in progress; at most 100.
	UtilPercent float64
	// QueueDepth is the average number of requests in flight.
	QueueDepth float64
	// ReadAwait, WriteAwait and Await are the average time of a request; 0
	// without any.
	ReadAwait, WriteAwait, Await float64
	// RequestBytes is the average size of a request; 0 without any.
	RequestBytes float64
	// HasReadTicks, HasWriteTicks and HasWeighted are false when the field went
	// down further than it could by wrapping.
	HasReadTicks, HasWriteTicks, HasWeighted bool
}

// diskUsage compares the counters of two moments; ok is false when the device
// began anew in between.
func diskUsage(prev, cur *Disk, seconds float64) (u DiskUsage, ok bool) {
	if seconds <= 0 {
		return DiskUsage{}, false
	}
	reads, ok1 := increase(prev.ReadIOs, cur.ReadIOs)
	writes, ok2 := increase(prev.WriteIOs, cur.WriteIOs)
	readSectors, ok3 := increase(prev.ReadSectors, cur.ReadSectors)
	writeSectors, ok4 := increase(prev.WriteSectors, cur.WriteSectors)
	millis := seconds * 1000
	ioTicks, ok5 := increase32(prev.IOTicks, cur.IOTicks, millis*wrapSlack)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return DiskUsage{}, false
	}
	// Every request in flight counts once.
	most := millis * wrapSlack * float64(max(prev.InFlight, cur.InFlight, 1))
	readTicks, hasRead := increase32(prev.ReadTicks, cur.ReadTicks, most)
	writeTicks, hasWrite := increase32(prev.WriteTicks, cur.WriteTicks, most)
	weighted, hasWeighted := increase32(prev.WeightedTicks, cur.WeightedTicks, most)
	return DiskUsage{
		ReadBytes:     readSectors * SectorBytes / seconds,
		WriteBytes:    writeSectors * SectorBytes / seconds,
		Reads:         reads / seconds,
		Writes:        writes / seconds,
		UtilPercent:   min(100*ioTicks/millis, 100),
		QueueDepth:    weighted / millis,
		ReadAwait:     each(readTicks, reads),
		WriteAwait:    each(writeTicks, writes),
		Await:         each(readTicks+writeTicks, reads+writes),
		RequestBytes:  each((readSectors+writeSectors)*SectorBytes, reads+writes),
		HasReadTicks:  hasRead,
		HasWriteTicks: hasWrite,
		HasWeighted:   hasWeighted,
	}, true
}

// each is total by count, 0 when there are none.
func each(total, count float64) float64 {
	if count <= 0 {
		return 0
	}
	return total / count
}

func (b *builder) disks(prev, cur *Disks) {
	seconds, ok := between(prev.Known && cur.Known, prev.At, cur.At)
	if !ok {
		return
	}
	next := 0
	for i := range cur.List {
		d := &cur.List[i]
		at, ok := find(prev.List, next, func(p *Disk) bool { return p.Name == d.Name })
		if !ok {
			continue
		}
		next = at + 1
		u, ok := diskUsage(&prev.List[at], d, seconds)
		if !ok {
			continue
		}
		b.add(telemetry.MetricDiskRead, d.Name, u.ReadBytes)
		b.add(telemetry.MetricDiskWrite, d.Name, u.WriteBytes)
		b.add(telemetry.MetricDiskReads, d.Name, u.Reads)
		b.add(telemetry.MetricDiskWrites, d.Name, u.Writes)
		b.add(telemetry.MetricDiskUtil, d.Name, u.UtilPercent)
		if u.HasWeighted {
			b.add(telemetry.MetricDiskQueue, d.Name, u.QueueDepth)
		}
		if u.HasReadTicks && u.HasWriteTicks {
			b.add(telemetry.MetricDiskAwait, d.Name, u.Await)
		}
		if u.HasReadTicks {
			b.add(telemetry.MetricDiskReadAwait, d.Name, u.ReadAwait)
		}
		if u.HasWriteTicks {
			b.add(telemetry.MetricDiskWriteAwait, d.Name, u.WriteAwait)
		}
	}
}
