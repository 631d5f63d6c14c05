// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// missed notes that the hub will not get everything of an epoch that is of this
// process: what earlier ones left, the source has told again since.
func (st *stream) missed(e *epoch) {
	st.owed = st.owed || e.own
}

// heard notes that the hub takes what the stream has. Before that, a source that
// told everything again would fill the spool with it, and nobody would read it.
func (s *Spool) heard(st *stream) {
	if !st.owed || st.due {
		return
	}
	st.due = true
	select {
	case s.losses <- struct{}{}:
	default:
	}
}

// tellLosses calls Options.Lost until Close.
func (s *Spool) tellLosses() {
	defer close(s.told)
	paces := map[telemetry.Stream]pace{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.losses:
		case <-timer.C:
		}
		for id := range telemetry.Streams() {
			now := time.Now()
			if !s.takeLoss(id, paces[id].wait(now)) {
				continue
			}
			paces[id] = paces[id].next(now, s.options.LostInterval)
			s.options.Lost(id)
		}
		if wait := s.nextLoss(paces, time.Now()); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// takeLoss says whether Options.Lost is to be called for a stream, once the wait is
// over. What is lost from then on calls for another call.
func (s *Spool) takeLoss(id telemetry.Stream, wait time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[id]
	if s.closed || !st.due || wait > 0 {
		return false
	}
	st.owed, st.due = false, false
	return true
}

// nextLoss returns when to look at the losses again; 0 for when there is another one.
func (s *Spool) nextLoss(paces map[telemetry.Stream]pace, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := time.Duration(0)
	for id, st := range s.streams {
		if !st.due {
			continue
		}
		if wait := max(paces[id].wait(now), 1); least == 0 || wait < least {
			least = wait
		}
	}
	return least
}

// pace keeps calls apart that may be the cause of one another. It is a value with
// pure rules.
type pace struct {
	// last is when the last call was; zero before the first.
	last time.Time
	// pause is how long after it the next may be.
	pause time.Duration
}

// mostPauses is how many intervals a pause grows to.
const mostPauses = 16

// wait returns how long the next call has to wait; 0 or less for not at all.
func (p pace) wait(now time.Time) time.Duration {
	if p.last.IsZero() {
		return 0
	}
	return p.last.Add(p.pause).Sub(now)
}

// next notes a call. Calls that follow each other as soon as they may are a
// circle, or as good as one, and become rarer; a quiet time forgets that.
func (p pace) next(now time.Time, interval time.Duration) pace {
	if p.last.IsZero() || now.Sub(p.last) >= 2*p.pause {
		return pace{last: now, pause: interval}
	}
	return pace{last: now, pause: min(2*p.pause, mostPauses*interval)}
}
