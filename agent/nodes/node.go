// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"fmt"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/bucket"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// node is a node whose collector sent something.
type node struct {
	name string

	// taking is held while a batch is taken, so that what two collectors of the node
	// send at once is told apart.
	taking sync.Mutex
	lives  lives
	clock  clock

	// Guarded by Receiver.mu.
	latest                   latest
	requests, records, bytes bucket.Bucket
	inFlight                 int
	warned                   time.Time
}

// taken says what became of the records of a batch.
type taken struct{ accepted, duplicates, refused int }

// taking is a batch on its way to the sink.
type taking struct {
	*node
	life *life
	now  time.Time
	hand func(at time.Time, p telemetry.Payload) error
	// seen is called for each sample that is new, perhaps several times.
	seen func(epoch telemetry.Epoch, r *telemetry.Record, moment time.Time)
	// lost is called with how many samples never come.
	lost func(n uint64)
	out  taken
}

// take hands on what is new of a batch, as far as the sink goes along. The error is
// the sink's: what came before it is remembered, and comes again as a duplicate. What
// was refused leaves a gap.
func (t *taking) take(records []telemetry.Record, poison [][2]uint64) error {
	for i := range records {
		var err error
		r := &records[i]
		if gap, ok := r.Payload.(*telemetry.Gap); ok {
			err = t.gap(gap)
		} else {
			err = t.sample(r)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range poison {
		if t.life.seen.has(p[1]) {
			t.out.duplicates++
			continue
		}
		if err := t.refuse(p[0], p[1], t.now); err != nil {
			return err
		}
	}
	return nil
}

func (t *taking) sample(r *telemetry.Record) error {
	if t.life.seen.has(r.Seq) {
		t.out.duplicates++
		return nil
	}
	s, ok := r.Payload.(*telemetry.NodeSample)
	at, moment, fits := t.clock.place(r.Time, t.now)
	if !ok || !fits {
		return t.refuse(r.Seq, r.Seq, t.now)
	}
	s.Node = t.name
	placed := telemetry.Record{Seq: r.Seq, Time: at, Payload: s}
	t.seen(t.life.epoch, &placed, moment) // also when the sink has no room for it
	if err := t.hand(at, s); err != nil {
		return fmt.Errorf("handing on a sample of node %s: %w", t.name, err)
	}
	t.life.seen.add(r.Seq, r.Seq)
	t.out.accepted++
	return nil
}

// gap hands on that samples are missing, as far as they are: a collector gives up
// what it got no answer for, and some of that may have arrived.
func (t *taking) gap(g *telemetry.Gap) error {
	missing := t.life.seen.unseen(g.From, g.To)
	if t.life.seen.has(g.To) || missing == 0 {
		t.out.duplicates++
		t.life.seen.add(g.From, g.To)
		return nil
	}
	start, _, ok1 := t.clock.place(g.Start, t.now)
	end, _, ok2 := t.clock.place(g.End, t.now)
	if g.Start.IsZero() || g.End.IsZero() || !ok1 || !ok2 {
		start, end = time.Time{}, time.Time{} // unknown
	}
	if err := t.handGap(g.Reason, missing, start, end); err != nil {
		return err
	}
	t.life.seen.add(g.From, g.To)
	t.out.accepted++
	return nil
}

// refuse leaves a gap in the place of what can never be stored.
func (t *taking) refuse(first, last uint64, at time.Time) error {
	if err := t.handGap(telemetry.GapRefused, t.life.seen.unseen(first, last), at, at); err != nil {
		return err
	}
	t.life.seen.add(first, last)
	t.out.refused++
	return nil
}

func (t *taking) handGap(reason telemetry.GapReason, missing uint64, start, end time.Time) error {
	at := end
	if at.IsZero() {
		at = t.now
	}
	if err := t.hand(at, &telemetry.Gap{Reason: reason, Dropped: missing, Start: start, End: end}); err != nil {
		return fmt.Errorf("handing on a gap of node %s: %w", t.name, err)
	}
	t.lost(missing)
	return nil
}
