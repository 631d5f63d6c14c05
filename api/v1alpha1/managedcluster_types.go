// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions of a ManagedCluster besides Ready, Reconciling and Stalled.
const (
	// ClusterConditionAccepted says whether the cluster may be a member. Written by the hub.
	ClusterConditionAccepted = "Accepted"
	// ClusterConditionConnected says whether the agent renews its Lease, judged
	// by the hub's own clock. Written by the hub.
	ClusterConditionConnected = "Connected"
	// ClusterConditionAPIServerHealthy says whether the member's API server
	// answers its health checks. Written by the agent.
	ClusterConditionAPIServerHealthy = "APIServerHealthy"
	// ClusterConditionNodesHealthy says whether all nodes are Ready. Written by the agent.
	ClusterConditionNodesHealthy = "NodesHealthy"
	// ClusterConditionInventorySynced says whether the agent sees every kind it
	// reports about. Written by the agent.
	ClusterConditionInventorySynced = "InventorySynced"
	// ClusterConditionMetricsFlowing says whether samples of this cluster reach
	// the history. Written by the hub.
	ClusterConditionMetricsFlowing = "MetricsFlowing"
	// ClusterConditionAvailable is the summary: the worst of Connected and
	// APIServerHealthy, Unknown while not connected. Written by the hub.
	ClusterConditionAvailable = "Available"
	// ClusterConditionAgentCompatible says whether the agent's version is within
	// two minor versions of the hub's. Written by the hub.
	ClusterConditionAgentCompatible = "AgentCompatible"
	// ClusterConditionDeleting is present and True while the cluster is being
	// deleted; its message says what remains. Written by the hub.
	ClusterConditionDeleting = "Deleting"
)

// Reasons of Ready, Reconciling and Stalled.
const (
	// ClusterReasonProvisioned means that namespace, identity, roles and Lease exist.
	ClusterReasonProvisioned = "Provisioned"
	// ClusterReasonProvisioning means that the hub is creating them.
	ClusterReasonProvisioning = "Provisioning"
	// ClusterReasonProvisionFailed means that creating one of them failed; it is retried.
	ClusterReasonProvisionFailed = "ProvisionFailed"
)

// Reasons of Accepted, also used by Ready when membership is what it waits for.
const (
	// ClusterReasonAccepted means that the cluster is a member.
	ClusterReasonAccepted = "Accepted"
	// ClusterReasonAwaitingApproval means that spec.accepted is false and nobody
	// has accepted the cluster yet.
	ClusterReasonAwaitingApproval = "AwaitingApproval"
	// ClusterReasonDenied means that spec.accepted was set back to false: the
	// agent's credentials are revoked.
	ClusterReasonDenied = "Denied"
	// ClusterReasonIdentityConflict means that a cluster with another kube-system
	// UID than the pinned or expected one uses this identity.
	ClusterReasonIdentityConflict = "IdentityConflict"
)

// Reasons of Connected, also used by Available when they are the cause.
const (
	// ClusterReasonLeaseRenewed means that the agent renews its Lease in time.
	ClusterReasonLeaseRenewed = "LeaseRenewed"
	// ClusterReasonLeaseExpired means that the Lease was not renewed for the grace period.
	ClusterReasonLeaseExpired = "LeaseExpired"
	// ClusterReasonNeverJoined means that no agent has used this identity yet.
	ClusterReasonNeverJoined = "NeverJoined"
	// ClusterReasonHubOutage means that so many clusters fell silent at once that
	// the hub suspects itself; it makes no statement about this one.
	ClusterReasonHubOutage = "HubOutage"
)

// Reasons of APIServerHealthy and Available.
const (
	// ClusterReasonLivezOK means that the member's API server answers its health checks.
	ClusterReasonLivezOK = "LivezOK"
	// ClusterReasonLivezFailed means that it has failed them for at least 20 s.
	ClusterReasonLivezFailed = "LivezFailed"
	// ClusterReasonAvailable means that the cluster is connected and its API server healthy.
	ClusterReasonAvailable = "Available"
	// ClusterReasonNotReported means that the agent has not reported about this yet.
	ClusterReasonNotReported = "NotReported"
)

