// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"fmt"
	"testing"
	"time"
)

// Whenever a node starts, it measures at the same point of the interval.
func TestPhaseStaysOverRestarts(t *testing.T) {
	const interval = 15 * time.Second
	start := time.Date(2026, time.November, 23, 12, 0, 0, 123, time.UTC)
	want := phase("node-1", interval)
	for i := range 1000 {
		now := start.Add(time.Duration(i) * 777 * time.Millisecond)
		wait := untilFirst(now, "node-1", interval, 0)
		if wait < 0 || wait >= interval {
			t.Fatalf("at %s the wait is %s", now, wait)
		}
		if got := time.Duration(now.Add(wait).UnixNano() % int64(interval)); got != want {
			t.Fatalf("at %s the phase is %s, want %s", now, got, want)
		}
		if more := untilFirst(now, "node-1", interval, 0.5) - wait; more != interval/20 {
			t.Fatalf("half of the jitter is %s", more)
		}
	}
}

// A tenth of the interval never has many more nodes than its share, whatever they
// are called.
func TestPhasesAreSpread(t *testing.T) {
	const interval, nodes = 15 * time.Second, 5000
	for _, name := range []string{"node-%d", "ip-10-0-%d.eu-west-1.compute.internal", "%d"} {
		var tenths [10]int
		for i := range nodes {
			tenths[phase(fmt.Sprintf(name, i), interval)*10/interval]++
		}
		for i, n := range tenths {
			if n < nodes/10*8/10 || n > nodes/10*12/10 {
				t.Errorf("%s: %d of %d nodes are in tenth %d", name, n, nodes, i)
			}
		}
	}
}
