// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// Reasons of the events about ManagedClusters, besides those of the conditions
// Connected, Accepted, MetricsFlowing and ClockSynced, which are used as they are.
const (
	// EventJoined means that an agent has joined and its cluster ID is pinned.
	EventJoined = "Joined"
	// EventJoinTokenIssued means that a join Secret was made.
	EventJoinTokenIssued = "JoinTokenIssued"
	// EventJoinTokenWithdrawn means that a join Secret was deleted: its token was
	// used, expired, or the cluster is no member any more.
	EventJoinTokenWithdrawn = "JoinTokenWithdrawn"
)

// Actions of the events, in the sense of events.k8s.io.
const (
	actionObserve = "Observe"
	actionJoin    = "Join"
	actionAdmit   = "Admit"
)

// announce emits an event for every transition between two reports that
// somebody may want to know about.
func announce(recorder events.EventRecorder, mc *v1alpha1.ManagedCluster, report Report) {
	before := &mc.Status
	emit := func(kind, reason, action, note string) { recorder.Eventf(mc, nil, kind, reason, action, "%s", note) }
	if before.ClusterID == "" && report.ClusterID != "" {
		emit(corev1.EventTypeNormal, EventJoined, actionJoin, "cluster "+report.ClusterID+" has joined")
	}
	for _, watched := range []struct{ condition, action string }{
		{v1alpha1.ClusterConditionConnected, actionObserve},
		{v1alpha1.ClusterConditionAccepted, actionAdmit},
	} {
		was := meta.FindStatusCondition(before.Conditions, watched.condition)
		is := meta.FindStatusCondition(report.Conditions, watched.condition)
		if is == nil || (was == nil && is.Status == metav1.ConditionUnknown) || (was != nil && was.Reason == is.Reason) {
			continue
		}
		kind := corev1.EventTypeNormal
		if is.Status == metav1.ConditionFalse || is.Reason == v1alpha1.ClusterReasonHubOutage {
			kind = corev1.EventTypeWarning
		}
		emit(kind, is.Reason, watched.action, is.Message)
	}
	for _, condition := range []string{v1alpha1.ClusterConditionMetricsFlowing, v1alpha1.ClusterConditionClockSynced} {
		was := meta.FindStatusCondition(before.Conditions, condition)
		is := meta.FindStatusCondition(report.Conditions, condition)
		if kind := trouble(was, is); kind != "" {
			emit(kind, is.Reason, actionObserve, is.Message)
		}
	}
}

// trouble returns the type of the event about a condition that has become False, is
// so for another reason, or has become True after it was; empty for none. What turns
// Unknown does so for many clusters at once, and Connected or Degraded say why.
func trouble(was, is *metav1.Condition) string {
	switch {
	case is == nil, was != nil && was.Reason == is.Reason:
		return ""
	case is.Status == metav1.ConditionFalse:
		return corev1.EventTypeWarning
	case is.Status == metav1.ConditionTrue && was != nil && was.Status == metav1.ConditionFalse:
		return corev1.EventTypeNormal
	}
	return ""
}