// Reasons of NodesHealthy and InventorySynced.
const (
	// ClusterReasonAllNodesReady means that every node is Ready.
	ClusterReasonAllNodesReady = "AllNodesReady"
	// ClusterReasonNodesNotReady means that some are not; the message has the counts.
	ClusterReasonNodesNotReady = "NodesNotReady"
	// ClusterReasonNoNodes means that the cluster has no nodes.
	ClusterReasonNoNodes = "NoNodes"
	// ClusterReasonInventoryCurrent means that the agent watches every kind it reports about.
	ClusterReasonInventoryCurrent = "InventoryCurrent"
	// ClusterReasonInventorySyncing means that the first listing is under way.
	ClusterReasonInventorySyncing = "InventorySyncing"
	// ClusterReasonInventoryStale means that some kinds cannot be read at the
	// moment; status.staleResources lists them.
	ClusterReasonInventoryStale = "InventoryStale"
)

// Reasons of AgentCompatible.
const (
	// ClusterReasonInSkew means that the agent is within two minor versions of the hub.
	ClusterReasonInSkew = "InSkew"
	// ClusterReasonAgentTooOld means that the agent is more than two minor versions older.
	ClusterReasonAgentTooOld = "TooOld"
	// ClusterReasonAgentTooNew means that the agent is newer than the hub.
	ClusterReasonAgentTooNew = "TooNew"
	// ClusterReasonUnknownVersion means that one of the two is not a release.
	ClusterReasonUnknownVersion = "UnknownVersion"
)

// Reasons of Deleting.
const (
	// ClusterReasonWaitingForAgent means that the agent has been told to clean up
	// and has not said goodbye yet.
	ClusterReasonWaitingForAgent = "WaitingForAgent"
	// ClusterReasonRemovingNamespace means that the cluster's hub namespace is being removed.
	ClusterReasonRemovingNamespace = "RemovingNamespace"
)

// RemoteAction is one of the closed set of actions a RemoteCommand can ask for.
// +kubebuilder:validation:Enum=RolloutRestart;Scale;SetImage;RolloutUndo;RestartPod;Cordon;Uncordon;Drain;Taint;GetLogs;Kubectl;Exec
type RemoteAction string

// The remote actions. RemoteCommand documents what each of them does.
const (
	RemoteActionRolloutRestart RemoteAction = "RolloutRestart"
	RemoteActionScale          RemoteAction = "Scale"
	RemoteActionSetImage       RemoteAction = "SetImage"
	RemoteActionRolloutUndo    RemoteAction = "RolloutUndo"
	RemoteActionRestartPod     RemoteAction = "RestartPod"
	RemoteActionCordon         RemoteAction = "Cordon"
	RemoteActionUncordon       RemoteAction = "Uncordon"
	RemoteActionDrain          RemoteAction = "Drain"
	RemoteActionTaint          RemoteAction = "Taint"
	RemoteActionGetLogs        RemoteAction = "GetLogs"
	RemoteActionKubectl        RemoteAction = "Kubectl"
	RemoteActionExec           RemoteAction = "Exec"
)

// NamespacePattern is the name of a namespace or a prefix of it followed by
// "*"; "*" alone means every namespace.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?|[a-z0-9][-a-z0-9]*\*)$`
type NamespacePattern string

