// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

// SlackChannel is a Slack channel, through an incoming webhook or a bot.
// +kubebuilder:validation:ExactlyOneOf=urlSecretRef;tokenSecretRef
// +kubebuilder:validation:XValidation:rule="has(self.tokenSecretRef) == has(self.channel)",message="channel is required with tokenSecretRef, and allowed only with it: a webhook has its channel built in"
// +kubebuilder:validation:XValidation:rule="!has(self.updateMessage) || !self.updateMessage || has(self.tokenSecretRef)",message="updateMessage needs tokenSecretRef: a webhook cannot change what it sent"
type SlackChannel struct {
	// urlSecretRef names the Secret with the address of an incoming webhook. The
	// address is a credential, so it cannot be written here.
	// +optional
	URLSecretRef *SecretKeyReference `json:"urlSecretRef,omitempty"`

	// tokenSecretRef names the Secret with the token of a bot, which needs the
	// scope chat:write and must be a member of the channel.
	// +optional
	TokenSecretRef *SecretKeyReference `json:"tokenSecretRef,omitempty"`

	// channel is the channel that the bot writes to: "#name" or a channel's id.
	// Only with tokenSecretRef.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=81
	// +kubebuilder:validation:Pattern=`^(#[^\s#@]+|[CGD][A-Z0-9]{8,})$`
	Channel string `json:"channel,omitempty"`

	// updateMessage lets the bot change its first message when the group's state
	// changes, and tell the details in its thread, rather than write a new one.
	// Only with tokenSecretRef. Defaults to false.
	// +optional
	UpdateMessage *bool `json:"updateMessage,omitempty"`
}

// SMTPSecurity says how an SMTP connection is encrypted.
// +kubebuilder:validation:Enum=StartTLS;Implicit;None
type SMTPSecurity string

const (
	// SMTPSecurityStartTLS begins in clear text and insists on STARTTLS.
	SMTPSecurityStartTLS SMTPSecurity = "StartTLS"
	// SMTPSecurityImplicit is TLS from the first byte.
	SMTPSecurityImplicit SMTPSecurity = "Implicit"
	// SMTPSecurityNone is clear text.
	SMTPSecurityNone SMTPSecurity = "None"
)

// MailAddress is an e-mail address without a display name.
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=254
// +kubebuilder:validation:Pattern=`^[^\s@<>,;"]+@[^\s@<>,;"]+$`
type MailAddress string

// EmailChannel is a list of recipients, and the server that takes mail for them.
// +kubebuilder:validation:XValidation:rule="has(self.usernameSecretRef) == has(self.passwordSecretRef)",message="usernameSecretRef and passwordSecretRef are set together"
// +kubebuilder:validation:XValidation:rule="self.tls != 'None' || !has(self.passwordSecretRef)",message="a password is not sent over a connection without TLS: set tls, or leave out the credentials"
// +kubebuilder:validation:XValidation:rule="self.tls != 'None' || !has(self.caConfigMapRef)",message="caConfigMapRef needs TLS"
type EmailChannel struct {
	// host is the name or address of the SMTP server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$`
	Host string `json:"host,omitempty"`

	// port is its port: usually 587 for StartTLS and 465 for Implicit. From 1 to
	// 65535. Defaults to 587.
	// +optional
	// +default=587
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// tls says how the connection is encrypted:
	//   - StartTLS: begins in clear text; fails if the server does not offer STARTTLS
	//   - Implicit: TLS from the first byte
	//   - None: clear text, for a relay on a trusted network; no credentials
	// Defaults to StartTLS.
	// +optional
	// +default="StartTLS"
	TLS SMTPSecurity `json:"tls,omitempty"`

	// from is the sender's address.
	// +required
	From MailAddress `json:"from,omitempty"`

	// to are the recipients' addresses. From 1 to 32.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	To []MailAddress `json:"to,omitempty"`

	// usernameSecretRef names the Secret with the user name. Together with
	// passwordSecretRef. When unset, the hub does not log in.
	// +optional
	UsernameSecretRef *SecretKeyReference `json:"usernameSecretRef,omitempty"`

	// passwordSecretRef names the Secret with the password.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`

	// caConfigMapRef names the ConfigMap with the PEM certificates that the server
	// is verified with. When unset, the system's.
	// +optional
	CAConfigMapRef *ConfigMapKeyReference `json:"caConfigMapRef,omitempty"`
}

// WebhookFormat is the format of a webhook's body.
// +kubebuilder:validation:Enum=AlertmanagerV4
type WebhookFormat string

const (
	// WebhookFormatAlertmanagerV4 is the body that Alertmanager's webhook receiver sends.
	WebhookFormatAlertmanagerV4 WebhookFormat = "AlertmanagerV4"
)

// WebhookChannel is an HTTP endpoint.
// +kubebuilder:validation:ExactlyOneOf=url;urlSecretRef
// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.startsWith('https://') || !has(self.bearerTokenSecretRef)",message="a bearer token is not sent over a connection without TLS: use an https url"
type WebhookChannel struct {
	// url is the address, http or https, without credentials. An address that is
	// itself a credential belongs into urlSecretRef.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname().size() > 0",message="url must be an absolute http or https address"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[^/?#]*@')",message="url must not hold credentials: use urlSecretRef or bearerTokenSecretRef"
	URL string `json:"url,omitempty"`

	// urlSecretRef names the Secret with the address.
	// +optional
	URLSecretRef *SecretKeyReference `json:"urlSecretRef,omitempty"`

	// format is the format of the body. AlertmanagerV4 is what Alertmanager sends,
	// so its receivers work unchanged. Defaults to AlertmanagerV4.
	// +optional
	// +default="AlertmanagerV4"
	Format WebhookFormat `json:"format,omitempty"`

	// timeoutSeconds is how long one attempt may take. From 1 to 60. Defaults to 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// maxAlerts is how many alerts one body has at most; truncatedAlerts in the
	// body says how many were left out. From 1 to 1000. Defaults to 50.
	// +optional
	// +default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxAlerts int32 `json:"maxAlerts,omitempty"`

	// bearerTokenSecretRef names the Secret with the token for the header
	// Authorization: Bearer. Not with an http address.
	// +optional
	BearerTokenSecretRef *SecretKeyReference `json:"bearerTokenSecretRef,omitempty"`

	// hmacSecretRef names the Secret with the key that signs each body: the header
	// X-AtlHyper-Signature is "sha256=" and the hexadecimal HMAC of the body.
	// +optional
	HMACSecretRef *SecretKeyReference `json:"hmacSecretRef,omitempty"`

	// headers are further headers, at most 16, each with its value in a Secret.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []WebhookHeader `json:"headers,omitempty"`

	// caConfigMapRef names the ConfigMap with the PEM certificates that the server
	// is verified with. When unset, the system's.
	// +optional
	CAConfigMapRef *ConfigMapKeyReference `json:"caConfigMapRef,omitempty"`
}

// WebhookHeader is a header of a webhook's requests.
type WebhookHeader struct {
	// name is the name of the header. Those that the hub sets (Authorization,
	// Content-Length, Content-Type, Host, Idempotency-Key) cannot be named.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['authorization', 'content-length', 'content-type', 'host', 'idempotency-key', 'transfer-encoding', 'connection'])",message="this header is set by the hub"
	Name string `json:"name,omitempty"`

	// valueSecretRef names the Secret with its value.
	// +required
	ValueSecretRef SecretKeyReference `json:"valueSecretRef,omitzero"`
}
