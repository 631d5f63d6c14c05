// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

const cluster = history.ClusterUID("7c0e1f0a-0000-4000-8000-0000000000ea")

// tape is a real history and a ledger beside it.
type tape struct {
	*testing.T
	store  *store.Store
	source *source.Source
	ledger *ledger.Ledger
}

func newTape(t *testing.T) *tape {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "history.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &tape{
		T: t, store: s, ledger: &ledger.Ledger{Position: ledger.Position{Next: map[telemetry.Stream]uint64{}}},
		source: &source.Source{
			Name: "a", Base: time.Now().Add(-20 * time.Hour).UTC().Truncate(time.Hour), Nodes: 3, SampleEvery: 5 * time.Second, Values: 4, Routes: 4,
			EventEvery: time.Second, AnomalyEvery: 2 * time.Second, ObjectEvery: time.Second, OutputEvery: time.Second,
		},
	}
}

// write notes that records first to first+count-1 were taken as the first of an epoch.
func (p *tape) write(stream telemetry.Stream, epoch telemetry.Epoch, first, count uint64) {
	p.ledger.Next[stream] = max(p.ledger.Next[stream], first+count)
	p.ledger.Appends = append(p.ledger.Appends, ledger.Append{
		Stream: stream, N: first, Count: count, State: ledger.Taken, Epoch: epoch, Last: count,
	})
}

// send stores records under numbers from seq on.
func (p *tape) send(stream telemetry.Stream, epoch telemetry.Epoch, seq uint64, records ...uint64) {
	p.Helper()
	var list []telemetry.Record
	for i, n := range records {
		at, payload := p.source.Record(stream, n)
		list = append(list, telemetry.Record{Seq: seq + uint64(i), Time: at, Payload: payload})
	}
	if _, err := p.store.Append(p.Context(), cluster, telemetry.NewBatch(stream, epoch, list)); err != nil {
		p.Fatal(err)
	}
}

// all writes down and stores 200 records of each stream.
func (p *tape) all() {
	p.Helper()
	for stream := range telemetry.Streams() {
		p.write(stream, firstEpoch, 0, 200)
		p.send(stream, firstEpoch, 1, upTo(0, 200)...)
	}
}

func upTo(first, last uint64) (out []uint64) {
	for n := first; n < last; n++ {
		out = append(out, n)
	}
	return out
}

// What Judge is shown is what a database has: a history that was written wrongly is
// found out through the ports.
func TestFaultsOfARealHistoryAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		write func(p *tape)
		want  []invariant.Kind
	}{
		"all is well": {(*tape).all, nil},
		"nothing is stored": {
			func(p *tape) { p.write(events, firstEpoch, 0, 5) }, []invariant.Kind{invariant.Lost, invariant.Unaccounted},
		},
		"the last records are not stored": {
			func(p *tape) {
				p.write(output, firstEpoch, 0, 100)
				p.send(output, firstEpoch, 1, upTo(0, 90)...)
			},
			[]invariant.Kind{invariant.Lost, invariant.Unaccounted},
		},
		"a sample took the place of another": {
			func(p *tape) {
				p.write(samples, firstEpoch, 0, 100)
				p.send(samples, firstEpoch, 1, append(upTo(0, 50), append([]uint64{700}, upTo(51, 100)...)...)...)
			},
			[]invariant.Kind{invariant.Foreign, invariant.Lost},
		},
		"transitions are stored in two epochs": {
			func(p *tape) {
				p.all()
				p.send(anomalies, secondEpoch, 1, upTo(190, 200)...)
			},
			[]invariant.Kind{invariant.Doubled, invariant.Reordered},
		},
		"changes are stored in two epochs": {
			func(p *tape) {
				p.all()
				p.write(inventory, secondEpoch, 200, 200)
				p.send(inventory, secondEpoch, 1, upTo(200, 400)...)
				p.send(inventory, firstEpoch, 201, upTo(180, 190)...)
			},
			[]invariant.Kind{invariant.Doubled, invariant.Reordered},
		},
		"two transitions changed places": {
			func(p *tape) {
				p.write(anomalies, firstEpoch, 0, 4)
				p.send(anomalies, firstEpoch, 1, 0, 2, 1, 3)
			},
			[]invariant.Kind{invariant.Reordered},
		},
		"a slice and a chunk that nobody appended": {
			func(p *tape) {
				p.write(slis, firstEpoch, 0, 8)
				p.send(slis, firstEpoch, 1, upTo(0, 9)...)
				p.write(output, firstEpoch, 0, 8)
				p.send(output, firstEpoch, 1, upTo(0, 9)...)
			},
			[]invariant.Kind{invariant.Foreign},
		},
		"a gap took the place of records": {
			func(p *tape) {
				p.write(output, firstEpoch, 0, 20)
				gap := telemetry.Record{Seq: 20, Time: p.source.Base, Payload: &telemetry.Gap{From: 11, To: 20, Reason: telemetry.GapSpoolFull, Dropped: 10}}
				p.send(output, firstEpoch, 1, upTo(0, 10)...)
				if _, err := p.store.Append(p.Context(), cluster, telemetry.NewBatch(output, firstEpoch, []telemetry.Record{gap})); err != nil {
					p.Fatal(err)
				}
			},
			[]invariant.Kind{invariant.Dropped},
		},
		"an object was not deleted": {
			func(p *tape) {
				p.write(inventory, firstEpoch, 0, 233)
				p.send(inventory, firstEpoch, 1, append(upTo(0, 232), 231)...)
			},
			[]invariant.Kind{invariant.Lost, invariant.Present},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTape(t)
			c.write(p)
			for _, task := range history.Tasks() {
				if _, err := p.store.Maintain(t.Context(), task, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			agents := []invariant.Agent{{Source: p.source, Ledger: p.ledger}}
			stored, err := invariant.Read(t.Context(), p.store, cluster, agents, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			report := invariant.Judge(agents, stored, invariant.Rules{})
			if diff := cmp.Diff(c.want, kinds(report)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, report)
			}
		})
	}
}
