// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestClusterOfUser(t *testing.T) {
	for user, want := range map[string]string{
		"system:serviceaccount:atlhyper-cluster-prod-eu-1:agent":                       "prod-eu-1",
		"system:serviceaccount:atlhyper-cluster-:agent":                                "",
		"system:serviceaccount:atlhyper-cluster-a:agent2":                              "",
		"system:serviceaccount:atlhyper-cluster-a:other:agent":                         "",
		"system:serviceaccount:atlhyper-cluster-A:agent":                               "",
		"system:serviceaccount:kube-system:agent":                                      "",
		"system:serviceaccount:atlhyper-cluster-" + strings.Repeat("a", 47) + ":agent": "",
		"system:serviceaccount:atlhyper-cluster-" + strings.Repeat("a", 46) + ":agent": strings.Repeat("a", 46),
		"x-system:serviceaccount:atlhyper-cluster-a:agent":                             "",
		"system:serviceaccount:atlhyper-cluster-a/../b:agent":                          "",
		"": "",
	} {
		if got, ok := clusterOfUser(user); got != want || ok != (want != "") {
			t.Errorf("%q: got %q", user, got)
		}
	}
}

func TestMemberOf(t *testing.T) {
	accepted := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ClusterConditionAccepted, Status: status, Reason: reason}}
	}
	cluster := func(change func(*v1alpha1.ManagedCluster)) *v1alpha1.ManagedCluster {
		c := &v1alpha1.ManagedCluster{}
		c.Status.ClusterID, c.Status.Conditions = uidA, accepted(metav1.ConditionTrue, v1alpha1.ClusterReasonAccepted)
		change(c)
		return c
	}
	cases := map[string]struct {
		change func(*v1alpha1.ManagedCluster)
		want   Reason
	}{
		"member":        {func(*v1alpha1.ManagedCluster) {}, ""},
		"no status yet": {func(c *v1alpha1.ManagedCluster) { c.Status = v1alpha1.ManagedClusterStatus{} }, ReasonNotAccepted},
		"waiting": {func(c *v1alpha1.ManagedCluster) {
			c.Status.Conditions = accepted(metav1.ConditionUnknown, v1alpha1.ClusterReasonAwaitingApproval)
		}, ReasonNotAccepted},
		"denied a moment ago": {func(c *v1alpha1.ManagedCluster) { c.Spec.Accepted = new(false) }, ReasonNotAccepted},
		"being deleted":       {func(c *v1alpha1.ManagedCluster) { c.DeletionTimestamp = &metav1.Time{Time: noon} }, ReasonNotAccepted},
		"not pinned yet":      {func(c *v1alpha1.ManagedCluster) { c.Status.ClusterID = "" }, ReasonIdentityPending},
		"conflict": {func(c *v1alpha1.ManagedCluster) {
			c.Status.Conditions = accepted(metav1.ConditionFalse, v1alpha1.ClusterReasonIdentityConflict)
		}, ReasonIdentityConflict},
		"clone":                   {func(c *v1alpha1.ManagedCluster) { c.Status.ConflictingClusterID = uidB }, ReasonIdentityConflict},
		"another one is expected": {func(c *v1alpha1.ManagedCluster) { c.Spec.ExpectedClusterID = uidB }, ReasonIdentityConflict},
	}
	for name, tc := range cases {
		if got := memberOf(cluster(tc.change)).admit(); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestParseRoute(t *testing.T) {
	for path, want := range map[string]route{
		"/v1/offsets":                              {method: http.MethodGet},
		"/v1/clusters/a/offsets":                   {method: http.MethodGet, cluster: "a"},
		"/v1/streams/sli/batches":                  {method: http.MethodPost, stream: telemetry.StreamSLI},
		"/v1/clusters/b/streams/inventory/batches": {method: http.MethodPost, cluster: "b", stream: telemetry.StreamInventory},
		"/v1/streams//batches":                     {},
		"/v1/streams/batches":                      {},
		"/v1/streams/sli/batches/":                 {},
		"/v1/clusters//offsets":                    {},
		"/v1/clusters/b/../a/offsets":              {cluster: "b"},
		"/v1/clusters/b":                           {},
		"/v2/offsets":                              {},
		"//v1/offsets":                             {},
		"/v1/offsets/":                             {},
		"":                                         {},
		"*":                                        {},
		"/v1/clusters/b/streams/inventory/batches?": {cluster: "b"},
	} {
		if got := parseRoute(path); got != want {
			t.Errorf("%q: got %+v, want %+v", path, got, want)
		}
	}
}
