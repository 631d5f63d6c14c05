// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnnotationTestRequested on a NotificationChannel asks the hub for one test
// message. Its value is any text that differs from the last one, usually the time;
// status.lastTest carries the value that was answered.
const AnnotationTestRequested = "atlhyper.io/test-requested-at"

// Conditions of a NotificationChannel besides Ready, Reconciling and Stalled. All
// are written by the hub.
const (
	// ChannelConditionSecretsResolved says whether every Secret and ConfigMap that
	// the channel refers to exists and has the key.
	ChannelConditionSecretsResolved = "SecretsResolved"
	// ChannelConditionDelivering says whether the last message was delivered.
	ChannelConditionDelivering = "Delivering"
)

// Reasons of Ready, Stalled and SecretsResolved.
const (
	// ChannelReasonAccepted means that the channel can be used.
	ChannelReasonAccepted = "Accepted"
	// ChannelReasonSuspended means that spec.suspended is true.
	ChannelReasonSuspended = "Suspended"
	// ChannelReasonResolved means that every reference was found.
	ChannelReasonResolved = "Resolved"
	// ChannelReasonSecretNotFound means that a Secret or ConfigMap, or its key, is
	// missing; the message names it.
	ChannelReasonSecretNotFound = "SecretNotFound"
	// ChannelReasonInvalidSecret means that what a Secret holds cannot be used,
	// such as an address that is none. The message never repeats the value.
	ChannelReasonInvalidSecret = "InvalidSecret"
	// ChannelReasonInvalidTemplate means that a template does not parse.
	ChannelReasonInvalidTemplate = "InvalidTemplate"
	// ChannelReasonAddressRefused means that the receiver's address is private,
	// link-local or inside the hub's cluster, which the hub does not call unless
	// its administrator allows it.
	ChannelReasonAddressRefused = "AddressRefused"
)

// Reasons of Delivering.
const (
	// ChannelReasonDelivered means that the last message was accepted.
	ChannelReasonDelivered = "Delivered"
	// ChannelReasonNothingSent means that nothing was sent yet.
	ChannelReasonNothingSent = "NothingSent"
	// ChannelReasonAuthError means that the receiver refused the credentials.
	ChannelReasonAuthError = "AuthError"
	// ChannelReasonClientError means that the receiver refused the message; trying
	// again does not help.
	ChannelReasonClientError = "ClientError"
	// ChannelReasonServerError means that the receiver failed; it is tried again.
	ChannelReasonServerError = "ServerError"
	// ChannelReasonRateLimited means that the receiver, or spec.rateLimit, wants
	// fewer messages.
	ChannelReasonRateLimited = "RateLimited"
	// ChannelReasonTimeout means that the receiver did not answer in time.
	ChannelReasonTimeout = "Timeout"
	// ChannelReasonUnreachable means that no connection could be made.
	ChannelReasonUnreachable = "Unreachable"
)

// ChannelType is the kind of a receiver.
// +kubebuilder:validation:Enum=Slack;Email;Webhook
type ChannelType string

const (
	// ChannelTypeSlack is Slack, or what speaks its webhook format.
	ChannelTypeSlack ChannelType = "Slack"
	// ChannelTypeEmail is e-mail over SMTP.
	ChannelTypeEmail ChannelType = "Email"
	// ChannelTypeWebhook is an HTTP endpoint.
	ChannelTypeWebhook ChannelType = "Webhook"
)

// Language is the language of notifications.
// +kubebuilder:validation:Enum=en;zh;ja
type Language string

const (
	// LanguageEnglish is English.
	LanguageEnglish Language = "en"
	// LanguageChinese is simplified Chinese.
	LanguageChinese Language = "zh"
	// LanguageJapanese is Japanese.
	LanguageJapanese Language = "ja"
)

