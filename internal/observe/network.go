// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

const (
	annotationIngressClass = "kubernetes.io/ingress.class"
	annotationCertificate  = "cert-manager.io/certificate-name"
)

// Service converts a Service.
func Service(o *corev1.Service) *facts.Service {
	s := &facts.Service{
		Meta: meta(facts.KindService, &o.ObjectMeta), Type: string(o.Spec.Type), Selector: o.Spec.Selector,
		Headless: o.Spec.ClusterIP == corev1.ClusterIPNone, PublishNotReady: o.Spec.PublishNotReadyAddresses,
		Addresses: len(o.Status.LoadBalancer.Ingress),
	}
	for i := range o.Spec.Ports {
		s.Ports = append(s.Ports, facts.Port{Name: o.Spec.Ports[i].Name, Number: o.Spec.Ports[i].Port})
	}
	return s
}

// EndpointSlice converts an EndpointSlice.
func EndpointSlice(o *discoveryv1.EndpointSlice) *facts.EndpointSlice {
	s := &facts.EndpointSlice{Meta: meta(facts.KindEndpointSlice, &o.ObjectMeta), Service: o.Labels[discoveryv1.LabelServiceName]}
	for i := range o.Endpoints {
		// Unknown means ready, says the API.
		if orElse(o.Endpoints[i].Conditions.Ready, true) {
			s.Ready++
		}
	}
	s.Changed = endpointsChanged(&o.ObjectMeta, "endpoints")
	return s
}

// endpointsChanged is when the endpoints of an object changed, as far as it tells.
func endpointsChanged(o *metav1.ObjectMeta, field string) time.Time {
	changed := fieldSet(o, field)
	if t, err := time.Parse(time.RFC3339Nano, o.Annotations[corev1.EndpointsLastChangeTriggerTime]); err == nil && t.After(changed) {
		return t
	}
	return changed
}

// Ingress converts an Ingress.
func Ingress(o *networkingv1.Ingress) *facts.Ingress {
	i := &facts.Ingress{Meta: meta(facts.KindIngress, &o.ObjectMeta), Class: orElse(o.Spec.IngressClassName, o.Annotations[annotationIngressClass])}
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil {
			i.Backends = append(i.Backends, facts.Backend{Service: b.Service.Name, PortName: b.Service.Port.Name, PortNumber: b.Service.Port.Number})
		}
	}
	add(o.Spec.DefaultBackend)
	for n := range o.Spec.Rules {
		if http := o.Spec.Rules[n].HTTP; http != nil {
			for k := range http.Paths {
				add(&http.Paths[k].Backend)
			}
		}
	}
	for n := range o.Spec.TLS {
		if name := o.Spec.TLS[n].SecretName; name != "" {
			i.Secrets = append(i.Secrets, name)
		}
	}
	return i
}

// Claim converts a PersistentVolumeClaim.
func Claim(o *corev1.PersistentVolumeClaim) *facts.Claim {
	return &facts.Claim{
		Meta: meta(facts.KindClaim, &o.ObjectMeta), Phase: string(o.Status.Phase), StorageClass: value(o.Spec.StorageClassName), Volume: o.Spec.VolumeName,
		ReadOnly: len(o.Spec.AccessModes) == 1 && o.Spec.AccessModes[0] == corev1.ReadOnlyMany,
		Conditions: conditions(o.Status.Conditions, func(c *corev1.PersistentVolumeClaimCondition) facts.Condition {
			return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
		}),
	}
}

// Volume converts a PersistentVolume.
func Volume(o *corev1.PersistentVolume) *facts.Volume {
	v := &facts.Volume{
		Meta: meta(facts.KindVolume, &o.ObjectMeta), Phase: string(o.Status.Phase), PhaseSince: timeOf(o.Status.LastPhaseTransitionTime),
		Reason: o.Status.Reason, Message: o.Status.Message,
	}
	if r := o.Spec.ClaimRef; r != nil {
		v.Claim = r.Namespace + "/" + r.Name
	}
	return v
}

