// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
)

const (
	inventory = telemetry.StreamInventory
	anomalies = telemetry.StreamAnomalies
	events    = telemetry.StreamEvents
	samples   = telemetry.StreamNodeMetrics
	slis      = telemetry.StreamSLI
	output    = telemetry.StreamCommandOutput
)

// kinds are the kinds of problems that a judgement found.
func kinds(r *invariant.Report) []invariant.Kind { return slices.Sorted(maps.Keys(r.Problems)) }

// A checker that finds nothing proves nothing: whatever can go wrong with a history is
// done to one here, and has to be found, as what it is.
func TestEveryFaultIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, w *world)
		want   []invariant.Kind
		rules  invariant.Rules
	}{
		"a transition is lost": {
			func(t *testing.T, w *world) { w.remove(t, anomalies, 101); w.settle() }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"a change is lost": {
			func(t *testing.T, w *world) { w.remove(t, inventory, 444) }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"an event is lost": {
			func(t *testing.T, w *world) { w.remove(t, events, 1) }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"an event that was seen again is lost": {
			func(t *testing.T, w *world) { w.remove(t, events, 4) }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"an event stayed as it was before": {
			func(_ *testing.T, w *world) { w.stored.Rows[w.find(events, 4)].N = 0 }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"a sample is lost": {
			func(t *testing.T, w *world) { w.remove(t, samples, 7); w.settle() }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"a slice is lost": {
			func(t *testing.T, w *world) { w.remove(t, slis, 8); w.settle() }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"a correction is lost": {
			func(_ *testing.T, w *world) { w.stored.Rows[w.find(slis, 27)].N = 23; w.settle() }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"a chunk of output is lost": {
			func(t *testing.T, w *world) { w.remove(t, output, 59) }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"the end of the last epoch is lost": {
			func(t *testing.T, w *world) { w.remove(t, anomalies, 599); w.settle() }, []invariant.Kind{invariant.Lost}, invariant.Rules{},
		},
		"a transition is stored twice": {
			func(_ *testing.T, w *world) {
				w.stored.Rows = append(w.stored.Rows, w.stored.Rows[w.find(anomalies, 5)])
				w.settle()
			}, []invariant.Kind{invariant.Doubled}, invariant.Rules{},
		},
		"a change is stored twice": {
			func(_ *testing.T, w *world) {
				w.stored.Rows = append(w.stored.Rows, w.stored.Rows[w.find(inventory, 5)])
			}, []invariant.Kind{invariant.Doubled}, invariant.Rules{},
		},
		"a transition is stored under a second number": {
			func(_ *testing.T, w *world) {
				row := w.stored.Rows[w.find(anomalies, 599)]
				row.Seq++
				w.stored.Rows = append(w.stored.Rows, row)
				w.settle()
			}, []invariant.Kind{invariant.Doubled}, invariant.Rules{},
		},
		"an event is stored twice": {
			func(_ *testing.T, w *world) {
				w.stored.Rows = append(w.stored.Rows, w.stored.Rows[w.find(events, 6)])
			}, []invariant.Kind{invariant.Doubled}, invariant.Rules{},
		},
		"an event and what it was before are both stored": {
			func(_ *testing.T, w *world) {
				row := w.stored.Rows[w.find(events, 4)]
				row.N = 0
				w.stored.Rows = append(w.stored.Rows, row)
			}, []invariant.Kind{invariant.Doubled}, invariant.Rules{},
		},
		"a sample is stored twice": {
			func(_ *testing.T, w *world) {
				w.stored.Rows = append(w.stored.Rows, w.stored.Rows[w.find(samples, 5)])
				w.settle()
			}, []invariant.Kind{invariant.Doubled}, invariant.Rules{},
		},
		"two transitions changed places": {
			func(_ *testing.T, w *world) {
				a, b := &w.stored.Rows[w.find(anomalies, 50)], &w.stored.Rows[w.find(anomalies, 51)]
				a.Seq, b.Seq = b.Seq, a.Seq
			}, []invariant.Kind{invariant.Reordered}, invariant.Rules{},
		},
		"two changes changed places": {
			func(_ *testing.T, w *world) {
				a, b := &w.stored.Rows[w.find(inventory, 50)], &w.stored.Rows[w.find(inventory, 51)]
				a.Seq, b.Seq = b.Seq, a.Seq
			}, []invariant.Kind{invariant.Reordered}, invariant.Rules{},
		},
		"doubtful transitions stand in the wrong order": {
			func(t *testing.T, w *world) {
				*w.append(t, anomalies, 50) = ledger.Append{Stream: anomalies, N: 50, Count: 5}
				a, b := &w.stored.Rows[w.find(anomalies, 50)], &w.stored.Rows[w.find(anomalies, 51)]
				a.Seq, b.Seq = b.Seq, a.Seq
			}, []invariant.Kind{invariant.Reordered}, invariant.Rules{},
		},
		"a transition moved to the other epoch": {
			func(_ *testing.T, w *world) {
				w.stored.Rows[w.find(anomalies, 5)].Epoch = secondEpoch
				w.stored.Rows[w.find(anomalies, 305)].Epoch = firstEpoch
				w.settle()
			}, []invariant.Kind{invariant.Reordered}, invariant.Rules{},
		},
		"something is stored that nobody appended": {
			func(_ *testing.T, w *world) {
				w.stored.Rows = append(w.stored.Rows, invariant.Row{ID: invariant.ID{N: 5000}, Place: invariant.Place{Stream: events}})
			}, []invariant.Kind{invariant.Foreign}, invariant.Rules{},
		},
		"something is stored that nobody can have said": {
			func(_ *testing.T, w *world) { w.stored.Strange = append(w.stored.Strange, "a row") }, []invariant.Kind{invariant.Foreign}, invariant.Rules{},
		},
		"something is stored that was refused": {
			func(t *testing.T, w *world) {
				*w.append(t, output, 5) = ledger.Append{Stream: output, N: 5, Count: 5, State: ledger.Refused}
			}, []invariant.Kind{invariant.Foreign}, invariant.Rules{},
		},
		"a gap covers records although nothing may be dropped": {
			func(t *testing.T, w *world) {
				w.remove(t, output, 5, 6, 7, 8, 9)
				w.gap(t, output, 5)
			}, []invariant.Kind{invariant.Dropped}, invariant.Rules{},
		},
		"a gap covers records that are stored": {
			func(t *testing.T, w *world) { w.gap(t, output, 5) }, []invariant.Kind{invariant.Contradicted}, invariant.Rules{Drops: true},
		},
		"a gap is missing": {
			func(t *testing.T, w *world) { w.remove(t, output, 5, 6, 7, 8, 9) }, []invariant.Kind{invariant.Lost}, invariant.Rules{Drops: true, Torn: true},
		},
		"a gap of another epoch covers nothing": {
			func(t *testing.T, w *world) {
				w.remove(t, output, 5, 6, 7, 8, 9)
				w.gap(t, output, 305)
			}, []invariant.Kind{invariant.Contradicted, invariant.Lost}, invariant.Rules{Drops: true},
		},
		"a gap of another stream covers nothing": {
			func(t *testing.T, w *world) {
				w.remove(t, output, 5, 6, 7, 8, 9)
				w.gap(t, output, 5)
				w.stored.Gaps[len(w.stored.Gaps)-1].Key.Stream = events
			}, []invariant.Kind{invariant.Contradicted, invariant.Lost}, invariant.Rules{Drops: true},
		},
		"the end of an epoch is missing and nobody says so": {
			func(t *testing.T, w *world) {
				w.remove(t, output, 598, 599)
				w.stored.Offsets[invariant.Place{Stream: output, Epoch: secondEpoch}] -= 2
			}, []invariant.Kind{invariant.Lost, invariant.Unaccounted}, invariant.Rules{Torn: true},
		},
		"the middle of an epoch is missing and only its end may be": {
			func(t *testing.T, w *world) { w.remove(t, output, 100) }, []invariant.Kind{invariant.Lost}, invariant.Rules{Torn: true},
		},
		"a number was used twice": {
			func(t *testing.T, w *world) { w.append(t, events, 10).Last = w.append(t, events, 5).Last }, []invariant.Kind{invariant.Reused}, invariant.Rules{},
		},
		"an object is missing": {
			func(_ *testing.T, w *world) { w.stored.Objects = w.stored.Objects[1:] }, []invariant.Kind{invariant.Present}, invariant.Rules{},
		},
		"an object is there twice": {
			func(_ *testing.T, w *world) { w.stored.Objects = append(w.stored.Objects, w.stored.Objects[0]) }, []invariant.Kind{invariant.Present}, invariant.Rules{},
		},
		"an object is shown as it was": {
			func(_ *testing.T, w *world) { w.stored.Objects[0].N -= 8 }, []invariant.Kind{invariant.Present}, invariant.Rules{},
		},
		"an object came back": {
			func(_ *testing.T, w *world) {
				w.stored.Objects = append(w.stored.Objects, invariant.Row{ID: invariant.ID{N: 24}, Place: invariant.Place{Stream: inventory}})
			}, []invariant.Kind{invariant.Present}, invariant.Rules{},
		},
		"an anomaly is not open any more": {
			func(_ *testing.T, w *world) { w.stored.Open = w.stored.Open[1:] }, []invariant.Kind{invariant.Present}, invariant.Rules{},
		},
		"an anomaly that was cleared is open": {
			func(_ *testing.T, w *world) {
				w.stored.Open = append(w.stored.Open, w.stored.Rows[w.find(anomalies, 9)])
			}, []invariant.Kind{invariant.Present}, invariant.Rules{},
		},
		"an anomaly is open as it was before": {
			func(_ *testing.T, w *world) {
				i := slices.IndexFunc(w.stored.Open, func(r invariant.Row) bool { return r.N == 16 })
				w.stored.Open[i] = w.stored.Rows[w.find(anomalies, 8)]
			}, []invariant.Kind{invariant.Present}, invariant.Rules{},
		},
		"a rollup counts a sample twice": {
			func(_ *testing.T, w *world) { w.stored.Rollups[0].Count++ }, []invariant.Kind{invariant.Derived}, invariant.Rules{},
		},
		"a rollup has another sum": {
			func(_ *testing.T, w *world) { w.stored.Rollups[0].Sum++ }, []invariant.Kind{invariant.Derived}, invariant.Rules{},
		},
		"a rollup is missing": {
			func(_ *testing.T, w *world) { w.stored.Rollups = w.stored.Rollups[1:] }, []invariant.Kind{invariant.Derived}, invariant.Rules{},
		},
		"a sum counts a slice twice": {
			func(_ *testing.T, w *world) { w.stored.Sums[1].Slices++ }, []invariant.Kind{invariant.Derived}, invariant.Rules{},
		},
		"a sum has other requests": {
			func(_ *testing.T, w *world) { w.stored.Sums[1].Total-- }, []invariant.Kind{invariant.Derived}, invariant.Rules{},
		},
		"an offset stayed behind": {
			func(_ *testing.T, w *world) { w.stored.Offsets[invariant.Place{Stream: events, Epoch: firstEpoch}]-- }, []invariant.Kind{invariant.Unaccounted}, invariant.Rules{},
		},
		"something was set aside": {
			func(_ *testing.T, w *world) { w.stored.Quarantined = append(w.stored.Quarantined, "a record") }, []invariant.Kind{invariant.SetAside}, invariant.Rules{},
		},
		"a snapshot that was not taken declares an object gone": {
			func(_ *testing.T, w *world) {
				w.stored.Implied = append(w.stored.Implied, invariant.Implied{Place: invariant.Place{Stream: inventory, Epoch: firstEpoch, Seq: 9}, UID: "object-a-0-0"})
			}, []invariant.Kind{invariant.Foreign}, invariant.Rules{},
		},
		"a contested number holds neither record": {
			func(t *testing.T, w *world) {
				contest(t, w)
				w.remove(t, anomalies, 10)
			}, []invariant.Kind{invariant.Lost}, invariant.Rules{Contested: true},
		},
		"a contested number holds both records": {
			func(t *testing.T, w *world) {
				contest(t, w)
				row := w.stored.Rows[w.find(anomalies, 10)]
				row.N = 15
				w.stored.Rows = append(w.stored.Rows, row)
			}, []invariant.Kind{invariant.Doubled, invariant.Reordered}, invariant.Rules{Contested: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.damage(t, w)
			report := invariant.Judge(w.agents, w.stored, c.rules)
			if diff := cmp.Diff(c.want, kinds(report)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, report)
			}
		})
	}
}

// contest gives the numbers of records 10 to 14 of the anomalies to 15 to 19, too,
// which are not stored.
func contest(t *testing.T, w *world) {
	t.Helper()
	w.append(t, anomalies, 15).Last = w.append(t, anomalies, 10).Last
	w.remove(t, anomalies, 15, 16, 17, 18, 19)
	w.settle()
}

// A checker that cries wolf is turned off: what may happen is no problem.
func TestWhatIsAllowedIsNoFault(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, w *world)
		rules  invariant.Rules
	}{
		"nothing happened": {func(*testing.T, *world) {}, invariant.Rules{}},
		"doubtful records are not stored": {
			func(t *testing.T, w *world) {
				*w.append(t, anomalies, 50) = ledger.Append{Stream: anomalies, N: 50, Count: 5}
				w.remove(t, anomalies, 50, 51, 52, 53, 54)
				w.settle()
			}, invariant.Rules{},
		},
		"doubtful records are stored": {
			func(t *testing.T, w *world) {
				*w.append(t, anomalies, 50) = ledger.Append{Stream: anomalies, N: 50, Count: 5}
			}, invariant.Rules{},
		},
		"refused records are not stored": {
			func(t *testing.T, w *world) {
				*w.append(t, output, 50) = ledger.Append{Stream: output, N: 50, Count: 5, State: ledger.Refused}
				w.remove(t, output, 50, 51, 52, 53, 54)
			}, invariant.Rules{},
		},
		"a gap covers what is missing": {
			func(t *testing.T, w *world) {
				w.remove(t, output, 5, 6, 7, 8, 9)
				w.gap(t, output, 5)
			}, invariant.Rules{Drops: true},
		},
		"a correction was dropped, so the slice stays": {
			func(t *testing.T, w *world) {
				w.stored.Rows[w.find(slis, 27)].N = 23
				w.remove(t, slis, 25, 26, 28, 29)
				w.settle()
				w.gap(t, slis, 27)
			}, invariant.Rules{Drops: true},
		},
		"the end of an epoch was torn off and the next one says so": {
			func(t *testing.T, w *world) {
				w.remove(t, output, 298, 299)
				w.stored.Offsets[invariant.Place{Stream: output, Epoch: firstEpoch}] -= 2
			}, invariant.Rules{Torn: true},
		},
		"an object whose every sight was dropped was deleted": {
			func(t *testing.T, w *world) {
				for _, n := range []uint64{0, 8, 16, 24, 32} {
					w.remove(t, inventory, n)
					w.stored.Gaps = append(w.stored.Gaps, history.Gap{
						Key: telemetry.Key{Stream: inventory, Epoch: firstEpoch},
						Gap: telemetry.Gap{From: w.append(t, inventory, n).Seq(n), To: w.append(t, inventory, n).Seq(n), Reason: telemetry.GapSpoolFull},
					})
				}
				w.remove(t, inventory, 232) // its deletion
			}, invariant.Rules{Drops: true},
		},
		"a snapshot showed what was doubtful": {
			func(t *testing.T, w *world) {
				*w.append(t, inventory, 595) = ledger.Append{Stream: inventory, N: 595, Count: 5}
				l := w.agents[0].Ledger
				l.Snapshots = append(l.Snapshots, ledger.Snapshot{N: 600, State: ledger.Taken, Epoch: 300, First: 1, Last: 60})
				for i, n := range []uint64{591, 592} { // 592 to 599 delete
					row := &w.stored.Rows[w.find(inventory, n)]
					if n == 592 {
						w.stored.Implied = append(w.stored.Implied, invariant.Implied{Place: invariant.Place{Stream: inventory, Epoch: 300, Seq: 60}, UID: "object-a-9-0"})
						continue
					}
					w.stored.Rows = append(w.stored.Rows, invariant.Row{ID: row.ID, Place: invariant.Place{Stream: inventory, Epoch: 300, Seq: uint64(10 + i)}})
				}
			}, invariant.Rules{},
		},
		"one of two records with a contested number is stored": {contest, invariant.Rules{Contested: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(t, w)
			if report := invariant.Judge(w.agents, w.stored, c.rules); !report.OK() {
				t.Error(report)
			}
		})
	}
}
