// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package eventlog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/eventlog"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

var (
	start = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	pod   = facts.Ref{Kind: facts.KindPod, Namespace: "default", Name: "web"}
)

func event(name, reason string, count int32, first, last time.Duration) *facts.Event {
	return &facts.Event{
		Meta:      facts.Meta{Ref: facts.Ref{Kind: facts.KindEvent, Namespace: "default", Name: name}, UID: name},
		Regarding: pod, Reason: reason, Message: reason + " of " + name, Warning: true, Count: count, First: start.Add(first), Last: start.Add(last),
	}
}

// of says which object of that name an event is about.
func of(uid string, e *facts.Event) *facts.Event {
	e.RegardingUID = uid
	return e
}

func asked(reason string) bool { return reason != "Created" }

const minute = time.Minute

func TestAsk(t *testing.T) {
	query := &eventlog.Query{Reasons: []string{"Unhealthy"}, Window: 5 * minute, AtLeast: 3}
	cases := map[string]struct {
		events []*facts.Event
		at     time.Duration
		want   eventlog.Heard
		ok     bool
	}{
		"nothing": {},
		"too few": {events: []*facts.Event{event("a", "Unhealthy", 2, 0, 0)}, at: minute},
		"enough at once": {
			events: []*facts.Event{event("a", "Unhealthy", 3, 0, minute)}, at: 2 * minute, ok: true,
			want: eventlog.Heard{Count: 3, First: start, Last: start.Add(minute), Began: start, Enough: start.Add(minute), Until: start.Add(5 * minute), Reason: "Unhealthy", Message: "Unhealthy of a"},
		},
		"one after the other": {
			events: []*facts.Event{event("a", "Unhealthy", 1, 0, 0), event("a", "Unhealthy", 2, 0, minute), event("a", "Unhealthy", 3, 0, 2*minute)},
			at:     3 * minute, ok: true,
			want: eventlog.Heard{Count: 3, First: start, Last: start.Add(2 * minute), Began: start, Enough: start.Add(2 * minute), Until: start.Add(5 * minute), Reason: "Unhealthy", Message: "Unhealthy of a"},
		},
		"the same again says nothing": {
			events: []*facts.Event{event("a", "Unhealthy", 2, 0, 0), event("a", "Unhealthy", 2, 0, 0), event("a", "Unhealthy", 2, 0, 0)}, at: minute,
		},
		"several objects of events": {
			events: []*facts.Event{event("a", "Unhealthy", 1, 0, 0), event("b", "Unhealthy", 2, minute, minute)}, at: 2 * minute, ok: true,
			want: eventlog.Heard{Count: 3, First: start, Last: start.Add(minute), Began: start, Enough: start.Add(minute), Until: start.Add(5 * minute), Reason: "Unhealthy", Message: "Unhealthy of b"},
		},
		"one that began long ago": {
			events: []*facts.Event{event("a", "Unhealthy", 9, 0, 20*minute)}, at: 21 * minute, ok: true,
			want: eventlog.Heard{Count: 8, First: start.Add(20 * minute), Last: start.Add(20 * minute), Began: start, Enough: start, Until: start.Add(25 * minute), Reason: "Unhealthy", Message: "Unhealthy of a"},
		},
		"two of which one was long ago": {events: []*facts.Event{event("a", "Unhealthy", 3, 0, 20*minute)}, at: 21 * minute},
		"the same name, another object": {
			events: []*facts.Event{of("former", event("a", "Unhealthy", 9, 0, 0)), of("", event("b", "Unhealthy", 2, 0, 0)), of("uid", event("c", "Unhealthy", 1, 0, 0))}, at: minute, ok: true,
			want: eventlog.Heard{Count: 3, First: start, Last: start, Began: start, Enough: start, Until: start.Add(5 * minute), Reason: "Unhealthy", Message: "Unhealthy of c"},
		},
		"other reasons":      {events: []*facts.Event{event("a", "Killing", 9, 0, 0)}, at: minute},
		"outside the window": {events: []*facts.Event{event("a", "Unhealthy", 9, 0, 0)}, at: 5 * minute},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			log := eventlog.New(asked)
			for _, e := range tc.events {
				log.Put(e, e.Last)
			}
			got, ok := log.Ask(pod, "uid", query, start.Add(tc.at))
			if diff := cmp.Diff(tc.want, got); diff != "" || ok != tc.ok {
				t.Errorf("heard: %t (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestEventsAreForgotten(t *testing.T) {
	log := eventlog.New(asked)
	for n := range 100 {
		log.Put(event(fmt.Sprint(n), "Unhealthy", 1, 0, 0), start)
	}
	query := &eventlog.Query{Reasons: []string{"Unhealthy"}, Window: 3 * time.Hour}
	if h, ok := log.Ask(pod, "", query, start); !ok || h.Count != 32 {
		t.Errorf("%d are remembered, 32 of an object are enough", h.Count)
	}
	later := event("later", "Killing", 1, 2*time.Hour, 2*time.Hour)
	log.Put(later, later.Last)
	if h, ok := log.Ask(pod, "", query, later.Last); ok {
		t.Errorf("heard of %d after an hour", h.Count)
	}
	if !log.Near(pod, "", []string{"Killing"}, later.Last.Add(-20*time.Second), 30*time.Second) || log.Near(pod, "", []string{"Killing"}, later.Last.Add(-minute), 30*time.Second) {
		t.Error("near is not within the time before and after")
	}
	log.Forget(pod)
	if log.Near(pod, "", []string{"Killing"}, later.Last, time.Hour) {
		t.Error("an object that is gone is remembered")
	}
}

// Of many events the last are remembered, whatever the order in which they come, and
// what nobody asks for takes no room.
func TestEventsMakeRoom(t *testing.T) {
	query := &eventlog.Query{Reasons: []string{"Unhealthy"}, Window: time.Hour}
	others := &eventlog.Query{Reasons: []string{"Killing"}, Window: time.Hour}
	for _, backwards := range []bool{false, true} {
		log, now := eventlog.New(asked), start.Add(40*minute)
		if n := log.Put(event("first", "Killing", 1, 0, 0), now); n != 1 {
			t.Errorf("%d of one event are new", n)
		}
		for n := range 40 {
			if backwards {
				n = 39 - n
			}
			at := time.Duration(n) * minute
			log.Put(event(fmt.Sprint(n), "Unhealthy", 1, at, at), now)
			created := event(fmt.Sprint("created ", n), "Created", 1, at, at)
			created.Warning = false
			if heard := log.Put(created, now); heard != 0 {
				t.Errorf("%d of an event are new that nobody asks for", heard)
			}
		}
		h, ok := log.Ask(pod, "", query, now)
		if !ok || h.Count != 32 || !h.First.Equal(start.Add(8*minute)) || !h.Last.Equal(start.Add(39*minute)) {
			t.Errorf("backwards %t: heard of %d from %s to %s", backwards, h.Count, h.First, h.Last)
		}
		if _, ok := log.Ask(pod, "", others, now); !ok {
			t.Errorf("backwards %t: one event of another reason is lost", backwards)
		}
	}
}

func TestStorm(t *testing.T) {
	kind := eventlog.Kind{Namespace: "default", Reason: "BackOff"}
	t.Run("out of the blue", func(t *testing.T) {
		log := eventlog.New(asked)
		for n := range 51 {
			now := start.Add(time.Duration(n) * time.Second)
			if _, ok := log.Storm(kind, now); ok {
				t.Fatalf("a storm after %d events", n)
			}
			e := event(fmt.Sprint(n), "BackOff", 1, time.Duration(n)*time.Second, time.Duration(n)*time.Second)
			log.Put(e, now)
		}
		s, ok := log.Storm(kind, start.Add(minute))
		if !ok || s.Count != 51 || s.Regarding != pod {
			t.Errorf("storm: %t %+v", ok, s)
		}
		if _, ok := log.Storm(kind, start.Add(7*minute)); ok {
			t.Error("it does not end")
		}
	})
	t.Run("as usual", func(t *testing.T) {
		log := eventlog.New(asked)
		// 100 every five minutes for an hour, then 120.
		for n := range 13 {
			count := int32(100)
			if n == 12 {
				count = 120
			}
			at := time.Duration(n) * 5 * minute
			log.Put(event(fmt.Sprint(n), "BackOff", count, at, at), start.Add(at))
		}
		if s, ok := log.Storm(kind, start.Add(time.Hour)); ok {
			t.Errorf("a storm of %.0f though %.0f are usual", s.Count, s.Usual)
		}
	})
	t.Run("one event that has been counted for hours", func(t *testing.T) {
		log := eventlog.New(asked)
		log.Put(event("a", "BackOff", 600, 0, 50*minute), start.Add(50*minute))
		if s, ok := log.Storm(kind, start.Add(51*minute)); ok {
			t.Errorf("a storm of %.0f", s.Count)
		}
	})
}
