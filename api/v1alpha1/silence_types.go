// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions of a Silence besides Ready, Reconciling and Stalled. Written by the hub.
const (
	// SilenceConditionActive says whether the silence is in its time.
	SilenceConditionActive = "Active"
)

// Reasons of Ready and Active.
const (
	// SilenceReasonAccepted means that the hub applies the silence in its time.
	SilenceReasonAccepted = "Accepted"
	// SilenceReasonInForce means that it has started and not ended.
	SilenceReasonInForce = "InForce"
	// SilenceReasonNotStarted means that startsAt is in the future.
	SilenceReasonNotStarted = "NotStarted"
	// SilenceReasonExpired means that endsAt has passed.
	SilenceReasonExpired = "Expired"
)

// SilenceSpec is which alerts are not notified, and when.
// +kubebuilder:validation:XValidation:rule="!has(self.startsAt) || self.startsAt < self.endsAt",message="endsAt must be after startsAt"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.createdBy) || (has(self.createdBy) && self.createdBy == oldSelf.createdBy)",message="createdBy cannot be changed"
type SilenceSpec struct {
	// matchers are matched by the labels of an alert; all must match. At least one
	// must ask for a value (Equal or Regexp with something that the empty value does not
	// match), else the silence would cover alerts that nobody thought of. From 1
	// to 16.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.exists(m, (m.?matchType.orValue('Equal') == 'Equal' && size(m.value) > 0) || (m.?matchType.orValue('Equal') == 'Regexp' && !\"\".matches('^(?:' + m.value + ')$')))",message="at least one matcher must ask for a value: Equal or Regexp with something that the empty value does not match"
	Matchers []LabelMatcher `json:"matchers,omitempty"`

	// startsAt is when the silence begins. When unset, when it is created.
	// +optional
	StartsAt *metav1.Time `json:"startsAt,omitempty"`

	// endsAt is when the silence ends; it can be moved. Alerts that still fire then
	// are notified. The object is removed 5 days later.
	// +required
	EndsAt metav1.Time `json:"endsAt,omitzero"`

	// comment says why, for those who wonder where the alert is. At most 1024
	// characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Comment string `json:"comment,omitempty"`

	// createdBy is the name of the user who made the silence. It cannot be changed.
	// At most 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	CreatedBy string `json:"createdBy,omitempty"`
}

// SilenceState is the state of a silence in one word, for people. Programs read
// the conditions.
// +kubebuilder:validation:Enum=Pending;Active;Expired
type SilenceState string

const (
	// SilenceStatePending means that it has not started.
	SilenceStatePending SilenceState = "Pending"
	// SilenceStateActive means that it is in force.
	SilenceStateActive SilenceState = "Active"
	// SilenceStateExpired means that it has ended.
	SilenceStateExpired SilenceState = "Expired"
)

// SilenceStatus is what a silence does. Written by the hub when something shown
// here changes.
type SilenceStatus struct {
	// conditions say, each with a reason and a message, how the silence is: Ready
	// and Active (and Stalled while true).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the hub has acted
	// on, -1 before it has seen the object.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// state is the state in one word: Pending, Active or Expired.
	// +optional
	State SilenceState `json:"state,omitempty"`

	// matchedAlerts is the number of firing alerts that it silences now.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MatchedAlerts *int32 `json:"matchedAlerts,omitempty"`
}

// Silence stops notifications of the alerts that match it, for a time: those of
// the AlertRules in its namespace, in every channel. The alerts are still
// evaluated and shown.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=sil,categories=atlhyper
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Alerts",type=integer,JSONPath=`.status.matchedAlerts`,description="Firing alerts that it silences now."
// +kubebuilder:printcolumn:name="Ends",type=string,JSONPath=`.spec.endsAt`
// +kubebuilder:printcolumn:name="Created-By",type=string,JSONPath=`.spec.createdBy`
// +kubebuilder:printcolumn:name="Comment",type=string,JSONPath=`.spec.comment`,priority=1
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Silence struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is which alerts are not notified, and when.
	// +required
	Spec SilenceSpec `json:"spec,omitzero"`

	// status is what the silence does.
	// +optional
	// +default={"observedGeneration":-1}
	Status SilenceStatus `json:"status,omitzero"`
}

// SilenceList is a list of Silences.
// +kubebuilder:object:root=true
type SilenceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []Silence `json:"items"`
}
