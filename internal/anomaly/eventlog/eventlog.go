// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package eventlog remembers Kubernetes events for as long as rules ask for them.
package eventlog

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

const (
	// keep is how long an event is remembered after it happened last.
	keep = time.Hour
	// maxPerReason bounds the events of one object with the same reason.
	maxPerReason = 32
	// maxStamps bounds the moments that are kept of one event.
	maxStamps = 16
)

// Log holds events by the object that they are about. The zero value is not
// usable; see New.
type Log struct {
	asked   func(reason string) bool
	objects map[facts.Ref][]*entry
	counts  map[facts.Ref]count
	// order has the events by when they were seen last, for forgetting.
	order []seen
	storm storms
}

type seen struct {
	event, regarding facts.Ref
	last             time.Time
}

type count struct {
	uid  string
	n    int32
	last time.Time
}

type entry struct {
	event     facts.Ref
	uid       string
	reason    string
	message   string
	container string
	// first is when the event began, which may be long ago.
	first  time.Time
	stamps []stamp
}

// stamp says that an event happened n times, the last time at that moment.
type stamp struct {
	at time.Time
	n  int32
}

// New returns an empty Log. It remembers events with the reasons that asked is true
// for; of the others only how many Warnings there are.
func New(asked func(reason string) bool) *Log {
	return &Log{asked: asked, objects: map[facts.Ref][]*entry{}, counts: map[facts.Ref]count{}, storm: storms{}}
}

// Put takes an event as it stands. It returns how often it has happened since it
// was seen last; 0 means nothing new, or nothing that anybody asks for.
func (l *Log) Put(e *facts.Event, now time.Time) int32 {
	l.expire(now)
	asked := l.asked(e.Reason)
	if !asked && !e.Warning {
		return 0
	}
	last := e.Last
	if last.IsZero() {
		last = now
	}
	n := max(e.Count, 1)
	before, known := l.counts[e.Ref]
	if known && before.uid == e.UID {
		n -= before.n
		if n <= 0 && !last.After(before.last) {
			return 0
		}
		n = max(n, 1)
	}
	if now.Sub(last) > keep {
		return 0
	}
	l.counts[e.Ref] = count{uid: e.UID, n: max(e.Count, 1), last: last}
	l.order = append(l.order, seen{event: e.Ref, regarding: e.Regarding, last: last})
	if asked {
		l.add(e, n, last, known)
	}
	if e.Warning {
		l.storm.add(e, n, last, now, known)
	}
	return n
}

func (l *Log) add(e *facts.Event, n int32, last time.Time, known bool) {
	entries := l.objects[e.Regarding]
	i := slices.IndexFunc(entries, func(x *entry) bool { return x.event == e.Ref })
	if i < 0 {
		var ok bool
		if entries, ok = room(entries, e.Reason, last); !ok {
			return
		}
		entries = append(entries, &entry{event: e.Ref})
		i = len(entries) - 1
		l.objects[e.Regarding] = entries
	}
	x := entries[i]
	x.uid, x.reason, x.message, x.container = e.RegardingUID, e.Reason, e.Message, e.Container
	if x.first.IsZero() || !e.First.IsZero() && e.First.Before(x.first) {
		x.first = e.First
	}
	// What happened before the first sight has two known moments. All but the first
	// time counts at the last: nobody knows better.
	if !known && n > 1 && e.First.Before(last) && !e.First.IsZero() {
		x.stamps = append(x.stamps, stamp{e.First, 1})
		n--
	}
	if len(x.stamps) == maxStamps {
		x.stamps = slices.Delete(x.stamps, 0, 1)
	}
	x.stamps = append(x.stamps, stamp{last, n})
}

// room makes room for an event with a reason that was heard last at a moment: of too
// many the one goes that was heard the longest ago. It is false when that is the new
// one.
func room(entries []*entry, reason string, at time.Time) ([]*entry, bool) {
	n, oldest := 0, 0
	for i, x := range entries {
		if x.reason != reason {
			continue
		}
		if n == 0 || x.last().Before(entries[oldest].last()) {
			oldest = i
		}
		n++
	}
	if n < maxPerReason {
		return entries, true
	}
	if at.Before(entries[oldest].last()) {
		return entries, false
	}
	return slices.Delete(entries, oldest, oldest+1), true
}

func (x *entry) last() time.Time { return x.stamps[len(x.stamps)-1].at }

// about says whether an event is about the object with a UID, rather than one of the
// same name before it. Either may be unknown.
func (x *entry) about(uid string) bool { return uid == "" || x.uid == "" || x.uid == uid }

// Delete forgets that an event object exists. What it said stays until it is old.
func (l *Log) Delete(event facts.Ref) { delete(l.counts, event) }

