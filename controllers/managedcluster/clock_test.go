// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// renewals returns the reading of a clock after renewals that were found that far
// ahead.
func renewals(ahead ...time.Duration) ClockReading {
	var c ClockReading
	for _, d := range ahead {
		c = c.read(noon.Add(d), noon)
	}
	return c
}

func batches(ahead, age time.Duration) *TelemetryView {
	view := arrived(time.Second)
	view.Received.ClockAhead, view.Received.ClockObserved = ahead, before(age)
	return view
}

func TestClockReading(t *testing.T) {
	for name, c := range map[string]struct {
		reading ClockReading
		ahead   time.Duration
		known   bool
	}{
		"nothing seen":              {renewals(), 0, false},
		"one, in time":              {renewals(-time.Second), -time.Second, true},
		"one, ahead":                {renewals(time.Hour), time.Hour, true},
		"one that may be late":      {renewals(-time.Minute), -time.Minute, false},
		"two that are behind":       {renewals(-61*time.Second, -62*time.Second), -61 * time.Second, true},
		"one late among others":     {renewals(-time.Second, -time.Hour), -time.Second, true},
		"a clock that was set back": {renewals(time.Hour, -time.Second, -time.Second), -time.Second, true},
	} {
		if ahead, known := c.reading.Ahead(); ahead != c.ahead && known || known != c.known {
			t.Errorf("%s: got %s, %v", name, ahead, known)
		}
	}
}

func TestJudgeClock(t *testing.T) {
	fine := renewals(0, -time.Second)
	minutes := func(n int) ClockReading { return renewals(time.Duration(n)*time.Minute, time.Duration(n)*time.Minute) }
	skewed := func(message string) []metav1.Condition {
		return reported(v1alpha1.ClusterConditionClockSynced, metav1.ConditionFalse, v1alpha1.ClusterReasonClockSkew, message)
	}
	for name, c := range map[string]struct {
		lease    ClockReading
		view     *TelemetryView
		previous []metav1.Condition
		want     string
	}{
		"nothing known":                         {want: ""},
		"nothing known any more":                {previous: skewed("about 7 minutes"), want: "False about 7 minutes"},
		"in time":                               {lease: fine, want: "True"},
		"in time, no history":                   {lease: fine, view: nil, want: "True"},
		"half a minute off is nothing":          {lease: renewals(45*time.Second, 45*time.Second), want: "True"},
		"a minute and a bit ahead":              {lease: renewals(61*time.Second, 61*time.Second), want: "False about 1 minute ahead"},
		"a minute and a bit behind":             {lease: renewals(-61*time.Second, -61*time.Second), want: "False about 1 minute behind"},
		"45 s off after it was more":            {lease: renewals(45*time.Second, 45*time.Second), previous: skewed(skewMessage(time.Minute)), want: "False about 1 minute ahead"},
		"29 s off after it was more":            {lease: renewals(29*time.Second, 29*time.Second), previous: skewed(skewMessage(time.Minute)), want: "True"},
		"a figure that is nearly as it was":     {lease: renewals(6*time.Minute+20*time.Second, 0), previous: skewed(skewMessage(5 * time.Minute)), want: "False about 5 minutes ahead"},
		"a figure that is another":              {lease: minutes(7), previous: skewed(skewMessage(5 * time.Minute)), want: "False about 7 minutes ahead"},
		"set to the other side":                 {lease: minutes(-5), previous: skewed(skewMessage(5 * time.Minute)), want: "False about 5 minutes behind"},
		"batches from the future":               {lease: fine, view: batches(10*time.Minute, time.Minute), want: "False about 10 minutes ahead"},
		"batches from the future, long ago":     {lease: fine, view: batches(10*time.Minute, clockValid), want: "True"},
		"late batches, a Lease in time":         {lease: fine, view: batches(-time.Hour, 0), want: "True"},
		"late batches alone are no evidence":    {view: batches(-time.Hour, 0), want: ""},
		"late batches and one late renewal":     {lease: renewals(-time.Hour), view: batches(-30*time.Minute, 0), want: ""},
		"batches ahead alone are":               {view: batches(time.Hour, 0), want: "False about 60 minutes ahead"},
		"both behind":                           {lease: minutes(-9), view: batches(-8*time.Minute, 0), want: "False about 8 minutes behind"},
		"batches of a view that does not hold":  {lease: fine, view: &TelemetryView{State: TelemetryAway, Asked: noon, Received: batches(time.Hour, 0).Received}, want: "True"},
		"a first renewal that was seen late":    {lease: renewals(-2 * time.Minute), want: ""},
		"a first renewal from the future is in": {lease: renewals(2 * time.Minute), want: "False about 2 minutes ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			in := TelemetryInput{Connected: true, Lease: c.lease, View: c.view, Previous: c.previous}
			got := judgeClock(in)
			if shown := showClock(got); !strings.HasPrefix(shown, c.want) || (c.want == "") != (got == nil) {
				t.Errorf("got %q, want %q", shown, c.want)
			}
			in.Connected = false
			if judgeClock(in) != nil {
				t.Error("something is said of a cluster that is not connected")
			}
		})
	}
}

func showClock(c *metav1.Condition) string {
	if c == nil {
		return ""
	}
	return strings.TrimSpace(string(c.Status) + " " + strings.TrimPrefix(c.Message, "the cluster's clock is "))
}

// A clock that drifts and jitters is worth few writes.
func TestSkewDoesNotFlap(t *testing.T) {
	var previous []metav1.Condition
	writes := 0
	for second := range 3600 {
		drift := 20*time.Second + time.Duration(second)*100*time.Millisecond // to 6 min 20 s
		jitter := time.Duration(second*7919%11-5) * time.Second
		c := judgeClock(TelemetryInput{Connected: true, Lease: renewals(drift+jitter, drift+jitter), Previous: previous})
		if len(previous) == 0 || *c != previous[0] {
			writes++
			previous = []metav1.Condition{*c}
		}
	}
	if writes > 5 {
		t.Errorf("%d writes", writes)
	}
}

func TestObserverReadsTheClock(t *testing.T) {
	w := newWatched()
	w.see()
	for range 3 {
		w.now = w.now.Add(30 * time.Second)
		w.renew(idA)
	}
	if ahead, known := w.Snapshot("x").Holders[idA].Clock.Ahead(); !known || ahead != -42*time.Hour {
		t.Errorf("got %s, %v", ahead, known)
	}
	w = newWatched()
	w.renew(idA) // found as it was: nobody knows when it was renewed
	w.now = w.now.Add(30 * time.Second)
	w.renew(idA)
	if _, known := w.Snapshot("x").Holders[idA].Clock.Ahead(); known {
		t.Error("a Lease as it was found says something about a clock")
	}
}
