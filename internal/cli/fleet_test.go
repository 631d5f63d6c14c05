// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// testNow is the time at which the golden files were drawn.
var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; go test ./internal/cli -update writes it (-want +got):\n%s", path, diff)
	}
}

func ago(d time.Duration) metav1.Time { return metav1.NewTime(testNow.Add(-d)) }

// clusterOption changes a cluster of a test.
type clusterOption func(*v1alpha1.ManagedCluster)

// member is a cluster that is fine, unless options change it.
func member(name string, options ...clusterOption) v1alpha1.ManagedCluster {
	c := v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: ago(48 * time.Hour)}}
	s := &c.Status
	s.ObservedGeneration = new(int64(1))
	s.ClusterID = "0f6f5b3e-8f5b-4b6a-9d0e-3a1d2c4b5a69"
	s.LastHeartbeatTime = new(ago(2 * time.Minute))
	s.Kubernetes = &v1alpha1.KubernetesInfo{Version: "v1.37.2", Platform: "EKS"}
	s.Agent = &v1alpha1.AgentInfo{Version: "v0.1.0", StartedAt: ago(24 * time.Hour)}
	s.Nodes = &v1alpha1.NodeCounts{Ready: new(int32(3)), Total: new(int32(3)), Summary: "3/3"}
	s.Pods = &v1alpha1.PodCounts{
		Running: new(int32(40)), Total: new(int32(42)), Pending: new(int32(2)),
		Succeeded: new(int32(0)), Failed: new(int32(0)), Unknown: new(int32(0)), NotReady: new(int32(1)),
	}
	s.Allocatable = &v1alpha1.Resources{CPU: new(resource.MustParse("12")), Memory: new(resource.MustParse("48Gi"))}
	s.Requested = &v1alpha1.Resources{CPU: new(resource.MustParse("4500m")), Memory: new(resource.MustParse("32Gi"))}
	for _, conditionType := range []string{
		v1alpha1.ConditionReady, v1alpha1.ClusterConditionAccepted, v1alpha1.ClusterConditionConnected, v1alpha1.ClusterConditionAvailable,
		v1alpha1.ClusterConditionAPIServerHealthy, v1alpha1.ClusterConditionNodesHealthy, v1alpha1.ClusterConditionInventorySynced,
		v1alpha1.ClusterConditionAgentCompatible,
	} {
		condition(conditionType, metav1.ConditionTrue, "Fine", "", 26*time.Hour)(&c)
	}
	for _, option := range options {
		option(&c)
	}
	return c
}

func condition(conditionType string, status metav1.ConditionStatus, reason, message string, since time.Duration) clusterOption {
	return func(c *v1alpha1.ManagedCluster) {
		next := metav1.Condition{Type: conditionType, Status: status, Reason: reason, Message: message, LastTransitionTime: ago(since)}
		for i := range c.Status.Conditions {
			if c.Status.Conditions[i].Type == conditionType {
				c.Status.Conditions[i] = next
				return
			}
		}
		c.Status.Conditions = append(c.Status.Conditions, next)
	}
}

func lastSeen(d time.Duration) clusterOption {
	return func(c *v1alpha1.ManagedCluster) { c.Status.LastHeartbeatTime = new(ago(d)) }
}

// neverReported removes what only an agent can know.
func neverReported(c *v1alpha1.ManagedCluster) {
	conditions := []metav1.Condition{}
	for _, condition := range c.Status.Conditions {
		switch condition.Type {
		case v1alpha1.ConditionReady, v1alpha1.ClusterConditionAccepted, v1alpha1.ClusterConditionConnected, v1alpha1.ClusterConditionAvailable:
			conditions = append(conditions, condition)
		}
	}
	c.Status = v1alpha1.ManagedClusterStatus{ObservedGeneration: c.Status.ObservedGeneration, Conditions: conditions}
}

func notAccepted(c *v1alpha1.ManagedCluster) { c.Spec.Accepted = new(false) }

