// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// count adds a gap to the numbers of what was dropped.
func count(st *stream, g *segment) {
	st.stats.Dropped[g.gap] += g.to - g.from + 1
}

// enforce drops the oldest records of the least valuable stream until the spool
// is within its size.
func (s *Spool) enforce() {
	for s.used > s.limit {
		st, e, i := s.victim(telemetry.StreamCommandOutput.Priority())
		if st == nil {
			return
		}
		s.drop(st, e, i, telemetry.GapSpoolFull)
	}
}

// expire drops what is too old.
func (s *Spool) expire(now time.Time) {
	oldest := now.Add(-s.options.MaxAge).UnixMilli()
	for _, st := range s.streams {
		for _, e := range st.epochs {
			for i := 0; i < len(e.segments); i++ {
				g := e.segments[i]
				if g.gap == 0 && g.to > e.acked && e.newest(i) < oldest {
					i = s.drop(st, e, i, telemetry.GapSpoolFull)
				}
			}
		}
	}
}

// newest returns the time of the newest record of a segment, or the best bound there is.
func (e *epoch) newest(i int) int64 {
	g := e.segments[i]
	if g.newest != 0 {
		return g.newest
	}
	for _, later := range e.segments[i+1:] {
		if later.gap == 0 && later.created != 0 {
			return later.created
		}
	}
	e.measure(g)
	if g.newest == 0 {
		return g.created
	}
	return g.newest
}

// measure reads the times of a segment that was written by an earlier process.
func (e *epoch) measure(g *segment) {
	if b, err := g.content(); err == nil {
		l := newLayout(e.stream, e.number, g.first, g.to)
		x := l.measure(b)
		g.oldest, g.newest = x.oldest, x.newest
	}
}

// victim returns the oldest segment on the disk of the stream with the lowest
// priority that has any, up to a priority.
func (s *Spool) victim(limit telemetry.Priority) (*stream, *epoch, int) {
	for _, st := range s.byPriority() {
		if st.id.Priority() > limit {
			break
		}
		for _, e := range st.epochs {
			if i := slices.IndexFunc(e.segments, func(g *segment) bool { return g.charged > 0 && g.gap == 0 }); i >= 0 {
				return st, e, i
			}
		}
	}
	return nil, nil, 0
}

func (s *Spool) byPriority() []*stream {
	all := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b *stream) int { return int(a.id.Priority()) - int(b.id.Priority()) })
	return all
}

// drop removes a segment and leaves a gap for what of it was not delivered. It
// returns the index of the last segment that it touched.
func (s *Spool) drop(st *stream, e *epoch, i int, reason telemetry.GapReason) int {
	g := e.segments[i]
	from := max(g.from, e.acked+1)
	if from > g.to {
		s.remove(e, i)
		return i - 1
	}
	if g.oldest == 0 {
		e.measure(g)
	}
	mark := e.gap(from, g.to, reason)
	mark.inside = false // the segment goes
	mark.oldest, mark.newest = g.oldest, g.newest
	if mark.newest != 0 {
		mark.created = mark.newest
	}
	count(st, mark)
	st.missed(e)
	e.moved++
	// A gap grows as long as it was not handed out: the hub may have stored it.
	if i > 0 && e.segments[i-1].gap == reason && e.next <= e.segments[i-1].from {
		before := e.segments[i-1]
		before.to, before.created = mark.to, mark.created
		before.newest = max(before.newest, mark.newest)
		s.makeRoom(g)
		s.saveGap(e, before)
		crash.At("spool.gap.grown")
		s.remove(e, i)
		return i - 1
	}
	s.makeRoom(g)
	s.saveGap(e, mark)
	crash.At("spool.gap.written")
	s.remove(e, i)
	crash.At("spool.segment.dropped")
	e.segments = slices.Insert(e.segments, i, mark)
	return i
}

// makeRoom frees a segment's blocks, but not its name, on a disk that has no room for
// the gap that takes its place. Without a gap, the empty file tells of the loss.
func (s *Spool) makeRoom(g *segment) {
	if s.trouble != nil && g.written > 0 {
		_ = os.Truncate(g.path, 0) // the file is removed next
	}
}

// remove takes a segment out of an epoch and off the disk. The file is closed by
// whoever syncs next, as a sync may be under way.
func (s *Spool) remove(e *epoch, i int) {
	g := e.segments[i]
	e.segments = slices.Delete(e.segments, i, i+1)
	if e.active == g {
		e.active = nil
	}
	s.forget(g)
	s.unlink(g.path)
}

// forget releases what a segment holds in memory and its share of the disk.
func (s *Spool) forget(g *segment) {
	s.memory -= int64(len(g.buf))
	g.buf = nil
	s.used -= g.charged
	g.charged = 0
	if g.file != nil {
		_ = g.file.Close() // the file goes
		g.file = nil
	}
}

func (s *Spool) unlink(path string) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		s.trouble = fmt.Errorf("removing a delivered segment: %w", err)
	}
}

// saveGap writes a gap's file, by a new name first, so that it is there as a whole
// or not at all. When that fails it is tried again with the next sync.
func (s *Spool) saveGap(e *epoch, g *segment) {
	g.unsaved = true
	if e.bare {
		if err := e.makeDir(); err != nil {
			s.trouble = err
			return
		}
	}
	tmp := g.path + ".tmp"
	f, err := s.options.create(tmp)
	if err == nil {
		_, err = f.WriteAt(appendGap(nil, e.seed, g), 0)
		if closing := f.Close(); err == nil {
			err = closing
		}
	}
	crash.At("spool.gap.before-rename")
	if err == nil {
		err = os.Rename(tmp, g.path)
	}
	if err != nil {
		_ = os.Remove(tmp) // it may not exist
		s.trouble = fmt.Errorf("writing a gap of the spool: %w", err)
		return
	}
	g.unsaved, e.dirty = false, true
	s.used += blockSize - g.charged
	g.charged = blockSize
}
