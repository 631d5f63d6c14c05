// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Labels that controllers put on pods to tell the template they are made of.
const (
	labelPodTemplateHash    = "pod-template-hash"
	labelControllerRevision = "controller-revision-hash"
)

func convertPod(pod *corev1.Pod, b *builder) bool {
	b.begin(&pod.ObjectMeta)
	b.spec(pod.Generation, pod.Status.ObservedGeneration)
	b.node = intern(telemetry.Clip(pod.Spec.NodeName, telemetry.MaxName))
	b.inPhase(string(pod.Status.Phase))
	ready := podCondition(pod, corev1.PodReady)
	if ready != nil {
		b.readyFrom(string(ready.Status))
	}

	readyContainers, restarts := 0, int64(0)
	for n := range pod.Status.InitContainerStatuses {
		restarts += int64(pod.Status.InitContainerStatuses[n].RestartCount)
	}
	for n := range pod.Status.ContainerStatuses {
		restarts += int64(pod.Status.ContainerStatuses[n].RestartCount)
		if pod.Status.ContainerStatuses[n].Ready {
			readyContainers++
		}
	}
	b.restarts = clampInt32(restarts)
	b.number(telemetry.NumberContainers, int64(len(pod.Spec.Containers)))
	b.number(telemetry.NumberReadyContainers, int64(readyContainers))
	b.podResources(pod)
	b.moment(telemetry.NumberStartedSeconds, pod.Status.StartTime)
	b.podReason(pod, ready)

	b.attribute(telemetry.AttributeImage, imagesOf(b, &pod.Spec))
	b.attribute(telemetry.AttributePriorityClass, pod.Spec.PriorityClassName)
	b.attribute(telemetry.AttributeQOSClass, string(pod.Status.QOSClass))
	b.attribute(telemetry.AttributeTemplateHash, firstOf(pod.Labels[labelPodTemplateHash], pod.Labels[labelControllerRevision]))
	b.ownAttribute(telemetry.AttributePodIP, pod.Status.PodIP)
	return true
}

func imagesOf(b *builder, spec *corev1.PodSpec) string {
	return join(b, spec.Containers, func(c *corev1.Container) string { return c.Image })
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	return find(pod.Status.Conditions, func(c *corev1.PodCondition) bool { return c.Type == kind })
}

// podResources adds what the scheduler counts, and the limits of resources that
// every container limits.
func (b *builder) podResources(pod *corev1.Pod) {
	requests := resourcesOf(resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
		UseDRANodeAllocatableResourceClaimStatus:       true,
	}))
	b.number(telemetry.NumberCPURequestMillis, requests.CPUMillis)
	b.number(telemetry.NumberMemoryRequestBytes, requests.MemoryBytes)
	var limits Resources
	cpu, memory := len(pod.Spec.Containers) > 0, len(pod.Spec.Containers) > 0
	for n := range pod.Spec.Containers {
		limit := resourcesOf(pod.Spec.Containers[n].Resources.Limits)
		cpu = cpu && limit.CPUMillis > 0
		memory = memory && limit.MemoryBytes > 0
		limits.add(limit, 1)
	}
	if pod.Spec.Resources != nil { // the pod's own limits go before the sum
		own := resourcesOf(pod.Spec.Resources.Limits)
		if own.CPUMillis > 0 {
			cpu, limits.CPUMillis = true, own.CPUMillis
		}
		if own.MemoryBytes > 0 {
			memory, limits.MemoryBytes = true, own.MemoryBytes
		}
	}
	if cpu {
		b.number(telemetry.NumberCPULimitMillis, limits.CPUMillis)
	}
	if memory {
		b.number(telemetry.NumberMemoryLimitBytes, limits.MemoryBytes)
	}
}

// podReason finds the most telling reason: the pod's own when it failed, then
// that of a container which cannot run, then why it has no node, then whatever
// keeps it from being ready.
func (b *builder) podReason(pod *corev1.Pod, ready *corev1.PodCondition) {
	if b.because(pod.Status.Reason, pod.Status.Message) || pod.Status.Phase == corev1.PodSucceeded || b.brokenContainer(pod) {
		return
	}
	if c := podCondition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		b.because(c.Reason, c.Message)
	}
	if c := podCondition(pod, corev1.DisruptionTarget); c != nil && c.Status == corev1.ConditionTrue {
		b.because(c.Reason, c.Message)
	}
	b.waitingContainer(pod)
	if pod.Status.Phase == corev1.PodRunning && ready != nil && ready.Status != corev1.ConditionTrue {
		b.because(ready.Reason, ready.Message)
	}
}

// brokenContainer takes the reason of the first container that cannot run.
func (b *builder) brokenContainer(pod *corev1.Pod) bool {
	for n := range pod.Status.InitContainerStatuses {
		if b.containerReason(&pod.Status.InitContainerStatuses[n]) {
			return true
		}
	}
	for n := range pod.Status.ContainerStatuses {
		if b.containerReason(&pod.Status.ContainerStatuses[n]) {
			return true
		}
	}
	return false
}

// waitingContainer takes the reason of the first container that is on its way.
func (b *builder) waitingContainer(pod *corev1.Pod) {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for n := range statuses {
			if waiting := statuses[n].State.Waiting; waiting != nil && b.because(waiting.Reason, waiting.Message) {
				b.attribute(telemetry.AttributeContainer, statuses[n].Name)
				return
			}
		}
	}
}

// containerReason takes the reason of a container that waits for other than its
// usual start, or that failed.
func (b *builder) containerReason(status *corev1.ContainerStatus) bool {
	ended := status.State.Terminated
	switch {
	case status.State.Waiting != nil:
		waiting := status.State.Waiting
		if waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
			return false
		}
		message := waiting.Message
		if ended = status.LastTerminationState.Terminated; ended != nil {
			message = fmt.Sprintf("%s; it last ended with %s, exit code %d", message, firstOf(ended.Reason, "no reason"), ended.ExitCode)
		}
		if !b.because(waiting.Reason, message) {
			return false
		}
	case ended != nil && ended.ExitCode != 0:
		if !b.because(firstOf(ended.Reason, "Error"), ended.Message) {
			return false
		}
	default:
		return false
	}
	if ended != nil {
		b.number(telemetry.NumberExitCode, int64(ended.ExitCode))
	}
	b.attribute(telemetry.AttributeContainer, status.Name)
	return true
}

// clampInt32 makes any number one that telemetry can carry.
func clampInt32(v int64) int32 { return int32(min(max(v, 0), 1<<31-1)) }