func deleted(since time.Duration) clusterOption {
	return func(c *v1alpha1.ManagedCluster) { c.DeletionTimestamp = new(ago(since)) }
}

// unavailable is what the hub says of a connected cluster whose API server is down.
func unavailable(c *v1alpha1.ManagedCluster) {
	const message = "/livez of the API server has failed since 11:52: etcd failed: reason withheld, and a good deal more text that no screen has room for"
	condition(v1alpha1.ClusterConditionAPIServerHealthy, metav1.ConditionFalse, v1alpha1.ClusterReasonLivezFailed, message, 8*time.Minute)(c)
	condition(v1alpha1.ClusterConditionAvailable, metav1.ConditionFalse, v1alpha1.ClusterReasonLivezFailed, message, 8*time.Minute)(c)
}

func disconnected(c *v1alpha1.ManagedCluster) {
	const message = "the agent has not renewed its Lease for 1m30s"
	condition(v1alpha1.ClusterConditionConnected, metav1.ConditionFalse, v1alpha1.ClusterReasonLeaseExpired, message, 3*time.Hour)(c)
	condition(v1alpha1.ClusterConditionAvailable, metav1.ConditionUnknown, v1alpha1.ClusterReasonLeaseExpired, message, 3*time.Hour)(c)
	lastSeen(3 * time.Hour)(c)
}

func awaiting(c *v1alpha1.ManagedCluster) {
	neverReported(c)
	notAccepted(c)
	const message = "spec.accepted is false"
	condition(v1alpha1.ClusterConditionAccepted, metav1.ConditionFalse, v1alpha1.ClusterReasonAwaitingApproval, message, 20*time.Minute)(c)
	condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ClusterReasonAwaitingApproval, message, 20*time.Minute)(c)
	condition(v1alpha1.ClusterConditionAvailable, metav1.ConditionUnknown, v1alpha1.ClusterReasonNeverJoined, "", 20*time.Minute)(c)
}

func denied(c *v1alpha1.ManagedCluster) {
	awaiting(c)
	condition(v1alpha1.ClusterConditionAccepted, metav1.ConditionFalse, v1alpha1.ClusterReasonDenied, "spec.accepted was set to false", 50*time.Hour)(c)
}

func nodesNotReady(c *v1alpha1.ManagedCluster) {
	c.Status.Nodes = &v1alpha1.NodeCounts{Ready: new(int32(98)), Total: new(int32(100)), Summary: "98/100"}
	condition(v1alpha1.ClusterConditionNodesHealthy, metav1.ConditionFalse, v1alpha1.ClusterReasonNodesNotReady, "2 of 100 nodes are not Ready", 45*time.Second)(c)
}

func unobserved(c *v1alpha1.ManagedCluster) {
	c.Status = v1alpha1.ManagedClusterStatus{ObservedGeneration: new(int64(-1))}
}

func testFleet() []v1alpha1.ManagedCluster {
	return []v1alpha1.ManagedCluster{
		member("prod-eu-2"),
		member("prod-eu-1", nodesNotReady),
		member("prod-us-1", unavailable),
		member("edge-0042", disconnected),
		member("edge-0043", awaiting),
		member("edge-0044", denied),
		member("fresh", unobserved),
		member("old-dc", disconnected, deleted(time.Minute),
			condition(v1alpha1.ClusterConditionDeleting, metav1.ConditionTrue, v1alpha1.ClusterReasonRemovingNamespace, "the namespace still holds 2 objects", time.Minute)),
	}
}