// ManagedClusterSpec is what the owner of the fleet wants of a cluster.
type ManagedClusterSpec struct {
	// displayName is the name people see in the dashboard and in notifications.
	// Defaults to the name of the object. At most 128 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// accepted admits the cluster to the fleet. Committing a ManagedCluster is
	// the approval, so it defaults to true; a cluster that registers itself is
	// created with false and waits until somebody sets true. Setting it back to
	// false revokes the agent's credentials at once.
	// +optional
	// +default=true
	Accepted *bool `json:"accepted,omitempty"`

	// suspended stops remote commands and alerts for this cluster while it is
	// true. Telemetry goes on. Defaults to false.
	// +optional
	// +default=false
	Suspended *bool `json:"suspended,omitempty"`

	// expectedClusterID is the UID of the kube-system namespace that the member
	// must have. When unset, the UID of the first agent that joins is pinned in
	// status.clusterID. It cannot be changed once a different one is pinned.
	// +optional
	// +kubebuilder:validation:MinLength=36
	// +kubebuilder:validation:MaxLength=36
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`
	ExpectedClusterID string `json:"expectedClusterID,omitempty"`

	// heartbeat says how often the agent shows that it is alive and how long the
	// hub waits before it says otherwise.
	// +optional
	Heartbeat *Heartbeat `json:"heartbeat,omitempty"`

	// remoteCommands is the hub's allow-list for RemoteCommands on this cluster.
	// When unset, nothing is allowed. The member cluster has a list of its own
	// that the hub cannot edit; what is in force is what both allow.
	// +optional
	RemoteCommands *RemoteCommandPolicy `json:"remoteCommands,omitempty"`

	// allowedNamespaces says which namespaces of the hub may select this cluster
	// in a ServiceSLO or an AlertRule. When unset, all may.
	// +optional
	AllowedNamespaces *AllowedNamespaces `json:"allowedNamespaces,omitempty"`

	// protection refuses what must not happen to this cluster by accident.
	// +optional
	Protection *ClusterProtection `json:"protection,omitempty"`

	// deletionPolicy says what happens when this object is deleted.
	// +optional
	DeletionPolicy *ClusterDeletionPolicy `json:"deletionPolicy,omitempty"`
}

// Heartbeat is the rhythm of the agent's Lease.
// +kubebuilder:validation:MinProperties=1
type Heartbeat struct {
	// periodSeconds is the time between two renewals of the Lease, give or take
	// 10 %. From 5 to 600. Defaults to 30.
	// +optional
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=600
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`

	// missesBeforeUnavailable is how many renewals must be missed in a row before
	// the cluster counts as disconnected: the grace period is periodSeconds times
	// this. From 2 to 100. Defaults to 3.
	// +optional
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=100
	MissesBeforeUnavailable int32 `json:"missesBeforeUnavailable,omitempty"`
}

// RemoteCommandPolicy is the hub's allow-list for RemoteCommands.
type RemoteCommandPolicy struct {
	// allowedActions are the actions that may run. At most 12.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=12
	AllowedActions []RemoteAction `json:"allowedActions,omitempty"`

	// allowedNamespaces are the member's namespaces that actions may touch; a
	// trailing "*" matches a prefix. Actions on nodes need "*". At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	AllowedNamespaces []NamespacePattern `json:"allowedNamespaces,omitempty"`

	// approvalRequiredFor are the actions that somebody other than the requester
	// has to approve before they run. At most 12.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=12
	ApprovalRequiredFor []RemoteAction `json:"approvalRequiredFor,omitempty"`
}

// NamespacesFrom says where namespaces are taken from.
// +kubebuilder:validation:Enum=All;Selector;None
type NamespacesFrom string

const (
	// NamespacesFromAll allows every namespace.
	NamespacesFromAll NamespacesFrom = "All"
	// NamespacesFromSelector allows the namespaces that the selector matches.
	NamespacesFromSelector NamespacesFrom = "Selector"
	// NamespacesFromNone allows no namespace.
	NamespacesFromNone NamespacesFrom = "None"
)

