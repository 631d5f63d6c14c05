// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var seedFlag = flag.Uint64("spool.seed", 0, "repeat the random walk of this seed")

// walk is a random history of one agent: what it appended and where, and its crashes.
type walk struct {
	*testing.T
	rng     *rand.Rand
	options spool.Options
	dir     string
	spool   *spool.Spool
	hub     *hub
	id      uint32
	given   map[place]uint32 // what each number was given to
	exposed map[place]bool   // what damage may have taken
	sent    map[key]bool     // epochs that something was read of
	power   bool             // whether the walk has losses of power and damage
}

func TestNothingIsLostOrDoubled(t *testing.T) {
	for name, c := range map[string]struct {
		options spool.Options
		power   bool
	}{
		"ends of the process":     {options: spool.Options{SegmentBytes: 4 << 10, SplitBytes: 8 << 10, SyncInterval: 5 * time.Millisecond}},
		"a small spool":           {options: spool.Options{SegmentBytes: 4 << 10, MaxBytes: 128 << 10, SplitBytes: 8 << 10, SyncInterval: 5 * time.Millisecond}},
		"loss of power":           {power: true, options: spool.Options{SegmentBytes: 4 << 10, SplitBytes: 8 << 10, SyncInterval: 5 * time.Millisecond}},
		"loss of power, no space": {power: true, options: spool.Options{SegmentBytes: 4 << 10, MaxBytes: 128 << 10, SplitBytes: 4 << 10, SyncInterval: 5 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			seeds := make([]uint64, 10)
			for i := range seeds {
				seeds[i] = rand.Uint64()
			}
			if *seedFlag != 0 {
				seeds = []uint64{*seedFlag}
			}
			for _, seed := range seeds {
				w := newWalk(t, seed, c.options)
				w.power = c.power
				for range 500 {
					w.step()
				}
				w.rewindAll()
				w.hub.drain(t, w.spool)
				w.check()
				closeSpool(t, w.spool)
				if t.Failed() {
					t.Fatalf("repeat with -spool.seed=%d", seed)
				}
			}
		})
	}
}

func newWalk(t *testing.T, seed uint64, o spool.Options) *walk {
	w := &walk{
		T: t, rng: rand.New(rand.NewPCG(seed, 1)), options: spool.NewDisk(1 << 40).On(o), hub: newHub(),
		dir: quickDir(t), given: map[place]uint32{}, exposed: map[place]bool{}, sent: map[key]bool{},
	}
	w.spool = open(t, w.dir, w.options)
	return w
}

func (w *walk) step() {
	stream := streams[w.rng.IntN(len(streams))]
	lane := []spool.Lane{spool.Live, spool.Replay}[w.rng.IntN(2)]
	switch n := w.rng.IntN(100); {
	case n < 55:
		w.append(stream, 1+w.rng.IntN(8))
	case n < 75:
		w.hub.deliver(w, w.spool, stream, lane, 1+w.rng.IntN(8<<10), 1+w.rng.IntN(50))
	case n < 82: // under way, one after the other; some never arrive, some answers neither
		w.pipeline(stream, lane)
	case n < 85:
		if err := w.spool.Sync(); err != nil {
			w.Fatal(err)
		}
	case n < 88:
		w.restart(func() {
			closeSpool(w, w.spool)
			w.spool = open(w, w.dir, w.options)
		})
	case n < 90:
		w.restart(w.crash)
	case n < 92:
		w.discard(stream, lane)
	}
}

// restart ends the process and begins another one, which has all that is not
// confirmed, unless there was damage.
func (w *walk) restart(how func()) {
	before := w.spool.Stats().Streams
	how()
	for stream, after := range w.spool.Stats().Streams {
		if !w.power && after.Records < before[stream].Records {
			w.Fatalf("%s had %d records before a restart and has %d after", stream, before[stream].Records, after.Records)
		}
	}
}

// discard gives up what comes next, as if the hub would never take it.
func (w *walk) discard(stream telemetry.Stream, lane spool.Lane) {
	b, err := w.spool.Reader(stream, lane).Next(1+w.rng.IntN(4<<10), 20)
	if err != nil {
		w.Fatal(err)
	}
	if len(b.Records) == 0 {
		return
	}
	w.sent[key{b.Stream, b.Epoch}] = true
	through := b.FirstSeq + w.rng.Uint64N(b.LastSeq-b.FirstSeq+1)
	if err := w.spool.Discard(b.Stream, b.Epoch, through); err != nil {
		w.Fatal(err)
	}
}

func (w *walk) append(stream telemetry.Stream, n int) {
	var items []spool.Item
	for range n {
		w.id++
		items = append(items, item(stream, w.id, 10+w.rng.IntN(400)))
	}
	w.give(stream, items...)
}