func TestRender(t *testing.T) {
	quiet := []v1alpha1.ManagedCluster{member("a"), member("b-with-a-name-that-is-as-long-as-a-name-may-be")}
	var crowd []v1alpha1.ManagedCluster
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		crowd = append(crowd, member(name, disconnected))
	}
	hostile := []v1alpha1.ManagedCluster{member("hostile", func(c *v1alpha1.ManagedCluster) {
		c.Status.Kubernetes.Version = "v1\x1b[2J\x1b]0;owned\x07"
	}, condition(v1alpha1.ClusterConditionNodesHealthy, metav1.ConditionFalse, "Bad", "one\nother-cluster  Available\r\x1b[31m\u202ered\u0085", time.Hour))}
	tests := map[string]struct {
		clusters []v1alpha1.ManagedCluster
		layout   Layout
	}{
		"fleet-120":   {testFleet(), Layout{Width: 120}},
		"fleet-80":    {testFleet(), Layout{Width: 80}},
		"fleet-wide":  {testFleet(), Layout{}},
		"fleet-color": {testFleet()[:4], Layout{Width: 120, Color: true}},
		"quiet-80":    {quiet, Layout{Width: 80}},
		"crowd-100":   {crowd, Layout{Width: 100}},
		"hostile":     {hostile, Layout{Width: 120}},
		"empty":       {nil, Layout{Width: 80}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Render(&b, Fleet(test.clusters, testNow), testNow, test.layout); err != nil {
				t.Fatal(err)
			}
			golden(t, "status-"+name+".txt", b.Bytes())
			if test.layout.Color {
				return
			}
			for line := range bytes.Lines(b.Bytes()) {
				if width := len([]rune(string(line))) - 1; test.layout.Width > 0 && width > test.layout.Width {
					t.Errorf("a line has %d columns instead of at most %d: %s", width, test.layout.Width, line)
				}
				if bytes.ContainsAny(line[:len(line)-1], "\x1b\r\x07\n") {
					t.Errorf("a line has control characters: %q", line)
				}
			}
		})
	}
}

func TestFleetAsData(t *testing.T) {
	for _, format := range []string{formatJSON, formatYAML} {
		var b bytes.Buffer
		if err := writeValue(&b, Fleet(testFleet(), testNow), format); err != nil {
			t.Fatal(err)
		}
		golden(t, "status-fleet."+format, b.Bytes())
	}
	var b bytes.Buffer
	if err := writeValue(&b, Fleet(nil, testNow), formatJSON); err != nil {
		t.Fatal(err)
	}
	// Scripts iterate over the lists: they have to be there.
	golden(t, "status-empty.json", b.Bytes())
}

