// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"math"
	"time"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	// failingAfter is how long nothing may be delivered before that is told: hubs
	// restart, and lines break for a moment.
	failingAfter = time.Minute
	// deliveryInterval is the time between two looks at the delivery. A look costs
	// nothing; only a step of what is shown is reported.
	deliveryInterval = 15 * time.Second
)

// Delivery is how the delivery of telemetry to the hub stands.
type Delivery struct {
	// FailingSince is when delivering began to fail; zero when it does not.
	FailingSince time.Time
	// Problem is why; empty when it does not.
	Problem string
	// Oldest is the age of the oldest record that is not delivered; 0 for none.
	Oldest time.Duration
	// Dropped is how many records were given up since the process started.
	Dropped uint64
}

// shown returns what of a delivery is worth showing, nil for nothing. What was shown
// before of the same failure keeps its words.
func (d Delivery) shown(before *v1alpha1.AgentDelivery, now time.Time) *v1alpha1.AgentDelivery {
	out := v1alpha1.AgentDelivery{BacklogSeconds: backlogStep(d.Oldest), DroppedRecords: firstDigit(d.Dropped)}
	if !d.FailingSince.IsZero() && now.Sub(d.FailingSince) >= failingAfter {
		out.FailingSince = new(seconds(d.FailingSince))
		out.Problem = truncate(d.Problem, maxMessage)
		if before != nil && before.FailingSince.Equal(out.FailingSince) && before.Problem != "" {
			out.Problem = before.Problem
		}
	}
	if out == (v1alpha1.AgentDelivery{}) {
		return nil
	}
	return &out
}

// backlogStep rounds an age down to 1, 5, 15 or 30 minutes or whole hours, in
// seconds, and to 0 below a minute.
func backlogStep(age time.Duration) int32 {
	if age >= time.Hour {
		return int32(min(age.Truncate(time.Hour)/time.Second, math.MaxInt32)) //nolint:gosec // bounded
	}
	for _, step := range []time.Duration{30 * time.Minute, 15 * time.Minute, 5 * time.Minute, time.Minute} {
		if age >= step {
			return int32(step / time.Second) //nolint:gosec // at most 1800
		}
	}
	return 0
}

// firstDigit rounds a number down to its first digit: 7, 40, 900.
func firstDigit(n uint64) int64 {
	n = min(n, math.MaxInt64)
	unit := uint64(1)
	for n/unit >= 10 {
		unit *= 10
	}
	return int64(n / unit * unit) //nolint:gosec // at most MaxInt64
}
