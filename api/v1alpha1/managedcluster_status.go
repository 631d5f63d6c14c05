// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ManagedClusterStatus is what the hub and the agent have seen of a cluster.
// Written only when something shown here changes.
type ManagedClusterStatus struct {
	// conditions say, each with a reason and a message, how the cluster is:
	// Ready, Accepted, Connected, Available, AgentCompatible, MetricsFlowing and
	// ClockSynced (and Degraded, Deleting, Reconciling, Stalled while true) from
	// the hub; APIServerHealthy, NodesHealthy and InventorySynced from the agent.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the hub has acted
	// on, -1 before it has seen the object.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// namespace is the hub namespace that holds this cluster's identity, Lease,
	// bundle and RemoteCommands.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// clusterID is the UID of the member's kube-system namespace, pinned when
	// its agent joined first.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ClusterID string `json:"clusterID,omitempty"`

	// conflictingClusterID is the UID of another cluster that uses this identity
	// now. It goes away when that cluster has been silent for 15 minutes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ConflictingClusterID string `json:"conflictingClusterID,omitempty"`

	// lastHeartbeatTime is when the hub last saw the agent renew its Lease, by
	// the hub's clock. Written when Connected changes and otherwise at most every
	// 5 minutes, at the next look: it lags behind by up to 5 minutes and a grace
	// period.
	// +optional
	LastHeartbeatTime *metav1.Time `json:"lastHeartbeatTime,omitempty"`

	// kubernetes describes the member's control plane. Reported by the agent.
	// +optional
	Kubernetes *KubernetesInfo `json:"kubernetes,omitempty"`

	// agent describes the agent itself. Reported by the agent.
	// +optional
	Agent *AgentInfo `json:"agent,omitempty"`

	// nodes counts the member's nodes. Reported by the agent.
	// +optional
	Nodes *NodeCounts `json:"nodes,omitempty"`

	// pods counts the member's pods. Reported by the agent.
	// +optional
	Pods *PodCounts `json:"pods,omitempty"`

	// workloads counts the member's workloads. Reported by the agent.
	// +optional
	Workloads *WorkloadCounts `json:"workloads,omitempty"`

	// capacity is the sum of the nodes' capacity. Reported by the agent.
	// +optional
	Capacity *Resources `json:"capacity,omitempty"`

	// allocatable is the sum of what the nodes offer to pods. Reported by the agent.
	// +optional
	Allocatable *Resources `json:"allocatable,omitempty"`

	// requested is the sum of what pods that are assigned to a node and have not
	// finished request, as the scheduler counts it. Reported by the agent.
	// +optional
	Requested *Resources `json:"requested,omitempty"`

	// used is what the nodes use, measured by the node collectors. Unset where
	// none report. Reported by the agent.
	// +optional
	Used *Resources `json:"used,omitempty"`

	// anomalies counts what is broken in the member, with the worst few. Unset
	// until the agent reports anomalies. Reported by the agent.
	// +optional
	Anomalies *AnomalySummary `json:"anomalies,omitempty"`

	// staleResources are the resources, as "pods" or "deployments.apps", that the
	// agent cannot read at the moment; what is reported of them is old.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	StaleResources []string `json:"staleResources,omitempty"`
}

// KubernetesInfo describes a control plane.
type KubernetesInfo struct {
	// version is the API server's version, as in v1.37.2.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`

	// platform is the distribution as far as the agent can tell: EKS, GKE, AKS,
	// OpenShift, K3s, RKE2, Talos, KWOK and so on. Unset when it cannot.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Platform string `json:"platform,omitempty"`
}

// AgentInfo describes a running agent.
type AgentInfo struct {
	// version is the agent's release.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`

	// startedAt is when this agent process started, by the member's clock.
	// +required
	StartedAt metav1.Time `json:"startedAt,omitzero"`

	// capabilities are the remote actions that the member cluster allows.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=12
	Capabilities []RemoteAction `json:"capabilities,omitempty"`

	// delivery says what keeps the agent's telemetry from the hub's history.
	// Unset while everything is delivered and nothing was given up.
	// +optional
	Delivery *AgentDelivery `json:"delivery,omitempty"`
}

// AgentDelivery says what keeps an agent's telemetry from the hub's history. It
// moves in coarse steps, so that an outage costs few writes.
// +kubebuilder:validation:MinProperties=1
type AgentDelivery struct {
	// failingSince is when delivering began to fail, by the member's clock. Set
	// after a minute without success, unset with the next success.
	// +optional
	FailingSince *metav1.Time `json:"failingSince,omitempty"`

	// problem is why delivering fails, in the words of the failure that it was
	// reported with first. Unset without failingSince. At most 256 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Problem string `json:"problem,omitempty"`

	// backlogSeconds is the age of the oldest record that is not delivered, rounded
	// down to 1, 5, 15 or 30 minutes or to whole hours. Unset below a minute. A
	// backlog is delivered beside what is new, so it does not mean that nothing
	// arrives.
	// +optional
	// +kubebuilder:validation:Minimum=60
	BacklogSeconds int32 `json:"backlogSeconds,omitempty"`

	// droppedRecords is how many records were given up since this agent process
	// started, because the agent's disk was full, they were too old or the hub
	// refused them, rounded down to its first digit: 7, 40, 900. Unset for none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	DroppedRecords int64 `json:"droppedRecords,omitempty"`
}

