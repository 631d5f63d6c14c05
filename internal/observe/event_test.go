// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

// What an event is about is told in many ways.
func TestRegarding(t *testing.T) {
	const uid, hash = "0b7c7a31-2f6c-4c53-9d5a-0f2f6f1c8a11", "0123456789abcdef0123456789abcdef"
	for name, tc := range map[string]struct {
		about corev1.ObjectReference
		want  facts.Ref
		uid   string
	}{
		"all of it": {
			corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web", UID: uid}, facts.Ref{Kind: "Pod", Namespace: "shop", Name: "web"}, uid,
		},
		"neither a group nor a namespace nor a UID": {
			corev1.ObjectReference{Kind: "CronJob", Name: "nightly"}, facts.Ref{Kind: "CronJob", Namespace: "default", Name: "nightly"}, "",
		},
		"a node, whose name is in the place of the UID": {
			corev1.ObjectReference{Kind: "Node", Name: "node-1", Namespace: "default", UID: "node-1"}, facts.Ref{Kind: "Node", Name: "node-1"}, "",
		},
		"a pod that a kubelet runs from a file": {
			corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "kube-system", Name: "etcd-a", UID: hash}, facts.Ref{Kind: "Pod", Namespace: "kube-system", Name: "etcd-a"}, "",
		},
		"something that is no UID": {
			corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web", UID: "u-1"}, facts.Ref{Kind: "Pod", Namespace: "shop", Name: "web"}, "",
		},
		"another version of a group": {
			corev1.ObjectReference{APIVersion: "autoscaling/v1", Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "web", UID: uid}, facts.Ref{Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "web"}, uid,
		},
		"the group before there were groups": {
			corev1.ObjectReference{APIVersion: "extensions/v1beta1", Kind: "Ingress", Namespace: "shop", Name: "web", UID: uid}, facts.Ref{Kind: "Ingress", Namespace: "shop", Name: "web"}, uid,
		},
		"a kind of another group with a name that is known": {
			corev1.ObjectReference{APIVersion: "serving.knative.dev/v1", Kind: "Service", Namespace: "shop", Name: "web", UID: uid}, facts.Ref{Kind: "Service.serving.knative.dev", Namespace: "shop", Name: "web"}, "",
		},
		"a kind that no rule looks at": {
			corev1.ObjectReference{APIVersion: "example.com/v1", Kind: "Widget", Name: "w"}, facts.Ref{Kind: "Widget", Name: "w"}, "",
		},
		"nothing": {corev1.ObjectReference{}, facts.Ref{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := metav1.ObjectMeta{Name: "e", Namespace: "default"}
			for _, e := range []*facts.Event{
				observe.Event(&corev1.Event{ObjectMeta: o, InvolvedObject: tc.about}), observe.NewEvent(&eventsv1.Event{ObjectMeta: o, Regarding: tc.about}),
			} {
				if diff := cmp.Diff(tc.want, e.Regarding); diff != "" || e.RegardingUID != tc.uid {
					t.Errorf("UID %q, want %q; (-want +got):\n%s", e.RegardingUID, tc.uid, diff)
				}
			}
		})
	}
}

// The times of what was written are bounds for when something can have begun.
func TestWritten(t *testing.T) {
	entry := func(subresource, fields string, after time.Duration) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Subresource: subresource, Time: new(at(after)), FieldsV1: metav1.NewFieldsV1(fields)}
	}
	o := metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		entry("", `{"f:spec":{"f:template":{}}}`, time.Minute), entry("scale", `{"f:spec":{"f:replicas":{}}}`, 2*time.Minute),
		entry("status", `{"f:metadata":{},"f:status":{"f:replicas":{}}}`, 3*time.Minute), entry("", `{"f:metadata":{"f:labels":{"f:app":{}}}}`, 4*time.Minute),
		{FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)},
		{Time: new(at(time.Hour))},
	}}
	d := &appsv1.Deployment{ObjectMeta: o}
	d.Status.Conditions = []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentAvailable, LastUpdateTime: at(8 * time.Minute)}, {Type: appsv1.DeploymentProgressing, LastUpdateTime: at(7 * time.Minute)},
	}
	deployment := observe.Deployment(d)
	for _, w := range []*facts.Workload{
		deployment, observe.StatefulSet(&appsv1.StatefulSet{ObjectMeta: o}), observe.DaemonSet(&appsv1.DaemonSet{ObjectMeta: o}),
	} {
		if !w.SpecChanged.Equal(start.Add(2*time.Minute)) || !w.StatusChanged.Equal(start.Add(3*time.Minute)) {
			t.Errorf("%s: the spec was changed at %s and the status at %s", w.Kind, w.SpecChanged, w.StatusChanged)
		}
	}
	if !deployment.Progressed.Equal(start.Add(7 * time.Minute)) {
		t.Errorf("the rollout progressed at %s", deployment.Progressed)
	}
}

// What is told of a quota does not depend on the order of a map.
func TestQuotaInOrder(t *testing.T) {
	hard := corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{"pods", "secrets", "configmaps", "services", "requests.cpu"} {
		hard[name] = resource.MustParse("10")
	}
	q := observe.Quota(&corev1.ResourceQuota{Status: corev1.ResourceQuotaStatus{Hard: hard, Used: hard}})
	var names []string
	for _, u := range q.Usage {
		names = append(names, u.Resource)
	}
	if got, want := strings.Join(names, " "), "configmaps pods requests.cpu secrets services"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
