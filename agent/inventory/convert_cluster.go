// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	nodeReady    = "Ready"
	nodeNotReady = "NotReady"
	nodeUnknown  = "Unknown"

	// nodeRolePrefix begins the labels that tell what a node is for.
	nodeRolePrefix = "node-role.kubernetes.io/"
)

// nodePressures are the conditions that are bad when they are true.
var nodePressures = []corev1.NodeConditionType{
	corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable,
}

func convertNode(node *corev1.Node, b *builder) bool {
	b.begin(&node.ObjectMeta)
	condition := func(kind corev1.NodeConditionType) *corev1.NodeCondition {
		return find(node.Status.Conditions, func(c *corev1.NodeCondition) bool { return c.Type == kind })
	}
	for _, pressure := range nodePressures {
		if c := condition(pressure); c != nil && c.Status == corev1.ConditionTrue {
			b.because(string(c.Type), c.Message)
		}
	}
	b.inPhase(nodeUnknown)
	if ready := condition(corev1.NodeReady); ready != nil {
		b.readyFrom(string(ready.Status))
		switch ready.Status {
		case corev1.ConditionTrue:
			b.inPhase(nodeReady)
		case corev1.ConditionFalse:
			b.inPhase(nodeNotReady)
			b.because(ready.Reason, ready.Message)
		case corev1.ConditionUnknown:
			b.because(ready.Reason, ready.Message)
		}
	}

	capacity, allocatable := resourcesOf(node.Status.Capacity), resourcesOf(node.Status.Allocatable)
	for _, n := range []struct {
		id    telemetry.NumberID
		value int64
	}{
		{telemetry.NumberCPUCapacityMillis, capacity.CPUMillis},
		{telemetry.NumberCPUAllocatableMillis, allocatable.CPUMillis},
		{telemetry.NumberMemoryCapacityBytes, capacity.MemoryBytes},
		{telemetry.NumberMemoryAllocatableBytes, allocatable.MemoryBytes},
		{telemetry.NumberPodsCapacity, capacity.Pods},
		{telemetry.NumberPodsAllocatable, allocatable.Pods},
		{telemetry.NumberEphemeralCapacityBytes, capacity.EphemeralStorageBytes},
		{telemetry.NumberEphemeralAllocatableBytes, allocatable.EphemeralStorageBytes},
	} {
		if n.value > 0 {
			b.number(n.id, n.value)
		}
	}

	info := &node.Status.NodeInfo
	b.attribute(telemetry.AttributeArchitecture, info.Architecture)
	b.attribute(telemetry.AttributeContainerRuntime, info.ContainerRuntimeVersion)
	b.attribute(telemetry.AttributeKernel, info.KernelVersion)
	b.attribute(telemetry.AttributeKubeletVersion, info.KubeletVersion)
	b.attribute(telemetry.AttributeOSImage, info.OSImage)
	b.attribute(telemetry.AttributeRoles, nodeRoles(b, node.Labels))
	b.attribute(telemetry.AttributeTaints, join(b, node.Spec.Taints, (*corev1.Taint).ToString))
	if node.Spec.Unschedulable {
		b.attribute(telemetry.AttributeUnschedulable, "true")
	}
	for n := range node.Status.Addresses {
		if a := &node.Status.Addresses[n]; a.Type == corev1.NodeInternalIP {
			b.ownAttribute(telemetry.AttributeInternalIP, a.Address)
			break
		}
	}
	return true
}

func nodeRoles(b *builder, labels map[string]string) string {
	var roles []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if role, ok := strings.CutPrefix(key, nodeRolePrefix); ok {
			roles = append(roles, role)
		}
	}
	return join(b, roles, itself)
}

func convertNamespace(ns *corev1.Namespace, b *builder) bool {
	b.begin(&ns.ObjectMeta)
	b.inPhase(string(ns.Status.Phase))
	// Each of a namespace's conditions says what holds up its deletion.
	for n := range ns.Status.Conditions {
		if c := &ns.Status.Conditions[n]; c.Status == corev1.ConditionTrue {
			b.because(c.Reason, c.Message)
		}
	}
	return true
}

func accessModes(b *builder, modes []corev1.PersistentVolumeAccessMode) string {
	return join(b, modes, func(m *corev1.PersistentVolumeAccessMode) string { return string(*m) })
}

func convertClaim(c *corev1.PersistentVolumeClaim, b *builder) bool {
	b.begin(&c.ObjectMeta)
	b.inPhase(string(c.Status.Phase))
	if request, ok := c.Spec.Resources.Requests[corev1.ResourceStorage]; ok {
		b.number(telemetry.NumberStorageRequestBytes, request.Value())
	}
	if capacity, ok := c.Status.Capacity[corev1.ResourceStorage]; ok {
		b.number(telemetry.NumberStorageCapacityBytes, capacity.Value())
	}
	for n := range c.Status.Conditions {
		failed := c.Status.Conditions[n].Type == corev1.PersistentVolumeClaimVolumeModifyVolumeError ||
			c.Status.Conditions[n].Type == corev1.PersistentVolumeClaimControllerResizeError ||
			c.Status.Conditions[n].Type == corev1.PersistentVolumeClaimNodeResizeError
		if failed && c.Status.Conditions[n].Status == corev1.ConditionTrue {
			b.because(firstOf(c.Status.Conditions[n].Reason, string(c.Status.Conditions[n].Type)), c.Status.Conditions[n].Message)
		}
	}
	b.attribute(telemetry.AttributeAccessModes, accessModes(b, c.Spec.AccessModes))
	if c.Spec.StorageClassName != nil {
		b.attribute(telemetry.AttributeStorageClass, *c.Spec.StorageClassName)
	}
	b.ownAttribute(telemetry.AttributeVolume, c.Spec.VolumeName)
	return true
}

func convertVolume(v *corev1.PersistentVolume, b *builder) bool {
	b.begin(&v.ObjectMeta)
	b.inPhase(string(v.Status.Phase))
	b.because(v.Status.Reason, v.Status.Message)
	if capacity, ok := v.Spec.Capacity[corev1.ResourceStorage]; ok {
		b.number(telemetry.NumberStorageCapacityBytes, capacity.Value())
	}
	b.attribute(telemetry.AttributeAccessModes, accessModes(b, v.Spec.AccessModes))
	b.attribute(telemetry.AttributeStorageClass, v.Spec.StorageClassName)
	if claim := v.Spec.ClaimRef; claim != nil {
		b.ownAttribute(telemetry.AttributeTarget, claim.Namespace+"/"+claim.Name)
	}
	return true
}
