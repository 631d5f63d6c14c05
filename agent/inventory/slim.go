// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// objectKey names an object within its kind. Namespaces are interned: there are
// few of them and many objects in each.
type objectKey struct {
	namespace unique.Handle[string]
	name      string
}

// keyOf is false for what is not an object of the API.
func keyOf(object any) (objectKey, bool) {
	o, ok := object.(metav1.Object)
	if !ok {
		return objectKey{}, false
	}
	return objectKey{namespace: unique.Make(o.GetNamespace()), name: o.GetName()}, true
}

// podPhase is a corev1.PodPhase in one byte.
type podPhase uint8

const (
	phaseUnknown podPhase = iota
	phasePending
	phaseRunning
	phaseSucceeded
	phaseFailed
)

// slimPod is what is kept of a Pod. It is comparable: two equal ones mean that
// nothing changed that anybody here looks at.
type slimPod struct {
	// node is the node the pod is bound to; its zero value means none.
	node unique.Handle[string]
	// requested is zero unless the pod is bound and has not ended.
	requested Resources
	phase     podPhase
	ready     bool
}

// slimNode is what is kept of a Node.
type slimNode struct {
	// platform is what the node tells about the distribution, "" for nothing.
	platform    platformHint
	capacity    Resources
	allocatable Resources
	ready       bool
}

// slimWorkload is what is kept of a workload besides its name: so far nothing.
type slimWorkload struct{}

// slimPodOf reduces a Pod. It keeps no reference to it but its name.
func slimPodOf(pod *corev1.Pod) slimPod {
	slim := slimPod{phase: phaseOf(pod.Status.Phase), ready: podReady(pod)}
	if pod.Spec.NodeName == "" {
		return slim
	}
	slim.node = unique.Make(pod.Spec.NodeName)
	if slim.phase != phaseSucceeded && slim.phase != phaseFailed {
		slim.requested = requestedBy(pod)
	}
	return slim
}

func phaseOf(phase corev1.PodPhase) podPhase {
	switch phase {
	case corev1.PodPending:
		return phasePending
	case corev1.PodRunning:
		return phaseRunning
	case corev1.PodSucceeded:
		return phaseSucceeded
	case corev1.PodFailed:
		return phaseFailed
	default:
		return phaseUnknown
	}
}

func podReady(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// requestedBy is what the pod takes away from its node, by the scheduler's own
// formula: sidecars, init containers, overhead, pod-level resources, and during
// an in-place resize the larger of what is wanted and what is in force.
func requestedBy(pod *corev1.Pod) Resources {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
		UseDRANodeAllocatableResourceClaimStatus:       true,
	})
	r := resourcesOf(requests)
	r.Pods = 1
	return r
}

// slimNodeOf reduces a Node. It keeps no reference to it but its name.
func slimNodeOf(node *corev1.Node) slimNode {
	slim := slimNode{
		platform:    hintOfNode(node),
		capacity:    resourcesOf(node.Status.Capacity),
		allocatable: resourcesOf(node.Status.Allocatable),
	}
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
			slim.ready = c.Status == corev1.ConditionTrue
		}
	}
	return slim
}

func resourcesOf(list corev1.ResourceList) Resources {
	value := func(name corev1.ResourceName, of func(*resource.Quantity) int64) int64 {
		q, ok := list[name]
		if !ok {
			return 0
		}
		return of(&q)
	}
	return Resources{
		CPUMillis:             value(corev1.ResourceCPU, (*resource.Quantity).MilliValue),
		MemoryBytes:           value(corev1.ResourceMemory, (*resource.Quantity).Value),
		EphemeralStorageBytes: value(corev1.ResourceEphemeralStorage, (*resource.Quantity).Value),
		Pods:                  value(corev1.ResourcePods, (*resource.Quantity).Value),
	}
}
