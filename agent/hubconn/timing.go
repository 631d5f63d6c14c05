// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	defaultHeartbeatSeconds = 30
	defaultMisses           = 3

	defaultSessionLifetime = 7 * 24 * time.Hour
	// defaultRenewFraction renews a session of 7 days once a day.
	defaultRenewFraction = 1.0 / 7
	// audienceRenewFraction is that of the tokens for other audiences, which are
	// made anew from the session whenever they are needed.
	audienceRenewFraction = 0.5

	// requestTimeout bounds every request but watches.
	requestTimeout = 10 * time.Second
	// firstViewTimeout is how long the first renewal of the Lease waits to see the
	// ManagedCluster, which knows the period and whether this is a clone.
	firstViewTimeout = 5 * time.Second
	// clearTimeout is how long the goodbye waits for the member's API server.
	clearTimeout = 30 * time.Second
)

// Timing holds the times a Connection works with. The zero value of each means
// its default.
type Timing struct {
	// SessionLifetime is the lifetime to request for session tokens, at least 10
	// minutes; the API server may grant another. Defaults to 7 days, for which the
	// hub may be away: what ends a session early is its Secret, not its age.
	SessionLifetime time.Duration
	// AudienceLifetime is the same for tokens of other audiences. Defaults to 1 h.
	AudienceLifetime time.Duration
	// RenewFraction is the part of a token's life after which it is renewed,
	// give or take 10 % of it. Defaults to 1/7: once a day of 7.
	RenewFraction float64
	// JoinPoll is the time between two looks at the join folder while a join
	// token is needed. Defaults to 5 s.
	JoinPoll time.Duration
	// RetryMin and RetryMax bound the exponential backoff of failed requests.
	// Default to 1 s and 30 s.
	RetryMin, RetryMax time.Duration
	// LockOutConfirm is the pause before a refusal is asked about a second time:
	// an API server that is starting refuses everybody for a moment. Defaults to 4 s.
	LockOutConfirm time.Duration
	// LockedOutRetry is the longest time between two tries of a refused session,
	// in case the hub was at fault. Defaults to 5 min.
	LockedOutRetry time.Duration
	// CloneRenew is the time between two renewals of the Lease by a clone.
	// Defaults to 5 min.
	CloneRenew time.Duration
	// EndpointRetry is the time between two tries of an endpoint that is better
	// than the one in use, or of any other while the hub is away. Defaults to 1 min.
	EndpointRetry time.Duration
}

func (t Timing) withDefaults() Timing {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&t.SessionLifetime, defaultSessionLifetime)
	fill(&t.AudienceLifetime, time.Hour)
	fill(&t.JoinPoll, 5*time.Second)
	fill(&t.RetryMin, time.Second)
	fill(&t.RetryMax, 30*time.Second)
	fill(&t.LockOutConfirm, 4*time.Second)
	fill(&t.LockedOutRetry, 5*time.Minute)
	fill(&t.CloneRenew, 5*time.Minute)
	fill(&t.EndpointRetry, time.Minute)
	if t.RenewFraction <= 0 || t.RenewFraction >= 1 {
		t.RenewFraction = defaultRenewFraction
	}
	return t
}

// retry returns a fresh backoff from low to high: it doubles, and each step is
// up to half as long again, so that a fleet does not return in step.
func retry(low, high time.Duration) *wait.Backoff {
	return &wait.Backoff{Duration: low, Factor: 2, Jitter: 0.5, Steps: 32, Cap: high}
}

// jitter spreads d evenly over d ± 10 %, for a random number in [0, 1).
func jitter(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (1 + 0.1*(2*random-1)))
}

// renewalDelay is how long a token that lives from issued to expires can still
// be used before it is renewed: fraction of its life, give or take 10 %. Clocks
// of hub and member may differ, so it is never more than that part of the life.
func renewalDelay(issued, expires, now time.Time, fraction, random float64) time.Duration {
	part := jitter(time.Duration(float64(expires.Sub(issued))*fraction), random)
	return min(max(issued.Add(part).Sub(now), 0), part)
}

// sleep waits for d; it is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool { return awaitTimeOr(ctx, d, nil) }

func random() float64 { return rand.Float64() } //nolint:gosec // jitter, not a secret