// NotificationChannelSpec is where notifications go.
// +kubebuilder:validation:XValidation:rule="(self.type == 'Slack') == has(self.slack)",message="slack is required when type is Slack, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Email') == has(self.email)",message="email is required when type is Email, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Webhook') == has(self.webhook)",message="webhook is required when type is Webhook, and allowed only then"
type NotificationChannelSpec struct {
	// type is the kind of receiver: Slack, Email or Webhook. The member of the same
	// name has the details.
	// +required
	Type ChannelType `json:"type,omitempty"`

	// slack are the details of type: Slack, a channel reached through an incoming
	// webhook or a bot.
	// +optional
	Slack *SlackChannel `json:"slack,omitempty"`

	// email are the details of type: Email, recipients and the SMTP server that
	// takes mail for them.
	// +optional
	Email *EmailChannel `json:"email,omitempty"`

	// webhook are the details of type: Webhook, an HTTP endpoint that takes POST
	// requests. The hub does not follow redirects, and calls private addresses only
	// if its administrator allows it. A request that is sent again carries the same
	// Idempotency-Key.
	// +optional
	Webhook *WebhookChannel `json:"webhook,omitempty"`

	// templates replace the texts of notifications. They are Go templates over a
	// notification, as in Alertmanager: {{ .Status }}, {{ .Alerts }},
	// {{ .GroupLabels }}, {{ .CommonLabels }}. When unset, the built-in texts. They
	// do not change the body of webhooks.
	// +optional
	Templates *ChannelTemplates `json:"templates,omitempty"`

	// language is the language of the built-in texts: en, zh or ja. Defaults to en.
	// +optional
	// +default="en"
	Language Language `json:"language,omitempty"`

	// rateLimit protects the receiver from floods. When unset, its default applies.
	// +optional
	RateLimit *ChannelRateLimit `json:"rateLimit,omitempty"`

	// allowedNamespaces says which other namespaces of the hub have AlertRules that
	// may use this channel. When unset, none: only the channel's own.
	// +optional
	AllowedNamespaces *AllowedNamespaces `json:"allowedNamespaces,omitempty"`

	// suspended drops what would be sent while it is true. Defaults to false.
	// +optional
	// +default=false
	Suspended *bool `json:"suspended,omitempty"`
}

// ChannelTemplates are Go templates over a notification: {{ .Status }},
// {{ .Alerts }}, {{ .GroupLabels }}, {{ .CommonLabels }} and so on, as in
// Alertmanager.
// +kubebuilder:validation:MinProperties=1
type ChannelTemplates struct {
	// title is the title in Slack and the subject of an e-mail. At most 1024 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Title string `json:"title,omitempty"`

	// body is the text. At most 8192 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Body string `json:"body,omitempty"`
}

// ChannelRateLimit limits messages.
// +kubebuilder:validation:MinProperties=1
type ChannelRateLimit struct {
	// maxPerHour is how many messages are sent in any hour; what exceeds it is
	// summed up in one message "N suppressed". From 1 to 3600. Defaults to 60.
	// +optional
	// +default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	MaxPerHour int32 `json:"maxPerHour,omitempty"`
}

// NotificationChannelStatus is what became of the notifications. Written by the
// hub when something shown here changes.
type NotificationChannelStatus struct {
	// conditions say, each with a reason and a message, how the channel is: Ready,
	// SecretsResolved and Delivering (and Stalled while true).
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

	// lastSuccessTime is when a message was last delivered.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`

	// lastFailure is the last delivery that failed. It stays after later successes.
	// +optional
	LastFailure *DeliveryFailure `json:"lastFailure,omitempty"`

	// lastTest is the value of the annotation atlhyper.io/test-requested-at that
	// was answered last.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	LastTest string `json:"lastTest,omitempty"`

	// sentLast24Hours is the number of messages delivered in the last 24 hours.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SentLast24Hours *int32 `json:"sentLast24Hours,omitempty"`

	// failedLast24Hours is the number of messages given up in the last 24 hours.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FailedLast24Hours *int32 `json:"failedLast24Hours,omitempty"`
}

// DeliveryFailure is a delivery that failed.
type DeliveryFailure struct {
	// time is when.
	// +required
	Time metav1.Time `json:"time,omitzero"`

	// reason is why, in a word: a reason of the condition Delivering.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message is what the receiver said, without addresses and credentials.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// NotificationChannel is where notifications go: Slack, e-mail or a webhook.
//
// Credentials are Secrets of the same namespace. So a platform team can own the
// channel and its Secret, and admit the namespaces of the teams that own rules.
//
// Ready says that the channel can be used, and Delivering whether the last message
// got through. To send a test message, set the annotation
// atlhyper.io/test-requested-at to the current time.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=nc,categories=atlhyper
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Delivering",type=string,JSONPath=`.status.conditions[?(@.type=="Delivering")].status`,description="The last message was delivered."
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Delivering")].reason`,priority=1
// +kubebuilder:printcolumn:name="Failed-24h",type=integer,JSONPath=`.status.failedLast24Hours`,priority=1
// +kubebuilder:printcolumn:name="Last-Success",type=date,JSONPath=`.status.lastSuccessTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NotificationChannel struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is where notifications go.
	// +required
	Spec NotificationChannelSpec `json:"spec,omitzero"`

	// status is what became of them.
	// +optional
	// +default={"observedGeneration":-1}
	Status NotificationChannelStatus `json:"status,omitzero"`
}

// NotificationChannelList is a list of NotificationChannels.
// +kubebuilder:object:root=true
type NotificationChannelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []NotificationChannel `json:"items"`
}
