// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeTarget is a node of the member cluster.
type NodeTarget struct {
	// name is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// uid is its UID. When set and the node has another one by now, the command
	// fails with PreconditionFailed and nothing is done.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	UID string `json:"uid,omitempty"`
}

// CordonAction are the details of action Cordon, which RemoteCommandSpec describes.
type CordonAction struct {
	// node is the node to cordon.
	// +required
	Node NodeTarget `json:"node,omitzero"`
}

// UncordonAction are the details of action Uncordon, which RemoteCommandSpec describes.
type UncordonAction struct {
	// node is the node to uncordon.
	// +required
	Node NodeTarget `json:"node,omitzero"`
}

// DrainAction are the details of action Drain, which RemoteCommandSpec describes.
type DrainAction struct {
	// node is the node to drain.
	// +required
	Node NodeTarget `json:"node,omitzero"`

	// gracePeriodSeconds is how long containers get to stop. When unset, what each
	// pod says. From 1 to 3600.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	GracePeriodSeconds int32 `json:"gracePeriodSeconds,omitempty"`

	// deleteEmptyDirData evicts pods with emptyDir volumes too; their data is lost.
	// Defaults to false: such a pod makes the command fail.
	// +optional
	// +default=false
	DeleteEmptyDirData *bool `json:"deleteEmptyDirData,omitempty"`

	// force evicts pods without a controller too; they do not come back. Defaults
	// to false: such a pod makes the command fail.
	// +optional
	// +default=false
	Force *bool `json:"force,omitempty"`

	// podSelector matches the labels of the pods to evict. When unset, all pods.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
}

// TaintEffect is what a taint does to pods that do not tolerate it.
// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
type TaintEffect string

const (
	// TaintEffectNoSchedule keeps new pods off.
	TaintEffectNoSchedule TaintEffect = "NoSchedule"
	// TaintEffectPreferNoSchedule keeps them off where possible.
	TaintEffectPreferNoSchedule TaintEffect = "PreferNoSchedule"
	// TaintEffectNoExecute also evicts pods that run.
	TaintEffectNoExecute TaintEffect = "NoExecute"
)

// TaintAction are the details of action Taint, which RemoteCommandSpec describes.
// +kubebuilder:validation:XValidation:rule="has(self.set) || has(self.remove)",message="at least one of set and remove is required"
// +kubebuilder:validation:XValidation:rule="!has(self.set) || !has(self.remove) || self.set.all(s, !self.remove.exists(r, r.key == s.key && (!has(r.effect) || r.effect == s.effect)))",message="the same taint cannot be both set and removed"
type TaintAction struct {
	// node is the node to change.
	// +required
	Node NodeTarget `json:"node,omitzero"`

	// set are the taints to add; one with the same key and effect gets the new
	// value. From 1 to 16.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Set []TaintToSet `json:"set,omitempty"`

	// remove are the taints to remove. From 1 to 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Remove []TaintToRemove `json:"remove,omitempty"`
}

// TaintToSet is a taint to add. Keys of kubernetes.io belong to Kubernetes and
// cannot be set or removed.
type TaintToSet struct {
	// key is its key, such as example.com/maintenance.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([^/]*[.])?kubernetes[.]io/')",message="taints of kubernetes.io belong to Kubernetes"
	Key string `json:"key,omitempty"`

	// value is its value. When unset, none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Value string `json:"value,omitempty"`

	// effect is what it does to pods that do not tolerate it:
	//   - NoSchedule: keeps new ones off
	//   - PreferNoSchedule: keeps new ones off where possible
	//   - NoExecute: also evicts those that run
	// +required
	Effect TaintEffect `json:"effect,omitempty"`
}

// TaintToRemove is a taint to remove.
type TaintToRemove struct {
	// key is its key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([^/]*[.])?kubernetes[.]io/')",message="taints of kubernetes.io belong to Kubernetes"
	Key string `json:"key,omitempty"`

	// effect is its effect. When unset, taints with the key and any effect.
	// +optional
	Effect TaintEffect `json:"effect,omitempty"`
}
