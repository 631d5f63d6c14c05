// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// begin opens a spool and delivers the gaps of a fresh directory.
func begin(t testing.TB, o spool.Options) (*spool.Spool, *hub) {
	t.Helper()
	s, h := open(t, t.TempDir(), o), newHub()
	t.Cleanup(func() { _ = s.Close() })
	h.drain(t, s)
	return s, h
}

func items(stream telemetry.Stream, from, n uint32, size int) []spool.Item {
	out := make([]spool.Item, n)
	for i := range out {
		out[i] = item(stream, from+uint32(i), size)
	}
	return out
}

// stored returns the IDs that the hub has of a stream, in the order of each epoch.
func (h *hub) stored(stream telemetry.Stream) []uint32 {
	var out []uint32
	for _, k := range h.order {
		for seq := uint64(1); k.stream == stream && seq < h.next[k]; seq++ {
			if r, ok := h.rows[place{k, seq}]; ok {
				out = append(out, idOf(r.Payload))
			}
		}
	}
	return out
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	if _, err := spool.Open(dir, spool.Options{}); !errors.Is(err, spool.ErrInUse) {
		t.Errorf("a second spool in the directory: %v", err)
	}
	closeSpool(t, s)
	closeSpool(t, open(t, dir, spool.Options{}))
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]spool.Options{
		"tiny segments": {SegmentBytes: 100}, "too small": {MaxBytes: 1 << 20}, "too young": {MaxAge: time.Millisecond}, "negative": {SplitBytes: -1},
	} {
		if _, err := spool.Open(t.TempDir(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("atlhyper spool 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := spool.Open(dir, spool.Options{}); err == nil {
		t.Error("a newer format was opened")
	}
}

func TestWhatWasLostBeforeIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  telemetry.GapReason // of the events' next epoch; 0 for none
	}{
		"nothing":       {func(*testing.T, string) {}, 0},
		"the directory": {func(t *testing.T, dir string) { remove(t, dir) }, telemetry.GapEpochLost},
		"the end mark":  {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "CLEAN")) }, telemetry.GapEpochLost},
		"the stream":    {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "events")) }, telemetry.GapSpoolCorrupt},
		"the last segment": {func(t *testing.T, dir string) {
			all := files(t, filepath.Join(dir, "events"), ".seg")
			remove(t, all[len(all)-1])
		}, telemetry.GapSpoolCorrupt},
		"the last record": {func(t *testing.T, dir string) {
			all := files(t, filepath.Join(dir, "events"), ".seg")
			last := all[len(all)-1]
			b, err := os.ReadFile(last)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(last, int64(len(b)-1)); err != nil {
				t.Fatal(err)
			}
		}, telemetry.GapSpoolCorrupt},
		"the format": {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "FORMAT")) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir, h := t.TempDir(), newHub()
			s := open(t, dir, spool.Options{SegmentBytes: 4 << 10})
			h.drain(t, s)
			last := appendItems(t, s, telemetry.StreamEvents, items(telemetry.StreamEvents, 1, 30, 500)...)
			closeSpool(t, s)
			c.spoil(t, dir)
			s = open(t, dir, spool.Options{})
			h.drain(t, s)
			var got telemetry.GapReason
			for p, gap := range h.gaps {
				if p.stream == telemetry.StreamEvents && p.epoch > last.Epoch && p.seq == 1 {
					got = gap.Reason
				}
			}
			if got != c.want {
				t.Errorf("the next epoch begins with %v, want %v", got, c.want)
			}
			next := appendItems(t, s, telemetry.StreamEvents, item(telemetry.StreamEvents, 31, 10))
			if next.Epoch <= last.Epoch {
				t.Errorf("epoch %d after %d", next.Epoch, last.Epoch)
			}
			closeSpool(t, s)
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestLiveDataDoesNotWait(t *testing.T) {
	s, h := begin(t, spool.Options{SegmentBytes: 8 << 10, SplitBytes: 16 << 10})
	const stream = telemetry.StreamEvents
	old := appendItems(t, s, stream, items(stream, 1, 500, 300)...)
	// The hub is back: the first batch of the backlog is acknowledged.
	if !h.deliver(t, s, stream, spool.Live, 8<<10, 100) {
		t.Fatal("nothing to deliver")
	}
	now := appendItems(t, s, stream, item(stream, 1000, 10))
	if now.Epoch == old.Epoch || now.First != 1 {
		t.Fatalf("live data is number %d of epoch %d, behind the backlog of %d", now.First, now.Epoch, old.Epoch)
	}
	b, err := s.Reader(stream, spool.Live).Next(1<<20, 100)
	if err != nil || len(b.Records) != 1 || idOf(b.Records[0].Payload) != 1000 {
		t.Fatalf("the live lane has %d records, %v", len(b.Records), err)
	}
	if err := s.Rewind(b.Stream, b.Epoch); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats().Streams[stream]; st.Splits != 1 || st.Replay == 0 || st.Replay >= 500 {
		t.Errorf("%d splits, %d records to replay", st.Splits, st.Replay)
	}
	h.drain(t, s)
	if got := len(h.stored(stream)); got != 501 {
		t.Errorf("%d records arrived, want 501", got)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats().Streams[stream]; st.Epochs != 1 || st.Records != 0 {
		t.Errorf("%d epochs and %d records are left", st.Epochs, st.Records)
	}
}

func TestHubFromABackup(t *testing.T) {
	for name, c := range map[string]struct {
		sync bool // and with it the removal of what was delivered
		gap  int
	}{"held": {false, 0}, "not held": {true, 200}} {
		t.Run(name, func(t *testing.T) {
			s, h := begin(t, spool.Options{SegmentBytes: 4 << 10, SplitBytes: 1 << 30, SyncInterval: time.Hour})
			const stream = telemetry.StreamEvents
			out := appendItems(t, s, stream, items(stream, 1, 400, 200)...)
			h.drain(t, s)
			if c.sync {
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			k := key{stream, out.Epoch}
			h.next[k] = 100 // the backup is older
			for p := range h.rows {
				if p.key == k && p.seq >= 100 {
					delete(h.rows, p)
				}
			}
			appendItems(t, s, stream, item(stream, 500, 10))
			h.drain(t, s) // refused, rewound, delivered
			lost := 0
			for seq := uint64(100); seq <= out.Last+1; seq++ {
				p := place{k, seq}
				if gap, ok := h.gaps[p]; ok {
					lost++
					if gap.Reason != telemetry.GapRefused {
						t.Fatalf("%d is missing because of %s", seq, gap.Reason)
					}
				} else if _, ok := h.rows[p]; !ok {
					t.Fatalf("%d is neither stored nor in a gap", seq)
				}
			}
			if lost < c.gap || c.gap == 0 && lost > 0 {
				t.Errorf("%d are in a gap", lost)
			}
			if ids := h.stored(stream); ids[len(ids)-1] != 500 {
				t.Error("the stream did not go on")
			}
		})
	}
}

func TestHubAheadOfTheSpool(t *testing.T) {
	s, _ := begin(t, spool.Options{})
	out := appendItems(t, s, telemetry.StreamEvents, item(telemetry.StreamEvents, 1, 10))
	// Somebody else wrote more into the epoch: none of its numbers may be used.
	if err := s.Expect(telemetry.StreamEvents, out.Epoch, out.Last+50); err != nil {
		t.Fatal(err)
	}
	if next := appendItems(t, s, telemetry.StreamEvents, item(telemetry.StreamEvents, 2, 10)); next.Epoch <= out.Epoch {
		t.Errorf("the epoch goes on at %d", next.First)
	}
	if err := s.Expect(telemetry.StreamEvents, 7, 1); !errors.Is(err, spool.ErrUnknownEpoch) {
		t.Errorf("an unknown epoch: %v", err)
	}
	if err := s.Ack(telemetry.StreamEvents, 7, 1); err != nil {
		t.Errorf("an answer about an epoch that is gone: %v", err)
	}
}

func TestDiscard(t *testing.T) {
	dir, h := t.TempDir(), newHub()
	s := open(t, dir, spool.Options{SegmentBytes: 4 << 10})
	h.drain(t, s)
	const stream = telemetry.StreamEvents
	out := appendItems(t, s, stream, items(stream, 1, 40, 300)...)
	if !h.deliver(t, s, stream, spool.Live, 1, 5) {
		t.Fatal("nothing to deliver")
	}
	k := key{stream, out.Epoch}
	through := h.next[k] + 20
	if err := s.Discard(stream, out.Epoch, through); err != nil {
		t.Fatal(err)
	}
	// It must hold across a crash, too.
	next := t.TempDir()
	copyDir(t, dir, next)
	closeSpool(t, s)
	s = open(t, next, spool.Options{})
	h.drain(t, s)
	for seq := h.next[k]; seq <= out.Last; seq++ {
		_, gap := h.gaps[place{k, seq}]
		if _, stored := h.rows[place{k, seq}]; stored == gap || gap != (seq <= through) {
			t.Errorf("%d: stored %v, in a gap %v", seq, stored, gap)
		}
	}
	if h.next[k] != out.Last+1 {
		t.Errorf("the hub has come to %d of %d", h.next[k], out.Last)
	}
	closeSpool(t, s)
}

func TestRecordsThatCannotTravel(t *testing.T) {
	s, h := begin(t, spool.Options{})
	bad := spool.Item{Time: start, Payload: &telemetry.Event{}}
	_, err := s.Append(telemetry.StreamEvents, item(telemetry.StreamEvents, 1, 10), bad, item(telemetry.StreamEvents, 2, 10))
	if re, ok := errors.AsType[*spool.RecordError](err); !ok || re.Index != 1 || !errors.Is(err, telemetry.ErrInvalid) {
		t.Errorf("an invalid record: %v", err)
	}
	h.drain(t, s)
	if got := h.stored(telemetry.StreamEvents); len(got) != 2 {
		t.Errorf("%d records arrived, want the 2 good ones", len(got))
	}
	if _, err := s.Append(telemetry.Stream(9), bad); err == nil {
		t.Error("an unknown stream was taken")
	}
	gap := spool.Item{Time: start, Payload: &telemetry.Gap{Reason: telemetry.GapSourceOverflow, Dropped: 7}}
	out := appendItems(t, s, telemetry.StreamEvents, gap)
	h.drain(t, s)
	if g := h.gaps[place{key{telemetry.StreamEvents, out.Epoch}, out.First}]; g == nil || g.Dropped != 7 || gap.Payload.(*telemetry.Gap).To != 0 {
		t.Error("the source's own gap did not arrive, or was changed in place")
	}
}

func TestAgeBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := begin(t, spool.NewDisk(1<<40).On(spool.Options{MaxAge: 8 * time.Hour, SegmentBytes: 4 << 10}))
		const stream = telemetry.StreamNodeMetrics
		for i := range uint32(24 * 4) { // a day, four times an hour
			appendItems(t, s, stream, item(stream, i+1, 80))
			<-time.After(15 * time.Minute)
		}
		oldest := s.Stats().Streams[stream].Oldest
		h.drain(t, s)
		ids := h.stored(stream)
		if len(ids) < 7*4 || len(ids) > 9*4+1 {
			t.Errorf("%d records of 8 hours are left, 4 an hour", len(ids))
		}
		if age := time.Since(oldest); age > 9*time.Hour+time.Minute {
			t.Errorf("the oldest record is %s old", age)
		}
		if got := len(ids) + len(h.gapNumbers(stream, telemetry.GapSpoolFull)); got != 24*4 {
			t.Errorf("%d records are stored or in a gap, of 96", got)
		}
		if got := s.Stats().Streams[stream].Dropped[telemetry.GapSpoolFull]; int(got) != 96-len(ids) { //nolint:gosec // at most 96
			t.Errorf("%d are counted as dropped, of %d", got, 96-len(ids))
		}
	})
}

