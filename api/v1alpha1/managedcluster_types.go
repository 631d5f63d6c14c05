// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
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
	// ClusterConditionMetricsFlowing says whether the telemetry of this cluster
	// reaches the history. Absent when the hub keeps no history. Written by the hub.
	ClusterConditionMetricsFlowing = "MetricsFlowing"
	// ClusterConditionDegraded is present and True while something of AtlHyper
	// itself does not work for this connected cluster; its message says what still
	// does. It never makes Ready or Available any worse. Written by the hub.
	ClusterConditionDegraded = "Degraded"
	// ClusterConditionClockSynced says whether the cluster's clock agrees with the
	// hub's. Absent while nothing is known about it. Written by the hub.
	ClusterConditionClockSynced = "ClockSynced"
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

// Reasons of MetricsFlowing; DatabaseUnavailable is one of Degraded too.
const (
	// ClusterReasonSamplesFresh means that telemetry of the cluster is stored and
	// nothing says that some of it is not.
	ClusterReasonSamplesFresh = "SamplesFresh"
	// ClusterReasonSamplesStale means that the agent cannot deliver, or that node
	// collectors measure and nothing of it was stored for 5 minutes.
	ClusterReasonSamplesStale = "SamplesStale"
	// ClusterReasonIngestRejected means that the hub refuses what the agent
	// delivers; the message says why.
	ClusterReasonIngestRejected = "IngestRejected"
	// ClusterReasonAwaitingTelemetry means that nothing of the cluster is known to be
	// stored yet.
	ClusterReasonAwaitingTelemetry = "AwaitingTelemetry"
	// ClusterReasonNotConnected means that the cluster is not connected, so that
	// nothing is expected of it.
	ClusterReasonNotConnected = "NotConnected"
	// ClusterReasonDatabaseUnavailable means that the history's database is away.
	// Agents keep their telemetry; everything but history goes on.
	ClusterReasonDatabaseUnavailable = "DatabaseUnavailable"
)

// Reasons of ClockSynced.
const (
	// ClusterReasonInSync means that the clocks differ by less than a minute.
	ClusterReasonInSync = "InSync"
	// ClusterReasonClockSkew means that they have differed by more than a minute,
	// and still do by at least half of one.
	ClusterReasonClockSkew = "ClockSkew"
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
	// false revokes the agent's credentials at once. Unset means true.
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
// +kubebuilder:validation:MinProperties=0
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
// +kubebuilder:printcolumn:name="Metrics",type=string,JSONPath=`.status.conditions[?(@.type=="MetricsFlowing")].status`,priority=1,description="Telemetry of the cluster reaches the history."
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

	// spec is what the owner of the fleet wants of the cluster. When unset, the
	// cluster is accepted and everything has its default.
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
