// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Versions of optional kinds that are understood, the best first.
var (
	gatewayVersions     = []string{"v1", "v1beta1"}
	certificateVersions = []string{"v1"}
)

// wantedEvents are the reasons of the events that rules look at although they are no
// Warnings.
var wantedEvents = map[string]bool{
	"Killing": true, "TriggeredScaleUp": true, "WaitForFirstConsumer": true, "ExternalProvisioning": true,
	"FailedBinding": true, "JobAlreadyActive": true, "Rebooted": true, "NodeNotReady": true,
}

// commonEvents are the reasons of the events that every start and end of a pod
// makes. The API server keeps them to itself.
var commonEvents = []string{
	"Scheduled", "Pulling", "Pulled", "Created", "Started", "SuccessfulCreate", "SuccessfulDelete", "SuccessfulAttachVolume",
	"ScalingReplicaSet", "SawCompletedJob", "Completed", "LeaderElection",
}

// addWatched adds the kinds that are watched for the Observer alone.
func (i *Inventory) addWatched() error {
	if i.options.Observer == nil {
		return nil
	}
	for _, add := range []func() error{
		watching[corev1.ResourceQuota](i, corev1.SchemeGroupVersion, "resourcequotas", ""),
		// Leases of leader elections say nothing about nodes.
		watching[coordinationv1.Lease](i, coordinationv1.SchemeGroupVersion, "leases", corev1.NamespaceNodeLease),
		watching[policyv1.PodDisruptionBudget](i, policyv1.SchemeGroupVersion, "poddisruptionbudgets", ""),
		watching[networkingv1.IngressClass](i, networkingv1.SchemeGroupVersion, "ingressclasses", ""),
		watching[storagev1.StorageClass](i, storagev1.SchemeGroupVersion, "storageclasses", ""),
		watching[storagev1.VolumeAttachment](i, storagev1.SchemeGroupVersion, "volumeattachments", ""),
		watching[certificatesv1.CertificateSigningRequest](i, certificatesv1.SchemeGroupVersion, "certificatesigningrequests", ""),
		watching[admissionregistrationv1.ValidatingWebhookConfiguration](i, admissionregistrationv1.SchemeGroupVersion, "validatingwebhookconfigurations", ""),
		watching[admissionregistrationv1.MutatingWebhookConfiguration](i, admissionregistrationv1.SchemeGroupVersion, "mutatingwebhookconfigurations", ""),
		watching[conditioned](i, schema.GroupVersion{Group: aggregationGroup, Version: "v1"}, "apiservices", ""),
		watching[conditioned](i, schema.GroupVersion{Group: crdGroup, Version: "v1"}, "customresourcedefinitions", ""),
	} {
		if err := add(); err != nil {
			return err
		}
	}
	i.watchOtherEvents()
	i.watchWhereServed("gateways", gatewayGroup, gatewayVersions)
	i.watchWhereServed("certificates", certManagerGroup, certificateVersions)
	return nil
}

// watching returns what adds a kind that every cluster has.
func watching[O any](i *Inventory, version schema.GroupVersion, resource, namespace string) func() error {
	return func() error {
		client := i.clients.core
		if version.Group != "" {
			var err error
			if client, err = i.clients.connect(version); err != nil {
				return fmt.Errorf("watching %s: %w", resource, err)
			}
		}
		requests := &listWatch{client: client, resource: resource, namespace: namespace}
		// These have a binary form, which conditioned does not.
		_, requests.jsonOnly = any(new(O)).(*conditioned)
		name := schema.GroupResource{Group: version.Group, Resource: resource}.String()
		l := i.lookoutFor(name)
		i.addReflector(requests, name, new(O), l, &l.synced)
		return nil
	}
}

func (i *Inventory) lookoutFor(resource string) *lookout {
	l := newLookout(observedKinds[resource], i.options.Observer, nil)
	l.listed = i.listedUncounted(resource)
	return l
}

// watchOtherEvents watches the events that are no Warnings, as far as rules may
// look at them.
func (i *Inventory) watchOtherEvents() {
	selectors := make([]fields.Selector, 0, 1+len(commonEvents))
	selectors = append(selectors, fields.OneTermNotEqualSelector("type", corev1.EventTypeWarning))
	for _, reason := range commonEvents {
		selectors = append(selectors, fields.OneTermNotEqualSelector("reason", reason))
	}
	l := i.lookoutFor("events")
	requests := &listWatch{client: i.clients.core, resource: "events", fieldSelector: fields.AndSelectors(selectors...).String()}
	i.addReflector(requests, "events", &corev1.Event{}, l, &l.synced)
}

// watchWhereServed watches a kind of custom resource while the cluster has it.
func (i *Inventory) watchWhereServed(resource, group string, versions []string) {
	name := schema.GroupResource{Group: group, Resource: resource}.String()
	l := i.lookoutFor(name)
	r := &routeKind{name: name, resource: resource, group: group, versions: versions, example: &conditioned{}, target: l, synced: l.synced.Load}
	i.routes = append(i.routes, r)
	i.addServed(r)
}
