// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package eventlog

import (
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

const (
	stormWindow = 5 * time.Minute
	// stormLeast is how many Warning events are none too many.
	stormLeast = 50
	// stormFactor is how much more than usual is too many.
	stormFactor = 5
	hours       = 24
	minutes     = 5
	maxStorms   = 4096
)

// Kind groups Warning events for storms.
type Kind struct{ Namespace, Reason string }

// storms counts Warning events by namespace and reason.
type storms map[Kind]*tally

type tally struct {
	// recent counts by minute, hourly by hour, each in a ring.
	recent     [minutes]float64
	recentLast int64
	hourly     [hours]float64
	hourlyLast int64
	began      time.Time
	last       time.Time
	regarding  facts.Ref
	message    string
}

func (s storms) add(e *facts.Event, n int32, last, now time.Time, known bool) {
	k := Kind{Namespace: e.Regarding.Namespace, Reason: e.Reason}
	t := s[k]
	if t == nil {
		if len(s) >= maxStorms {
			s.prune(now)
		}
		if len(s) >= maxStorms {
			return
		}
		t = &tally{began: last}
		s[k] = t
	}
	if t.last.IsZero() || last.After(t.last) || last.Equal(t.last) && t.follows(e) {
		t.last, t.regarding, t.message = last, e.Regarding, e.Message
	}
	first := e.First
	if first.IsZero() || first.After(last) {
		first = last
	}
	if first.Before(t.began) {
		t.began = first
	}
	share := float64(n)
	// What was not seen to happen is taken to have happened evenly.
	if span := last.Sub(first); !known && span > stormWindow {
		share *= float64(stormWindow) / float64(span)
		t.count(first, float64(n)-share)
	}
	t.count(last, share)
}

// follows says which of two events of the same moment tells, so that it does not
// depend on the order in which they come.
func (t *tally) follows(e *facts.Event) bool {
	if c := strings.Compare(e.Regarding.String(), t.regarding.String()); c != 0 {
		return c < 0
	}
	return e.Message < t.message
}

func (s storms) prune(now time.Time) {
	for k, t := range s {
		if now.Sub(t.last) > hours*time.Hour {
			delete(s, k)
		}
	}
}

func (t *tally) count(at time.Time, n float64) {
	turn(t.recent[:], &t.recentLast, at.Unix()/60, n)
	turn(t.hourly[:], &t.hourlyLast, at.Unix()/3600, n)
}

// turn adds to the slot of a ring, which is emptied as far as it has moved on.
func turn(ring []float64, last *int64, slot int64, n float64) {
	size := int64(len(ring))
	if slot <= *last-size {
		return
	}
	for *last < slot {
		if slot-*last > size {
			*last = slot - size
		}
		*last++
		ring[*last%size] = 0
	}
	ring[slot%size] += n
}

func sum(ring []float64) float64 {
	total := 0.0
	for _, n := range ring {
		total += n
	}
	return total
}

// Storm is a surge of Warning events.
type Storm struct {
	// Count is how many there were within 5 minutes, Usual how many there are in
	// 5 minutes on average.
	Count, Usual float64
	// Until is when it is over if nothing happens.
	Until time.Time
	// Regarding is what the last event is about, Message its text.
	Regarding facts.Ref
	Message   string
}

// Storm says whether the Warning events of a kind surge at the moment.
func (l *Log) Storm(k Kind, now time.Time) (Storm, bool) {
	t := l.storm[k]
	if t == nil || now.Sub(t.last) >= stormWindow {
		return Storm{}, false
	}
	t.count(now, 0)
	recent := sum(t.recent[:])
	past := min(max(now.Sub(t.began), stormWindow), hours*time.Hour)
	usual := 0.0
	if past > stormWindow {
		usual = max(sum(t.hourly[:])-recent, 0) * float64(stormWindow) / float64(past-stormWindow)
	}
	if recent <= max(stormLeast, stormFactor*usual) {
		return Storm{}, false
	}
	return Storm{Count: recent, Usual: usual, Until: t.last.Add(stormWindow), Regarding: t.regarding, Message: t.message}, true
}
