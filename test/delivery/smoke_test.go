// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/test/delivery/invariant"
)

// TestNothingHappens is the path without any fault: what a checker that always
// complains, or agents that say nothing, would not get through.
func TestNothingHappens(t *testing.T) {
	t.Parallel()
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, dsn(t), newSeed(t))
			config := l.shipper(busy("a", time.Now()))
			agent, hub := l.start(config)
			eventually(t, 3*time.Minute, "the agent has said something", func() bool { return l.status(agent).Answers["stored"] > 50 })
			l.drain(agent)
			l.stop(agent, hub)
			report := l.check(invariant.Rules{}, config)
			if report.Taken < 100 || report.Doubtful > 0 || report.Refused > 0 {
				t.Error(report)
			}
			t.Log(report)
		})
	}
}
