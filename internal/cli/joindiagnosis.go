// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// diagnoseJoin says what kept the hub from answering the join request with this
// nonce, as far as the ManagedCluster tells.
func diagnoseJoin(cluster *v1alpha1.ManagedCluster, nonce string) string {
	observed := cluster.Status.ObservedGeneration
	switch {
	case cluster.Annotations[v1alpha1.AnnotationJoinRequest] != nonce:
		return "another join request has replaced it; run join again when nobody else does"
	case !cluster.DeletionTimestamp.IsZero():
		return "the ManagedCluster is being deleted"
	case !accepted(cluster):
		return fmt.Sprintf("it is not accepted any more; kubectl atlhyper accept %s", cluster.Name)
	case observed == nil || *observed < 0:
		return "no hub has acted on the ManagedCluster yet, so the hub is probably not running, or not on this cluster"
	case *observed < cluster.Generation:
		return fmt.Sprintf("the hub has seen generation %d of the ManagedCluster but not %d, so it has probably stopped",
			*observed, cluster.Generation)
	}
	for _, check := range []struct {
		condition string
		fine      metav1.ConditionStatus
	}{
		{v1alpha1.ConditionStalled, metav1.ConditionFalse},
		{v1alpha1.ClusterConditionAccepted, metav1.ConditionTrue},
		{v1alpha1.ConditionReady, metav1.ConditionTrue},
	} {
		c := meta.FindStatusCondition(cluster.Status.Conditions, check.condition)
		if c != nil && c.Status != check.fine {
			return fmt.Sprintf("condition %s is %s (%s): %s", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	return "the ManagedCluster is Ready, so the hub has worked before and has probably stopped; its log says more"
}

// statusError is the error that an event of type Error carries.
func statusError(object runtime.Object) error {
	return apierrors.FromObject(object)
}
