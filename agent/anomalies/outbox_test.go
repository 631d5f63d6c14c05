// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestOutboxHandsOverInOrderByMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &recorder{}
		o := newOutbox(sink, logr.Discard())
		now := time.Now()
		bad := transition("broken", telemetry.AnomalyRaised, now)
		bad.Since = time.Time{}
		o.push([]anomaly.Transition{
			transition("a", telemetry.AnomalyRaised, now), transition("b", telemetry.AnomalyRaised, now), bad,
			transition("a", telemetry.AnomalyCleared, now.Add(time.Second)),
		})
		o.flush()
		if sink.calls != 2 {
			t.Errorf("%d calls for two moments", sink.calls)
		}
		if diff := cmp.Diff([]string{"raised R a", "raised R b", "cleared R a"}, sink.texts()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A sink that is away for long costs a bounded amount, and what is told in the end
// is what is the case, with the loss beside it.
func TestOutboxIsBounded(t *testing.T) {
	sink := &recorder{}
	sink.refuse(errSink)
	o := newOutbox(sink, logr.Discard())
	o.limit = 10
	now := time.Now()
	o.push([]anomaly.Transition{transition("first", telemetry.AnomalyRaised, now)})
	inFlight := false
	sink.before = func([]telemetry.Payload) error {
		if inFlight {
			return errSink
		}
		inFlight = true
		for n := range 100 {
			for _, state := range []telemetry.AnomalyState{telemetry.AnomalyRaised, telemetry.AnomalyCleared} {
				o.push([]anomaly.Transition{transition(fmt.Sprint(n%5), state, now.Add(time.Duration(n)*time.Second))})
			}
			if len(o.waiting) > 11 {
				t.Fatalf("%d wait", len(o.waiting))
			}
		}
		return errSink
	}
	o.flush()
	o.flush()
	if o.lost == nil {
		t.Fatal("nothing is said to be lost")
	}
	waits := len(o.unsent())
	sink.refuse(nil)
	o.flush()
	got := sink.texts()
	if waits > 10 || got[0] != fmt.Sprintf("gap SourceOverflow of %d", 201-waits) || got[1] != "raised R first" {
		t.Errorf("%d waited, told: %q", waits, got)
	}
	last := map[string]string{}
	for _, text := range got[2:] {
		var state, rule, name string
		if _, err := fmt.Sscan(text, &state, &rule, &name); err != nil {
			t.Fatal(err)
		}
		last[name] = state
	}
	want := map[string]string{"0": "cleared", "1": "cleared", "2": "cleared", "3": "cleared", "4": "cleared"}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("the last of each (-want +got):\n%s", diff)
	}
	if o.lost != nil || len(o.unsent()) != 0 {
		t.Errorf("%v is left", o.unsent())
	}
}