// Forget drops everything about an object that is gone.
func (l *Log) Forget(regarding facts.Ref) { delete(l.objects, regarding) }

// expire drops what is older than anybody asks for, oldest first.
func (l *Log) expire(now time.Time) {
	drop := 0
	for ; drop < len(l.order) && now.Sub(l.order[drop].last) > keep; drop++ {
		s := l.order[drop]
		if c, ok := l.counts[s.event]; ok && c.last.After(s.last) {
			continue
		}
		delete(l.counts, s.event)
		entries := slices.DeleteFunc(l.objects[s.regarding], func(x *entry) bool { return x.event == s.event })
		if len(entries) == 0 {
			delete(l.objects, s.regarding)
		} else {
			l.objects[s.regarding] = entries
		}
	}
	if drop > 0 {
		l.order = slices.Clone(l.order[drop:])
	}
}

// Query says which events of an object are asked for.
type Query struct {
	// Reasons of the events.
	Reasons []string
	// Message filters by text; nil for all.
	Message func(string) bool
	// Window is how far back to look.
	Window time.Duration
	// AtLeast is how often it has to have happened.
	AtLeast int32
}

// Heard is what there is of the events that were asked for.
type Heard struct {
	// Count is how often it happened within the window.
	Count int32
	// First and Last are the moments within the window. Began is when the events
	// began, which may be before it.
	First, Last, Began time.Time
	// Enough is when it had happened as often as was asked for, or the earliest that
	// it can have been.
	Enough time.Time
	// Until is when the count falls below what was asked for if nothing happens.
	Until time.Time
	// Reason, Message and Container are those of the last event.
	Reason, Message, Container string
}

// Heard reports whether there is anything about an object.
func (l *Log) Heard(regarding facts.Ref) bool { return len(l.objects[regarding]) > 0 }

// Ask returns what happened to an object within the window before now. It is false
// when it happened less often than asked for. uid is the object's; empty when it is
// not known.
func (l *Log) Ask(regarding facts.Ref, uid string, q *Query, now time.Time) (Heard, bool) {
	entries := l.objects[regarding]
	if len(entries) == 0 {
		return Heard{}, false
	}
	var h Heard
	var within []stamp
	var times []time.Time
	least := max(q.AtLeast, 1)
	for _, x := range entries {
		if !x.about(uid) || !slices.Contains(q.Reasons, x.reason) || q.Message != nil && !q.Message(x.message) {
			continue
		}
		for i, s := range x.stamps {
			if now.Sub(s.at) < q.Window {
				within = append(within, s)
				times = x.spread(times, i, least)
				h.hear(x, s)
			}
		}
	}
	if h.Count < least {
		return Heard{}, false
	}
	slices.SortFunc(times, time.Time.Compare)
	h.Enough = times[least-1]
	slices.SortFunc(within, func(a, b stamp) int { return b.at.Compare(a.at) })
	sum := int32(0)
	for _, s := range within {
		if sum += s.n; sum >= least {
			h.Until = s.at.Add(q.Window)
			break
		}
	}
	return h, true
}

// spread appends when what a stamp counts happened, no more of it than most: the last
// time at its moment, the others as soon as can be, which is after the stamp before.
func (x *entry) spread(times []time.Time, i int, most int32) []time.Time {
	s := x.stamps[i]
	from := s.at
	if i > 0 {
		from = x.stamps[i-1].at
	}
	for range min(s.n-1, most) {
		times = append(times, from)
	}
	return append(times, s.at)
}

func (h *Heard) hear(x *entry, s stamp) {
	h.Count += s.n
	if first := x.first; !first.IsZero() && (h.Began.IsZero() || first.Before(h.Began)) {
		h.Began = first
	}
	if h.First.IsZero() || s.at.Before(h.First) {
		h.First = s.at
	}
	if h.Began.IsZero() || s.at.Before(h.Began) {
		h.Began = s.at
	}
	if s.at.After(h.Last) || s.at.Equal(h.Last) && x.message > h.Message {
		h.Last, h.Reason, h.Message, h.Container = s.at, x.reason, x.message, x.container
	}
}

// Near reports whether one of the reasons was heard of an object within a time
// before or after a moment. uid is as for Ask.
func (l *Log) Near(regarding facts.Ref, uid string, reasons []string, at time.Time, within time.Duration) bool {
	for _, x := range l.objects[regarding] {
		if !x.about(uid) || !slices.Contains(reasons, x.reason) {
			continue
		}
		if slices.ContainsFunc(x.stamps, func(s stamp) bool { return s.at.Sub(at).Abs() <= within }) {
			return true
		}
	}
	return false
}
