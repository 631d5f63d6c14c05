// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
)

type gap = history.Gap

// listings are the snapshots that agents appended.
type listings struct {
	agents []Agent
	// objects of each snapshot, by agent and number of records.
	objects map[ID]map[string]uint64
}

func newListings(agents []Agent) listings {
	l := listings{agents: agents, objects: map[ID]map[string]uint64{}}
	for i, a := range agents {
		for _, s := range a.Ledger.Snapshots {
			if id := (ID{i, s.N}); l.objects[id] == nil {
				l.objects[id] = a.Source.Objects(s.N)
			}
		}
	}
	return l
}

// each calls do for every snapshot that may have a place, until it returns true.
func (l *listings) each(p Place, do func(agent int, s *ledger.Snapshot) bool) bool {
	for i, a := range l.agents {
		for k := range a.Ledger.Snapshots {
			s := &a.Ledger.Snapshots[k]
			within := s.Epoch == p.Epoch && s.First <= p.Seq && p.Seq <= s.Last
			if (s.State == ledger.Doubtful || within) && do(i, s) {
				return true
			}
		}
	}
	return false
}

// shows reports whether a snapshot can have stored a row.
func (l *listings) shows(row Row) bool {
	if row.Stream != telemetry.StreamInventory {
		return false
	}
	return l.each(row.Place, func(agent int, s *ledger.Snapshot) bool {
		if agent != row.Agent {
			return false
		}
		for _, n := range l.objects[ID{agent, s.N}] {
			if n == row.N {
				return true
			}
		}
		return false
	})
}

// judgeImplied checks that what snapshots declared gone was gone.
func (j *judge) judgeImplied() {
	seen := map[Implied]bool{}
	for _, d := range j.stored.Implied {
		if seen[d] {
			j.found(Doubled, "%s declares %s gone twice", d.Place, d.UID)
		}
		seen[d] = true
		justified := j.listed.each(d.Place, func(agent int, s *ledger.Snapshot) bool {
			_, exists := j.listed.objects[ID{agent, s.N}][d.UID]
			return !exists && (s.State == ledger.Doubtful || d.Seq == s.Last)
		})
		if !justified {
			j.found(Foreign, "%s declares %s gone, and no snapshot says so", d.Place, d.UID)
		}
	}
}

// judgeOrder checks that transitions stand in the order in which they were appended.
func (j *judge) judgeOrder() {
	var rows []Row
	for _, row := range j.stored.Rows {
		if row.Stream == telemetry.StreamAnomalies {
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Seq, b.Seq))
	})
	for i := 1; i < len(rows); i++ {
		a, b := rows[i-1], rows[i]
		if a.Agent == b.Agent && b.N < a.N { // a later epoch has later records, too
			j.found(Reordered, "%s, %s, stands before %s, %s", j.name(a.Stream, a.ID), a.Place, j.name(b.Stream, b.ID), b.Place)
		}
	}
}

// judgeObjects compares what exists with the source. The last thing that each agent
// appended is a snapshot.
func (j *judge) judgeObjects() {
	want := map[ID]string{}
	for i, a := range j.agents {
		for uid, n := range a.Source.Objects(a.Ledger.Next[telemetry.StreamInventory]) {
			want[ID{i, n}] = uid
		}
	}
	seen := map[ID]bool{}
	for _, row := range j.stored.Objects {
		switch _, ok := want[row.ID]; {
		case seen[row.ID]:
			j.found(Present, "an object shown by %s is there twice", j.name(row.Stream, row.ID))
		case !ok:
			j.found(Present, "an object shown by %s is there, and is gone or different in the cluster", j.name(row.Stream, row.ID))
		}
		seen[row.ID] = true
	}
	for id, uid := range want {
		if !seen[id] {
			j.found(Present, "the object %s, shown by %s, is not there", uid, j.name(telemetry.StreamInventory, id))
		}
	}
}

