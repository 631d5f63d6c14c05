// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
)

// Kind is what is wrong.
type Kind string

// The kinds.
const (
	// Lost: a record that was taken is not stored and no gap covers it.
	Lost Kind = "lost"
	// Doubled: a record, or a number, is stored twice.
	Doubled Kind = "doubled"
	// Foreign: something is stored that was never appended.
	Foreign Kind = "foreign"
	// Reordered: a record is stored under another number than it was given.
	Reordered Kind = "reordered"
	// Dropped: a gap covers a record although nothing may be dropped.
	Dropped Kind = "dropped"
	// Contradicted: a gap covers a record that is stored.
	Contradicted Kind = "contradicted"
	// Reused: a number was given to two records.
	Reused Kind = "reused"
	// Present: what exists, or is open, is not what the records say.
	Present Kind = "present"
	// Derived: a rollup or a sum is not what the records say.
	Derived Kind = "derived"
	// Unaccounted: the hub's offset is lower than a number that was given out.
	Unaccounted Kind = "unaccounted"
	// SetAside: something is in the quarantine.
	SetAside Kind = "set aside"
)

// Report is the verdict.
type Report struct {
	// Taken, Doubtful and Refused count what was appended.
	Taken, Doubtful, Refused int
	// Stored counts rows, Covered the records that gaps cover, Torn those that were
	// lost with the end of an epoch.
	Stored, Covered, Torn int
	// Gaps counts gaps in the history.
	Gaps int
	// Problems by kind. None means that all is well.
	Problems map[Kind][]string
}

// OK reports whether there is no problem.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// String says what was found, at most a few problems of each kind.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records taken, %d doubtful, %d refused; %d stored, %d covered by gaps, %d torn off; %d gaps",
		r.Taken, r.Doubtful, r.Refused, r.Stored, r.Covered, r.Torn, r.Gaps)
	for _, kind := range slices.Sorted(maps.Keys(r.Problems)) {
		all := r.Problems[kind]
		fmt.Fprintf(&b, "\n%s: %d", kind, len(all))
		for _, text := range all[:min(len(all), 5)] {
			b.WriteString("\n  " + text)
		}
	}
	return b.String()
}

// judge is one judgement on its way.
type judge struct {
	Report
	agents []Agent
	stored *Stored
	rules  Rules

	// claims are the records that a number was given to.
	claims map[Place][]ID
	// records by stream and identity.
	records map[telemetry.Stream]map[ID]*record
	// covered are the gaps by stream and epoch, Seq is 0.
	covered map[Place][]span
	listed  listings
	// kept is the newest stored record about each thing.
	kept map[telemetry.Stream]map[ID]uint64
	// shown are the objects that some row shows.
	shown map[string]bool
}

// record is what is known about one record.
type record struct {
	state ledger.State
	place Place
	rows  []Place
	// covered by a gap, or torn off with the end of its epoch.
	covered, torn bool
}

type span struct{ from, to uint64 }

// Judge compares what is stored with what the agents wrote down.
func Judge(agents []Agent, stored *Stored, rules Rules) *Report {
	j := &judge{
		Report: Report{Problems: map[Kind][]string{}}, agents: agents, stored: stored, rules: rules, claims: map[Place][]ID{},
		records: map[telemetry.Stream]map[ID]*record{}, covered: map[Place][]span{}, shown: map[string]bool{},
		kept: map[telemetry.Stream]map[ID]uint64{},
	}
	j.readLedgers()
	j.readGaps()
	j.listed = newListings(agents)
	j.readRows()
	for _, stream := range slices.Sorted(maps.Keys(j.records)) {
		j.judgeStream(stream)
	}
	j.judgeOrder()
	j.judgeImplied()
	if !rules.Contested { // two agents do not agree on what exists
		j.judgeObjects()
		j.judgeOpen()
	}
	j.judgeRollups()
	j.judgeSums()
	j.judgeOffsets()
	for _, text := range stored.Strange {
		j.found(Foreign, "%s", text)
	}
	for _, text := range stored.Quarantined {
		j.found(SetAside, "%s", text)
	}
	return &j.Report
}