// NodeCounts counts nodes.
type NodeCounts struct {
	// ready is the number of nodes that are Ready.
	// +required
	// +kubebuilder:validation:Minimum=0
	Ready *int32 `json:"ready,omitempty"`

	// total is the number of nodes.
	// +required
	// +kubebuilder:validation:Minimum=0
	Total *int32 `json:"total,omitempty"`

	// summary is "ready/total", for the printed column.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Summary string `json:"summary,omitempty"`
}

// PodCounts counts pods. A pod is in total and in exactly one of the phases.
type PodCounts struct {
	// total is the number of pods.
	// +required
	// +kubebuilder:validation:Minimum=0
	Total *int32 `json:"total,omitempty"`

	// running is the number of pods in phase Running.
	// +required
	// +kubebuilder:validation:Minimum=0
	Running *int32 `json:"running,omitempty"`

	// pending is the number of pods in phase Pending.
	// +required
	// +kubebuilder:validation:Minimum=0
	Pending *int32 `json:"pending,omitempty"`

	// succeeded is the number of pods in phase Succeeded.
	// +required
	// +kubebuilder:validation:Minimum=0
	Succeeded *int32 `json:"succeeded,omitempty"`

	// failed is the number of pods in phase Failed.
	// +required
	// +kubebuilder:validation:Minimum=0
	Failed *int32 `json:"failed,omitempty"`

	// unknown is the number of pods in phase Unknown or in none.
	// +required
	// +kubebuilder:validation:Minimum=0
	Unknown *int32 `json:"unknown,omitempty"`

	// notReady is the number of pods in phase Running that are not Ready.
	// +required
	// +kubebuilder:validation:Minimum=0
	NotReady *int32 `json:"notReady,omitempty"`
}

// WorkloadCounts counts workloads. A kind that the agent may not read is unset.
// +kubebuilder:validation:MinProperties=0
type WorkloadCounts struct {
	// deployments is the number of Deployments.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Deployments *int32 `json:"deployments,omitempty"`

	// statefulSets is the number of StatefulSets.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StatefulSets *int32 `json:"statefulSets,omitempty"`

	// daemonSets is the number of DaemonSets.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DaemonSets *int32 `json:"daemonSets,omitempty"`

	// jobs is the number of Jobs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Jobs *int32 `json:"jobs,omitempty"`

	// cronJobs is the number of CronJobs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	CronJobs *int32 `json:"cronJobs,omitempty"`
}

// Resources is an amount of each resource that AtlHyper follows.
// +kubebuilder:validation:MinProperties=1
type Resources struct {
	// cpu is in cores.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`

	// memory is in bytes.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`

	// ephemeralStorage is in bytes.
	// +optional
	EphemeralStorage *resource.Quantity `json:"ephemeralStorage,omitempty"`

	// pods is a number of pods.
	// +optional
	Pods *resource.Quantity `json:"pods,omitempty"`
}

// AnomalySummary counts anomalies by severity.
type AnomalySummary struct {
	// critical is the number of critical anomalies.
	// +required
	// +kubebuilder:validation:Minimum=0
	Critical *int32 `json:"critical,omitempty"`

	// warning is the number of warnings.
	// +required
	// +kubebuilder:validation:Minimum=0
	Warning *int32 `json:"warning,omitempty"`

	// info is the number of anomalies that are only good to know.
	// +required
	// +kubebuilder:validation:Minimum=0
	Info *int32 `json:"info,omitempty"`

	// worst are the worst anomalies, most severe and then oldest first. At most 20.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Worst []AnomalyReference `json:"worst,omitempty"`
}

// AnomalyReference is one anomaly in a few words.
type AnomalyReference struct {
	// rule is the id of the anomaly rule.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Rule string `json:"rule,omitempty"`

	// severity is critical, warning or info.
	// +required
	Severity Severity `json:"severity,omitempty"`

	// kind is the kind of the object that is broken, usually the top owner.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// namespace is the object's namespace; unset for cluster-scoped objects.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// name is the object's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// reason is what was seen, in a word such as CrashLoopBackOff.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Reason string `json:"reason,omitempty"`

	// count is how many objects show it, such as the replicas of a Deployment.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`

	// since is when it began.
	// +required
	Since metav1.Time `json:"since,omitzero"`
}