// give appends items with the last IDs.
func (w *walk) give(stream telemetry.Stream, items ...spool.Item) spool.Appended {
	w.Helper()
	first := w.id + 1 - uint32(len(items)) //nolint:gosec // few
	out := appendItems(w, w.spool, stream, items...)
	if got := out.Last - out.First + 1; got != uint64(len(items)) {
		w.Fatalf("%d numbers for %d items", got, len(items))
	}
	for seq := out.First; seq <= out.Last; seq++ {
		p := place{key{stream, out.Epoch}, seq}
		if other, ok := w.given[p]; ok {
			w.Fatalf("the number %v was given to %d and now to another", p, other)
		}
		w.given[p] = first
		first++
	}
	return out
}

func (w *walk) pipeline(stream telemetry.Stream, lane spool.Lane) {
	for range 4 {
		b, err := w.spool.Reader(stream, lane).Next(1+w.rng.IntN(4<<10), 20)
		if err != nil {
			w.Fatal(err)
		}
		if len(b.Records) == 0 {
			return
		}
		w.sent[key{b.Stream, b.Epoch}] = true
		var expected uint64
		refused, arrives, answered := false, w.rng.IntN(3) > 0, w.rng.IntN(3) > 0
		if arrives {
			expected, refused = w.hub.take(w, b)
		}
		switch {
		case !arrives && w.rng.IntN(2) == 0: // lost, and nobody noticed yet
		case !arrives || !answered:
			err = w.spool.Rewind(b.Stream, b.Epoch)
		case refused:
			err = w.spool.Expect(b.Stream, b.Epoch, expected)
		default:
			err = w.spool.Ack(b.Stream, b.Epoch, expected-1)
		}
		if err != nil {
			w.Fatal(err)
		}
	}
}

// crash goes on with what is on the disk: all of it when only the process ended, or
// without the end of one file, or with a bit flipped, when the power was lost.
func (w *walk) crash() {
	if err := w.spool.Stats().Trouble; err != nil {
		w.Fatalf("what is only in memory dies with the process: %v", err)
	}
	next := quickDir(w)
	copyDir(w, w.dir, next)
	closeSpool(w, w.spool)
	w.dir = next
	if w.power {
		if names := append(files(w, next, ".seg"), files(w, next, ".gap")...); len(names) > 0 {
			name := names[w.rng.IntN(len(names))]
			b, err := os.ReadFile(name)
			if err != nil {
				w.Fatal(err)
			}
			switch at := w.rng.IntN(len(b) + 1); {
			case w.rng.IntN(3) == 0:
				b = b[:0]
			case w.rng.IntN(2) == 0 || at == len(b):
				b = b[:at]
			default:
				b[at] ^= 1 << w.rng.IntN(8)
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				w.Fatal(err)
			}
			w.expose(name)
		}
	}
	w.spool = open(w, w.dir, w.options)
}

// rewindAll notices what was lost on the way.
func (w *walk) rewindAll() {
	for k := range w.sent {
		if err := w.spool.Rewind(k.stream, k.epoch); err != nil {
			w.Fatal(err)
		}
	}
}

// expose notes that everything in the epoch of a file may be gone, as its last
// number is not known any more.
func (w *walk) expose(name string) {
	for p := range w.given {
		if filepath.Base(filepath.Dir(filepath.Dir(name))) == p.stream.String() && filepath.Base(filepath.Dir(name)) == number(p.epoch) {
			w.exposed[p] = true
		}
	}
}

// check: every record is at the hub under its number, or a gap says that it is not.
func (w *walk) check() {
	lost := 0
	for p, id := range w.given {
		row, stored := w.hub.rows[p]
		_, inGap := w.hub.gaps[p]
		switch {
		case stored && idOf(row.Payload) != id:
			w.Errorf("%v is %d at the hub, and was %d", p, idOf(row.Payload), id)
		case stored && inGap:
			w.Errorf("%v is stored and missing", p)
		case stored || inGap:
		case w.power && w.exposed[p] && w.hub.unknown(p):
			lost++
		default:
			w.Errorf("%v (%d) is neither stored nor in a gap; the hub is at %d of this epoch; damaged: %v", p, id, w.hub.next[p.key], w.exposed[p])
		}
	}
	ids := map[uint32]place{}
	for p, row := range w.hub.rows {
		id := idOf(row.Payload)
		if other, ok := ids[id]; ok {
			w.Errorf("%d is stored at %v and at %v", id, other, p)
		}
		ids[id] = p
		if w.given[p] != id {
			w.Errorf("%v holds %d, which was never given that number", p, id)
		}
	}
	for stream, st := range w.spool.Stats().Streams {
		if st.Records != 0 {
			w.Errorf("%s: %d records are left", stream, st.Records)
		}
	}
	w.Logf("%d records, %d stored, %d in gaps, %d behind a gap of unknown size", len(w.given), len(w.hub.rows), len(w.hub.gaps), lost)
}
