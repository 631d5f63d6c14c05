// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package facts

import "time"

// Claim is a PersistentVolumeClaim.
type Claim struct {
	Meta
	// Phase is "Pending", "Bound" or "Lost".
	Phase string
	// StorageClass by name; empty for none.
	StorageClass string
	// Volume that it is bound to.
	Volume string
	// ReadOnly is true when its only access mode is ReadOnlyMany.
	ReadOnly bool
	// Conditions of the status.
	Conditions []Condition
}

// Volume is a PersistentVolume.
type Volume struct {
	Meta
	// Phase is "Available", "Bound", "Released" or "Failed".
	Phase string
	// PhaseSince is lastPhaseTransitionTime.
	PhaseSince time.Time
	// Reason and Message explain a failure.
	Reason, Message string
	// Claim is namespace/name of the claim that it is or was bound to.
	Claim string
}

// StorageClass is a StorageClass.
type StorageClass struct {
	Meta
	// WaitsForConsumer is true when volumes are made once a pod needs them.
	WaitsForConsumer bool
}

// VolumeAttachment is a VolumeAttachment.
type VolumeAttachment struct {
	Meta
	// Volume and Node are what is attached where.
	Volume, Node string
	// AttachError and DetachError are the messages of the driver; empty means none.
	AttachError, DetachError string
}

// Port of a Service.
type Port struct {
	// Name may be empty.
	Name string
	// Number is the port of the Service.
	Number int32
}

// Service is a Service.
type Service struct {
	Meta
	// Type is "ClusterIP", "NodePort", "LoadBalancer" or "ExternalName".
	Type string
	// Selector of pods; empty when others keep the endpoints.
	Selector map[string]string
	// Headless is true when it has no address of its own.
	Headless bool
	// PublishNotReady is publishNotReadyAddresses.
	PublishNotReady bool
	// Ports of the Service.
	Ports []Port
	// Addresses is how many the load balancer has.
	Addresses int
	// PodsChanged is when the pods that it selects last changed, as far as they
	// tell. Only analyze says it: an agent sees them change.
	PodsChanged time.Time
}

// EndpointSlice is a part of the endpoints of a Service.
type EndpointSlice struct {
	Meta
	// Service that it belongs to; empty when it belongs to none.
	Service string
	// Ready is how many endpoints are.
	Ready int
	// Changed is when it last did, or the pods behind it, as far as it tells.
	Changed time.Time
}

// Backend of an Ingress.
type Backend struct {
	// Service by name.
	Service string
	// PortName or PortNumber is the port; both are zero when none is named.
	PortName   string
	PortNumber int32
}

// Ingress is an Ingress.
type Ingress struct {
	Meta
	// Class is spec.ingressClassName; empty for the default.
	Class string
	// Backends that it sends requests to.
	Backends []Backend
	// Secrets that hold its certificates.
	Secrets []string
}

// IngressClass is an IngressClass. Only that it exists matters.
type IngressClass struct{ Meta }

// Hook is one webhook of a configuration.
type Hook struct {
	// Name of the webhook.
	Name string
	// Namespace and Service name what answers; empty for a URL.
	Namespace, Service string
	// FailClosed is true with failurePolicy Fail.
	FailClosed bool
}

// Webhooks is a ValidatingWebhookConfiguration or MutatingWebhookConfiguration.
type Webhooks struct {
	Meta
	// Hooks of the configuration.
	Hooks []Hook
}

// Secret is a Secret. Nothing of its data is kept but what a certificate tells
// everybody who connects.
type Secret struct {
	Meta
	// TLS is true for the type kubernetes.io/tls.
	TLS bool
	// NotAfter is the end of the leaf certificate.
	NotAfter time.Time
	// Subject and Issuer are names.
	Subject, Issuer string
	// Certificate is the Certificate of cert-manager that keeps it.
	Certificate string
}

// Certificate is a Certificate of cert-manager.
type Certificate struct {
	Meta
	// Secret is the name of the one that it keeps.
	Secret string
	// Renewal is status.renewalTime.
	Renewal time.Time
	// Conditions of the status.
	Conditions []Condition
}

// SigningRequest is a CertificateSigningRequest.
type SigningRequest struct {
	Meta
	// Signer is spec.signerName.
	Signer string
	// Requester is spec.username.
	Requester string
	// Decided is true once it is approved, denied or failed.
	Decided bool
}
