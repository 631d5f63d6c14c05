// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions of an AlertRule besides Ready, Reconciling and Stalled. All are
// written by the hub.
const (
	// AlertConditionFiring says whether an alert of the rule is firing.
	AlertConditionFiring = "Firing"
	// AlertConditionDelivered says whether the last notifications reached every
	// channel.
	AlertConditionDelivered = "Delivered"
)

// Reasons of Ready, Reconciling and Stalled.
const (
	// AlertReasonEvaluating means that the rule is in force on every connected
	// cluster that it selects.
	AlertReasonEvaluating = "Evaluating"
	// AlertReasonRollingOut means that some connected clusters do not apply this
	// generation yet.
	AlertReasonRollingOut = "RollingOut"
	// AlertReasonSuspended means that spec.suspended is true.
	AlertReasonSuspended = "Suspended"
	// AlertReasonChannelNotFound means that a channel in notify does not exist or
	// does not admit this namespace.
	AlertReasonChannelNotFound = "ChannelNotFound"
	// AlertReasonUnknownRule means that source.anomaly.rules names a rule that
	// does not exist.
	AlertReasonUnknownRule = "UnknownRule"
	// AlertReasonUnknownMetric means that source.metric.name does not exist.
	AlertReasonUnknownMetric = "UnknownMetric"
	// AlertReasonInvalidTemplate means that an annotation is no valid template.
	AlertReasonInvalidTemplate = "InvalidTemplate"
)

// Reasons of Firing.
const (
	// AlertReasonNothingFiring means that no alert of the rule is firing.
	AlertReasonNothingFiring = "NothingFiring"
	// AlertReasonAlertsFiring means that some are; the message has the count.
	AlertReasonAlertsFiring = "AlertsFiring"
	// AlertReasonFrozen means that data is missing: alerts keep their state.
	AlertReasonFrozen = "Frozen"
	// AlertReasonLimitExceeded means that there are more alerts than spec.limit;
	// one summary alert stands for them.
	AlertReasonLimitExceeded = "LimitExceeded"
)

// Reasons of Delivered.
const (
	// AlertReasonDelivered means that the last notifications were delivered.
	AlertReasonDelivered = "Delivered"
	// AlertReasonDeliveryFailed means that one was not; the message names the channel.
	AlertReasonDeliveryFailed = "DeliveryFailed"
	// AlertReasonNothingSent means that there was nothing to send yet.
	AlertReasonNothingSent = "NothingSent"
	// AlertReasonNoChannels means that the rule has no channels.
	AlertReasonNoChannels = "NoChannels"
)

// AnnotationText is a template for a text of an alert, at most 1024 characters.
// +kubebuilder:validation:MaxLength=1024
type AnnotationText string

