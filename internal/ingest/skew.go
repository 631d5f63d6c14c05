// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// skewSpan is how long an observation of a clock counts at least; it is forgotten
// after twice the time.
const skewSpan = 5 * time.Minute

// Skew is what is known about a cluster's clock.
type Skew struct {
	// Ahead is how far the clock is ahead of the hub's, at least; negative when
	// it is behind, or when everything that came was late.
	Ahead time.Duration
	// Batches is how many batches it rests on.
	Batches int
	// Observed is when the last of them came.
	Observed time.Time
}

// skewEstimator estimates a clock from the times in live batches. A batch arrives
// some time after its newest record, never before: the estimate is the largest of
// the differences of the last minutes, which was the least late.
type skewEstimator struct {
	began            time.Time
	current, earlier Skew
}

func (e *skewEstimator) observe(newest, now time.Time) {
	e.roll(now)
	ahead := newest.Sub(now)
	if e.current.Batches == 0 || ahead > e.current.Ahead {
		e.current.Ahead = ahead
	}
	e.current.Batches++
	e.current.Observed = now
}

func (e *skewEstimator) roll(now time.Time) {
	switch age := now.Sub(e.began); {
	case age < skewSpan:
	case age < 2*skewSpan:
		e.began, e.earlier, e.current = now, e.current, Skew{}
	default:
		e.began, e.earlier, e.current = now, Skew{}, Skew{}
	}
}

// estimate returns what is known, and whether anything is.
func (e *skewEstimator) estimate(now time.Time) (Skew, bool) {
	e.roll(now)
	s := e.current
	if e.earlier.Batches > 0 {
		if s.Batches == 0 || e.earlier.Ahead > s.Ahead {
			s.Ahead = e.earlier.Ahead
		}
		if s.Batches == 0 {
			s.Observed = e.earlier.Observed
		}
		s.Batches += e.earlier.Batches
	}
	return s, s.Batches > 0
}

// newestTime returns the newest time in records, as far as it says something about
// the clock of the cluster. A sample carries the clock of its node: one node that
// is wrong is not the cluster, so it is the median of the nodes.
func newestTime(records []telemetry.Record) (time.Time, bool) {
	var newest time.Time
	nodes := map[string]time.Time{}
	for i := range records {
		r := &records[i]
		switch p := r.Payload.(type) {
		case *telemetry.NodeSample:
			if r.Time.After(nodes[p.Node]) {
				nodes[p.Node] = r.Time
			}
		case *telemetry.SLISlice:
			if p.End().After(newest) {
				newest = p.End()
			}
		default:
			if r.Time.After(newest) {
				newest = r.Time
			}
		}
	}
	if len(nodes) > 0 {
		times := make([]time.Time, 0, len(nodes))
		for _, t := range nodes {
			times = append(times, t)
		}
		slices.SortFunc(times, time.Time.Compare)
		newest = times[(len(times)-1)/2]
	}
	return newest, !newest.IsZero()
}
