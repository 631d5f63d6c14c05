// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

// Groups of kinds of which only conditions are looked at.
const (
	aggregationGroup = "apiregistration.k8s.io"
	crdGroup         = "apiextensions.k8s.io"
	certManagerGroup = "cert-manager.io"
)

// conditionedKinds are registered as conditioned.
var conditionedKinds = []schema.GroupVersionKind{
	{Group: aggregationGroup, Version: "v1", Kind: facts.KindAPIService},
	{Group: crdGroup, Version: "v1", Kind: facts.KindDefinition},
	{Group: certManagerGroup, Version: "v1", Kind: facts.KindCertificate},
	{Group: gatewayGroup, Version: "v1", Kind: facts.KindGateway},
	{Group: gatewayGroup, Version: "v1beta1", Kind: facts.KindGateway},
}

// conditioned is an object of which only conditions are looked at, so that decoding
// drops the rest: the schema of a CustomResourceDefinition, for one.
type conditioned struct {
	observe.Conditioned `json:",inline"`
}

// conditionedList is a list of them.
type conditionedList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []conditioned `json:"items"`
}

// DeepCopyObject returns a copy that shares no memory with the object.
func (o *conditioned) DeepCopyObject() runtime.Object {
	c := *o
	o.DeepCopyInto(&c.ObjectMeta)
	c.Status.Conditions = slices.Clone(o.Status.Conditions)
	c.Status.Parents = slices.Clone(o.Status.Parents)
	for n := range c.Status.Parents {
		c.Status.Parents[n].Conditions = slices.Clone(o.Status.Parents[n].Conditions)
	}
	c.Status.RenewalTime = o.Status.RenewalTime.DeepCopy()
	return &c
}

// DeepCopyObject returns a copy that shares no memory with the list.
func (l *conditionedList) DeepCopyObject() runtime.Object {
	c := *l
	l.DeepCopyInto(&c.ListMeta)
	c.Items = make([]conditioned, len(l.Items))
	for n := range l.Items {
		c.Items[n] = *l.Items[n].DeepCopyObject().(*conditioned) //nolint:forcetypeassert // what it returns
	}
	return &c
}

// addConditioned registers the kinds of which only conditions are looked at.
func addConditioned(scheme *runtime.Scheme) error {
	for _, kind := range conditionedKinds {
		scheme.AddKnownTypeWithName(kind, &conditioned{})
		scheme.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), &conditionedList{})
		metav1.AddToGroupVersion(scheme, kind.GroupVersion())
	}
	return nil
}

// fact makes what rules look at of a route.
func (r *httpRoute) fact() (facts.Object, bool) {
	o := &observe.Conditioned{ObjectMeta: r.ObjectMeta}
	o.Kind = facts.KindHTTPRoute
	o.Status.Parents = r.Status.Parents
	return observe.Object(o)
}
