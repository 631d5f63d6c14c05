// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package report tells the hub what the agent knows of its cluster: it turns an
// inventory.Snapshot into the agent's part of a ManagedCluster's status and
// applies it when, and only when, something shown there has changed.
package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/agent/nodes"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

const (
	maxMessage        = 256
	maxStaleResources = 32
	maxVersion        = 64
)

// Agent describes the agent itself.
type Agent struct {
	// Version is the agent's release.
	Version string
	// StartedAt is when this process started.
	StartedAt time.Time
}

// Status returns the agent's part of a ManagedCluster's status: never a field or
// a condition that the hub writes. A condition whose status did not change keeps
// the lastTransitionTime it has in previous; now stamps the others.
func Status(snapshot inventory.Snapshot, agent Agent, previous []metav1.Condition, now time.Time) v1alpha1.ManagedClusterStatus {
	status := v1alpha1.ManagedClusterStatus{
		Agent: &v1alpha1.AgentInfo{
			Version:   truncate(agent.Version, maxVersion),
			StartedAt: seconds(agent.StartedAt),
		},
		Workloads: &v1alpha1.WorkloadCounts{
			Deployments:  clone(snapshot.Workloads.Deployments),
			StatefulSets: clone(snapshot.Workloads.StatefulSets),
			DaemonSets:   clone(snapshot.Workloads.DaemonSets),
			Jobs:         clone(snapshot.Workloads.Jobs),
			CronJobs:     clone(snapshot.Workloads.CronJobs),
		},
		Capacity:    resources(snapshot.Capacity),
		Allocatable: resources(snapshot.Allocatable),
		Requested:   resources(snapshot.Requested),
	}
	if *status.Workloads == (v1alpha1.WorkloadCounts{}) {
		status.Workloads = nil
	}
	if k := snapshot.Kubernetes; k.Version != "" {
		status.Kubernetes = &v1alpha1.KubernetesInfo{
			Version: truncate(k.Version, maxVersion), Platform: truncate(k.Platform, maxVersion),
		}
	}
	if n := snapshot.Nodes; n != nil {
		status.Nodes = &v1alpha1.NodeCounts{
			Ready: new(n.Ready), Total: new(n.Total), Summary: fmt.Sprintf("%d/%d", n.Ready, n.Total),
		}
	}
	if p := snapshot.Pods; p != nil {
		status.Pods = &v1alpha1.PodCounts{
			Total: new(p.Total), Running: new(p.Running), Pending: new(p.Pending), Succeeded: new(p.Succeeded),
			Failed: new(p.Failed), Unknown: new(p.Unknown), NotReady: new(p.NotReady),
		}
	}
	if len(snapshot.Stale) > 0 {
		status.StaleResources = append(status.StaleResources, snapshot.Stale[:min(len(snapshot.Stale), maxStaleResources)]...)
	}
	status.Conditions = conditions(snapshot, previous, now)
	return status
}

// Configuration returns a status as what is sent to the hub.
func Configuration(cluster string, status v1alpha1.ManagedClusterStatus) (*atlhyperac.ManagedClusterApplyConfiguration, error) {
	document, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encoding the status of ManagedCluster %s: %w", cluster, err)
	}
	configuration := atlhyperac.ManagedClusterStatus()
	if err := json.Unmarshal(document, configuration); err != nil {
		return nil, fmt.Errorf("encoding the status of ManagedCluster %s: %w", cluster, err)
	}
	return atlhyperac.ManagedCluster(cluster).WithStatus(configuration), nil
}

// agentPart is what of a status the agent writes.
func agentPart(status v1alpha1.ManagedClusterStatus) v1alpha1.ManagedClusterStatus {
	part := v1alpha1.ManagedClusterStatus{
		Kubernetes: status.Kubernetes, Agent: status.Agent, Nodes: status.Nodes, Pods: status.Pods,
		Workloads: status.Workloads, Capacity: status.Capacity, Allocatable: status.Allocatable,
		Requested: status.Requested, Used: status.Used, Anomalies: status.Anomalies, StaleResources: status.StaleResources,
	}
	for _, kind := range conditionTypes {
		if c := find(status.Conditions, kind); c != nil {
			part.Conditions = append(part.Conditions, *c)
		}
	}
	return part
}

// same says whether two statuses show the same.
func same(a, b v1alpha1.ManagedClusterStatus) bool { return equality.Semantic.DeepEqual(a, b) }

// healthChanged says whether a verdict differs, which is told at once.
func healthChanged(a, b v1alpha1.ManagedClusterStatus) bool {
	for _, kind := range conditionTypes {
		x, y := find(a.Conditions, kind), find(b.Conditions, kind)
		if (x == nil) != (y == nil) || x != nil && x.Status != y.Status {
			return true
		}
	}
	return false
}

// resources writes amounts the way the API server keeps them: cores in decimal,
// bytes in binary units, so that what is applied is what is stored.
func resources(r *inventory.Resources) *v1alpha1.Resources {
	if r == nil {
		return nil
	}
	return &v1alpha1.Resources{
		CPU:              canonical(resource.NewMilliQuantity(r.CPUMillis, resource.DecimalSI)),
		Memory:           canonical(resource.NewQuantity(r.MemoryBytes, resource.BinarySI)),
		EphemeralStorage: canonical(resource.NewQuantity(r.EphemeralStorageBytes, resource.BinarySI)),
		Pods:             canonical(resource.NewQuantity(r.Pods, resource.DecimalSI)),
	}
}

// used is what nodes use, nil where nothing measures it.
func used(u *nodes.Usage) *v1alpha1.Resources {
	if u == nil {
		return nil
	}
	return &v1alpha1.Resources{
		CPU:    canonical(resource.NewMilliQuantity(u.CPUMillis, resource.DecimalSI)),
		Memory: canonical(resource.NewQuantity(u.MemoryBytes, resource.BinarySI)),
	}
}

// canonical is the quantity as it is after a trip through its text.
func canonical(q *resource.Quantity) *resource.Quantity {
	return new(resource.MustParse(q.String()))
}

func clone(n *int32) *int32 {
	if n == nil {
		return nil
	}
	return new(*n)
}

func truncate(s string, size int) string {
	if len(s) <= size {
		return s
	}
	return strings.ToValidUTF8(s[:size], "")
}

func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.UTC().Truncate(time.Second)) }
