// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestASnapshotIsNotTornApart(t *testing.T) {
	inBubble(t, spool.Options{SplitBytes: 16 << 10}, func(r *rig) {
		r.tell(telemetry.OpSnapshotBegin, telemetry.KindPod)
		r.tell(telemetry.OpSnapshotBegin, telemetry.KindNode)
		r.put(objects, 100)
		first := r.tell(telemetry.OpSnapshotBegin, telemetry.KindPod) // once more
		if n := r.ack(objects); n != 0 {
			t.Error("split while two snapshots are open")
		}
		r.tell(telemetry.OpSnapshotEnd, telemetry.KindPod)
		if n := r.ack(objects); n != 0 {
			t.Error("split while a snapshot is open")
		}
		last := r.tell(telemetry.OpSnapshotEnd, telemetry.KindNode)
		r.tell(telemetry.OpSnapshotEnd, telemetry.KindService) // that never began
		if n := r.ack(objects); n != 1 {
			t.Errorf("%d splits when no snapshot is open any more, want 1", n)
		}
		next := r.put(objects, 1)
		if first.Epoch != last.Epoch || next.Epoch == last.Epoch {
			t.Errorf("epochs %d, %d, then %d", first.Epoch, last.Epoch, next.Epoch)
		}
		r.put(objects, 100)
		if n := r.ack(objects); n != 2 {
			t.Errorf("%d splits, want 2: what was open in another epoch does not count", n)
		}
		// Other streams have no snapshots.
		r.put(telemetry.StreamEvents, 100)
		if n := r.ack(telemetry.StreamEvents); n != 1 {
			t.Errorf("%d splits of another stream, want 1", n)
		}
		r.hub.drain(r, r.spool)
		r.pass(time.Hour)
		if n := r.calls.count(objects); n != 0 {
			t.Errorf("%d calls of Lost, nothing was", n)
		}
	})
}

func TestAnAbandonedSnapshotDoesNotHoldUpSplitting(t *testing.T) {
	inBubble(t, spool.Options{SplitBytes: 8 << 10}, func(r *rig) {
		r.tell(telemetry.OpSnapshotBegin, telemetry.KindPod)
		for size := int64(0); size < 8*8<<10; size = r.spool.Stats().Streams[objects].Bytes {
			if n := r.ack(objects); n != 0 {
				t.Fatalf("split with a backlog of %d", size)
			}
			r.put(objects, 5)
		}
		r.put(objects, 20)
		if n := r.ack(objects); n != 1 {
			t.Errorf("%d splits with a backlog of %d", n, r.spool.Stats().Streams[objects].Bytes)
		}
		r.pass(time.Millisecond)
		if n := r.calls.count(objects); n != 1 {
			t.Errorf("%d calls of Lost after a snapshot was torn apart, want 1", n)
		}
		r.tell(telemetry.OpSnapshotEnd, telemetry.KindPod)
		r.put(objects, 50)
		if n := r.ack(objects); n != 2 {
			t.Errorf("%d splits, want 2: nothing is open in the new epoch", n)
		}
		r.pass(time.Hour)
		if n := r.calls.count(objects); n != 1 {
			t.Errorf("%d calls of Lost, want no more", n)
		}
	})
}

// listing is a snapshot of a kind by its first and its last number.
type listing struct{ begin, end place }

// source tells of objects as the inventory does: a snapshot of each kind at the start
// of a process and whenever something was lost, all kinds in turn, and then changes.
type source struct {
	*walk
	kinds []telemetry.Kind
	lost  chan struct{}
	// left is how much each open snapshot still has to tell, and due which has to begin.
	left map[telemetry.Kind]int
	due  map[telemetry.Kind]bool
	// open and done are the snapshots of this process.
	open, done map[telemetry.Kind]listing
	// resyncs counts what was lost, and torn what was lost between the beginning
	// and the end of a snapshot.
	resyncs, torn int
}

func newSource(t *testing.T, seed uint64, o spool.Options) *source {
	lost := make(chan struct{}, 1)
	o.LostInterval = 20 * time.Millisecond
	o.Lost = func(stream telemetry.Stream) {
		if stream == objects {
			lost <- struct{}{} // the walk takes it before time goes on
		}
	}
	s := &source{walk: newWalk(t, seed, o), kinds: []telemetry.Kind{telemetry.KindPod, telemetry.KindNode, telemetry.KindService}, lost: lost}
	s.restart()
	return s
}

// restart forgets what the process before knew.
func (s *source) restart() {
	s.left, s.due = map[telemetry.Kind]int{}, map[telemetry.Kind]bool{}
	s.open, s.done = map[telemetry.Kind]listing{}, map[telemetry.Kind]listing{}
	s.resync()
}