func (h *hub) gapNumbers(stream telemetry.Stream, reason telemetry.GapReason) []uint64 {
	var out []uint64
	for p, gap := range h.gaps {
		if p.stream == stream && gap.Reason == reason {
			out = append(out, p.seq)
		}
	}
	return out
}

func TestFreeSpaceIsLeft(t *testing.T) {
	s, h := begin(t, spool.Options{SegmentBytes: 16 << 10, MinFreeBytes: 1 << 60})
	const stream = telemetry.StreamEvents
	appendItems(t, s, stream, items(stream, 1, 200, 400)...)
	for i := range uint32(200) {
		appendItems(t, s, stream, item(stream, 201+i, 400))
	}
	if st := s.Stats(); st.Bytes > 64<<10 || st.Limit > 64<<10 {
		t.Errorf("%d bytes of at most %d on a disk that is nearly full", st.Bytes, st.Limit)
	}
	h.drain(t, s)
	ids := h.stored(stream)
	if len(ids) == 0 || ids[len(ids)-1] != 400 || len(ids)+len(h.gapNumbers(stream, telemetry.GapSpoolFull)) != 400 {
		t.Errorf("%d records arrived, the last is %d, %d are in a gap; want 400 together, the newest among those that arrived", len(ids), ids[len(ids)-1], len(h.gapNumbers(stream, telemetry.GapSpoolFull)))
	}
}