// VolumeAttachment converts a VolumeAttachment.
func VolumeAttachment(o *storagev1.VolumeAttachment) *facts.VolumeAttachment {
	failure := func(e *storagev1.VolumeError) string {
		switch {
		case e == nil:
			return ""
		case e.Message == "":
			return "the driver gives no message"
		default:
			return e.Message
		}
	}
	return &facts.VolumeAttachment{
		Meta: meta(facts.KindVolumeAttachment, &o.ObjectMeta), Volume: value(o.Spec.Source.PersistentVolumeName), Node: o.Spec.NodeName,
		AttachError: failure(o.Status.AttachError), DetachError: failure(o.Status.DetachError),
	}
}

// StorageClass converts a StorageClass.
func StorageClass(o *storagev1.StorageClass) *facts.StorageClass {
	return &facts.StorageClass{
		Meta:             meta(facts.KindStorageClass, &o.ObjectMeta),
		WaitsForConsumer: value(o.VolumeBindingMode) == storagev1.VolumeBindingWaitForFirstConsumer,
	}
}

// Secret converts a Secret. Of its data only the certificate is looked at, and of
// that nothing is kept but its end and its names.
func Secret(o *corev1.Secret) *facts.Secret {
	s := &facts.Secret{Meta: meta(facts.KindSecret, &o.ObjectMeta), TLS: o.Type == corev1.SecretTypeTLS, Certificate: o.Annotations[annotationCertificate]}
	if !s.TLS {
		return s
	}
	block, _ := pem.Decode(o.Data[corev1.TLSCertKey])
	if block == nil || block.Type != "CERTIFICATE" {
		return s
	}
	if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
		s.NotAfter, s.Subject, s.Issuer = leaf.NotAfter, leaf.Subject.String(), leaf.Issuer.String()
	}
	return s
}

// SigningRequest converts a CertificateSigningRequest.
func SigningRequest(o *certificatesv1.CertificateSigningRequest) *facts.SigningRequest {
	r := &facts.SigningRequest{Meta: meta(facts.KindSigningRequest, &o.ObjectMeta), Signer: o.Spec.SignerName, Requester: o.Spec.Username}
	for i := range o.Status.Conditions {
		switch o.Status.Conditions[i].Type {
		case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			r.Decided = true
		}
	}
	return r
}

// ValidatingWebhooks converts a ValidatingWebhookConfiguration.
func ValidatingWebhooks(o *admissionregistrationv1.ValidatingWebhookConfiguration) *facts.Webhooks {
	w := &facts.Webhooks{Meta: meta(facts.KindValidating, &o.ObjectMeta)}
	for i := range o.Webhooks {
		w.Hooks = append(w.Hooks, hook(o.Webhooks[i].Name, &o.Webhooks[i].ClientConfig, o.Webhooks[i].FailurePolicy))
	}
	return w
}

// MutatingWebhooks converts a MutatingWebhookConfiguration.
func MutatingWebhooks(o *admissionregistrationv1.MutatingWebhookConfiguration) *facts.Webhooks {
	w := &facts.Webhooks{Meta: meta(facts.KindMutating, &o.ObjectMeta)}
	for i := range o.Webhooks {
		w.Hooks = append(w.Hooks, hook(o.Webhooks[i].Name, &o.Webhooks[i].ClientConfig, o.Webhooks[i].FailurePolicy))
	}
	return w
}

func hook(name string, c *admissionregistrationv1.WebhookClientConfig, policy *admissionregistrationv1.FailurePolicyType) facts.Hook {
	h := facts.Hook{Name: name, FailClosed: orElse(policy, admissionregistrationv1.Fail) == admissionregistrationv1.Fail}
	if c.Service != nil {
		h.Namespace, h.Service = c.Service.Namespace, c.Service.Name
	}
	return h
}