// judgeOpen compares what is open with the stored transition that is the last one of
// each anomaly.
func (j *judge) judgeOpen() {
	last := map[string]Row{}
	for _, row := range j.stored.Rows {
		if row.Stream != telemetry.StreamAnomalies {
			continue
		}
		f := j.transition(row).Fingerprint
		if known, ok := last[f]; !ok || cmp.Or(cmp.Compare(known.Epoch, row.Epoch), cmp.Compare(known.Seq, row.Seq)) < 0 {
			last[f] = row
		}
	}
	maps.DeleteFunc(last, func(_ string, row Row) bool { return j.transition(row).State == telemetry.AnomalyCleared })
	for _, row := range j.stored.Open {
		f := j.transition(row).Fingerprint
		if want, ok := last[f]; !ok || want != row {
			j.found(Present, "%s is open by %s, %s", f, j.name(row.Stream, row.ID), row.Place)
		}
		delete(last, f)
	}
	for f, row := range last {
		j.found(Present, "%s is not open, or twice, in spite of %s, %s", f, j.name(row.Stream, row.ID), row.Place)
	}
}

func (j *judge) transition(row Row) *telemetry.AnomalyTransition {
	_, payload := j.agents[row.Agent].Source.Record(telemetry.StreamAnomalies, row.N)
	t, _ := payload.(*telemetry.AnomalyTransition)
	return t
}

// judgeRollups compares points of five minutes with the samples that are stored.
func (j *judge) judgeRollups() {
	want := map[Bucket]Bucket{}
	for _, row := range j.stored.Rows {
		if row.Stream != telemetry.StreamNodeMetrics {
			continue
		}
		s := j.agents[row.Agent].Source
		key := Bucket{Agent: row.Agent, Node: row.N % uint64(s.Nodes), At: s.Time(row.Stream, row.N).Truncate(history.FineStep)} //nolint:gosec // a small number
		sum := want[key]
		sum.Count++
		sum.Sum += float64(row.N + 1)
		want[key] = sum
	}
	for _, b := range j.stored.Rollups {
		key := Bucket{Agent: b.Agent, Node: b.Node, At: b.At}
		if sum := want[key]; sum.Count != b.Count || sum.Sum != b.Sum {
			j.found(Derived, "node %d at %s rolls up to %d samples of %v in all, not %d of %v", b.Node, b.At.Format(time.RFC3339), b.Count, b.Sum, sum.Count, sum.Sum)
		}
		delete(want, key)
	}
	for key := range want {
		j.found(Derived, "node %d at %s is not rolled up, or twice", key.Node, key.At.Format(time.RFC3339))
	}
}

// judgeSums compares the sum of each route with its slices.
func (j *judge) judgeSums() {
	want := map[RouteSum]RouteSum{}
	for _, row := range j.stored.Rows {
		if row.Stream != telemetry.StreamSLI {
			continue
		}
		s := j.agents[row.Agent].Source
		key := RouteSum{Agent: row.Agent, Route: s.Key(row.Stream, row.N) % uint64(s.Routes)} //nolint:gosec // a small number
		sum := want[key]
		sum.Slices++
		sum.Total += float64(row.N + 1)
		want[key] = sum
	}
	for _, got := range j.stored.Sums {
		sum := want[RouteSum{Agent: got.Agent, Route: got.Route}]
		if sum.Slices != got.Slices || sum.Total != got.Total {
			j.found(Derived, "route %d sums up to %d slices with %v requests, not %d with %v", got.Route, got.Slices, got.Total, sum.Slices, sum.Total)
		}
	}
}

// judgeOffsets checks that the hub has accounted for every number.
func (j *judge) judgeOffsets() {
	last := map[Place]uint64{}
	for place := range j.claims {
		epoch := Place{Stream: place.Stream, Epoch: place.Epoch}
		last[epoch] = max(last[epoch], place.Seq)
	}
	for epoch, seq := range last {
		got := j.stored.Offsets[epoch]
		torn := epoch
		torn.Seq = seq
		if got < seq && (!j.rules.Torn || !j.isTorn(torn)) {
			j.found(Unaccounted, "%s %d has come to %d of %d", epoch.Stream, epoch.Epoch, got, seq)
		}
	}
}
