// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// relevant lets the changes of a ManagedCluster through that can change a
// decision. The agent's counts and the hub's own writes cannot.
func relevant() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.ManagedCluster)
		after, ok2 := e.ObjectNew.(*v1alpha1.ManagedCluster)
		return ok && ok2 && relevantChange(before, after)
	}}
}

func relevantChange(before, after *v1alpha1.ManagedCluster) bool {
	if before.UID != after.UID || before.Generation != after.Generation ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() {
		return true
	}
	for _, key := range []string{v1alpha1.AnnotationJoinRequest, v1alpha1.AnnotationForceDelete} {
		if before.Annotations[key] != after.Annotations[key] {
			return true
		}
	}
	if agentVersion(before) != agentVersion(after) || deliveryFails(before) != deliveryFails(after) {
		return true
	}
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ClusterConditionAPIServerHealthy)
	is := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ClusterConditionAPIServerHealthy)
	if was == nil || is == nil {
		return was != is
	}
	return was.Status != is.Status || was.Reason != is.Reason || was.Message != is.Message
}

func agentVersion(mc *v1alpha1.ManagedCluster) string {
	if mc.Status.Agent == nil {
		return ""
	}
	return mc.Status.Agent.Version
}

// deliveryFails returns since when and why the agent cannot deliver, empty when it
// can, or has never said that it cannot.
func deliveryFails(mc *v1alpha1.ManagedCluster) string {
	if mc.Status.Agent == nil || mc.Status.Agent.Delivery == nil || mc.Status.Agent.Delivery.FailingSince == nil {
		return ""
	}
	d := mc.Status.Agent.Delivery
	return formatTime(d.FailingSince.Time) + " " + d.Problem
}