func (j *judge) found(kind Kind, format string, args ...any) {
	j.Problems[kind] = append(j.Problems[kind], fmt.Sprintf(format, args...))
}

func (p Place) String() string { return fmt.Sprintf("%s %d/%d", p.Stream, p.Epoch, p.Seq) }

func (j *judge) name(stream telemetry.Stream, id ID) string {
	return fmt.Sprintf("record %d of %s of agent %s", id.N, stream, j.agents[id.Agent].Source.Name)
}

func (j *judge) readLedgers() {
	for stream := range telemetry.Streams() {
		j.records[stream], j.kept[stream] = map[ID]*record{}, map[ID]uint64{}
	}
	for i := range j.agents {
		for k := range j.agents[i].Ledger.Appends {
			a := &j.agents[i].Ledger.Appends[k]
			for n := a.N; n < a.N+a.Count; n++ {
				j.readRecord(a, ID{i, n})
			}
		}
	}
}

func (j *judge) readRecord(a *ledger.Append, id ID) {
	r := &record{state: a.State}
	j.records[a.Stream][id] = r
	switch a.State {
	case ledger.Doubtful:
		j.Doubtful++
	case ledger.Refused:
		j.Refused++
	case ledger.Taken:
		j.Taken++
		r.place = Place{a.Stream, a.Epoch, a.Seq(id.N)}
		if others := j.claims[r.place]; len(others) > 0 && !j.rules.Contested {
			j.found(Reused, "%s was given to %s and to %s", r.place, j.name(a.Stream, others[0]), j.name(a.Stream, id))
		}
		j.claims[r.place] = append(j.claims[r.place], id)
	}
}

func (j *judge) readGaps() {
	j.Gaps = len(j.stored.Gaps)
	for i := range j.stored.Gaps {
		g := &j.stored.Gaps[i]
		epoch := Place{Stream: g.Key.Stream, Epoch: g.Key.Epoch}
		j.covered[epoch] = append(j.covered[epoch], span{g.From, g.To})
	}
	for _, records := range j.records {
		for _, r := range records {
			if r.state == ledger.Taken {
				r.covered = j.isCovered(r.place)
				r.torn = !r.covered && j.rules.Torn && j.isTorn(r.place)
			}
		}
	}
}

func (j *judge) isCovered(p Place) bool {
	return slices.ContainsFunc(j.covered[Place{Stream: p.Stream, Epoch: p.Epoch}], func(s span) bool { return s.from <= p.Seq && p.Seq <= s.to })
}

// isTorn reports whether the hub's epoch ends before a number and a later epoch of the
// stream begins with a gap that says that something may be missing.
func (j *judge) isTorn(p Place) bool {
	if j.stored.Offsets[Place{Stream: p.Stream, Epoch: p.Epoch}] >= p.Seq {
		return false
	}
	return slices.ContainsFunc(j.stored.Gaps, func(g gap) bool {
		return g.Key.Stream == p.Stream && g.Key.Epoch > p.Epoch && g.From == 1 && g.To == 1 &&
			(g.Reason == telemetry.GapSpoolCorrupt || g.Reason == telemetry.GapEpochLost)
	})
}

// readRows files each row under its record.
func (j *judge) readRows() {
	j.Stored = len(j.stored.Rows)
	places := map[Place]ID{}
	for _, row := range j.stored.Rows {
		if row.Seq != 0 {
			if other, twice := places[row.Place]; twice {
				j.found(Doubled, "%s has %s and %s", row.Place, j.name(row.Stream, other), j.name(row.Stream, row.ID))
			}
			places[row.Place] = row.ID
		}
		if row.Stream == telemetry.StreamInventory {
			if uid, gone := j.agents[row.Agent].Source.ObjectUID(row.N); !gone {
				j.shown[uid] = true
			}
		}
		r := j.records[row.Stream][row.ID]
		if j.listed.shows(row) && (r == nil || row.Place != r.place) {
			continue // a snapshot showed an object that the history did not know like that
		}
		if r == nil || r.state == ledger.Refused {
			j.found(Foreign, "%s is stored, and was not appended", j.name(row.Stream, row.ID))
			continue
		}
		r.rows = append(r.rows, row.Place)
		key := ID{row.Agent, j.agents[row.Agent].Source.Key(row.Stream, row.N)}
		j.kept[row.Stream][key] = max(j.kept[row.Stream][key], row.N)
	}
}

