// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// calls are those of Options.Lost.
type calls struct {
	mu    sync.Mutex
	since time.Time
	of    map[telemetry.Stream][]time.Duration
}

func newCalls() *calls {
	return &calls{since: time.Now(), of: map[telemetry.Stream][]time.Duration{}}
}

func (c *calls) lost(stream telemetry.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[stream] = append(c.of[stream], time.Since(c.since))
}

func (c *calls) all(stream telemetry.Stream) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.of[stream])
}

func (c *calls) count(stream telemetry.Stream) int { return len(c.all(stream)) }

const objects = telemetry.StreamInventory

// A rig is a spool on a disk in fake time, with a hub that has taken the first gaps.
type rig struct {
	*testing.T
	dir   string
	disk  *spool.Disk
	spool *spool.Spool
	hub   *hub
	calls *calls
	id    uint32
}

func inBubble(t *testing.T, o spool.Options, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, dir: t.TempDir(), disk: spool.NewDisk(1 << 40), hub: newHub(), calls: newCalls()}
		o.Lost = r.calls.lost
		if o.SegmentBytes == 0 {
			o.SegmentBytes = 4 << 10
		}
		r.spool = open(t, r.dir, r.disk.On(o))
		r.hub.drain(t, r.spool)
		f(r)
		closeSpool(t, r.spool)
	})
}

// put appends n values of a stream.
func (r *rig) put(stream telemetry.Stream, n int) spool.Appended {
	r.Helper()
	first := r.id + 1
	r.id += uint32(n) //nolint:gosec // few
	return appendItems(r, r.spool, stream, items(stream, first, r.id-first+1, 300)...)
}

// tell appends the beginning or the end of a snapshot.
func (r *rig) tell(op telemetry.DeltaOp, kind telemetry.Kind) spool.Appended {
	r.Helper()
	r.id++
	return appendItems(r, r.spool, objects, delta(op, kind, r.id, 0))
}

// ack delivers one record on the live lane, and returns how often the stream was split.
func (r *rig) ack(stream telemetry.Stream) uint64 {
	r.Helper()
	if !r.hub.deliver(r, r.spool, stream, spool.Live, 1, 1) {
		r.Fatal("nothing to deliver")
	}
	return r.spool.Stats().Streams[stream].Splits
}

// pass lets time go by.
func (*rig) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestWhateverIsLostIsTold loses records in each of the ways there are, and has the
// hub come back afterwards.
func TestWhateverIsLostIsTold(t *testing.T) {
	const stream = telemetry.StreamEvents
	for name, c := range map[string]struct {
		options spool.Options
		lose    func(r *rig)
	}{
		"space": {spool.Options{MaxBytes: 32 << 10, SplitBytes: 1 << 30}, func(r *rig) { r.put(stream, 200) }},
		"age": {spool.Options{MaxAge: time.Hour}, func(r *rig) {
			r.put(stream, 20)
			r.pass(2 * time.Hour)
		}},
		"damage": {spool.Options{}, func(r *rig) {
			r.put(stream, 50)
			remove(r.T, files(r, filepath.Join(r.dir, stream.String()), ".seg")[1])
		}},
		"one damaged record": {spool.Options{}, func(r *rig) {
			r.put(stream, 50)
			name := files(r, filepath.Join(r.dir, stream.String()), ".seg")[1]
			b, err := os.ReadFile(name)
			if err != nil {
				r.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				r.Fatal(err)
			}
		}},
		"damage of what was split off": {spool.Options{SplitBytes: 8 << 10}, func(r *rig) {
			r.put(stream, 50)
			r.ack(stream)
			r.put(stream, 1)
			r.hub.deliver(r, r.spool, stream, spool.Live, 1, 9)
			remove(r.T, files(r, filepath.Join(r.dir, stream.String()), ".seg")[2])
		}},
		"memory": {spool.Options{MemoryBytes: 8 << 10, MaxBytes: 64 << 10}, func(r *rig) {
			r.disk.Room.Store(0)
			for range 100 {
				r.id++
				_, _ = r.spool.Append(stream, item(stream, r.id, 300)) // it is full at some time
			}
			r.disk.Room.Store(1 << 40)
			r.pass(2 * time.Second)
			if r.spool.Stats().Streams[stream].Dropped[telemetry.GapSourceOverflow] == 0 {
				r.Fatal("nothing was dropped")
			}
		}},
		"refusal": {spool.Options{}, func(r *rig) {
			out := r.put(stream, 20)
			if err := r.spool.Discard(stream, out.Epoch, out.First+3); err != nil {
				r.Fatal(err)
			}
		}},
		"a hub from a backup": {spool.Options{SyncInterval: time.Millisecond}, func(r *rig) {
			out := r.put(stream, 50)
			r.hub.drain(r, r.spool)
			r.pass(time.Minute)
			if err := r.spool.Expect(stream, out.Epoch, out.First+2); err != nil {
				r.Fatal(err)
			}
		}},
		"numbers of somebody else": {spool.Options{}, func(r *rig) {
			out := r.put(stream, 5)
			if err := r.spool.Expect(stream, out.Epoch, out.Last+2); err != nil {
				r.Fatal(err)
			}
			r.hub.next[key{stream, out.Epoch}] = out.Last + 2
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.LostInterval = time.Hour
			inBubble(t, c.options, func(r *rig) {
				c.lose(r)
				r.put(telemetry.StreamCommandOutput, 1)
				r.hub.drain(r, r.spool)
				r.pass(time.Millisecond)
				if diff := cmp.Diff([]int{1, 0}, []int{r.calls.count(stream), r.calls.count(telemetry.StreamCommandOutput)}); diff != "" {
					t.Errorf("calls of Lost (-want +got):\n%s", diff)
				}
				r.put(stream, 10)
				r.hub.drain(r, r.spool)
				r.pass(3 * time.Hour)
				if n := r.calls.count(stream); n != 1 {
					t.Errorf("%d calls for one loss", n)
				}
			})
		})
	}
}

