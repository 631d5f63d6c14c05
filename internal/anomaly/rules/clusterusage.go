// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"math"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// gathering is how long a mean over nodes waits for the first sample of those that
// it lacks: as long as a sample is good for.
const gathering = time.Minute

// reading is what the sample of a node says about its use, in thousandths of a core
// and bytes.
type reading struct {
	cpu, cpuAll, mem, memAll int64
	until                    time.Time
}

// usage sums up what nodes use, by difference. Nothing is kept while no threshold
// looks at it.
type usage struct {
	wanted   bool
	readings map[string]reading
	sum      reading
	// began is since when there has been a reading without a break, and next before
	// when none gets too old.
	began, next time.Time
}

// readingOf is false when the sample lacks a part, as the first of a collector does,
// or claims what cannot be: a node may lie about itself.
func readingOf(o *facts.NodeSample) (reading, bool) {
	const maxCores, maxBytes = 1 << 16, 1 << 52
	var values [4]float64
	for i, part := range []struct {
		metric telemetry.MetricID
		most   float64
	}{
		{telemetry.MetricCPUUsage, 100}, {telemetry.MetricCPUCores, maxCores}, {telemetry.MetricMemoryUsed, maxBytes}, {telemetry.MetricMemoryTotal, maxBytes},
	} {
		v, ok := o.Sample.Value(part.metric, "")
		if !ok || v < 0 || v > part.most {
			return reading{}, false
		}
		values[i] = v
	}
	return reading{
		cpu: int64(math.Round(values[0] * values[1] * 10)), cpuAll: int64(values[1] * 1000),
		mem: int64(values[2]), memAll: int64(values[3]), until: freshUntil(o.Received, o.Interval),
	}, true
}

func (s *reading) add(r reading, sign int64) {
	s.cpu += sign * r.cpu
	s.cpuAll += sign * r.cpuAll
	s.mem += sign * r.mem
	s.memAll += sign * r.memAll
}

// measureUsage begins to sum up when a threshold looks at it, and ends when none
// does.
func (w *World) measureUsage() {
	wanted := len(w.limits.cluster[threshold.ClusterCPUUsage])+len(w.limits.cluster[threshold.ClusterMemoryUsed]) > 0
	if wanted == w.usage.wanted {
		return
	}
	w.usage = usage{wanted: wanted, readings: map[string]reading{}}
	if !wanted {
		return
	}
	for _, t := range w.things {
		if o, ok := t.object.(*facts.NodeSample); ok {
			w.noteUsage(o, o.Received)
		}
	}
}

// noteUsage takes the sample of a node.
func (w *World) noteUsage(o *facts.NodeSample, now time.Time) {
	u := &w.usage
	if !u.wanted || w.NodeGone(o.Name) {
		return
	}
	if r, ok := readingOf(o); ok {
		u.put(o.Name, r, now)
	} else {
		u.remove(o.Name)
	}
	w.touchMetrics(threshold.ClusterCPUUsage, threshold.ClusterMemoryUsed)
}

func (u *usage) put(node string, r reading, now time.Time) {
	if len(u.readings) == 0 || now.Before(u.began) {
		u.began = now
	}
	if old, ok := u.readings[node]; ok {
		u.sum.add(old, -1)
	}
	u.readings[node] = r
	u.sum.add(r, 1)
	if r.until.After(u.sum.until) {
		u.sum.until = r.until
	}
	if u.next.IsZero() || r.until.Before(u.next) {
		u.next = r.until
	}
}

func (u *usage) remove(node string) {
	if old, ok := u.readings[node]; ok {
		u.sum.add(old, -1)
		delete(u.readings, node)
	}
}

// keep drops readings that are too old and those of nodes that do not count.
func (u *usage) keep(now time.Time, counts func(node string) bool) {
	u.next = time.Time{}
	for node, r := range u.readings {
		if now.After(r.until) || counts != nil && !counts(node) {
			u.remove(node)
		} else if u.next.IsZero() || r.until.Before(u.next) {
			u.next = r.until
		}
	}
}

// value returns a mean over nodes. There is none until as many are heard as are
// expected, or had the time to be: the first one does not speak for all.
func (u *usage) value(name string, now time.Time, expected int) (v float64, fresh time.Time, ok bool) {
	if now.After(u.next) {
		u.keep(now, nil)
	}
	heard := len(u.readings)
	if heard == 0 || (expected < 0 || heard < expected) && now.Sub(u.began) < gathering {
		return 0, time.Time{}, false
	}
	part, whole := u.sum.cpu, u.sum.cpuAll
	if name == threshold.ClusterMemoryUsed {
		part, whole = u.sum.mem, u.sum.memAll
	}
	return share(part, whole), u.sum.until, whole > 0
}