// judgeStream says what is lost or doubled of a stream.
func (j *judge) judgeStream(stream telemetry.Stream) {
	groups := map[ID][]ID{}
	for id, r := range j.records[stream] {
		j.judgeRecord(stream, id, r)
		key := ID{id.Agent, j.agents[id.Agent].Source.Key(stream, id.N)}
		groups[key] = append(groups[key], id)
	}
	for _, group := range groups {
		j.judgeGroup(stream, group)
	}
}

// judgeRecord judges what does not depend on others.
func (j *judge) judgeRecord(stream telemetry.Stream, id ID, r *record) {
	name := j.name(stream, id)
	if r.covered {
		j.Covered++
		if !j.rules.Drops {
			j.found(Dropped, "%s, %s, is covered by a gap", name, r.place)
		}
		if len(r.rows) > 0 && !j.rules.Contested {
			j.found(Contradicted, "%s, %s, is stored and covered by a gap", name, r.place)
		}
	}
	if r.torn && len(r.rows) == 0 {
		j.Torn++
	}
	if len(r.rows) > 1 {
		j.found(Doubled, "%s is stored %d times: %v", name, len(r.rows), r.rows)
	}
	if len(r.rows) > 0 && r.rows[0].Seq != 0 && r.state == ledger.Taken && r.rows[0] != r.place {
		j.found(Reordered, "%s was given %s and is stored as %s", name, r.place, r.rows[0])
	}
}

// judgeGroup judges records about the same thing, of which the newest is stored.
// Most groups have one.
func (j *judge) judgeGroup(stream telemetry.Stream, group []ID) {
	newest, kept := -1, -1
	slices.SortFunc(group, func(a, b ID) int { return int(a.N) - int(b.N) }) //nolint:gosec // small numbers
	for i, id := range group {
		r := j.records[stream][id]
		if len(r.rows) > 0 {
			if kept >= 0 {
				j.found(Doubled, "%s and %s are about the same and both stored", j.name(stream, group[kept]), j.name(stream, id))
			}
			kept = i
		}
		if r.state == ledger.Taken && !r.covered && !r.torn && !j.isBeaten(r, id) {
			newest = i
		}
	}
	if kept < newest && !j.isVain(stream, group[newest]) {
		id := group[newest]
		j.found(Lost, "%s, %s, is not stored", j.name(stream, id), j.records[stream][id].place)
	}
}

// isVain reports whether a record deletes an object that the history never knew, or
// that another agent had declared gone.
func (j *judge) isVain(stream telemetry.Stream, id ID) bool {
	if stream != telemetry.StreamInventory {
		return false
	}
	uid, gone := j.agents[id.Agent].Source.ObjectUID(id.N)
	if gone && j.rules.Contested && slices.ContainsFunc(j.stored.Implied, func(d Implied) bool { return d.UID == uid }) {
		return true
	}
	return gone && !j.shown[uid]
}

// isBeaten reports whether another record with the same number is stored, or was
// until something newer about the same came.
func (j *judge) isBeaten(r *record, id ID) bool {
	if !j.rules.Contested {
		return false
	}
	if id := id.Agent; j.listed.each(r.place, func(agent int, _ *ledger.Snapshot) bool { return agent != id }) {
		return true
	}
	return slices.ContainsFunc(j.claims[r.place], func(other ID) bool {
		key := ID{other.Agent, j.agents[other.Agent].Source.Key(r.place.Stream, other.N)}
		kept, ok := j.kept[r.place.Stream][key]
		return other != id && ok && kept >= other.N
	})
}
