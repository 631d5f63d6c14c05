// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"fmt"
	"slices"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Ack notes that the hub has stored everything of the epoch up to through. An
// answer that is older than another is ignored. What was acknowledged is on the
// disk within SyncInterval; an acknowledgement that a crash loses costs a second
// delivery of the same records with the same numbers, which the hub knows.
//
// Ack is also where the live lane is kept live: when the rest of the stream's open
// epoch is larger than SplitBytes, it moves to the replay lane, unless that would
// tear a snapshot of the inventory apart.
//
// An epoch that the spool does not hold any more is no error.
func (s *Spool) Ack(id telemetry.Stream, number telemetry.Epoch, through uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, e, err := s.find(id, number)
	if err != nil {
		if s.closed {
			return err
		}
		return nil
	}
	s.confirm(st, e, through)
	return nil
}

func (s *Spool) confirm(st *stream, e *epoch, through uint64) {
	foreign := through > e.last
	if foreign && !e.closed {
		// The hub has numbers that were never given out here: somebody else uses
		// the epoch. None of its numbers is safe to give out.
		e.split()
	}
	n := e.acknowledge(min(through, e.last))
	st.stats.Acked += n
	if n == 0 {
		return
	}
	if foreign {
		st.missed(e)
	}
	if g := e.active; g != nil && g.to <= e.acked && len(g.buf) > 0 {
		// Delivered from memory while the disk takes nothing.
		e.active = nil
		s.memory -= int64(len(g.buf))
		g.buf = nil
	}
	if split, torn := e.excess(s.options.SplitBytes); split {
		e.split()
		crash.At("spool.epoch.split")
		st.stats.Splits++
		s.announce()
		if torn {
			st.missed(e)
		}
	}
	s.heard(st)
	s.nudge()
}

// Expect notes that the hub refused a batch and wants the epoch to go on at
// expected. Reading continues there. When the hub wants less than it had
// acknowledged (it was restored from a backup) and the records are not held any
// more, a gap in their place says so. The error wraps ErrUnknownEpoch when nothing
// of the epoch is left.
func (s *Spool) Expect(id telemetry.Stream, number telemetry.Epoch, expected uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, e, err := s.find(id, number)
	if err != nil {
		return fmt.Errorf("rewinding: %w", err)
	}
	expected = max(expected, 1)
	if expected > e.acked {
		s.confirm(st, e, expected-1)
		e.seek(min(expected, e.last+1))
	} else {
		if g := e.rewind(expected); g != nil {
			count(st, g)
			st.missed(e)
			s.saveGap(e, g)
		}
		s.nudge()
	}
	s.heard(st)
	s.announce()
	return nil
}

// Rewind makes the readers hand out again what was not acknowledged of an epoch,
// after a delivery failed. An epoch that is not held any more is no error.
func (s *Spool) Rewind(id telemetry.Stream, number telemetry.Epoch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, e, err := s.find(id, number)
	if err != nil {
		if s.closed {
			return err
		}
		return nil
	}
	e.seek(e.acked + 1)
	s.announce()
	return nil
}

// Discard gives up what was not acknowledged of an epoch up to through, because
// the hub will never take it, and puts a gap with the reason GapRefused in its place.
func (s *Spool) Discard(id telemetry.Stream, number telemetry.Epoch, through uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, e, err := s.find(id, number)
	if err != nil {
		return fmt.Errorf("discarding: %w", err)
	}
	through = min(through, e.last)
	if through <= e.acked {
		return nil
	}
	n := 0
	for n < len(e.segments) && e.segments[n].to <= through {
		n++
	}
	gone := slices.Clone(e.segments[:n])
	e.segments = slices.Delete(e.segments, 0, n)
	if slices.Contains(gone, e.active) {
		e.active = nil
	}
	g := e.gap(e.acked+1, through, telemetry.GapRefused)
	old := s.shorten(e, through+1)
	e.segments = slices.Insert(e.segments, 0, g)
	count(st, g)
	st.missed(e)
	s.saveGap(e, g)
	for _, x := range gone { // now that the gap is there
		s.forget(x)
		old = append(old, x.path)
	}
	for _, path := range old {
		if path != g.path {
			s.unlink(path)
		}
	}
	e.seek(e.acked + 1)
	s.nudge()
	s.announce()
	return nil
}

// shorten makes the first segment of an epoch begin at from. A gap takes another
// name, as what stands before it may need the one it has. The file of that name is
// returned: it has to stay until what stands before is on the disk.
func (s *Spool) shorten(e *epoch, from uint64) (old []string) {
	if len(e.segments) == 0 || e.segments[0].from >= from {
		return nil
	}
	g := e.segments[0]
	g.from = from
	if g.gap == 0 {
		return nil
	}
	old = []string{g.path}
	g.first, g.path, g.inside = from, numbered(e.dir, from, gapSuffix), e.divides(from)
	s.saveGap(e, g)
	return old
}