// AllowedNamespaces selects namespaces of the hub.
// +kubebuilder:validation:XValidation:rule="(self.from == 'Selector') == has(self.selector)",message="selector is required when from is Selector, and allowed only then"
type AllowedNamespaces struct {
	// from is All, Selector or None:
	//   - All: every namespace
	//   - Selector: the namespaces whose labels selector matches
	//   - None: no namespace
	// +required
	From NamespacesFrom `json:"from,omitempty"`

	// selector matches the labels of namespaces. Only with from: Selector.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// Permission is Allowed or Denied.
// +kubebuilder:validation:Enum=Allowed;Denied
type Permission string

const (
	// PermissionAllowed lets it happen.
	PermissionAllowed Permission = "Allowed"
	// PermissionDenied refuses it.
	PermissionDenied Permission = "Denied"
)

// ClusterProtection refuses what must not happen by accident.
// +kubebuilder:validation:MinProperties=1
type ClusterProtection struct {
	// deletion refuses to delete this object while it is Denied. Defaults to Allowed.
	// +optional
	Deletion Permission `json:"deletion,omitempty"`
}

// AgentCleanup says whether the agent is told to clean up before its cluster is
// removed from the fleet.
// +kubebuilder:validation:Enum=BestEffort;None
type AgentCleanup string

const (
	// AgentCleanupBestEffort waits for a connected agent up to the deadline.
	AgentCleanupBestEffort AgentCleanup = "BestEffort"
	// AgentCleanupNone does not wait for the agent.
	AgentCleanupNone AgentCleanup = "None"
)

// ClusterDeletionPolicy says how a cluster leaves the fleet.
// +kubebuilder:validation:MinProperties=1
type ClusterDeletionPolicy struct {
	// agentCleanup says whether to wait for the agent to remove its session from
	// the member cluster:
	//   - BestEffort: a connected agent gets until the deadline; an offline one is
	//     not waited for
	//   - None: nobody waits
	// Defaults to BestEffort.
	// +optional
	AgentCleanup AgentCleanup `json:"agentCleanup,omitempty"`

	// timeoutSeconds is the deadline of the whole deletion, counted from
	// metadata.deletionTimestamp: after it the object goes, whatever remains.
	// From 1 to 3600. Defaults to 300.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
}

// ManagedClusterStatus is what the hub and the agent have seen of a cluster.
// Written only when something shown here changes.
type ManagedClusterStatus struct {
	// conditions say, each with a reason and a message, how the cluster is:
	// Ready, Accepted, Connected, Available, AgentCompatible (and Deleting,
	// Reconciling, Stalled while true) from the hub; APIServerHealthy,
	// NodesHealthy and InventorySynced from the agent.
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
	// 5 minutes, so it lags behind by up to that.
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

// Severity is how bad something is.
// +kubebuilder:validation:Enum=critical;warning;info
type Severity string

const (
	// SeverityCritical needs somebody now.
	SeverityCritical Severity = "critical"
	// SeverityWarning needs somebody soon.
	SeverityWarning Severity = "warning"
	// SeverityInfo is good to know.
	SeverityInfo Severity = "info"
)

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

// ManagedCluster is a Kubernetes cluster that this hub watches and operates.
//
// Committing one is the approval: the hub creates the namespace
// atlhyper-cluster-NAME with the agent's identity, roles and Lease. Then
// `kubectl atlhyper join NAME` prints what to apply in the member cluster.
//
// Ready says that the hub side is in place; whether the cluster is alive is
// Available. So an unreachable cluster never blocks a GitOps sync.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=mc,categories=atlhyper
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 46",message="the name may have at most 46 characters, because the cluster's namespace is atlhyper-cluster-NAME"
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.contains('.')",message="the name may not contain dots, because it is part of the name of a namespace"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="The hub side is in place."
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`,description="The cluster is connected and its API server healthy."
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.kubernetes.version`,description="Version of the member's API server."
// +kubebuilder:printcolumn:name="Nodes",type=string,JSONPath=`.status.nodes.summary`,description="Ready nodes of all nodes."
// +kubebuilder:printcolumn:name="Platform",type=string,JSONPath=`.status.kubernetes.platform`,priority=1
// +kubebuilder:printcolumn:name="Agent",type=string,JSONPath=`.status.agent.version`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].reason`,priority=1
// +kubebuilder:printcolumn:name="Cluster-ID",type=string,JSONPath=`.status.clusterID`,priority=1
// +kubebuilder:printcolumn:name="Last-Seen",type=date,JSONPath=`.status.lastHeartbeatTime`,description="When the hub last saw the agent, to 5 minutes."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ManagedCluster struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. Labels belong to the user and
	// are what ServiceSLOs and AlertRules select clusters by; the agent cannot
	// write them.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what the owner of the fleet wants of the cluster.
	// +optional
	Spec ManagedClusterSpec `json:"spec,omitzero"`

	// status is what the hub and the agent have seen of the cluster.
	// +optional
	// +default={"observedGeneration":-1}
	Status ManagedClusterStatus `json:"status,omitzero"`
}

// ManagedClusterList is a list of ManagedClusters.
// +kubebuilder:object:root=true
type ManagedClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []ManagedCluster `json:"items"`
}
