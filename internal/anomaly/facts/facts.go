// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package facts holds what the anomaly rules look at: for each kind of object
// the few fields that matter, without Kubernetes types. Whoever watches objects
// converts them; internal/observe does it for the types of client-go.
//
// A fact is handed over once and must not be changed afterwards. All times are
// zero when unknown.
package facts

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The kinds of objects, as in the API.
const (
	KindPod              = "Pod"
	KindNode             = "Node"
	KindLease            = "Lease"
	KindDeployment       = "Deployment"
	KindStatefulSet      = "StatefulSet"
	KindDaemonSet        = "DaemonSet"
	KindReplicaSet       = "ReplicaSet"
	KindController       = "ReplicationController"
	KindJob              = "Job"
	KindCronJob          = "CronJob"
	KindAutoscaler       = "HorizontalPodAutoscaler"
	KindDisruptionBudget = "PodDisruptionBudget"
	KindClaim            = "PersistentVolumeClaim"
	KindVolume           = "PersistentVolume"
	KindVolumeAttachment = "VolumeAttachment"
	KindStorageClass     = "StorageClass"
	KindService          = "Service"
	KindEndpointSlice    = "EndpointSlice"
	KindIngress          = "Ingress"
	KindIngressClass     = "IngressClass"
	KindGateway          = "Gateway"
	KindHTTPRoute        = "HTTPRoute"
	KindAPIService       = "APIService"
	KindValidating       = "ValidatingWebhookConfiguration"
	KindMutating         = "MutatingWebhookConfiguration"
	KindDefinition       = "CustomResourceDefinition"
	KindNamespace        = "Namespace"
	KindQuota            = "ResourceQuota"
	KindSecret           = "Secret"
	KindCertificate      = "Certificate"
	KindSigningRequest   = "CertificateSigningRequest"
	KindEvent            = "Event"
	KindManagedCluster   = "ManagedCluster"
	KindRemoteCommand    = "RemoteCommand"
)

// The kinds of facts that are no objects of the API.
const (
	KindCluster        = "Cluster"
	KindNodeSample     = "NodeSample"
	KindContainerUsage = "ContainerUsage"
	KindVolumeUsage    = "VolumeUsage"
	KindAPIServer      = "APIServer"
	KindExpiry         = "Expiry"
)

// ClusterName is the name of the Cluster and of the APIServer.
const ClusterName = "cluster"

// Ref names an object.
type Ref struct {
	// Kind of the object without its group.
	Kind string `json:"kind"`
	// Namespace is empty for cluster-scoped objects.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name,omitempty"`
}

// Telemetry returns the reference as it travels.
func (r Ref) Telemetry(uid string) telemetry.ObjectRef {
	return telemetry.ObjectRef{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: uid}
}

// String returns the kind and the name, with the namespace when there is one.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Owner names the object that manages another one in the same namespace.
type Owner struct {
	// Kind is empty when nobody manages the object. A kind of another API group that
	// shares its name with one of the kinds here has the group behind it, as in
	// "Job.batch.volcano.sh".
	Kind string
	// Name of the owner.
	Name string
	// UID of the owner.
	UID string
}

// Meta is what every fact has.
type Meta struct {
	// Ref names the object. Kind is required.
	Ref
	// UID tells an object from one of the same name before it; may be empty.
	UID string
	// Created is when the object was made.
	Created time.Time
	// Deleted is metadata.deletionTimestamp, which includes the grace period.
	Deleted time.Time
	// Owner is the controller among the owners.
	Owner Owner
	// Generation of the spec; 0 for kinds without.
	Generation int64
}

// About returns the Meta itself.
func (m *Meta) About() *Meta { return m }

// Object is any fact.
type Object interface {
	// About returns what every fact has.
	About() *Meta
}

// Condition is an element of status.conditions.
type Condition struct {
	// Type of the condition, such as "Ready".
	Type string
	// Status is "True", "False" or "Unknown".
	Status string
	// Reason is the machine's word.
	Reason string
	// Message is for people.
	Message string
	// Since is lastTransitionTime.
	Since time.Time
}

// Statuses of a Condition.
const (
	True    = "True"
	False   = "False"
	Unknown = "Unknown"
)

// Find returns the condition of a type, nil when there is none.
func Find(conditions []Condition, kind string) *Condition {
	for i := range conditions {
		if conditions[i].Type == kind {
			return &conditions[i]
		}
	}
	return nil
}

// Is returns the condition of a type if it has the status, else nil.
func Is(conditions []Condition, kind, status string) *Condition {
	if c := Find(conditions, kind); c != nil && c.Status == status {
		return c
	}
	return nil
}

// Conditioned is an object of which only conditions are judged: Gateway,
// HTTPRoute, APIService, CustomResourceDefinition.
type Conditioned struct {
	Meta
	// Conditions of the status; for an HTTPRoute those of all parents.
	Conditions []Condition
}
