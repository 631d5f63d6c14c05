// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package eventlog_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/eventlog"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// Of events of the same moment it does not matter which comes last.
func TestAStormDoesNotDependOnTheOrder(t *testing.T) {
	var events []*facts.Event
	for i := range 60 {
		e := event(fmt.Sprint("e", i), "BackOff", 1, 0, 0)
		e.Regarding.Name = fmt.Sprintf("web-%02d", (i*7)%60)
		events = append(events, e)
	}
	older := event("older", "BackOff", 1, -minute, -minute)
	older.Regarding.Name = "a"
	events = append(events, older)
	storm := func() eventlog.Storm {
		l := eventlog.New(asked)
		for _, e := range events {
			l.Put(e, start)
		}
		s, ok := l.Storm(eventlog.Kind{Namespace: "default", Reason: "BackOff"}, start)
		if !ok || s.Regarding.Name != "web-00" {
			t.Errorf("a storm %t about %s", ok, s.Regarding)
		}
		return s
	}
	forwards := storm()
	slices.Reverse(events)
	if diff := cmp.Diff(forwards, storm()); diff != "" {
		t.Errorf("backwards (-forwards +backwards):\n%s", diff)
	}
}
