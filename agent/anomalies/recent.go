// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// maxRecent is how many anomalies that have cleared are remembered.
const maxRecent = 512

// recent remembers what has cleared lately, so that a hub that missed it can be told
// again.
type recent struct {
	cleared map[string]end
	// order has the ends as they were noted, also those that do not count any more
	// because the anomaly was raised again.
	order []place
	next  uint64
}

// end is the transition that cleared an anomaly.
type end struct {
	transition anomaly.Transition
	number     uint64
}

type place struct {
	key    string
	number uint64
}

func newRecent() *recent { return &recent{cleared: map[string]end{}} }

func (r *recent) note(t *anomaly.Transition) {
	key := t.Rule + "/" + t.Fingerprint
	if t.State != telemetry.AnomalyCleared {
		delete(r.cleared, key)
		return
	}
	r.next++
	kept := end{transition: *t, number: r.next}
	kept.transition.Evidence = nil // it was told with what was raised
	r.cleared[key] = kept
	r.order = append(r.order, place{key, r.next})
	if len(r.order) > maxRecent {
		if old := r.order[0]; r.cleared[old.key].number == old.number {
			delete(r.cleared, old.key)
		}
		r.order = r.order[1:]
	}
}

// all returns them, the oldest first.
func (r *recent) all() []anomaly.Transition {
	all := make([]anomaly.Transition, 0, len(r.cleared))
	for _, p := range r.order {
		if e, ok := r.cleared[p.key]; ok && e.number == p.number {
			all = append(all, e.transition)
		}
	}
	return all
}
