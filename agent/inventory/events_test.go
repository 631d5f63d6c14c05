// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// warning is the event of a kubelet, in the shape of the core API.
func warning(n int, count int32) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: fmt.Sprintf("web-%d.17", n), UID: types.UID(fmt.Sprintf("event-%d", n)), ResourceVersion: fmt.Sprint(100 + count),
			CreationTimestamp: metav1.Time{Time: noon},
		},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: fmt.Sprintf("web-%d", n), UID: "pod-1", FieldPath: "spec.containers{web}"},
		Type:           corev1.EventTypeWarning, Reason: "BackOff", Message: "Back-off restarting failed container web",
		Source:         corev1.EventSource{Component: "kubelet", Host: "n1"},
		Count:          count,
		FirstTimestamp: metav1.Time{Time: noon}, LastTimestamp: metav1.Time{Time: noon.Add(time.Duration(count) * time.Minute)},
	}
}

func TestEventOf(t *testing.T) {
	want := telemetry.Event{
		UID: "event-1", ResourceVersion: 103, Namespace: "shop", Name: "web-1.17", Type: telemetry.EventWarning,
		Reason: "BackOff", Message: "Back-off restarting failed container web",
		Regarding: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-1", UID: "pod-1"},
		FieldPath: "spec.containers{web}", Controller: "kubelet", Host: "n1",
		Count: 3, FirstSeen: noon, LastSeen: noon.Add(3 * time.Minute),
	}
	for name, tt := range map[string]struct {
		change func(*corev1.Event)
		want   func(*telemetry.Event)
		none   bool
	}{
		"the core shape": {change: func(*corev1.Event) {}, want: func(*telemetry.Event) {}},
		"the new shape, once": {
			change: func(e *corev1.Event) {
				e.Count, e.FirstTimestamp, e.LastTimestamp, e.Source = 0, metav1.Time{}, metav1.Time{}, corev1.EventSource{}
				e.EventTime = metav1.MicroTime{Time: noon.Add(time.Second + 1234*time.Microsecond)}
				e.ReportingController, e.ReportingInstance = "example.com/operator", "operator-0"
			},
			want: func(e *telemetry.Event) {
				e.Controller, e.Host, e.Count = "example.com/operator", "operator-0", 1
				e.FirstSeen = noon.Add(time.Second + time.Millisecond)
				e.LastSeen = e.FirstSeen
			},
		},
		"the new shape, a series": {
			change: func(e *corev1.Event) {
				e.Count, e.FirstTimestamp, e.LastTimestamp, e.Source = 0, metav1.Time{}, metav1.Time{}, corev1.EventSource{}
				e.EventTime = metav1.MicroTime{Time: noon}
				e.ReportingController, e.ReportingInstance = "example.com/operator", "operator-0"
				e.Series = &corev1.EventSeries{Count: 17, LastObservedTime: metav1.MicroTime{Time: noon.Add(time.Hour)}}
			},
			want: func(e *telemetry.Event) {
				e.Controller, e.Host, e.Count = "example.com/operator", "operator-0", 17
				e.LastSeen = noon.Add(time.Hour)
			},
		},
		"only the time of its creation": {
			change: func(e *corev1.Event) { e.FirstTimestamp, e.LastTimestamp = metav1.Time{}, metav1.Time{} },
			want:   func(e *telemetry.Event) { e.LastSeen = noon },
		},
		"a long message with bytes that are no text": {
			change: func(e *corev1.Event) { e.Message = strings.Repeat("é", 800) + "\xff" },
			want:   func(e *telemetry.Event) { e.Message = strings.Repeat("é", 512) },
		},
		"no Warning": {change: func(e *corev1.Event) { e.Type = corev1.EventTypeNormal }, none: true},
		"no time ever": {change: func(e *corev1.Event) {
			*e = corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "a"}, Type: e.Type}
		}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := warning(1, 3)
			tt.change(e)
			got, ok := eventOf(e)
			if ok == tt.none {
				t.Fatalf("an event: %t, want %t", ok, !tt.none)
			}
			if tt.none {
				return
			}
			want := want
			tt.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// eventChain is a log of events with a shipper to a hub.
func eventChain(limit int) (*eventLog, *shipper, *hub) {
	h := newHub()
	s := newShipper(telemetry.StreamEvents, h, logr.Discard())
	l := newEventLog(limit, s.nudge)
	s.sources = []source{l}
	return l, s, h
}

func TestWhatEachEventSends(t *testing.T) {
	for name, tt := range map[string]struct {
		act  func(*eventLog) error
		want []string
	}{
		"the same again":   {func(l *eventLog) error { return l.Update(warning(1, 2)) }, nil},
		"the same listing": {func(l *eventLog) error { return l.Replace([]any{warning(1, 2)}, "9") }, nil},
		"once more":        {func(l *eventLog) error { return l.Update(warning(1, 3)) }, []string{"event web-1.17 x3"}},
		"three times as one": {func(l *eventLog) error {
			return errors.Join(l.Update(warning(1, 3)), l.Update(warning(1, 4)), l.Update(warning(1, 5)))
		}, []string{"event web-1.17 x5"}},
		"another":               {func(l *eventLog) error { return l.Add(warning(2, 1)) }, []string{"event web-2.17 x1"}},
		"forgotten":             {func(l *eventLog) error { return l.Delete(warning(1, 2)) }, nil},
		"forgotten in a gap":    {func(l *eventLog) error { return l.Replace(nil, "9") }, nil},
		"forgotten before sent": {func(l *eventLog) error { return errors.Join(l.Update(warning(1, 3)), l.Delete(warning(1, 3))) }, []string{"event web-1.17 x3"}},
		"resync":                {func(l *eventLog) error { l.again(); return nil }, []string{"event web-1.17 x2"}},
		"no Warning":            {func(l *eventLog) error { e := warning(3, 1); e.Type = "Normal"; return l.Add(e) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, s, h := eventChain(100)
			if err := l.Replace([]any{warning(1, 2)}, "1"); err != nil {
				t.Fatal(err)
			}
			drain(t, s)
			if diff := cmp.Diff([]string{"event web-1.17 x2"}, h.entries()); diff != "" {
				t.Fatalf("at first (-want +got):\n%s", diff)
			}
			h.log = nil
			if err := tt.act(l); err != nil {
				t.Fatal(err)
			}
			drain(t, s)
			if diff := cmp.Diff(tt.want, h.entries()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := l.sent.Len() + l.waiting.Len(); got != len(l.entries) || l.waiting.Len() != 0 {
				t.Errorf("%d entries, %d in lists", len(l.entries), got)
			}
		})
	}
}

func TestEventsOutliveARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, h := eventChain(100)
		h.set(refuse)
		go s.run(t.Context())
		for n := range 10 {
			if err := l.Add(warning(n, 1)); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Minute)
		if err := errors.Join(l.Update(warning(0, 7)), l.Delete(warning(1, 1))); err != nil {
			t.Fatal(err)
		}
		h.set(nil)
		pass(shipRetryMax)
		if len(h.events) != 10 || h.events["event-0"].Count != 7 || len(h.gaps) != 0 {
			t.Errorf("the hub got %d events, the first with count %d, and %d gaps", len(h.events), h.events["event-0"].Count, len(h.gaps))
		}
		if len(l.entries) != 9 {
			t.Errorf("%d entries are kept, want the 9 that the API server has", len(l.entries))
		}
	})
}

