// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"regexp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Routes are custom resources that a cluster may or may not have. The types here
// have only the fields that are looked at, so that decoding drops the rest.

const (
	gatewayGroup = "gateway.networking.k8s.io"
	traefikGroup = "traefik.io"
)

// Versions that are understood, the best first.
var (
	httpRouteVersions    = []string{"v1", "v1beta1"}
	ingressRouteVersions = []string{"v1alpha1"}
)

// httpRoute is an HTTPRoute of the Gateway API.
type httpRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		ParentRefs []parentRef `json:"parentRefs"`
		Hostnames  []string    `json:"hostnames"`
	} `json:"spec"`
	Status struct {
		Parents []struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"parents"`
	} `json:"status"`
}

type parentRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// httpRouteList is a list of them.
type httpRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []httpRoute `json:"items"`
}

// ingressRoute is an IngressRoute of Traefik.
type ingressRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Routes []struct {
			Match string `json:"match"`
		} `json:"routes"`
	} `json:"spec"`
}

// ingressRouteList is a list of them.
type ingressRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []ingressRoute `json:"items"`
}

// DeepCopyObject returns a copy that shares no memory with the route.
func (r *httpRoute) DeepCopyObject() runtime.Object {
	c := *r
	r.DeepCopyInto(&c.ObjectMeta)
	c.Spec.ParentRefs = slices.Clone(r.Spec.ParentRefs)
	c.Spec.Hostnames = slices.Clone(r.Spec.Hostnames)
	c.Status.Parents = slices.Clone(r.Status.Parents)
	for n := range c.Status.Parents {
		c.Status.Parents[n].Conditions = slices.Clone(r.Status.Parents[n].Conditions)
	}
	return &c
}

// DeepCopyObject returns a copy that shares no memory with the list.
func (l *httpRouteList) DeepCopyObject() runtime.Object {
	c := *l
	l.DeepCopyInto(&c.ListMeta)
	c.Items = make([]httpRoute, len(l.Items))
	for n := range l.Items {
		c.Items[n] = *l.Items[n].DeepCopyObject().(*httpRoute) //nolint:forcetypeassert // what it returns
	}
	return &c
}

// DeepCopyObject returns a copy that shares no memory with the route.
func (r *ingressRoute) DeepCopyObject() runtime.Object {
	c := *r
	r.DeepCopyInto(&c.ObjectMeta)
	c.Spec.Routes = slices.Clone(r.Spec.Routes)
	return &c
}

// DeepCopyObject returns a copy that shares no memory with the list.
func (l *ingressRouteList) DeepCopyObject() runtime.Object {
	c := *l
	l.DeepCopyInto(&c.ListMeta)
	c.Items = make([]ingressRoute, len(l.Items))
	for n := range l.Items {
		c.Items[n] = *l.Items[n].DeepCopyObject().(*ingressRoute) //nolint:forcetypeassert // what it returns
	}
	return &c
}

// addRoutes registers the kinds of routes.
func addRoutes(scheme *runtime.Scheme) error {
	for _, version := range httpRouteVersions {
		gv := schema.GroupVersion{Group: gatewayGroup, Version: version}
		scheme.AddKnownTypeWithName(gv.WithKind("HTTPRoute"), &httpRoute{})
		scheme.AddKnownTypeWithName(gv.WithKind("HTTPRouteList"), &httpRouteList{})
		metav1.AddToGroupVersion(scheme, gv)
	}
	for _, version := range ingressRouteVersions {
		gv := schema.GroupVersion{Group: traefikGroup, Version: version}
		scheme.AddKnownTypeWithName(gv.WithKind("IngressRoute"), &ingressRoute{})
		scheme.AddKnownTypeWithName(gv.WithKind("IngressRouteList"), &ingressRouteList{})
		metav1.AddToGroupVersion(scheme, gv)
	}
	return nil
}

func convertHTTPRoute(r *httpRoute, b *builder) bool {
	b.begin(&r.ObjectMeta)
	b.spec(r.Generation, 0)
	for n := range r.Status.Parents {
		accepted := false
		for c := range r.Status.Parents[n].Conditions {
			condition := &r.Status.Parents[n].Conditions[c]
			if condition.Type == "Accepted" {
				accepted = condition.Status == metav1.ConditionTrue
				b.observed = max(b.observed, condition.ObservedGeneration)
			}
			known := condition.Type == "Accepted" || condition.Type == "ResolvedRefs"
			if known && condition.Status == metav1.ConditionFalse {
				b.because(condition.Reason, condition.Message)
			}
		}
		b.isReady(accepted && b.ready != telemetry.ReadyFalse)
	}
	b.attribute(telemetry.AttributeParents, join(b, r.Spec.ParentRefs, func(p *parentRef) string {
		return fmt.Sprintf("%s/%s", firstOf(p.Namespace, r.Namespace), p.Name)
	}))
	b.ownAttribute(telemetry.AttributeHosts, join(b, r.Spec.Hostnames, itself))
	return true
}

var (
	// hostMatcher finds Host(`a`, `b`) in a rule of Traefik, but no HostRegexp.
	hostMatcher = regexp.MustCompile(`\bHost\(([^)]*)\)`)
	quoted      = regexp.MustCompile("[`\"]([^`\"]+)[`\"]")
)

func convertIngressRoute(r *ingressRoute, b *builder) bool {
	b.begin(&r.ObjectMeta)
	b.spec(r.Generation, 0)
	b.attribute(telemetry.AttributeClass, r.Annotations[annotationIngressClass])
	var hosts []string
	for n := range r.Spec.Routes {
		for _, match := range hostMatcher.FindAllStringSubmatch(r.Spec.Routes[n].Match, -1) {
			for _, host := range quoted.FindAllStringSubmatch(match[1], -1) {
				if !slices.Contains(hosts, host[1]) {
					hosts = append(hosts, host[1])
				}
			}
		}
	}
	b.ownAttribute(telemetry.AttributeHosts, join(b, hosts, itself))
	return true
}
