// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

func podNamed(name, uid string) *facts.Pod {
	return &facts.Pod{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindPod, Namespace: "default", Name: name}, UID: uid}}
}

func eventNamed(name string) *facts.Event {
	return &facts.Event{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindEvent, Namespace: "default", Name: name}}}
}

// words says what an inbox gives away.
func words(entries []entry) []string {
	var out []string
	for _, e := range entries {
		if e.object == nil {
			out = append(out, fmt.Sprintf("%T", e.message))
			continue
		}
		text := e.ref.Name
		if e.first != nil {
			text += " " + e.first.About().UID
		}
		if e.gone {
			text += " gone"
		}
		if e.then != nil {
			text += " " + e.then.About().UID
		}
		out = append(out, text)
	}
	return out
}

func TestInboxKeepsTheLatestOfEachInOrder(t *testing.T) {
	b := newInbox()
	gone := func(name string) { b.forget(podNamed(name, "").Ref) }
	b.observe(podNamed("a", "1"))
	b.observe(podNamed("b", "1"))
	b.observe(podNamed("a", "2"))
	b.say(allListed{})
	gone("c")
	b.observe(podNamed("d", "1"))
	gone("d")
	b.observe(podNamed("e", "1"))
	gone("e")
	b.observe(podNamed("e", "2"))
	b.observe(podNamed("e", "3"))
	b.observe(podNamed("f", "1"))
	gone("f")
	b.observe(podNamed("f", "2"))
	gone("f")

	first, _ := b.take(2)
	b.observe(podNamed("a", "3"))
	rest, _ := b.take(100)
	want := [][]string{
		{"a 2", "b 1"},
		{"anomalies.allListed", "c gone", "d 1 gone", "e 1 gone 3", "f 1 gone", "a 3"},
	}
	if diff := cmp.Diff(want, [][]string{words(first), words(rest)}); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
	if entries, _ := b.take(1); len(entries) != 0 || len(b.objects) != 0 || b.order != nil {
		t.Errorf("something is left: %v, %d objects", entries, len(b.objects))
	}
}

func TestInboxIsBounded(t *testing.T) {
	b := newInbox()
	for n := range 100_000 {
		b.observe(podNamed(fmt.Sprint(n%100), fmt.Sprint(n)))
		b.observe(eventNamed(fmt.Sprint(n)))
	}
	b.forget(eventNamed("too late").Ref)
	if got := len(b.order); got != 100+maxWaitingEvents || len(b.objects) != got {
		t.Errorf("%d entries wait, want 100 pods and %d events", got, maxWaitingEvents)
	}
	entries, lost := b.take(len(b.order))
	if lost != 100_000-maxWaitingEvents {
		t.Errorf("%d events are said to be lost", lost)
	}
	for _, e := range entries {
		if e.ref.Kind == facts.KindPod && e.first.About().UID != fmt.Sprint(99_900+mustAtoi(t, e.ref.Name)) {
			t.Errorf("pod %s is in state %s", e.ref.Name, e.first.About().UID)
		}
	}
	b.observe(eventNamed("again"))
	if entries, lost := b.take(10); len(entries) != 1 || lost != 0 {
		t.Errorf("%d entries, %d lost; want the one that there is room for again", len(entries), lost)
	}
}

func mustAtoi(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLeasesDoNotRunOutUnheard(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	lease := func(name string, age time.Duration) *facts.Lease {
		return &facts.Lease{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindLease, Name: name}}, Renewed: now.Add(-age)}
	}
	l := newLeases()
	for _, x := range []*facts.Lease{lease("late", time.Minute), lease("a", 10*time.Second), lease("b", 30*time.Second)} {
		if !l.hear(x) {
			t.Errorf("%s is withheld", x.Name)
		}
	}
	l.silent = true
	names := map[string]bool{}
	for _, ref := range l.suspend(now) {
		names[ref.Name] = true
	}
	if diff := cmp.Diff(map[string]bool{"a": true, "b": true}, names); diff != "" {
		t.Errorf("withdrawn (-want +got): %s", diff)
	}
	if again := l.suspend(now); len(again) != 0 {
		t.Errorf("withdrawn twice: %v", again)
	}
	l.refused = true
	if l.hear(lease("a", 0)) || l.hear(lease("new", 0)) {
		t.Error("a heartbeat passed while nobody can rely on it")
	}
	l.silent = false
	if again := l.resume(now); again != nil {
		t.Errorf("%v passed while they cannot be read", again)
	}
	l.refused = false
	l.forget(lease("b", 0).Ref)
	renewed := map[string]time.Duration{}
	later := now.Add(5 * time.Minute)
	for _, x := range l.resume(later) {
		renewed[x.Name] = later.Sub(x.Renewed)
	}
	if diff := cmp.Diff(map[string]time.Duration{"a": 0, "new": 0}, renewed); diff != "" {
		t.Errorf("ages of those that are heard again (-want +got): %s", diff)
	}
	if len(l.resume(later)) != 0 {
		t.Error("they are heard twice")
	}
}

var errSink = errors.New("the sink refuses")
