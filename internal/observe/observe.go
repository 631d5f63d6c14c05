// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package observe makes facts for the anomaly rules out of Kubernetes objects:
// typed ones, as informers deliver them, and serialized ones, as dumps hold them.
package observe

import (
	"strings"
	"time"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// Object converts a pointer to an object of client-go. It is false for types that
// no rule looks at. The result shares no memory with the object but strings.
func Object(o any) (facts.Object, bool) {
	switch o := o.(type) {
	case *corev1.Pod:
		return Pod(o), true
	case *corev1.Node:
		return Node(o), true
	case *corev1.Event:
		return Event(o), true
	case *eventsv1.Event:
		return NewEvent(o), true
	case *coordinationv1.Lease:
		return Lease(o), true
	case *appsv1.Deployment:
		return Deployment(o), true
	case *appsv1.StatefulSet:
		return StatefulSet(o), true
	case *appsv1.DaemonSet:
		return DaemonSet(o), true
	case *appsv1.ReplicaSet:
		return ReplicaSet(o), true
	case *batchv1.Job:
		return Job(o), true
	case *batchv1.CronJob:
		return CronJob(o), true
	case *autoscalingv2.HorizontalPodAutoscaler:
		return Autoscaler(o), true
	case *policyv1.PodDisruptionBudget:
		return DisruptionBudget(o), true
	default:
		return more(o)
	}
}

func more(o any) (facts.Object, bool) {
	switch o := o.(type) {
	case *corev1.Service:
		return Service(o), true
	case *discoveryv1.EndpointSlice:
		return EndpointSlice(o), true
	case *networkingv1.Ingress:
		return Ingress(o), true
	case *networkingv1.IngressClass:
		return &facts.IngressClass{Meta: meta(facts.KindIngressClass, &o.ObjectMeta)}, true
	case *corev1.PersistentVolumeClaim:
		return Claim(o), true
	case *corev1.PersistentVolume:
		return Volume(o), true
	case *storagev1.VolumeAttachment:
		return VolumeAttachment(o), true
	case *storagev1.StorageClass:
		return StorageClass(o), true
	case *corev1.Namespace:
		return Namespace(o), true
	case *corev1.ResourceQuota:
		return Quota(o), true
	case *corev1.Secret:
		return Secret(o), true
	case *certificatesv1.CertificateSigningRequest:
		return SigningRequest(o), true
	default:
		return custom(o)
	}
}

// intern makes strings that many objects have share their memory.
func intern(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}

func meta(kind string, o *metav1.ObjectMeta) facts.Meta {
	m := facts.Meta{
		Ref: facts.Ref{Kind: kind, Namespace: intern(o.Namespace), Name: o.Name},
		UID: string(o.UID), Created: o.CreationTimestamp.Time, Generation: o.Generation,
	}
	if o.DeletionTimestamp != nil {
		m.Deleted = o.DeletionTimestamp.Time
	}
	if owner := metav1.GetControllerOfNoCopy(o); owner != nil {
		m.Owner = facts.Owner{Kind: intern(ownerKind(owner)), Name: intern(owner.Name), UID: intern(string(owner.UID))}
	}
	return m
}

// ownerGroups are the API groups of the owners that rules know.
var ownerGroups = map[string]string{
	facts.KindJob: batchv1.GroupName, facts.KindCronJob: batchv1.GroupName,
	facts.KindDeployment: appsv1.GroupName, facts.KindStatefulSet: appsv1.GroupName,
	facts.KindDaemonSet: appsv1.GroupName, facts.KindReplicaSet: appsv1.GroupName,
	facts.KindNode: corev1.GroupName, facts.KindPod: corev1.GroupName,
}

// ownerKind is the kind of an owner, with its API group where another group has a
// kind of that name: a Job of Volcano is none of Kubernetes.
func ownerKind(owner *metav1.OwnerReference) string {
	known, clashes := ownerGroups[owner.Kind]
	group := groupOf(owner.APIVersion)
	if !clashes || owner.APIVersion == "" || group == known {
		return owner.Kind
	}
	return strings.TrimSuffix(owner.Kind+"."+group, ".")
}

// timeOf is zero for nil.
func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// value is the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// orElse is the other value for nil.
func orElse[T any](p *T, other T) T {
	if p == nil {
		return other
	}
	return *p
}

// conditions converts a list of any type of condition.
func conditions[C any](list []C, convert func(*C) facts.Condition) []facts.Condition {
	if len(list) == 0 {
		return nil
	}
	converted := make([]facts.Condition, len(list))
	for i := range list {
		converted[i] = convert(&list[i])
	}
	return converted
}

func metaCondition(c *metav1.Condition) facts.Condition {
	return facts.Condition{Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
}

// written is when those who own fields of the spec or of the status last wrote, as far
// as managedFields tell. It is no earlier than when such a field was last changed.
func written(o *metav1.ObjectMeta) (spec, status time.Time) {
	for i := range o.ManagedFields {
		f := &o.ManagedFields[i]
		if f.Time == nil || f.FieldsV1 == nil {
			continue
		}
		fields := f.FieldsV1.GetRawString()
		if (f.Subresource == "" || f.Subresource == "scale") && f.Time.After(spec) && strings.Contains(fields, `"f:spec"`) {
			spec = f.Time.Time
		}
		if f.Time.After(status) && strings.Contains(fields, `"f:status"`) {
			status = f.Time.Time
		}
	}
	return spec, status
}

// fieldSet is when a field was last set, as far as managedFields tell.
func fieldSet(o *metav1.ObjectMeta, field string) time.Time {
	var set time.Time
	for i := range o.ManagedFields {
		f := &o.ManagedFields[i]
		if f.Time == nil || f.FieldsV1 == nil || f.Subresource != "" {
			continue
		}
		if strings.Contains(f.FieldsV1.GetRawString(), `"f:`+field+`"`) && f.Time.After(set) {
			set = f.Time.Time
		}
	}
	return set
}