func TestEventStormIsBoundedAndCounted(t *testing.T) {
	const limit, storm = 100, 5_000
	l, s, h := eventChain(limit)
	h.set(refuse)
	_, _ = s.round(t.Context(), 1)
	for n := range storm {
		if err := l.Add(warning(n, int32(1+n%7))); err != nil {
			t.Fatal(err)
		}
		if n%50 == 0 {
			_, _ = s.round(t.Context(), 10) // fails: what was taken waits again
		}
		if len(l.entries) > limit || l.waiting.Len()+l.sent.Len() > limit {
			t.Fatalf("%d entries, %d wait", len(l.entries), l.waiting.Len())
		}
	}
	h.set(nil)
	drain(t, s)
	if len(h.gaps) != 1 {
		t.Fatalf("%d gaps, want 1", len(h.gaps))
	}
	gap := h.gaps[0]
	if got := gap.Dropped + uint64(len(h.events)); got != storm || gap.Reason != telemetry.GapSourceOverflow || gap.Start.After(gap.End) || gap.Start.IsZero() {
		t.Errorf("%d events and the gap %+v, %d in all, want %d", len(h.events), gap, got, storm)
	}
	if problems := h.complaints(); problems != nil {
		t.Error(problems)
	}
}

func TestEventLogRefusesOtherKinds(t *testing.T) {
	l, _, _ := eventChain(10)
	for name, err := range map[string]error{
		"Add": l.Add(&corev1.Pod{}), "Replace": l.Replace([]any{"a"}, ""), "Delete": l.Delete("a"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