func TestAValueThatIsTooLargeIsTold(t *testing.T) {
	inBubble(t, spool.Options{}, func(r *rig) {
		sample := &telemetry.NodeSample{Node: "node-1", BootID: "b", CollectorSeq: 1, Interval: time.Second}
		for i := range telemetry.MaxValues {
			sample.Series = append(sample.Series, telemetry.Series{Metric: 1, Label: fmt.Sprintf("%04d-%s", i, filler(1, 200))})
			sample.Values = append(sample.Values, 1)
		}
		if _, err := r.spool.Append(telemetry.StreamNodeMetrics, spool.Item{Time: time.Now(), Payload: sample}); !errors.Is(err, wire.ErrTooLarge) {
			t.Fatalf("a record that is too large: %v", err)
		}
		r.hub.drain(r, r.spool)
		r.pass(time.Millisecond)
		if n := r.calls.count(telemetry.StreamNodeMetrics); n != 1 {
			t.Errorf("%d calls of Lost", n)
		}
	})
}

// TestNothingIsToldWhileTheHubIsAway has a spool that is full for a day.
func TestNothingIsToldWhileTheHubIsAway(t *testing.T) {
	inBubble(t, spool.Options{MaxBytes: 32 << 10, MaxAge: 48 * time.Hour}, func(r *rig) {
		for range 24 * 6 {
			r.put(objects, 10)
			r.pass(10 * time.Minute)
		}
		if n := r.calls.count(objects); n != 0 || r.spool.Stats().Streams[objects].Dropped[telemetry.GapSpoolFull] == 0 {
			t.Errorf("%d calls of Lost without a hub", n)
		}
		r.ack(objects)
		r.pass(time.Millisecond)
		if n := r.calls.count(objects); n != 1 {
			t.Errorf("%d calls of Lost when the hub is back, want 1", n)
		}
	})
}

