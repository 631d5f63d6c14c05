// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"testing"
	"unique"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// list makes a ResourceList of CPU and memory.
func list(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse(memory),
	}
}

func container(name, cpu, memory string) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: list(cpu, memory)}}
}

func sidecar(name, cpu, memory string) corev1.Container {
	c := container(name, cpu, memory)
	c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	return c
}

func TestSlimPodOf(t *testing.T) {
	const mib = 1 << 20
	bound := func(change func(*corev1.Pod)) *corev1.Pod {
		pod := &corev1.Pod{
			Spec: corev1.PodSpec{
				NodeName:   "n1",
				Containers: []corev1.Container{container("a", "100m", "64Mi"), container("b", "200m", "64Mi")},
			},
			Status: corev1.PodStatus{
				Phase:      corev1.PodRunning,
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			},
		}
		change(pod)
		return pod
	}
	on := unique.Make("n1")
	running := func(millis, memory int64) slimPod {
		return slimPod{node: on, phase: phaseRunning, ready: true, requested: Resources{CPUMillis: millis, MemoryBytes: memory, Pods: 1}}
	}

	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want slimPod
	}{
		"containers are summed": {
			bound(func(*corev1.Pod) {}), running(300, 128*mib),
		},
		"not bound": {
			bound(func(p *corev1.Pod) {
				p.Spec.NodeName = ""
				p.Status = corev1.PodStatus{Phase: corev1.PodPending}
			}),
			slimPod{phase: phasePending},
		},
		"bound and pending counts": {
			bound(func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodPending} }),
			slimPod{node: on, phase: phasePending, requested: Resources{CPUMillis: 300, MemoryBytes: 128 * mib, Pods: 1}},
		},
		"succeeded requests nothing": {
			bound(func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodSucceeded} }),
			slimPod{node: on, phase: phaseSucceeded},
		},
		"failed requests nothing": {
			bound(func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodFailed} }),
			slimPod{node: on, phase: phaseFailed},
		},
		"no phase is unknown": {
			bound(func(p *corev1.Pod) { p.Spec.NodeName = ""; p.Status = corev1.PodStatus{} }),
			slimPod{},
		},
		"not ready": {
			bound(func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }),
			slimPod{node: on, phase: phaseRunning, requested: Resources{CPUMillis: 300, MemoryBytes: 128 * mib, Pods: 1}},
		},
		"an init container's peak wins per resource": {
			bound(func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{container("i", "1", "32Mi")} }),
			running(1000, 128*mib),
		},
		"a sidecar adds to containers and to later init containers": {
			// CPU: max(300+50, 50+1000); memory: max(128+16, 16+32).
			bound(func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{sidecar("s", "50m", "16Mi"), container("i", "1", "32Mi")}
			}),
			running(1050, 144*mib),
		},
		"a sidecar after an init container does not add to it": {
			bound(func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{container("i", "1", "32Mi"), sidecar("s", "50m", "16Mi")}
			}),
			running(1000, 144*mib),
		},
		"overhead is added": {
			bound(func(p *corev1.Pod) { p.Spec.Overhead = list("10m", "8Mi") }), running(310, 136*mib),
		},
		"pod-level requests replace the sum": {
			bound(func(p *corev1.Pod) {
				p.Spec.Resources = &corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
				}
			}),
			running(2000, 128*mib),
		},
		"resizing down holds what is in force": {
			bound(func(p *corev1.Pod) {
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name:               "a",
					AllocatedResources: list("100m", "64Mi"),
					Resources:          &corev1.ResourceRequirements{Requests: list("400m", "64Mi")},
				}}
			}),
			running(600, 128*mib),
		},
		"resizing up already counts": {
			bound(func(p *corev1.Pod) {
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name:               "a",
					AllocatedResources: list("50m", "64Mi"),
					Resources:          &corev1.ResourceRequirements{Requests: list("50m", "64Mi")},
				}}
			}),
			running(300, 128*mib),
		},
		"an infeasible resize does not count": {
			bound(func(p *corev1.Pod) {
				p.Spec.Containers = p.Spec.Containers[:1]
				p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
					Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible,
				})
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name:               "a",
					AllocatedResources: list("50m", "32Mi"),
					Resources:          &corev1.ResourceRequirements{Requests: list("50m", "32Mi")},
				}}
			}),
			running(50, 32*mib),
		},
		"ephemeral storage is followed, others are not": {
			bound(func(p *corev1.Pod) {
				p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceEphemeralStorage: resource.MustParse("1Gi"),
					"nvidia.com/gpu":                resource.MustParse("1"),
				}}}}
			}),
			slimPod{node: on, phase: phaseRunning, ready: true, requested: Resources{EphemeralStorageBytes: 1 << 30, Pods: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := slimPodOf(tt.pod); got != tt.want {
				t.Errorf("slimPodOf() = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSlimNodeOf(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Spec:       corev1.NodeSpec{ProviderID: "kind://podman/a/b"},
		Status: corev1.NodeStatus{
			Capacity: corev1.ResourceList{
				corev1.ResourceCPU:              resource.MustParse("4"),
				corev1.ResourceMemory:           resource.MustParse("8Gi"),
				corev1.ResourceEphemeralStorage: resource.MustParse("100G"),
				corev1.ResourcePods:             resource.MustParse("110"),
			},
			Allocatable: list("3900m", "7Gi"),
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue},
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
			},
		},
	}
	want := slimNode{
		platform:    hintKind,
		capacity:    Resources{CPUMillis: 4000, MemoryBytes: 8 << 30, EphemeralStorageBytes: 100e9, Pods: 110},
		allocatable: Resources{CPUMillis: 3900, MemoryBytes: 7 << 30},
		ready:       true,
	}
	if diff := cmp.Diff(want, slimNodeOf(node), cmp.AllowUnexported(slimNode{})); diff != "" {
		t.Errorf("slimNodeOf() (-want +got):\n%s", diff)
	}
	for _, status := range []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionUnknown} {
		node.Status.Conditions[1].Status = status
		if slimNodeOf(node).ready {
			t.Errorf("a node whose Ready is %s counts as ready", status)
		}
	}
	node.Status.Conditions = nil
	if slimNodeOf(node).ready {
		t.Error("a node without conditions counts as ready")
	}
}
