// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	// A clock that is off by more than skewFound is reported, until it is off by
	// less than skewGone.
	skewFound, skewGone = time.Minute, 30 * time.Second
	// clockValid is how long an observation of batches says something.
	clockValid = 15 * time.Minute
)

// ClockReading is what the last two renewals of a Lease say about the clock that
// wrote them. A renewal is seen some time after it was made, never before, so each
// of them tells how far that clock is ahead at least: the larger figure was the
// less late.
type ClockReading struct {
	ahead [2]time.Duration
	seen  int
}

// read takes note of a renewal that was made at written, on the cluster's clock, and
// seen at now.
func (c ClockReading) read(written, now time.Time) ClockReading {
	return ClockReading{ahead: [2]time.Duration{written.Sub(now), c.ahead[0]}, seen: min(c.seen+1, 2)}
}

// Ahead returns how far the clock is ahead of the hub's, negative when behind, and
// whether that is known. A single renewal that looks old may have been seen late.
func (c ClockReading) Ahead() (time.Duration, bool) {
	switch c.seen {
	case 0:
		return 0, false
	case 1:
		return c.ahead[0], c.ahead[0] > -skewGone
	}
	return max(c.ahead[0], c.ahead[1]), true
}

// clockAhead combines what the Lease and the batches tell, which is how far the clock
// is ahead at least. That it is behind needs both, or the Lease alone: batches that
// waited for the hub are no evidence.
func clockAhead(in TelemetryInput) (time.Duration, bool) {
	ahead, known := in.Lease.Ahead()
	v := in.View
	if v == nil || v.State != TelemetryKnown || v.Asked.Sub(v.Received.ClockObserved) >= clockValid {
		return ahead, known
	}
	if batches := v.Received.ClockAhead; batches > ahead && (known || batches > skewFound) {
		return batches, true
	}
	return ahead, known
}

// judgeClock decides on ClockSynced; nil when nothing is known.
func judgeClock(in TelemetryInput) *metav1.Condition {
	const kind = v1alpha1.ClusterConditionClockSynced
	if !in.Connected {
		return nil
	}
	previous := meta.FindStatusCondition(in.Previous, kind)
	ahead, known := clockAhead(in)
	if !known {
		return previous
	}
	was := previous != nil && previous.Status == metav1.ConditionFalse
	if off := ahead.Abs(); off <= skewFound && (!was || off < skewGone) {
		return say(kind, metav1.ConditionTrue, v1alpha1.ClusterReasonInSync, "the cluster's clock agrees with the hub's to a minute")
	}
	message := skewMessage(ahead)
	if was && (previous.Message == skewMessage(ahead-time.Minute) || previous.Message == skewMessage(ahead+time.Minute)) {
		message = previous.Message // not worth a write
	}
	return say(kind, metav1.ConditionFalse, v1alpha1.ClusterReasonClockSkew, message)
}

func skewMessage(ahead time.Duration) string {
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	minutes, unit := int64(ahead.Abs().Round(time.Minute)/time.Minute), "minutes"
	if minutes <= 1 {
		minutes, unit = 1, "minute"
	}
	return fmt.Sprintf("the cluster's clock is about %d %s %s the hub's: check the time synchronization of both", minutes, unit, direction)
}