// TestWhatAnEarlierProcessLeftIsNotTold loses it in several ways.
func TestWhatAnEarlierProcessLeftIsNotTold(t *testing.T) {
	inBubble(t, spool.Options{MaxAge: time.Hour}, func(r *rig) {
		r.put(objects, 100)
		r.put(telemetry.StreamEvents, 100)
		closeSpool(r, r.spool)
		remove(r.T, files(r, filepath.Join(r.dir, objects.String()), ".seg")[0])
		r.spool = open(r, r.dir, r.disk.On(spool.Options{MaxAge: time.Hour, SegmentBytes: 4 << 10, Lost: r.calls.lost}))
		remove(r.T, files(r, filepath.Join(r.dir, telemetry.StreamEvents.String()), ".seg")[2])
		b, err := r.spool.Reader(objects, spool.Replay).Next(1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.spool.Discard(objects, b.Epoch, b.LastSeq); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.hub.deliver(r, r.spool, telemetry.StreamEvents, spool.Replay, 9<<10, 100)
		}
		r.put(objects, 1)
		r.put(telemetry.StreamEvents, 1)
		r.pass(2 * time.Hour)
		r.hub.drain(r, r.spool)
		r.pass(time.Hour)
		stats := r.spool.Stats().Streams
		if n, m := stats[objects].Dropped, stats[telemetry.StreamEvents].Dropped; n[telemetry.GapRefused] == 0 || n[telemetry.GapSpoolCorrupt] == 0 || n[telemetry.GapSpoolFull] == 0 || m[telemetry.GapSpoolCorrupt] == 0 {
			t.Errorf("this shows nothing: %v, %v", n, m)
		}
		// The one record of each that is of this process grew too old.
		if n, m := r.calls.count(objects), r.calls.count(telemetry.StreamEvents); n != 1 || m != 1 {
			t.Errorf("%d and %d calls of Lost, want 1 for what this process lost", n, m)
		}
	})
}

// TestLossesThatGoOnAreToldEverLessOften loses a record every 10 s for a day, and
// one more the next day.
func TestLossesThatGoOnAreToldEverLessOften(t *testing.T) {
	const stream = telemetry.StreamEvents
	inBubble(t, spool.Options{}, func(r *rig) {
		lose := func() {
			out := r.put(stream, 1)
			if err := r.spool.Discard(stream, out.Epoch, out.Last); err != nil {
				t.Fatal(err)
			}
			r.hub.drain(r, r.spool)
		}
		for range 24 * 60 * 6 {
			lose()
			r.pass(10 * time.Second)
		}
		last := time.Since(r.calls.since)
		got := r.calls.all(stream)
		var pauses []time.Duration
		for i := range got[1:] {
			pauses = append(pauses, got[i+1]-got[i])
		}
		want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 16 * time.Minute}
		if diff := cmp.Diff(want, pauses[:len(want)]); got[0] != 0 || diff != "" {
			t.Errorf("the first call came after %s, the others (-want +got):\n%s", got[0], diff)
		}
		if n := len(got); n < 85 || n > 95 {
			t.Errorf("%d calls in a day", n)
		}
		r.pass(24 * time.Hour)
		got = r.calls.all(stream)
		if end := got[len(got)-1]; end < last-10*time.Second {
			t.Errorf("the last call came at %s, the last loss was at %s", end, last)
		}
		n := len(got)
		lose()
		r.pass(time.Second)
		lose()
		r.pass(time.Hour)
		got = r.calls.all(stream)[n:]
		if len(got) != 2 || got[1]-got[0] != time.Minute {
			t.Errorf("a day later, 2 losses are told at %v, want at once and after a minute", got)
		}
	})
}

// TestLostMayUseTheSpool has a source that answers a loss within the call, one whose
// call takes long, and a spool that is closed meanwhile.
func TestLostMayUseTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *spool.Spool
		var began, ended atomic.Bool
		options := spool.NewDisk(1 << 40).On(spool.Options{SegmentBytes: 4 << 10, Lost: func(stream telemetry.Stream) {
			appendItems(t, s, stream, items(stream, 100, 10, 10)...)
			if err := s.Sync(); err != nil {
				t.Error(err)
			}
			began.Store(true)
			<-time.After(time.Hour)
			ended.Store(true)
		}})
		s = open(t, t.TempDir(), options)
		h := newHub()
		h.drain(t, s)
		out := appendItems(t, s, objects, item(objects, 1, 10))
		if err := s.Discard(objects, out.Epoch, out.Last); err != nil {
			t.Fatal(err)
		}
		h.drain(t, s)
		synctest.Wait()
		before := time.Now()
		appendItems(t, s, objects, item(objects, 2, 10))
		h.drain(t, s)
		if !began.Load() || ended.Load() || time.Since(before) > 0 {
			t.Errorf("a call under way: begun %v, ended %v, the spool was held up for %s", began.Load(), ended.Load(), time.Since(before))
		}
		if got := len(h.stored(objects)); got != 11 {
			t.Errorf("%d values arrived, want 11", got)
		}
		closeSpool(t, s)
		if !ended.Load() {
			t.Error("Close did not wait for the call")
		}
	})
}
