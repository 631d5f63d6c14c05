// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	defaultPeriod = 30 * time.Second
	defaultMisses = 3
)

// Rhythm is how often the agent renews its Lease and for how long it may not.
type Rhythm struct {
	// Period is the time between two renewals.
	Period time.Duration
	// Grace is the longest silence of a connected cluster.
	Grace time.Duration
}

// RhythmOf returns the rhythm that a spec asks for, with the defaults of the API.
func RhythmOf(spec v1alpha1.ManagedClusterSpec) Rhythm {
	period, misses := defaultPeriod, int32(defaultMisses)
	if h := spec.Heartbeat; h != nil {
		if h.PeriodSeconds > 0 {
			period = time.Duration(h.PeriodSeconds) * time.Second
		}
		if h.MissesBeforeUnavailable > 0 {
			misses = h.MissesBeforeUnavailable
		}
	}
	return Rhythm{Period: period, Grace: period * time.Duration(misses)}
}

// HealthInput is what the judgement of a connection rests on.
type HealthInput struct {
	// Joined says that a cluster ID is pinned.
	Joined bool
	// Previous is the Connected condition as it was last reported, or nil.
	Previous *metav1.Condition
	// LastSeen is when this hub saw the pinned cluster renew its Lease; zero when
	// it has not since it began to watch.
	LastSeen time.Time
	// WatchedSince is when this hub began to see renewals. Silence before that is
	// no evidence.
	WatchedSince time.Time
	// LastReported is the heartbeat that the status shows, or zero.
	LastReported time.Time
	// Rhythm is what the spec asks for.
	Rhythm Rhythm
}

// Health is the judgement of a connection.
type Health struct {
	// Status, Reason and Message are those of the Connected condition.
	Status  metav1.ConditionStatus
	Reason  string
	Message string
	// LastHeartbeat is the last renewal known, by the hub's clock, or zero.
	LastHeartbeat time.Time
	// NextCheck is when the judgement changes if nothing is heard until then;
	// zero when only a renewal can change it.
	NextCheck time.Time
}

// Connected says whether the cluster is connected.
func (h Health) Connected() bool { return h.Status == metav1.ConditionTrue }

// JudgeHealth says whether a cluster is connected. It never calls a connected
// cluster expired before the grace period has passed since the hub saw a renewal
// or could have seen one, and always does at that instant.
func JudgeHealth(in HealthInput, now time.Time) Health {
	if !in.Joined {
		return Health{
			Status: metav1.ConditionUnknown, Reason: v1alpha1.ClusterReasonNeverJoined,
			Message: "no agent has joined with this identity yet",
		}
	}
	last := in.LastSeen
	if last.IsZero() {
		last = in.LastReported
	}
	deadline := silenceBegins(in).Add(in.Rhythm.Grace)
	switch {
	case !silenceBegins(in).IsZero() && now.Before(deadline):
		if in.LastSeen.IsZero() && !wasConnected(in.Previous) {
			return Health{
				Status: metav1.ConditionUnknown, Reason: v1alpha1.ClusterReasonNeverJoined,
				Message:       "an agent has renewed its Lease before this hub watched it; waiting for the next renewal",
				LastHeartbeat: last, NextCheck: deadline,
			}
		}
		return Health{
			Status: metav1.ConditionTrue, Reason: v1alpha1.ClusterReasonLeaseRenewed,
			Message:       fmt.Sprintf("the agent renews its Lease within %s", in.Rhythm.Grace),
			LastHeartbeat: last, NextCheck: deadline,
		}
	case last.IsZero():
		return Health{
			Status: metav1.ConditionFalse, Reason: v1alpha1.ClusterReasonLeaseExpired,
			Message: fmt.Sprintf("the agent has not renewed its Lease for the grace period of %s", in.Rhythm.Grace),
		}
	default:
		return Health{
			Status: metav1.ConditionFalse, Reason: v1alpha1.ClusterReasonLeaseExpired,
			Message: fmt.Sprintf("the agent renewed its Lease last at %s and not for the grace period of %s after that",
				last.UTC().Format(time.RFC3339), in.Rhythm.Grace),
			LastHeartbeat: last,
		}
	}
}

// silenceBegins is the moment from which the grace period counts, zero when no
// silence can make the cluster any less connected than it is.
func silenceBegins(in HealthInput) time.Time {
	fresh := in.Previous == nil || in.Previous.Reason == v1alpha1.ClusterReasonNeverJoined
	if in.LastSeen.IsZero() {
		if wasConnected(in.Previous) || fresh {
			return in.WatchedSince
		}
		return time.Time{}
	}
	if wasConnected(in.Previous) && in.WatchedSince.After(in.LastSeen) {
		return in.WatchedSince
	}
	return in.LastSeen
}

func wasConnected(previous *metav1.Condition) bool {
	return previous != nil && previous.Status == metav1.ConditionTrue
}
