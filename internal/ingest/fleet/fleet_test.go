// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package fleet

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/ingest"
)

func TestMemberOf(t *testing.T) {
	accepted := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ClusterConditionAccepted, Status: status, Reason: reason}}
	}
	member := ingest.Member{ClusterID: east, Accepted: true}
	refused := ingest.Member{ClusterID: east}
	conflict := ingest.Member{ClusterID: east, Accepted: true, Conflict: true}
	cases := map[string]struct {
		change func(*v1alpha1.ManagedCluster)
		want   ingest.Member
	}{
		"member":        {func(*v1alpha1.ManagedCluster) {}, member},
		"no status yet": {func(c *v1alpha1.ManagedCluster) { c.Status = v1alpha1.ManagedClusterStatus{} }, ingest.Member{}},
		"waiting": {func(c *v1alpha1.ManagedCluster) {
			c.Status.Conditions = accepted(metav1.ConditionUnknown, v1alpha1.ClusterReasonAwaitingApproval)
		}, refused},
		"denied a moment ago": {func(c *v1alpha1.ManagedCluster) { c.Spec.Accepted = new(false) }, refused},
		"being deleted":       {func(c *v1alpha1.ManagedCluster) { c.DeletionTimestamp = &metav1.Time{Time: time.Now()} }, refused},
		"not pinned yet":      {func(c *v1alpha1.ManagedCluster) { c.Status.ClusterID = "" }, ingest.Member{Accepted: true}},
		"conflict": {func(c *v1alpha1.ManagedCluster) {
			c.Status.Conditions = accepted(metav1.ConditionFalse, v1alpha1.ClusterReasonIdentityConflict)
		}, ingest.Member{ClusterID: east, Conflict: true}},
		"clone":                   {func(c *v1alpha1.ManagedCluster) { c.Status.ConflictingClusterID = west }, conflict},
		"another one is expected": {func(c *v1alpha1.ManagedCluster) { c.Spec.ExpectedClusterID = west }, conflict},
		"the one is expected":     {func(c *v1alpha1.ManagedCluster) { c.Spec.ExpectedClusterID = east }, member},
	}
	for name, tc := range cases {
		c := &v1alpha1.ManagedCluster{}
		c.Status.ClusterID, c.Status.Conditions = east, accepted(metav1.ConditionTrue, v1alpha1.ClusterReasonAccepted)
		tc.change(c)
		if got := memberOf(c); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}
