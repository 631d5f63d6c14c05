// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// Reasons that this program gives where the hub has not spoken.
const (
	// ReasonUnobserved means that no hub has acted on the ManagedCluster yet.
	ReasonUnobserved = "Unobserved"
	// ReasonHubSilent means that the hub has not confirmed for long what the
	// ManagedCluster says, so that nobody knows whether it still holds.
	ReasonHubSilent = "HubSilent"
	// ReasonAnomalies means that the agent reports critical anomalies.
	ReasonAnomalies = "CriticalAnomalies"
)

const (
	// The hub refreshes lastHeartbeatTime of a connected cluster every 5 minutes.
	// Twice that leaves room for a new leader and for clocks that differ.
	heartbeatShownFor = 10 * time.Minute

	defaultHeartbeatPeriod = 30
	defaultHeartbeatMisses = 3
)

// availability is the condition Available, or Unknown where it is missing or too
// old to be believed: a hub that has stopped cannot take its last word back.
func availability(cluster *v1alpha1.ManagedCluster, now time.Time) metav1.ConditionStatus {
	c := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ClusterConditionAvailable)
	if c == nil || hubSilent(cluster, now) {
		return metav1.ConditionUnknown
	}
	return c.Status
}

func hubSilent(cluster *v1alpha1.ManagedCluster, now time.Time) bool {
	seen := cluster.Status.LastHeartbeatTime
	return seen != nil &&
		meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ClusterConditionConnected) &&
		now.Sub(seen.Time) > heartbeatShownFor+gracePeriod(cluster.Spec.Heartbeat)
}

func gracePeriod(h *v1alpha1.Heartbeat) time.Duration {
	period, misses := int32(defaultHeartbeatPeriod), int32(defaultHeartbeatMisses)
	if h != nil && h.PeriodSeconds > 0 {
		period = h.PeriodSeconds
	}
	if h != nil && h.MissesBeforeUnavailable > 0 {
		misses = h.MissesBeforeUnavailable
	}
	return time.Duration(period) * time.Duration(misses) * time.Second
}

// findProblems lists what is not right with a cluster, worst first. Something
// that shows in several conditions with one reason is listed once.
func findProblems(cluster *v1alpha1.ManagedCluster, now time.Time) []Attention {
	p := problemList{cluster: cluster, seen: map[string]bool{}}
	if !cluster.DeletionTimestamp.IsZero() {
		p.addDeleting()
		return p.found
	}
	if cluster.Status.ObservedGeneration == nil || *cluster.Status.ObservedGeneration < 0 {
		p.add(ReasonUnobserved, "no hub has acted on this ManagedCluster yet; is the hub running?", cluster.CreationTimestamp)
		if pending(cluster) {
			p.add(v1alpha1.ClusterReasonAwaitingApproval, "kubectl atlhyper accept "+cluster.Name, cluster.CreationTimestamp)
		}
		return p.found
	}
	p.addUnless(v1alpha1.ClusterConditionAccepted, metav1.ConditionTrue)
	if !accepted(cluster) {
		if len(p.found) == 0 {
			p.add(v1alpha1.ClusterReasonAwaitingApproval, "kubectl atlhyper accept "+cluster.Name, cluster.CreationTimestamp)
		}
		// That such a cluster is not connected is what was asked for.
		return p.found
	}
	if hubSilent(cluster, now) {
		p.add(ReasonHubSilent, fmt.Sprintf("the hub has not confirmed for %s that the cluster is connected; is the hub running?",
			duration.HumanDuration(now.Sub(cluster.Status.LastHeartbeatTime.Time))), *cluster.Status.LastHeartbeatTime)
	}
	p.addUnless(v1alpha1.ClusterConditionAvailable, metav1.ConditionTrue)
	p.addUnless(v1alpha1.ConditionReady, metav1.ConditionTrue)
	p.addUnless(v1alpha1.ClusterConditionAgentCompatible, metav1.ConditionTrue, metav1.ConditionUnknown)
	p.addUnless(v1alpha1.ClusterConditionDegraded, metav1.ConditionFalse)
	if availability(cluster, now) == metav1.ConditionUnknown {
		// What the agent said last is as old as its last heartbeat.
		return p.found
	}
	p.addUnless(v1alpha1.ClusterConditionAPIServerHealthy, metav1.ConditionTrue)
	p.addUnless(v1alpha1.ClusterConditionNodesHealthy, metav1.ConditionTrue, metav1.ConditionUnknown)
	p.addUnless(v1alpha1.ClusterConditionInventorySynced, metav1.ConditionTrue)
	p.addUnless(v1alpha1.ClusterConditionMetricsFlowing, metav1.ConditionTrue, metav1.ConditionUnknown)
	p.addUnless(v1alpha1.ClusterConditionClockSynced, metav1.ConditionTrue)
	p.addAnomalies()
	return p.found
}

type problemList struct {
	cluster *v1alpha1.ManagedCluster
	found   []Attention
	seen    map[string]bool
}

func (p *problemList) add(reason, message string, since metav1.Time) {
	if p.seen[reason] {
		return
	}
	p.seen[reason] = true
	p.found = append(p.found, Attention{Cluster: p.cluster.Name, Reason: reason, Message: message, Since: &since})
}

// addUnless adds a condition that is present with none of the given statuses. An
// absent one says nothing, with one exception: Available is the summary, and
// without it nobody has judged the cluster.
func (p *problemList) addUnless(conditionType string, fine ...metav1.ConditionStatus) {
	c := meta.FindStatusCondition(p.cluster.Status.Conditions, conditionType)
	if c == nil {
		if conditionType == v1alpha1.ClusterConditionAvailable {
			p.add(v1alpha1.ClusterReasonNotReported, "the hub has not judged yet whether the cluster is available", p.cluster.CreationTimestamp)
		}
		return
	}
	if !slices.Contains(fine, c.Status) {
		p.add(c.Reason, c.Message, c.LastTransitionTime)
	}
}

func (p *problemList) addDeleting() {
	c := meta.FindStatusCondition(p.cluster.Status.Conditions, v1alpha1.ClusterConditionDeleting)
	if c == nil {
		p.add(v1alpha1.ClusterConditionDeleting, "the hub has not begun to remove the cluster; is the hub running?", *p.cluster.DeletionTimestamp)
		return
	}
	p.add(c.Reason, c.Message, *p.cluster.DeletionTimestamp)
}

func (p *problemList) addAnomalies() {
	a := p.cluster.Status.Anomalies
	if a == nil || a.Critical == nil || *a.Critical == 0 {
		return
	}
	message, since := fmt.Sprintf("%d critical", *a.Critical), metav1.Time{}
	if len(a.Worst) > 0 {
		w := a.Worst[0]
		name := w.Name
		if w.Namespace != "" {
			name = w.Namespace + "/" + w.Name
		}
		message += fmt.Sprintf(", the worst is %s of %s %s", w.Reason, w.Kind, name)
		since = w.Since
	}
	p.add(ReasonAnomalies, message, since)
}
