// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// workloadMemory is since when none of the replicas is ready.
type workloadMemory struct {
	// downSince is zero while one is, and when nobody knows. It is guessed when
	// nobody saw the last one fail.
	downSince time.Time
	guessed   bool
	// unready is when the last of the pods stopped being ready, or was made.
	unready time.Time
}

// note takes a workload as it is now, first when it was not known before.
func (m *workloadMemory) note(o *facts.Workload, first, snapshot bool, now time.Time) {
	switch {
	case !o.Down():
		*m = workloadMemory{}
	case !m.downSince.IsZero():
	default:
		// The condition may be older: some replicas were ready then.
		if c := facts.Is(o.Conditions, "Available", facts.False); c != nil && first {
			m.downSince, m.guessed = c.Since, true
		}
		if m.downSince.IsZero() && !snapshot {
			m.downSince = now
		}
	}
}

// DownSince returns since when none of the replicas of a workload is ready; zero when
// one is, and when nobody knows.
func (w *World) DownSince(ref facts.Ref) time.Time {
	t := w.things[ref]
	if t == nil {
		return time.Time{}
	}
	m, ok := t.memory.(*workloadMemory)
	switch {
	case !ok:
		return time.Time{}
	case m.guessed || w.options.Snapshot:
		return latestTime(m.downSince, m.unready)
	default:
		return m.downSince
	}
}

// noteUnready keeps when the last pod of a workload without a ready replica stopped
// being ready.
func (e *evaluation) noteUnready(p *facts.Pod) {
	ready := facts.Find(p.Conditions, "Ready")
	if ready != nil && ready.Status == facts.True {
		return
	}
	switch p.Owner.Kind {
	case facts.KindReplicaSet, facts.KindStatefulSet, facts.KindDaemonSet:
	default:
		return
	}
	top := e.topOwner(p.Ref, p.Owner, p.TemplateHash)
	ref := facts.Ref{Kind: top.Kind, Namespace: top.Namespace, Name: top.Name}
	if o, ok := e.look(ref).(*facts.Workload); !ok || !o.Down() {
		return
	}
	if m, ok := e.w.things[ref].memory.(*workloadMemory); ok {
		m.unready = latestTime(m.unready, firstTime(conditionSince(ready), p.Created))
	}
}
