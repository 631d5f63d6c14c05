// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"fmt"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Ack notes that the hub has stored everything of the epoch up to through. An
// answer that is older than another is ignored. What was acknowledged is on the
// disk within SyncInterval; an acknowledgement that a crash loses costs a second
// delivery of the same records with the same numbers, which the hub knows.
//
// Ack is also where the live lane is kept live: when the rest of the stream's open
// epoch is larger than SplitBytes, it moves to the replay lane.
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
	if through > e.last && !e.closed {
		// The hub has numbers that were never given out here: somebody else uses
		// the epoch. None of its numbers is safe to give out.
		e.split()
	}
	n := e.acknowledge(min(through, e.last))
	st.stats.Acked += n
	if n == 0 {
		return
	}
	if g := e.active; g != nil && g.to <= e.acked && len(g.buf) > 0 {
		// Delivered from memory while the disk takes nothing.
		e.active = nil
		s.memory -= int64(len(g.buf))
		g.buf = nil
	}
	if !e.closed && e.backlog() > s.options.SplitBytes {
		e.split()
		st.stats.Splits++
		s.announce()
	}
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
			s.saveGap(e, g)
		}
		s.nudge()
	}
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
	for len(e.segments) > 0 && e.segments[0].to <= e.acked {
		s.remove(e, 0)
	}
	for len(e.segments) > 0 && e.segments[0].to <= through {
		s.remove(e, 0)
	}
	if len(e.segments) > 0 {
		e.segments[0].from = max(e.segments[0].from, through+1)
	}
	g := e.gap(e.acked+1, through, telemetry.GapRefused)
	e.segments = append([]*segment{g}, e.segments...)
	count(st, g)
	s.saveGap(e, g)
	e.seek(e.acked + 1)
	s.nudge()
	s.announce()
	return nil
}