// AlertRuleSpec is what to tell whom.
// +kubebuilder:validation:XValidation:rule="has(self.severity) || has(self.source.anomaly) || (has(self.source.slo) && !has(self.source.slo.budgetBelowPercent))",message="severity is required, except with source anomaly and with burn tiers of source slo, which have severities of their own"
// +kubebuilder:validation:XValidation:rule="self.repeatIntervalSeconds >= self.groupIntervalSeconds",message="repeatIntervalSeconds must not be below groupIntervalSeconds, because a group is looked at only that often"
type AlertRuleSpec struct {
	// source is what raises alerts. Exactly one of its members is set.
	// +required
	Source AlertSource `json:"source,omitzero"`

	// clusters are the clusters whose alerts these are. When unset, every cluster
	// that admits this namespace.
	// +optional
	Clusters *ClusterSelection `json:"clusters,omitempty"`

	// severity is the severity of the alerts: critical, warning or info. Required
	// with sources metric and cluster and with slo.budgetBelowPercent. When unset
	// with the others, each alert has the severity of its anomaly or burn tier.
	// +optional
	Severity Severity `json:"severity,omitempty"`

	// forSeconds is how long it must be true, without a break, before an alert
	// fires; until then it is pending. 0 fires at once. When unset, what the
	// anomaly rule says, else 0. From 0 to 86400.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	ForSeconds *int32 `json:"forSeconds,omitempty"`

	// keepFiringForSeconds is how long it must be false, without a break, before
	// a firing alert resolves, so that a container that runs for a minute between
	// two crashes does not resolve and fire again. When unset, what the anomaly
	// rule says, else 0. From 0 to 86400.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	KeepFiringForSeconds *int32 `json:"keepFiringForSeconds,omitempty"`

	// labels are added to every alert of the rule, for matchers of silences and
	// inhibitions and for groupBy. The labels alertname, cluster and severity are
	// the hub's and cannot be set. At most 16.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 64 && k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",message="a label name has at most 64 letters, digits and underscores and does not start with a digit"
	// +kubebuilder:validation:XValidation:rule="['alertname', 'cluster', 'severity'].all(k, !(k in self))",message="the labels alertname, cluster and severity are set by the hub"
	Labels map[string]LabelText `json:"labels,omitempty"`

	// annotations are texts about the alert, such as summary, description and
	// runbook. They are Go templates over the alert: {{ .Labels.cluster }},
	// {{ .Value }}, {{ .Object }}. A template that fails shows its error in place
	// of the text, and the alert is sent all the same. At most 16.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 64 && k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",message="an annotation name has at most 64 letters, digits and underscores and does not start with a digit"
	Annotations map[string]AnnotationText `json:"annotations,omitempty"`

	// groupBy are the labels whose values make a group: alerts of a group come in
	// one notification. When unset, alertname and cluster. At most 16.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	GroupBy []LabelName `json:"groupBy,omitempty"`

	// groupWaitSeconds is how long the first notification of a new group waits for
	// more alerts. 0 sends at once. From 0 to 3600. Defaults to 30.
	// +optional
	// +default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	GroupWaitSeconds *int32 `json:"groupWaitSeconds,omitempty"`

	// groupIntervalSeconds is how long a group that was notified waits before a
	// change in it, a new or a resolved alert, is notified. From 10 to 86400.
	// Defaults to 300.
	// +optional
	// +default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	GroupIntervalSeconds int32 `json:"groupIntervalSeconds,omitempty"`

	// repeatIntervalSeconds is how long after the last successful notification an
	// unchanged group is notified again. Not below groupIntervalSeconds. From 60
	// to 2592000. Defaults to 14400.
	// +optional
	// +default=14400
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2592000
	RepeatIntervalSeconds int32 `json:"repeatIntervalSeconds,omitempty"`

	// inhibitedBy are alerts during which those of this rule are not notified. It
	// comes on top of what always holds: a cluster that is offline inhibits
	// everything in it, a node that is down inhibits its pods, and a faster burn
	// tier inhibits the slower ones of its SLO. At most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	InhibitedBy []AlertInhibition `json:"inhibitedBy,omitempty"`

	// activeTimes are the times at which alerts are notified. Alerts that still
	// fire when a time begins are notified then. When unset, always. At most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	ActiveTimes []AlertActiveTime `json:"activeTimes,omitempty"`

	// notify are the channels that are told. When unset, alerts are only shown.
	// At most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Notify []AlertNotify `json:"notify,omitempty"`

	// limit is how many alerts the rule may have at a time; above it, one summary
	// alert stands for all. From 1 to 10000. Defaults to 100.
	// +optional
	// +default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Limit int32 `json:"limit,omitempty"`

	// suspended stops the rule while it is true: its alerts end without a
	// notification. Defaults to false.
	// +optional
	// +default=false
	Suspended *bool `json:"suspended,omitempty"`
}

// AlertRule says what raises an alert and who is told, with the semantics of
// Alertmanager: alerts are pending, firing, resolved; they are grouped, repeated,
// inhibited and silenced.
//
// Alerts outlive restarts of the hub: a firing alert is neither forgotten nor
// notified twice. When data goes missing, alerts freeze: they neither fire nor
// resolve. An alert is about the owner, such as the Deployment, so that a new pod
// makes no new alert.
//
// Ready says that the rule is valid and in force. Whether something is wrong is
// Firing, and whether people were told is Delivered.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=ar,categories=atlhyper
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Severity",type=string,JSONPath=`.spec.severity`,description="Unset: that of the anomaly or burn tier."
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Firing",type=integer,JSONPath=`.status.firing`,description="Alerts that are firing."
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.pending`,description="Alerts that have not lasted long enough to fire."
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Delivered",type=string,JSONPath=`.status.conditions[?(@.type=="Delivered")].status`,priority=1
// +kubebuilder:printcolumn:name="Last-Notified",type=date,JSONPath=`.status.lastNotificationTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AlertRule struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is the label alertname of
	// the rule's alerts, except with source anomaly, where the anomaly rule's id is.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what to tell whom.
	// +required
	Spec AlertRuleSpec `json:"spec,omitzero"`

	// status is what is wrong and who was told.
	// +optional
	// +default={"observedGeneration":-1}
	Status AlertRuleStatus `json:"status,omitzero"`
}

// AlertRuleList is a list of AlertRules.
// +kubebuilder:object:root=true
type AlertRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []AlertRule `json:"items"`
}
