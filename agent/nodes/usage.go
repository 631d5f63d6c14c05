// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"iter"
	"math"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// silentAfter is after how many intervals without a sample a node is silent.
	silentAfter = 3
	// leastInterval and mostInterval bound what a sample may say of its interval.
	leastInterval, mostInterval = time.Second, 10 * time.Minute
	// maxSilent is how many silent nodes a Snapshot names.
	maxSilent = 20
)

// Usage is what nodes use and have, summed.
type Usage struct {
	// Nodes is how many nodes are in the sums.
	Nodes int32
	// CPUMillis is used CPU in thousandths of a core.
	CPUMillis int64
	// CPUCapacityMillis is what there is of it.
	CPUCapacityMillis int64
	// MemoryBytes is used memory: what cannot be had without swapping.
	MemoryBytes int64
	// MemoryCapacityBytes is the memory that the kernels manage.
	MemoryCapacityBytes int64
}

// reading is what a node's latest sample says about its use. It is unknown where
// the sample lacks one of the parts, as the first of a process does.
type reading struct {
	known                              bool
	cpu, cpuCapacity, memory, memTotal int64
}

// read returns the reading of a sample.
func read(s *telemetry.NodeSample) reading {
	usage, ok1 := s.Value(telemetry.MetricCPUUsage, "")
	cores, ok2 := s.Value(telemetry.MetricCPUCores, "")
	used, ok3 := s.Value(telemetry.MetricMemoryUsed, "")
	total, ok4 := s.Value(telemetry.MetricMemoryTotal, "")
	// A node may lie about itself, and must not push the sums out of their range.
	const maxCores, maxBytes = 1 << 16, 1 << 52
	if !ok1 || !ok2 || !ok3 || !ok4 || !within(usage, 100) || !within(cores, maxCores) || !within(used, maxBytes) || !within(total, maxBytes) {
		return reading{}
	}
	return reading{
		known: true, cpu: int64(math.Round(usage * cores * 10)), cpuCapacity: int64(cores * 1000),
		memory: int64(used), memTotal: int64(total),
	}
}

func within(v, limit float64) bool { return v >= 0 && v <= limit }

// latest is what is known of a node.
type latest struct {
	node     string
	epoch    telemetry.Epoch
	seq      uint64
	sample   *telemetry.NodeSample
	at       time.Time // as handed on
	moment   time.Time // on the agent's clock
	heard    time.Time // when anything came, on the agent's clock
	interval time.Duration
	skew     time.Duration
	reading  reading
}

// newer says whether a sample with a number, an epoch and a moment takes the place of
// the latest. Within a life numbers decide; between two lives time does, unless the
// earlier life is silent: its clock may have been wrong.
func (l *latest) newer(epoch telemetry.Epoch, seq uint64, moment, now time.Time) bool {
	switch {
	case l.sample == nil:
		return true
	case l.epoch == epoch:
		return seq > l.seq
	}
	return moment.After(l.moment) || l.silent(now)
}

// due is when the node becomes silent unless there is a sample before.
func (l *latest) due() time.Time { return l.moment.Add(silentAfter * l.interval) }

func (l *latest) silent(now time.Time) bool { return l.sample == nil || now.After(l.due()) }

// intervalOf returns the interval of a sample, or another when the sample is the
// first of its process and has none.
func intervalOf(s *telemetry.NodeSample, otherwise time.Duration) time.Duration {
	if s.Interval <= 0 {
		return otherwise
	}
	return min(max(s.Interval, leastInterval), mostInterval)
}

// totals are the sums over all nodes at a moment.
type totals struct {
	nodes, fresh int32
	silent       []string // sorted, at most maxSilent
	usage        Usage
	// next is when the next fresh node becomes silent; zero when none is fresh.
	next time.Time
}

// sum adds up the nodes. What is silent is not used.
func sum(all iter.Seq[*latest], now time.Time) totals {
	var t totals
	for l := range all {
		t.nodes++
		if l.silent(now) {
			t.silent = append(t.silent, l.node)
			continue
		}
		t.fresh++
		if due := l.due(); t.next.IsZero() || due.Before(t.next) {
			t.next = due
		}
		if l.reading.known {
			t.usage.Nodes++
			t.usage.CPUMillis += l.reading.cpu
			t.usage.CPUCapacityMillis += l.reading.cpuCapacity
			t.usage.MemoryBytes += l.reading.memory
			t.usage.MemoryCapacityBytes += l.reading.memTotal
		}
	}
	slices.Sort(t.silent)
	t.silent = slices.Clip(t.silent[:min(len(t.silent), maxSilent)])
	return t
}

const (
	// shownFor is how long a figure stays although the sums have moved on.
	shownFor = time.Minute
	// settledAfter is when a figure also follows small moves.
	settledAfter = 10 * time.Minute
	// largeMove and smallMove are parts of the capacity.
	largeMove, smallMove = 0.05, 0.01

	cpuStep    = 10      // thousandths of a core
	memoryStep = 1 << 20 // bytes
)

// shown is the use as it is told, which follows the sums in steps: it ends in the
// status of an object, and what changes with every sample has no place there.
type shown struct {
	usage *Usage // nil when nothing is known
	since time.Time
}

// settle returns what to show now that the sums are u, and whether that is news.
func (s shown) settle(u Usage, now time.Time) (shown, bool) {
	if u.Nodes == 0 {
		if s.usage == nil {
			return s, false
		}
		return shown{since: now}, true
	}
	age := now.Sub(s.since)
	move := largeMove
	if age >= settledAfter {
		move = smallMove
	}
	if s.usage != nil && s.usage.Nodes == u.Nodes && s.usage.CPUCapacityMillis == u.CPUCapacityMillis &&
		(age < shownFor || !s.usage.differs(&u, move)) {
		return s, false
	}
	u.CPUMillis = (u.CPUMillis + cpuStep/2) / cpuStep * cpuStep
	u.MemoryBytes = (u.MemoryBytes + memoryStep/2) / memoryStep * memoryStep
	return shown{usage: &u, since: now}, true
}

// differs says whether the use of two is apart by more than a part of the capacity.
func (u *Usage) differs(other *Usage, part float64) bool {
	apart := func(a, b, capacity int64) bool { return math.Abs(float64(a-b)) > part*float64(capacity) }
	return apart(u.CPUMillis, other.CPUMillis, other.CPUCapacityMillis) || apart(u.MemoryBytes, other.MemoryBytes, other.MemoryCapacityBytes)
}
