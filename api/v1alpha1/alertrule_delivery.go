// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AlertInhibition is a set of alerts that inhibit others.
type AlertInhibition struct {
	// matchers are matched by the labels of the inhibiting alert; all must match.
	// From 1 to 16.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Matchers []LabelMatcher `json:"matchers,omitempty"`

	// equal are the labels that must have the same value in both alerts. When
	// unset, cluster. From 1 to 16.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Equal []LabelName `json:"equal,omitempty"`
}

// Weekday is a day of the week.
// +kubebuilder:validation:Enum=Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday
type Weekday string

// AlertActiveTime is a time that comes back every week.
// +kubebuilder:validation:XValidation:rule="self.from != self.to",message="from and to must differ: the whole day is from 00:00 to 24:00"
type AlertActiveTime struct {
	// weekdays are the days on which it begins. When unset, every day. From 1 to 7.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Weekdays []Weekday `json:"weekdays,omitempty"`

	// from is when it begins, as hours and minutes, such as "08:00".
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	From string `json:"from,omitempty"`

	// to is when it ends, such as "20:00"; "24:00" is the end of the day. A time
	// before from is on the next day. The whole day is from "00:00" to "24:00".
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	To string `json:"to,omitempty"`

	// timeZone is the name of the IANA time zone of the times above, such as
	// Europe/Berlin. Defaults to UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`
	TimeZone string `json:"timeZone,omitempty"`
}

// ChannelReference names a NotificationChannel.
type ChannelReference struct {
	// name is the name of the NotificationChannel.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// namespace is its namespace; the channel's allowedNamespaces must admit the
	// namespace of the rule. When unset, the namespace of the rule.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
}

// AlertNotify is a channel and what it is told.
type AlertNotify struct {
	// channelRef names the NotificationChannel.
	// +required
	ChannelRef ChannelReference `json:"channelRef,omitzero"`

	// minSeverity is the lowest severity that is sent here, of info < warning <
	// critical. When unset, all.
	// +optional
	MinSeverity Severity `json:"minSeverity,omitempty"`

	// sendResolved says whether to tell that an alert is over. Defaults to true.
	// +optional
	SendResolved *bool `json:"sendResolved,omitempty"`
}

// AlertState is the state of an alert or of a rule in one word.
// +kubebuilder:validation:Enum=Inactive;Pending;Firing;Frozen
type AlertState string

const (
	// AlertStateInactive means that nothing is wrong.
	AlertStateInactive AlertState = "Inactive"
	// AlertStatePending means that something is, but not for long enough.
	AlertStatePending AlertState = "Pending"
	// AlertStateFiring means that something is, for long enough.
	AlertStateFiring AlertState = "Firing"
	// AlertStateFrozen means that data is missing and the last state is kept.
	AlertStateFrozen AlertState = "Frozen"
)

// SuppressedBy says why a firing alert is not notified.
// +kubebuilder:validation:Enum=Silence;Inhibition;ActiveTimes
type SuppressedBy string

const (
	// SuppressedBySilence means that a Silence matches it.
	SuppressedBySilence SuppressedBy = "Silence"
	// SuppressedByInhibition means that another alert inhibits it.
	SuppressedByInhibition SuppressedBy = "Inhibition"
	// SuppressedByActiveTimes means that it is outside of activeTimes.
	SuppressedByActiveTimes SuppressedBy = "ActiveTimes"
)

// AlertRuleStatus is what is wrong and who was told. Written by the hub when
// something shown here changes.
type AlertRuleStatus struct {
	// conditions say, each with a reason and a message, how the rule is: Ready,
	// Firing and Delivered (and Reconciling, Stalled while true).
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

	// state is the worst state of the rule's alerts: Inactive, Pending, Firing or
	// Frozen.
	// +optional
	State AlertState `json:"state,omitempty"`

	// firing is the number of alerts that are firing, suppressed ones included.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Firing *int32 `json:"firing,omitempty"`

	// pending is the number of alerts that have not lasted long enough to fire.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Pending *int32 `json:"pending,omitempty"`

	// suppressed counts the firing alerts that are not notified.
	// +optional
	Suppressed *SuppressedCounts `json:"suppressed,omitempty"`

	// alerts are the worst active alerts, most severe and then oldest first. At
	// most 20; the history has all of them.
	// +optional
	// +listType=map
	// +listMapKey=fingerprint
	// +kubebuilder:validation:MaxItems=20
	Alerts []ActiveAlert `json:"alerts,omitempty"`

	// lastNotificationTime is when a notification of the rule was last delivered.
	// +optional
	LastNotificationTime *metav1.Time `json:"lastNotificationTime,omitempty"`
}

// SuppressedCounts counts firing alerts that are not notified.
type SuppressedCounts struct {
	// silenced is the number of those that a Silence matches.
	// +required
	// +kubebuilder:validation:Minimum=0
	Silenced *int32 `json:"silenced,omitempty"`

	// inhibited is the number of those that another alert inhibits.
	// +required
	// +kubebuilder:validation:Minimum=0
	Inhibited *int32 `json:"inhibited,omitempty"`

	// muted is the number of those outside of activeTimes.
	// +required
	// +kubebuilder:validation:Minimum=0
	Muted *int32 `json:"muted,omitempty"`
}

// ActiveAlert is one alert in a few words.
type ActiveAlert struct {
	// fingerprint identifies the alert: 16 hexadecimal digits.
	// +required
	// +kubebuilder:validation:MinLength=16
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{16}$`
	Fingerprint string `json:"fingerprint,omitempty"`

	// state is Pending, Firing or Frozen.
	// +required
	State AlertState `json:"state,omitempty"`

	// severity is critical, warning or info.
	// +required
	Severity Severity `json:"severity,omitempty"`

	// cluster is the name of the ManagedCluster that the alert is about. Unset for
	// an SLO whose clusters share one budget.
	// +optional
	Cluster ClusterName `json:"cluster,omitempty"`

	// object is what the alert is about, such as "Deployment shop/cart" or "Node
	// worker-3".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=384
	Object string `json:"object,omitempty"`

	// summary is the alert in one line.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Summary string `json:"summary,omitempty"`

	// suppressedBy says why the alert is not notified: Silence, Inhibition or
	// ActiveTimes. Unset when it is.
	// +optional
	SuppressedBy SuppressedBy `json:"suppressedBy,omitempty"`

	// since is when it began to be true.
	// +required
	Since metav1.Time `json:"since,omitzero"`
}
