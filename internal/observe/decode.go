// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// types are the objects that are understood, by apiVersion and kind.
var types = map[string]func() any{
	"v1 Pod":                   func() any { return &corev1.Pod{} },
	"v1 Node":                  func() any { return &corev1.Node{} },
	"v1 Event":                 func() any { return &event{} },
	"v1 Service":               func() any { return &corev1.Service{} },
	"v1 ReplicationController": func() any { return &corev1.ReplicationController{} },
	"v1 Endpoints":             func() any { return &corev1.Endpoints{} }, //nolint:staticcheck // old dumps have nothing else
	"v1 PersistentVolumeClaim": func() any { return &corev1.PersistentVolumeClaim{} },
	"v1 PersistentVolume":      func() any { return &corev1.PersistentVolume{} },
	"v1 Namespace":             func() any { return &corev1.Namespace{} },
	"v1 ResourceQuota":         func() any { return &corev1.ResourceQuota{} },
	"v1 Secret":                func() any { return &corev1.Secret{} },

	"events.k8s.io/v1 Event":                                         func() any { return &newEvent{} },
	"coordination.k8s.io/v1 Lease":                                   func() any { return &lease{} },
	"apps/v1 Deployment":                                             func() any { return &appsv1.Deployment{} },
	"apps/v1 StatefulSet":                                            func() any { return &appsv1.StatefulSet{} },
	"apps/v1 DaemonSet":                                              func() any { return &appsv1.DaemonSet{} },
	"apps/v1 ReplicaSet":                                             func() any { return &appsv1.ReplicaSet{} },
	"batch/v1 Job":                                                   func() any { return &batchv1.Job{} },
	"batch/v1 CronJob":                                               func() any { return &batchv1.CronJob{} },
	"autoscaling/v2 HorizontalPodAutoscaler":                         func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"policy/v1 PodDisruptionBudget":                                  func() any { return &policyv1.PodDisruptionBudget{} },
	"discovery.k8s.io/v1 EndpointSlice":                              func() any { return &discoveryv1.EndpointSlice{} },
	"networking.k8s.io/v1 Ingress":                                   func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1 IngressClass":                              func() any { return &networkingv1.IngressClass{} },
	"storage.k8s.io/v1 StorageClass":                                 func() any { return &storagev1.StorageClass{} },
	"storage.k8s.io/v1 VolumeAttachment":                             func() any { return &storagev1.VolumeAttachment{} },
	"certificates.k8s.io/v1 CertificateSigningRequest":               func() any { return &certificatesv1.CertificateSigningRequest{} },
	"admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration": func() any { return &admissionregistrationv1.ValidatingWebhookConfiguration{} },
	"admissionregistration.k8s.io/v1 MutatingWebhookConfiguration":   func() any { return &admissionregistrationv1.MutatingWebhookConfiguration{} },
	"apiextensions.k8s.io/v1 CustomResourceDefinition":               func() any { return &apiextensionsv1.CustomResourceDefinition{} },
	"apiregistration.k8s.io/v1 APIService":                           func() any { return &Conditioned{} },
	"gateway.networking.k8s.io/v1 Gateway":                           func() any { return &Conditioned{} },
	"gateway.networking.k8s.io/v1beta1 Gateway":                      func() any { return &Conditioned{} },
	"gateway.networking.k8s.io/v1 HTTPRoute":                         func() any { return &Conditioned{} },
	"gateway.networking.k8s.io/v1beta1 HTTPRoute":                    func() any { return &Conditioned{} },
	"cert-manager.io/v1 Certificate":                                 func() any { return &Conditioned{} },
	v1alpha1.GroupVersion.String() + " " + facts.KindManagedCluster:  func() any { return &v1alpha1.ManagedCluster{} },
	v1alpha1.GroupVersion.String() + " " + facts.KindRemoteCommand:   func() any { return &v1alpha1.RemoteCommand{} },
}

// Known reports whether objects of an apiVersion and kind are looked at.
func Known(apiVersion, kind string) bool { return types[apiVersion+" "+kind] != nil }

// Decode converts a JSON object. It returns nil without an error for a kind that
// no rule looks at.
func Decode(apiVersion, kind string, content []byte) (facts.Object, error) {
	create, ok := types[apiVersion+" "+kind]
	if !ok {
		return nil, nil //nolint:nilnil // nothing to look at is no error
	}
	typed := create()
	if err := json.Unmarshal(content, typed); err != nil {
		return nil, fmt.Errorf("reading a %s: %w", kind, err)
	}
	switch o := typed.(type) {
	case *Conditioned:
		o.Kind = kind
	case plainer:
		typed = o.plain()
	}
	o, ok := Object(typed)
	if !ok {
		return nil, nil //nolint:nilnil // see above
	}
	if o.About().Name == "" {
		return nil, fmt.Errorf("reading a %s: metadata.name is missing", kind)
	}
	if e, ok := o.(*facts.Event); ok && (e.Regarding.Kind == "" || e.Regarding.Name == "") {
		return nil, fmt.Errorf("reading a %s: it does not tell what it is about: involvedObject (regarding) needs a kind and a name", kind)
	}
	return o, nil
}

// Kinds returns the kinds that are looked at, each as "apiVersion Kind".
func Kinds() []string {
	return slices.Sorted(maps.Keys(types))
}
