// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant_test

import (
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

const (
	firstEpoch  = telemetry.Epoch(100)
	secondEpoch = telemetry.Epoch(200)
	// perLife is how many records of each stream each of two lives has.
	perLife = 300
)

// world is an agent and a history that holds all that the agent said.
type world struct {
	agents []invariant.Agent
	stored *invariant.Stored
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := &source.Source{
		Name: "a", Base: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), Nodes: 3, SampleEvery: 5 * time.Second, Values: 4, Routes: 4,
		EventEvery: time.Second, AnomalyEvery: 2 * time.Second, ObjectEvery: time.Second, OutputEvery: time.Second,
	}
	l := &ledger.Ledger{Position: ledger.Position{Next: map[telemetry.Stream]uint64{}}}
	w := &world{agents: []invariant.Agent{{Source: s, Ledger: l}}, stored: &invariant.Stored{Offsets: map[invariant.Place]uint64{}}}
	for _, epoch := range []telemetry.Epoch{firstEpoch, secondEpoch} {
		for stream := range telemetry.Streams() {
			w.live(stream, epoch)
		}
	}
	w.settle()
	return w
}

// live appends and stores the records of one life, five at a time, behind a gap that
// says that the life before ended badly.
func (w *world) live(stream telemetry.Stream, epoch telemetry.Epoch) {
	l := w.agents[0].Ledger
	seq := uint64(1)
	w.stored.Gaps = append(w.stored.Gaps, history.Gap{
		Key: telemetry.Key{Stream: stream, Epoch: epoch}, Gap: telemetry.Gap{From: 1, To: 1, Reason: telemetry.GapEpochLost},
	})
	for range perLife / 5 {
		seq += 5
		a := ledger.Append{Stream: stream, N: l.Next[stream], Count: 5, State: ledger.Taken, Epoch: epoch, Last: seq}
		l.Next[stream] += 5
		l.Appends = append(l.Appends, a)
		for n := a.N; n < a.N+a.Count; n++ {
			w.store(stream, n, invariant.Place{Stream: stream, Epoch: epoch, Seq: a.Seq(n)})
		}
	}
	w.stored.Offsets[invariant.Place{Stream: stream, Epoch: epoch}] = seq
}

func (w *world) store(stream telemetry.Stream, n uint64, place invariant.Place) {
	if stream != telemetry.StreamInventory && stream != telemetry.StreamAnomalies {
		place.Epoch, place.Seq = 0, 0
	}
	key := w.agents[0].Source.Key(stream, n)
	if key != n {
		w.stored.Rows[w.find(stream, key)].N = n
		return
	}
	w.stored.Rows = append(w.stored.Rows, invariant.Row{ID: invariant.ID{N: n}, Place: place})
}

// find returns the row of a record, or -1.
func (w *world) find(stream telemetry.Stream, n uint64) int {
	for i, row := range w.stored.Rows {
		if row.Stream == stream && row.N == n {
			return i
		}
	}
	return -1
}

// settle computes what follows from the rows.
func (w *world) settle() {
	s, l := w.agents[0].Source, w.agents[0].Ledger
	w.stored.Objects, w.stored.Open, w.stored.Rollups, w.stored.Sums = nil, nil, nil, nil
	for _, n := range s.Objects(l.Next[telemetry.StreamInventory]) {
		w.stored.Objects = append(w.stored.Objects, invariant.Row{ID: invariant.ID{N: n}, Place: invariant.Place{Stream: telemetry.StreamInventory}})
	}
	open := map[string]invariant.Row{}
	rollups := map[invariant.Bucket]*invariant.Bucket{}
	sums := make([]invariant.RouteSum, s.Routes)
	for _, row := range w.stored.Rows {
		_, payload := s.Record(row.Stream, row.N)
		switch p := payload.(type) {
		case *telemetry.AnomalyTransition:
			if known := open[p.Fingerprint]; known.Epoch < row.Epoch || known.Epoch == row.Epoch && known.Seq < row.Seq {
				open[p.Fingerprint] = row
			}
		case *telemetry.NodeSample:
			key := invariant.Bucket{Node: row.N % 3, At: s.Time(row.Stream, row.N).Truncate(history.FineStep)}
			if rollups[key] == nil {
				rollups[key] = &invariant.Bucket{Node: key.Node, At: key.At}
			}
			rollups[key].Count++
			rollups[key].Sum += float64(row.N + 1)
		case *telemetry.SLISlice:
			i := s.Key(row.Stream, row.N) % 4
			sums[i].Route = i
			sums[i].Slices++
			sums[i].Total += float64(row.N + 1)
		}
	}
	for _, row := range open {
		_, payload := s.Record(row.Stream, row.N)
		if t, _ := payload.(*telemetry.AnomalyTransition); t.State == telemetry.AnomalyCleared {
			continue
		}
		w.stored.Open = append(w.stored.Open, row)
	}
	for _, b := range rollups {
		w.stored.Rollups = append(w.stored.Rollups, *b)
	}
	w.stored.Sums = sums
}

// append is the ledger's entry with a record.
func (w *world) append(t *testing.T, stream telemetry.Stream, n uint64) *ledger.Append {
	t.Helper()
	l := w.agents[0].Ledger
	for i := range l.Appends {
		if a := &l.Appends[i]; a.Stream == stream && a.N <= n && n < a.N+a.Count {
			return a
		}
	}
	t.Fatalf("record %d of %s was not appended", n, stream)
	return nil
}

// remove takes rows of records out of the history.
func (w *world) remove(t *testing.T, stream telemetry.Stream, records ...uint64) {
	t.Helper()
	for _, n := range records {
		i := w.find(stream, n)
		if i < 0 {
			t.Fatalf("record %d of %s is not stored", n, stream)
		}
		w.stored.Rows = append(w.stored.Rows[:i:i], w.stored.Rows[i+1:]...)
	}
}

// gap adds a gap for the numbers of the Append that a record came with.
func (w *world) gap(t *testing.T, stream telemetry.Stream, n uint64) {
	t.Helper()
	a := w.append(t, stream, n)
	w.stored.Gaps = append(w.stored.Gaps, history.Gap{
		Key: telemetry.Key{Stream: stream, Epoch: a.Epoch}, Gap: telemetry.Gap{From: a.Seq(a.N), To: a.Last, Reason: telemetry.GapSpoolFull, Dropped: a.Count},
	})
}