func (s *source) resync() {
	for _, kind := range s.kinds {
		s.due[kind] = true
	}
}

// heard takes note of a loss and says whether there was one.
func (s *source) heard() bool {
	synctest.Wait()
	select {
	case <-s.lost:
		s.resyncs++
		s.resync()
		return true
	default:
		return false
	}
}

// tell tells the next of a kind.
func (s *source) tell(kind telemetry.Kind) {
	at := func(op telemetry.DeltaOp) place {
		s.id++
		out := s.give(objects, delta(op, kind, s.id, 0))
		return place{key{objects, out.Epoch}, out.Last}
	}
	snapshot, open := s.open[kind]
	switch {
	case s.due[kind]:
		s.open[kind] = listing{begin: at(telemetry.OpSnapshotBegin)}
		s.due[kind], s.left[kind] = false, s.rng.IntN(150)
	case open && s.left[kind] == 0:
		snapshot.end = at(telemetry.OpSnapshotEnd)
		s.done[kind] = snapshot
		delete(s.open, kind)
		if snapshot.begin.epoch != snapshot.end.epoch {
			s.torn++
		}
	default:
		n := 1 + s.rng.IntN(8)
		s.left[kind] = max(s.left[kind]-n, 0)
		s.append(objects, n)
	}
}

// settle goes on until all is delivered and nothing was lost on the way.
func (s *source) settle() {
	for range 100 {
		for len(s.open) > 0 || s.due[s.kinds[0]] || s.due[s.kinds[1]] || s.due[s.kinds[2]] {
			for _, kind := range s.kinds {
				if _, open := s.open[kind]; open || s.due[kind] {
					s.tell(kind)
				}
			}
		}
		s.rewindAll()
		s.hub.drain(s, s.spool)
		<-time.After(time.Second)
		if !s.heard() {
			return
		}
	}
	s.Fatal("something is lost for ever")
}

// check: the hub has the last snapshot of each kind as a whole, in one epoch, and all
// that was told since it began. What it knows of the cluster is thus right.
func (s *source) check() {
	s.walk.check()
	for _, kind := range s.kinds {
		last, ok := s.done[kind]
		if !ok || last.begin.key != last.end.key {
			s.Errorf("the last snapshot of %s is torn apart: %v", kind, last)
			continue
		}
		for p := range s.given {
			since := p.stream == objects && (p.epoch > last.begin.epoch || p.epoch == last.begin.epoch && p.seq >= last.begin.seq)
			if _, stored := s.hub.rows[p]; since && !stored {
				s.Errorf("%v is missing, and comes after the last snapshot of %s at %v", p, kind, last.begin)
			}
		}
	}
}

// TestSnapshotsArriveAsAWholeInTheEnd walks at random with a source that begins its
// snapshots again when it is told to, and not without.
func TestSnapshotsArriveAsAWholeInTheEnd(t *testing.T) {
	torn := 0
	for name, o := range map[string]spool.Options{
		"enough room":   {SegmentBytes: 4 << 10, SplitBytes: 1 << 10, SyncInterval: 5 * time.Millisecond},
		"a small spool": {SegmentBytes: 4 << 10, SplitBytes: 2 << 10, MaxBytes: 96 << 10, SyncInterval: 5 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			resyncs := 0
			for i := range 15 {
				seed := rand.Uint64()
				if *seedFlag != 0 {
					seed = *seedFlag + uint64(i)
				}
				synctest.Test(t, func(t *testing.T) {
					s := newSource(t, seed, o)
					for range 800 {
						before := s.spool
						switch n := s.rng.IntN(100); {
						case n < 55:
							s.tell(s.kinds[s.rng.IntN(len(s.kinds))])
						case n < 65:
							s.pipeline(objects, []spool.Lane{spool.Live, spool.Replay}[s.rng.IntN(2)])
						case n < 75:
							<-time.After(10 * time.Millisecond)
						default:
							s.step()
						}
						s.heard()
						if s.spool != before {
							s.restart()
						}
					}
					s.settle()
					s.check()
					resyncs, torn = resyncs+s.resyncs, torn+s.torn
					closeSpool(t, s.spool)
				})
				if t.Failed() {
					t.Fatalf("repeat with -spool.seed=%d", seed)
				}
			}
			if resyncs < 10 {
				t.Errorf("%d resyncs: this shows nothing", resyncs)
			}
		})
	}
	if torn == 0 {
		t.Error("no snapshot was torn apart: this shows nothing")
	}
}