func TestClusterVerdict(t *testing.T) {
	tests := map[string]struct {
		cluster   v1alpha1.ManagedCluster
		state     State
		available metav1.ConditionStatus
		reasons   []string
	}{
		"fine":        {member("x"), StateAvailable, metav1.ConditionTrue, nil},
		"unavailable": {member("x", unavailable), StateUnavailable, metav1.ConditionFalse, []string{v1alpha1.ClusterReasonLivezFailed}},
		"what a silent agent said last is no news": {
			member("x", nodesNotReady, disconnected), StateUnknown, metav1.ConditionUnknown, []string{v1alpha1.ClusterReasonLeaseExpired},
		},
		"a hub that stopped cannot vouch for anything": {
			member("x", lastSeen(12*time.Minute)), StateUnknown, metav1.ConditionUnknown, []string{ReasonHubSilent},
		},
		"just within what the hub may lag": {member("x", lastSeen(11*time.Minute)), StateAvailable, metav1.ConditionTrue, nil},
		"a slow heartbeat is waited for": {
			member("x", lastSeen(25*time.Minute), func(c *v1alpha1.ManagedCluster) {
				c.Spec.Heartbeat = &v1alpha1.Heartbeat{PeriodSeconds: 600, MissesBeforeUnavailable: 2}
			}), StateAvailable, metav1.ConditionTrue, nil,
		},
		"awaiting approval": {member("x", awaiting), StateAwaitingApproval, metav1.ConditionUnknown, []string{v1alpha1.ClusterReasonAwaitingApproval}},
		"awaiting approval, no hub yet": {
			member("x", unobserved, notAccepted), StateAwaitingApproval, metav1.ConditionUnknown,
			[]string{ReasonUnobserved, v1alpha1.ClusterReasonAwaitingApproval},
		},
		"accepted is about to be withdrawn": {
			member("x", notAccepted), StateAwaitingApproval, metav1.ConditionTrue, []string{v1alpha1.ClusterReasonAwaitingApproval},
		},
		"denied":     {member("x", denied), StateDenied, metav1.ConditionUnknown, []string{v1alpha1.ClusterReasonDenied}},
		"unobserved": {member("x", unobserved), StateUnknown, metav1.ConditionUnknown, []string{ReasonUnobserved}},
		"never joined": {
			member("x", neverReported,
				condition(v1alpha1.ClusterConditionAvailable, metav1.ConditionUnknown, v1alpha1.ClusterReasonNeverJoined, "no agent", time.Hour)),
			StateUnknown, metav1.ConditionUnknown,
			[]string{v1alpha1.ClusterReasonNeverJoined},
		},
		"not judged": {
			member("x", func(c *v1alpha1.ManagedCluster) { c.Status.Conditions = nil }), StateUnknown, metav1.ConditionUnknown,
			[]string{v1alpha1.ClusterReasonNotReported},
		},
		"two clusters with one identity": {
			member("x",
				condition(v1alpha1.ClusterConditionAccepted, metav1.ConditionFalse, v1alpha1.ClusterReasonIdentityConflict, "two", time.Hour),
				condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ClusterReasonIdentityConflict, "two", time.Hour)),
			StateDegraded, metav1.ConditionTrue,
			[]string{v1alpha1.ClusterReasonIdentityConflict},
		},
		"several at once": {
			member("x", nodesNotReady,
				condition(v1alpha1.ClusterConditionAgentCompatible, metav1.ConditionFalse, v1alpha1.ClusterReasonAgentTooOld, "old", time.Hour),
				condition(v1alpha1.ClusterConditionInventorySynced, metav1.ConditionFalse, v1alpha1.ClusterReasonInventoryStale, "pods", time.Hour),
				func(c *v1alpha1.ManagedCluster) {
					c.Status.Anomalies = &v1alpha1.AnomalySummary{Critical: new(int32(3))}
				}),
			StateDegraded, metav1.ConditionTrue,
			[]string{v1alpha1.ClusterReasonAgentTooOld, v1alpha1.ClusterReasonNodesNotReady, v1alpha1.ClusterReasonInventoryStale, ReasonAnomalies},
		},
		"a development build is no problem": {
			member("x", condition(v1alpha1.ClusterConditionAgentCompatible, metav1.ConditionUnknown, v1alpha1.ClusterReasonUnknownVersion, "", time.Hour)),
			StateAvailable, metav1.ConditionTrue, nil,
		},
		"deleting, hub away": {member("x", deleted(time.Hour)), StateDeleting, metav1.ConditionTrue, []string{v1alpha1.ClusterConditionDeleting}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, problems := clusterStatus(&test.cluster, testNow)
			var reasons []string
			for _, problem := range problems {
				reasons = append(reasons, problem.Reason)
			}
			if status.State != test.state || status.Available != test.available {
				t.Errorf("state %s, available %s; want %s, %s", status.State, status.Available, test.state, test.available)
			}
			if diff := cmp.Diff(test.reasons, reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if len(test.reasons) > 0 && status.Reason != test.reasons[0] {
				t.Errorf("reason %q; want %q", status.Reason, test.reasons[0])
			}
		})
	}
}

func TestPercent(t *testing.T) {
	tests := map[string]struct {
		part, whole string
		want        *int64
	}{
		"rounds":            {"1", "3", new(int64(33))},
		"rounds up":         {"2", "3", new(int64(67))},
		"overcommitted":     {"30", "20", new(int64(150))},
		"nothing requested": {"0", "20", new(int64(0))},
		"nothing to divide": {"1", "0", nil},
		"huge":              {"500Pi", "1000Pi", new(int64(50))},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := percent(new(resource.MustParse(test.part)), new(resource.MustParse(test.whole)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := percent(nil, new(resource.MustParse("1"))); got != nil {
		t.Errorf("percent of nothing is %d", *got)
	}
}
