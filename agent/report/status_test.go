// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now   = start.Add(10 * time.Minute)
	agent = Agent{Version: "v0.1.0", StartedAt: start.Add(123 * time.Millisecond)}
)

func healthy() inventory.Snapshot {
	return inventory.Snapshot{
		Kubernetes: inventory.KubernetesInfo{Version: "v1.37.2", Platform: "KWOK"},
		Nodes:      &inventory.NodeCounts{Ready: 3, Total: 3},
		Pods:       &inventory.PodCounts{Total: 10, Running: 5, Pending: 1, Succeeded: 2, Failed: 1, Unknown: 1, NotReady: 2},
		Workloads:  inventory.WorkloadCounts{Deployments: new(int32(4)), Jobs: new(int32(0))},
		Capacity:   &inventory.Resources{CPUMillis: 12000, MemoryBytes: 48 << 30, EphemeralStorageBytes: 300 << 30, Pods: 330},
		Requested:  &inventory.Resources{CPUMillis: 1250, MemoryBytes: 1<<30 + 1, Pods: 7},
		Synced:     true,
		APIServer:  inventory.APIServerHealth{Healthy: new(true), Since: start},
	}
}

func TestConfiguration(t *testing.T) {
	configuration, err := Configuration("prod", Status(healthy(), agent, nil, now))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(configuration, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "kind": "ManagedCluster",
 "apiVersion": "atlhyper.io/v1alpha1",
 "metadata": {
  "name": "prod"
 },
 "status": {
  "conditions": [
   {
    "type": "APIServerHealthy",
    "status": "True",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
    "reason": "LivezOK",
    "message": "the API server answers its health checks"
   },
   {
    "type": "NodesHealthy",
    "status": "True",
    "lastTransitionTime": "2026-01-02T03:14:05Z",
    "reason": "AllNodesReady",
    "message": "all nodes are Ready"
   },
   {
    "type": "InventorySynced",
    "status": "True",
    "lastTransitionTime": "2026-01-02T03:14:05Z",
    "reason": "InventoryCurrent",
    "message": "the agent watches every kind it reports about"
   }
  ],
  "kubernetes": {
   "version": "v1.37.2",
   "platform": "KWOK"
  },
  "agent": {
   "version": "v0.1.0",
   "startedAt": "2026-01-02T03:04:05Z"
  },
  "nodes": {
   "ready": 3,
   "total": 3,
   "summary": "3/3"
  },
  "pods": {
   "total": 10,
   "running": 5,
   "pending": 1,
   "succeeded": 2,
   "failed": 1,
   "unknown": 1,
   "notReady": 2
  },
  "workloads": {
   "deployments": 4,
   "jobs": 0
  },
  "capacity": {
   "cpu": "12",
   "memory": "48Gi",
   "ephemeralStorage": "300Gi",
   "pods": "330"
  },
  "requested": {
   "cpu": "1250m",
   "memory": "1073741825",
   "ephemeralStorage": "0",
   "pods": "7"
  }
 }
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestConditions(t *testing.T) {
	type row struct{ status, reason, message string }
	cases := map[string]struct {
		change func(*inventory.Snapshot)
		kind   string
		want   row
	}{
		"not checked": {func(s *inventory.Snapshot) { s.APIServer = inventory.APIServerHealth{} }, "APIServerHealthy", row{"Unknown", "NotReported", "first health check"}},
		"API server sick": {func(s *inventory.Snapshot) {
			s.APIServer = inventory.APIServerHealth{Healthy: new(false), Message: "etcd failed"}
		}, "APIServerHealthy", row{"False", "LivezFailed", "checks: etcd failed"}},
		"nodes not listed":  {func(s *inventory.Snapshot) { s.Nodes = nil }, "NodesHealthy", row{"Unknown", "NotReported", "not listed"}},
		"no nodes":          {func(s *inventory.Snapshot) { s.Nodes = &inventory.NodeCounts{} }, "NodesHealthy", row{"Unknown", "NoNodes", "no nodes"}},
		"a node not ready":  {func(s *inventory.Snapshot) { s.Nodes.Ready = 1 }, "NodesHealthy", row{"False", "NodesNotReady", "2 of 3 nodes are not Ready"}},
		"nodes unreadable":  {func(s *inventory.Snapshot) { s.Stale = []string{"nodes"} }, "NodesHealthy", row{"Unknown", "InventoryStale", "cannot read nodes"}},
		"pods unreadable":   {func(s *inventory.Snapshot) { s.Stale = []string{"jobs.batch", "pods"} }, "InventorySynced", row{"False", "InventoryStale", "jobs.batch, pods"}},
		"still listing":     {func(s *inventory.Snapshot) { s.Synced = false }, "InventorySynced", row{"False", "InventorySyncing", "under way"}},
		"long message, cut": {func(s *inventory.Snapshot) { s.Stale = []string{strings.Repeat("é", 300)} }, "InventorySynced", row{"False", "InventoryStale", "é"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			snapshot := healthy()
			tc.change(&snapshot)
			c := find(Status(snapshot, agent, nil, now).Conditions, tc.kind)
			if c == nil {
				t.Fatalf("no condition %s", tc.kind)
			}
			if got := (row{string(c.Status), c.Reason, tc.want.message}); got != tc.want || !strings.Contains(c.Message, tc.want.message) {
				t.Errorf("%s %s %q; want %v", c.Status, c.Reason, c.Message, tc.want)
			}
			if len(c.Message) > maxMessage {
				t.Errorf("the message has %d bytes", len(c.Message))
			}
		})
	}
}

func TestLastTransitionTimes(t *testing.T) {
	before := Status(healthy(), agent, nil, start).Conditions
	snapshot := healthy()
	snapshot.Nodes.Ready = 2
	after := Status(snapshot, agent, before, now).Conditions
	for kind, want := range map[string]time.Time{"APIServerHealthy": start, "NodesHealthy": now, "InventorySynced": start} {
		if got := find(after, kind).LastTransitionTime; !got.Time.Equal(want) {
			t.Errorf("%s changed at %s; want %s", kind, got, want)
		}
	}
	// The message may change without a transition.
	snapshot.Nodes.Ready = 1
	again := Status(snapshot, agent, after, now.Add(time.Hour)).Conditions
	if got := find(again, "NodesHealthy"); !got.LastTransitionTime.Time.Equal(now) || got.Message != "2 of 3 nodes are not Ready" {
		t.Errorf("after more nodes failed: %+v", got)
	}
	// A clock that went backwards does not make a time in the future.
	snapshot.APIServer = inventory.APIServerHealth{Healthy: new(false), Since: now.Add(time.Hour)}
	if got := find(Status(snapshot, agent, again, now).Conditions, "APIServerHealthy"); !got.LastTransitionTime.Time.Equal(now) {
		t.Errorf("changed at %s; want %s", got.LastTransitionTime, now)
	}
}

func TestUnknownIsAbsent(t *testing.T) {
	status := Status(inventory.Snapshot{}, agent, nil, now)
	status.Conditions = nil
	want := v1alpha1.ManagedClusterStatus{Agent: &v1alpha1.AgentInfo{Version: "v0.1.0", StartedAt: metav1.NewTime(start)}}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestDecide(t *testing.T) {
	const minInterval, drift = 10 * time.Second, 5 * time.Minute
	base := Status(healthy(), agent, nil, start)
	morePods := healthy()
	morePods.Pods.Total++
	changed := Status(morePods, agent, base.Conditions, now)
	lessNodes := healthy()
	lessNodes.Nodes.Ready--
	sick := Status(lessNodes, agent, base.Conditions, now)

	ago := func(d time.Duration) memory {
		return memory{applied: &base, appliedAt: now.Add(-d), comparedAt: now.Add(-d)}
	}
	cases := map[string]struct {
		memory            memory
		desired, observed v1alpha1.ManagedClusterStatus
		apply             bool
		wait              time.Duration
	}{
		"first report":                       {memory{}, base, v1alpha1.ManagedClusterStatus{}, true, 0},
		"first, and the hub has it":          {memory{}, base, base, false, drift},
		"nothing new":                        {ago(time.Minute), base, base, false, 4 * time.Minute},
		"the hub's copy may lag":             {ago(time.Second), base, changed, false, drift - time.Second},
		"change after the interval":          {ago(10 * time.Second), changed, base, true, 0},
		"change within the interval":         {ago(4 * time.Second), changed, base, false, 6 * time.Second},
		"health change within the interval":  {ago(4 * time.Second), sick, base, true, 0},
		"health flaps":                       {ago(400 * time.Millisecond), sick, base, false, 600 * time.Millisecond},
		"5 min later, the hub's copy is ok":  {ago(drift), base, base, false, drift},
		"5 min later, the hub's copy is off": {ago(drift), base, changed, true, drift},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			apply, wait := tc.memory.decide(tc.desired, tc.observed, now, minInterval, drift)
			if apply != tc.apply || wait != tc.wait {
				t.Errorf("apply %t, wait %s; want %t, %s", apply, wait, tc.apply, tc.wait)
			}
		})
	}
}

func TestAgentPartLeavesOutTheHubs(t *testing.T) {
	mine := Status(healthy(), agent, nil, now)
	both := *mine.DeepCopy()
	both.ClusterID, both.Namespace, both.ObservedGeneration = "x", "y", new(int64(3))
	both.LastHeartbeatTime = new(metav1.NewTime(now))
	both.Conditions = append([]metav1.Condition{{Type: "Ready", Status: "True"}}, both.Conditions...)
	if diff := cmp.Diff(mine, agentPart(both)); diff != "" {
		t.Errorf("the agent's part (-want +got):\n%s", diff)
	}
}