func TestTheLeastValuableGoFirst(t *testing.T) {
	s, h := begin(t, spool.Options{SegmentBytes: 8 << 10, MaxBytes: 512 << 10})
	for i := range uint32(60) {
		for _, stream := range streams {
			appendItems(t, s, stream, items(stream, 1000*i+1, 10, 400)...)
			if st := s.Stats(); st.Bytes > 512<<10 {
				t.Fatalf("the spool has %d bytes", st.Bytes)
			}
		}
	}
	st := s.Stats()
	dropped := func(i int) uint64 { return st.Streams[streams[i]].Dropped[telemetry.GapSpoolFull] }
	if dropped(0) == 0 || dropped(1) == 0 || dropped(2) != 0 {
		t.Errorf("dropped %d, %d, %d: want the first all but gone, and nothing of the last", dropped(0), dropped(1), dropped(2))
	}
	if left := st.Streams[streams[0]].Bytes; left > 16<<10 {
		t.Errorf("%d bytes of the least valuable stream are left while others were dropped", left)
	}
	h.drain(t, s)
	for i, stream := range streams {
		stored, gone := len(h.stored(stream)), len(h.gapNumbers(stream, telemetry.GapSpoolFull))
		if gone != int(dropped(i)) || //nolint:gosec // at most 600
			stored+gone != 600 {
			t.Errorf("%s: %d stored, %d in gaps, %d counted, of 600", stream, stored, gone, dropped(i))
		}
	}
}

// TestARecordMayHaveManyWords has the largest labels that an object may have. The
// bound of a record does not count them.
func TestARecordMayHaveManyWords(t *testing.T) {
	s, h := begin(t, spool.Options{})
	large := item(objects, 1, 10)
	var labels []telemetry.Label
	for i := range uint32(telemetry.MaxLabels) {
		labels = append(labels, telemetry.Label{Key: fmt.Sprintf("%02d%s", i, filler(i, telemetry.MaxLabelKey-2)), Value: string(filler(i, telemetry.MaxLabelValue))})
	}
	large.Payload.(*telemetry.ObjectDelta).Labels = labels //nolint:forcetypeassert // item made it
	appendItems(t, s, objects, large, item(objects, 2, 10))
	h.drain(t, s)
	if got := h.stored(objects); len(got) != 2 {
		t.Errorf("%v arrived, want both", got)
	}
}
