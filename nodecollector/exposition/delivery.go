// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package exposition

import (
	"time"

	"github.com/atlhyper/atlhyper/nodecollector/push"
)

// Delivery is what is known of samples on their way; *push.Pusher is one.
type Delivery interface {
	// Stats says what became of the samples.
	Stats() push.Stats
}

// delivery writes what became of the collector's own samples.
func (t *text) delivery(now time.Time, s *push.Stats) {
	const dropped = "atlhyper_nodecollector_dropped_samples_total"
	age := 0.0
	if s.Buffered > 0 {
		age = max(now.Sub(s.Oldest), 0).Round(time.Millisecond).Seconds()
	}
	t.one("atlhyper_nodecollector_buffered_bytes", gauge, "Memory that samples take which wait for the agent, in bytes.", float64(s.BufferedBytes), true)
	t.one("atlhyper_nodecollector_buffered_samples", gauge, "Samples that wait for the agent.", float64(s.Buffered), true)
	t.one("atlhyper_nodecollector_collected_samples_total", counter, "Samples that were collected.", float64(s.Collected), true)
	t.family(dropped, counter, "Samples that were given up: for lack of room (overflow), because the agent refused them (refused), or larger than it takes (too_large).")
	t.sample(dropped, float64(s.DroppedFor.Overflow), "reason", "overflow")
	t.sample(dropped, float64(s.DroppedFor.Refused), "reason", "refused")
	t.sample(dropped, float64(s.DroppedFor.TooLarge), "reason", "too_large")
	t.one("atlhyper_nodecollector_failed_attempts", gauge, "Attempts in a row that delivered nothing; 0 when the last one did.", float64(s.Failures), true)
	t.one("atlhyper_nodecollector_oldest_age_seconds", gauge, "Age of the oldest sample that waits for the agent, in seconds; 0 when none does.", age, true)
	t.one("atlhyper_nodecollector_sent_samples_total", counter, "Samples that the agent has.", float64(s.Sent), true)
}
