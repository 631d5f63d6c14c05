// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// rounding is 10 to the number of decimals that are kept, by the number of the
// metric; 0 for numbers without one.
var rounding = func() (scales []float64) {
	for m := range telemetry.Metrics() {
		for len(scales) <= int(m.ID) {
			scales = append(scales, 0)
		}
		scales[m.ID] = math.Pow10(m.Decimals)
	}
	return scales
}()

// builder puts a sample together. It is used again for every sample: only the
// values are allocated, and the series when they are others than before.
type builder struct {
	series []telemetry.Series
	values []float64
	scope  telemetry.NetworkScope
	// left is how many values found no room.
	left int

	// known is the series of the last sample, which samples share, and order where
	// each of them was added.
	known []telemetry.Series
	order []int
	// numbers are the labels of CPUs.
	numbers []string
}

func (b *builder) reset() {
	b.series, b.values, b.scope, b.left = b.series[:0], b.values[:0], 0, 0
}

// add adds a value, rounded as its metric keeps it.
func (b *builder) add(metric telemetry.MetricID, label string, v float64) {
	scale := rounding[metric]
	if rounded := math.Round(v*scale) / scale; !math.IsInf(rounded, 0) && !math.IsNaN(rounded) {
		v = rounded
	}
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
	case len(b.values) == telemetry.MaxValues:
		b.left++
	default:
		b.series = append(b.series, telemetry.Series{Metric: metric, Label: label})
		b.values = append(b.values, v)
	}
}

// flag adds 0 or 1.
func (b *builder) flag(metric telemetry.MetricID, label string, v bool) {
	if v {
		b.add(metric, label, 1)
	} else {
		b.add(metric, label, 0)
	}
}

// rate adds scale times the rate of a counter, when both moments have it and it
// did not begin anew.
func (b *builder) rate(metric telemetry.MetricID, prevAt, curAt time.Duration, prev, cur Number, scale float64) {
	seconds, ok := between(prev.Known && cur.Known, prevAt, curAt)
	if !ok {
		return
	}
	if v, ok := perSecond(prev.Value, cur.Value, seconds); ok {
		b.add(metric, "", v*scale)
	}
}

// digits returns a number as text, without allocating each time.
func (b *builder) digits(n int) string {
	for len(b.numbers) <= n {
		b.numbers = append(b.numbers, strconv.Itoa(len(b.numbers)))
	}
	return b.numbers[n]
}

// take returns what was added, arranged.
func (b *builder) take() ([]telemetry.Series, []float64) {
	if !b.isKnown() {
		b.order = arrange(b.series)
		b.known = make([]telemetry.Series, len(b.order))
		for i, at := range b.order {
			b.known[i] = b.series[at]
		}
	}
	values := make([]float64, len(b.order))
	for i, at := range b.order {
		values[i] = b.values[at]
	}
	return b.known, values
}

// isKnown is true when the series are those of the last sample.
func (b *builder) isKnown() bool {
	if len(b.series) != len(b.known) {
		return false
	}
	for i, at := range b.order {
		if b.series[at] != b.known[i] {
			return false
		}
	}
	return true
}

// arrange returns the order in which series take the least space on the wire: what
// has no label first and then one device after the other, each by the numbers of
// the metrics.
func arrange(series []telemetry.Series) []int {
	type device struct{ kind, label string }
	places := map[device]int{{}: 0}
	order, place := make([]int, len(series)), make([]int, len(series))
	for i, s := range series {
		metric, _ := s.Metric.Lookup()
		key := device{metric.Label, s.Label}
		if _, ok := places[key]; !ok {
			places[key] = len(places)
		}
		order[i], place[i] = i, places[key]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(place[a], place[b]), cmp.Compare(series[a].Metric, series[b].Metric))
	})
	return order
}

// between is the seconds between two readings; ok is false without an earlier one.
func between(known bool, prev, cur time.Duration) (seconds float64, ok bool) {
	return (cur - prev).Seconds(), known && cur > prev
}

// Counters is everything that was read at one moment, as the kernel counts it.
type Counters struct {
	// Stat is /proc/stat: CPUs and tasks.
	Stat Stat
	// Load is /proc/loadavg.
	Load Load
	// Pressure is /proc/pressure, by Resource.
	Pressure [resources]Pressure
	// Memory is /proc/meminfo and Paging /proc/vmstat.
	Memory Memory
	Paging Paging
	// Disks is /proc/diskstats.
	Disks Disks
	// Network is the network interfaces.
	Network Network
	// Filesystems is those with space to run out of.
	Filesystems []Filesystem
	// Temperatures is the sensors.
	Temperatures []Temperature
	// FileHandles, Conntrack and Threads are used and limits.
	FileHandles, Conntrack, Threads Share
	// Uptime is seconds since boot, when HasUptime is true.
	Uptime    float64
	HasUptime bool
	// Clock is what the kernel thinks of its clock.
	Clock Clock
}

// saysNothing is true when none of the files that every kernel has could be read.
func (c *Counters) saysNothing() bool {
	return !c.Stat.Known && !c.Memory.has(MemTotal) && !c.Load.Known && !c.HasUptime
}

// all adds everything there is to say, what concerns the node as a whole first:
// should there ever be too much, then single devices are what is missing.
func (b *builder) all(prev, cur *Counters, pageSize float64) {
	b.cpu(&prev.Stat, &cur.Stat)
	b.load(&cur.Load, &cur.Stat)
	b.processes(&prev.Stat, &cur.Stat, cur.Threads)
	b.pressure(&prev.Pressure, &cur.Pressure)
	b.memory(&cur.Memory)
	b.paging(&prev.Paging, &cur.Paging, pageSize)
	b.fileHandles(cur.FileHandles)
	b.conntrack(cur.Conntrack)
	if cur.HasUptime {
		b.add(telemetry.MetricUptime, "", cur.Uptime)
	}
	b.clock(cur.Clock)
	b.cores(&prev.Stat, &cur.Stat)
	b.filesystems(cur.Filesystems)
	b.disks(&prev.Disks, &cur.Disks)
	b.network(&prev.Network, &cur.Network)
	b.temperatures(cur.Temperatures)
}
