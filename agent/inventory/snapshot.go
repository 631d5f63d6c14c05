// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import "time"

// Snapshot is what the agent knows of its cluster at one moment: counts and
// sums, no objects. It shares no memory with the Inventory.
//
// Absence is not zero: a pointer is nil until its kind has been listed once, so
// that a kind the agent may not read is never reported as having no objects. A
// kind that was listed and cannot be read any more keeps its last counts and is
// named in Stale.
type Snapshot struct {
	// Kubernetes is the API server's version and the distribution. Both are
	// empty until the API server has answered once.
	Kubernetes KubernetesInfo
	// Nodes counts nodes; nil until nodes have been listed.
	Nodes *NodeCounts
	// Pods counts pods; nil until pods have been listed.
	Pods *PodCounts
	// Workloads counts each kind of workload.
	Workloads WorkloadCounts
	// Capacity is the sum over all nodes; nil until nodes have been listed.
	Capacity *Resources
	// Allocatable is the sum over all nodes; nil until nodes have been listed.
	Allocatable *Resources
	// Requested is the sum, as the scheduler counts it, over the pods that are
	// bound to a node and have not ended; nil until pods have been listed.
	Requested *Resources
	// Synced is true once every kind has been listed or is known to be stale.
	// It never becomes false again.
	Synced bool
	// Stale holds, sorted, the resources such as "pods" and "deployments.apps"
	// that cannot be read at the moment. Nil when there are none.
	Stale []string
	// APIServer says whether the API server answers its health checks.
	APIServer APIServerHealth
	// ClusterID is the UID of the kube-system namespace, "" until it was read.
	ClusterID string
}

// KubernetesInfo describes a control plane.
type KubernetesInfo struct {
	// Version is the API server's version, such as v1.37.2.
	Version string
	// Platform is the distribution, such as EKS or K3s; "" when it is unknown.
	Platform string
}

// NodeCounts counts nodes.
type NodeCounts struct {
	// Ready is the number of nodes whose condition Ready is True.
	Ready int32
	// Total is the number of nodes.
	Total int32
}

// PodCounts counts pods. A pod is in Total and in exactly one of the phases.
type PodCounts struct {
	// Total is the number of pods.
	Total int32
	// Running is the number of pods in phase Running.
	Running int32
	// Pending is the number of pods in phase Pending.
	Pending int32
	// Succeeded is the number of pods in phase Succeeded.
	Succeeded int32
	// Failed is the number of pods in phase Failed.
	Failed int32
	// Unknown is the number of pods in phase Unknown or in none.
	Unknown int32
	// NotReady is the number of pods in phase Running that are not Ready.
	NotReady int32
}

// WorkloadCounts counts workloads. A kind is nil until it has been listed.
type WorkloadCounts struct {
	// Deployments is the number of Deployments.
	Deployments *int32
	// StatefulSets is the number of StatefulSets.
	StatefulSets *int32
	// DaemonSets is the number of DaemonSets.
	DaemonSets *int32
	// Jobs is the number of Jobs.
	Jobs *int32
	// CronJobs is the number of CronJobs.
	CronJobs *int32
}

// Resources is an amount of each resource that AtlHyper follows.
type Resources struct {
	// CPUMillis is in thousandths of a core.
	CPUMillis int64
	// MemoryBytes is in bytes.
	MemoryBytes int64
	// EphemeralStorageBytes is in bytes.
	EphemeralStorageBytes int64
	// Pods is a number of pods.
	Pods int64
}

// APIServerHealth is the verdict of the health checks of the API server, damped:
// it turns to unhealthy only after they have failed for Options.UnhealthyAfter.
type APIServerHealth struct {
	// Healthy is nil until there is a verdict.
	Healthy *bool
	// Since is when Healthy took its present value, by the agent's clock.
	Since time.Time
	// Message says what failed, in at most 256 bytes and without URLs; "" while healthy.
	Message string
}
