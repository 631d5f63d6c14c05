// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// outageMinClusters is the smallest fleet in which silence says anything about
// the hub: of two clusters one or both may well fail alone.
const outageMinClusters = 3

// OutageOptions tune the guard against a mass false alarm.
type OutageOptions struct {
	// Fraction of the joined clusters that may fall silent at once before the hub
	// suspects itself. From 0 to 1; 1 turns the guard off.
	Fraction float64
	// Hold is the longest time for which the guard withholds a verdict.
	Hold time.Duration
}

// FleetMember is what the guard looks at of one cluster.
type FleetMember struct {
	// Joined says that the cluster counts: it is accepted, has joined and is not
	// being deleted.
	Joined bool
	// Expired says that it was found expired already; such a cluster is no news
	// and neither counts as silent nor as a member.
	Expired bool
	// Silent is how long it has not renewed its Lease.
	Silent time.Duration
	// Rhythm is the cluster's.
	Rhythm Rhythm
}

// Fleet counts clusters.
type Fleet struct {
	// Members are the clusters that were heard until now.
	Members int
	// Silent are those of them that have fallen silent.
	Silent int
}

// CountFleet counts who has fallen silent. After a cut every cluster is silent,
// but they expire one by one over a period. So a cluster is counted as soon as
// it is overdue, that is, silent as long as it would be when the first one
// expires; otherwise the first half of the fleet would be declared dead before
// the guard could notice.
func CountFleet(members []FleetMember) Fleet {
	var fleet Fleet
	for _, m := range members {
		if !m.Joined || m.Expired {
			continue
		}
		fleet.Members++
		slack := m.Rhythm.Period * 6 / 5
		if m.Silent >= max(m.Rhythm.Grace-slack, slack) || m.Silent >= m.Rhythm.Grace {
			fleet.Silent++
		}
	}
	return fleet
}

// Suspicious says whether so many fell silent that the hub is the likelier cause.
func (f Fleet) Suspicious(fraction float64) bool {
	return f.Members >= outageMinClusters && float64(f.Silent) > fraction*float64(f.Members)
}

// NewlyExpired says whether a judgement calls a cluster expired that was not
// reported so, which is when the guard has to be asked.
func NewlyExpired(h Health, previous *metav1.Condition) bool {
	return h.Reason == v1alpha1.ClusterReasonLeaseExpired &&
		(previous == nil || previous.Reason != v1alpha1.ClusterReasonLeaseExpired)
}

// GuardOutage withholds the verdict that a cluster has expired while the hub
// suspects itself: for at most the hold time, and no longer than the suspicion
// lasts, which is looked at once per grace period. Then each cluster is judged
// alone.
func GuardOutage(h Health, previous *metav1.Condition, fleet Fleet, grace time.Duration, options OutageOptions, now time.Time) Health {
	if !NewlyExpired(h, previous) || !fleet.Suspicious(options.Fraction) {
		return h
	}
	until := now.Add(options.Hold)
	if previous != nil && previous.Reason == v1alpha1.ClusterReasonHubOutage {
		until = previous.LastTransitionTime.Add(options.Hold)
	}
	if !now.Before(until) {
		return h
	}
	next := now.Add(grace)
	if next.After(until) {
		next = until
	}
	return Health{
		Status: metav1.ConditionUnknown, Reason: v1alpha1.ClusterReasonHubOutage,
		Message:       fmt.Sprintf("more than %.0f %% of the clusters fell silent at once, so the hub suspects itself", options.Fraction*100),
		LastHeartbeat: h.LastHeartbeat, NextCheck: next,
	}
}
