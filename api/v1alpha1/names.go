// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

// Names that the hub, the agent, the command line and the admission policies
// agree on. They are part of the API: changing one strands running agents.
const (
	// ClusterNamespacePrefix and the name of a ManagedCluster make the name of
	// the hub namespace that holds everything of that cluster. A namespace name
	// has at most 63 characters, which leaves 46 for the cluster.
	ClusterNamespacePrefix = "atlhyper-cluster-"
	// ClusterNameMaxLength is the longest name a ManagedCluster may have.
	ClusterNameMaxLength = 63 - len(ClusterNamespacePrefix)

	// AgentServiceAccount is the identity of the agent in its cluster namespace.
	AgentServiceAccount = "agent"
	// AgentLease is the Lease in the cluster namespace that the agent renews.
	// Its holderIdentity is "<kube-system UID of the member>/<agent instance>".
	AgentLease = "agent"
	// AgentSessionSecret is the Secret that the agent's tokens are bound to:
	// deleting it revokes every one of them.
	AgentSessionSecret = "agent-session"
	// AgentJoinSecret is the Secret that a join token is bound to and delivered
	// in. The hub deletes it as soon as the agent has joined, which ends the token.
	AgentJoinSecret = "agent-join"
	// AgentBundle is the ConfigMap through which the hub tells the agent what it
	// has to know: where the hub is now, and later what to evaluate.
	AgentBundle = "agent-bundle"

	// IngestAudience is the token audience of the hub's ingest endpoint. A token
	// for it is worthless at the API server and the other way round.
	IngestAudience = "atlhyper-ingest"

	// MemberNamespace is where the agent runs in a member cluster.
	MemberNamespace = "atlhyper-system"
	// MemberAgent names the agent's Deployment, ServiceAccount and roles there.
	MemberAgent = "atlhyper-agent"
	// MemberJoinSecret is the Secret that `kubectl atlhyper join` prints.
	MemberJoinSecret = "atlhyper-agent-join"
	// MemberSessionSecret is the Secret in which the agent keeps its session.
	MemberSessionSecret = "atlhyper-agent-session"
	// MemberNodesSecret is the Secret in which the agent keeps the authority that
	// signs the certificate it shows to node collectors.
	MemberNodesSecret = "atlhyper-agent-nodes"

	// NodesAudience is the token audience of the agent's endpoint for node
	// collectors. A token for it is worthless anywhere else.
	NodesAudience = "atlhyper-agent"
	// MemberNodesNamespace is where the node collectors run in a member cluster.
	// It is apart from MemberNamespace, because they mount the node's file system
	// and Pod Security judges whole namespaces.
	MemberNodesNamespace = "atlhyper-nodes"
	// MemberCollector names the node collectors' DaemonSet and ServiceAccount there.
	MemberCollector = "atlhyper-nodecollector"
	// MemberNodesCA is the ConfigMap there through which the agent tells collectors,
	// under the key CertificateAuthority, what to verify its certificate with.
	MemberNodesCA = "atlhyper-agent-ca"
)

// Keys of the Secret MemberNodesSecret and the ConfigMap MemberNodesCA.
const (
	// CertificateAuthority holds PEM certificates.
	CertificateAuthority = "ca.crt"
	// CertificateAuthorityKey holds their private keys in PEM.
	CertificateAuthorityKey = "ca.key"
)

// Keys of the join Secret and of the agent's session Secret.
const (
	// CredentialCluster holds the name of the ManagedCluster.
	CredentialCluster = "cluster"
	// CredentialHubURL holds the URL of the hub's API server.
	CredentialHubURL = "hub-url"
	// CredentialHubCA holds the PEM certificates that the hub's API server is
	// verified with. Empty means the system's certificates.
	CredentialHubCA = "hub-ca.crt"
	// CredentialToken holds the bearer token.
	CredentialToken = "token"
	// CredentialJoinID holds the nonce of the join request that the join token
	// answers. The agent's session Secret keeps it until the hub knows.
	CredentialJoinID = "join-id"
)

// BundleEndpoints is the key of the AgentBundle whose value, a JSON document
// {"endpoints":[{"url":"https://...","ca":"PEM"}]}, lists where the hub's API
// server can be reached, best first. During a change of address or certificate
// authority it lists the old and the new one.
const BundleEndpoints = "endpoints.json"

// BundleIngest is the key of the AgentBundle whose value, a JSON document of the
// same form as BundleEndpoints, lists where the hub takes telemetry. Without it
// the hub keeps no history, and agents ship nothing.
const BundleIngest = "ingest.json"

// BundleThresholds is the key of the AgentBundle whose value, a JSON document that
// internal/anomaly/threshold defines, lists the metric thresholds of AlertRules
// that the agent evaluates in its cluster. Without the key there are none. Whoever
// writes it owns this key alone.
const BundleThresholds = "thresholds.json"

// Labels and annotations.
const (
	// LabelCluster carries the name of the ManagedCluster on every hub object
	// that belongs to it.
	LabelCluster = "atlhyper.io/cluster"
	// AnnotationJoinRequest on a ManagedCluster asks the hub for a new join
	// Secret. Its value is a nonce of the requester's; the Secret carries the
	// same annotation with the nonce it answers.
	AnnotationJoinRequest = "atlhyper.io/join-request"
	// AnnotationJoinExpires on the join Secret is the RFC 3339 time at which its
	// token expires.
	AnnotationJoinExpires = "atlhyper.io/join-expires"
	// AnnotationJoined on the agent's Lease carries the join-id of the token that
	// the agent joined with last, so that the hub can delete that join Secret.
	AnnotationJoined = "atlhyper.io/joined"
	// AnnotationForceDelete on a ManagedCluster that is being deleted, with the
	// value "true", skips every wait for the member cluster.
	AnnotationForceDelete = "atlhyper.io/force-delete"
	// FinalizerCluster keeps a deleted ManagedCluster until its credentials are
	// revoked and its agent was told, or its deadline has passed.
	FinalizerCluster = "atlhyper.io/cluster"
)

// Field managers of server-side apply. One field of a status has one of them.
const (
	// FieldOwnerHub is the field manager of the hub's controllers.
	FieldOwnerHub = "atlhyper-hub"
	// FieldOwnerAgent is the field manager of the agent.
	FieldOwnerAgent = "atlhyper-agent"
)
