// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("NotificationChannel", func() {
	It("has its defaults", func(ctx SpecContext) {
		object := patched("NotificationChannel", "shop-mail", `{spec: {language: null, rateLimit: {}, email: {port: null, tls: null}}}`)
		Expect(kube.Create(ctx, object)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
		channel := &v1alpha1.NotificationChannel{}
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(object), channel)).To(Succeed())
		Expect(channel.Spec.Email.Port).To(Equal(int32(587)))
		Expect(channel.Spec.Email.TLS).To(Equal(v1alpha1.SMTPSecurityStartTLS))
		Expect(channel.Spec.Language).To(Equal(v1alpha1.LanguageEnglish))
		Expect(channel.Spec.RateLimit.MaxPerHour).To(Equal(int32(60)))
		Expect(channel.Spec.Suspended).To(HaveValue(BeFalse()))
	})

	DescribeTable("accepts", func(ctx SpecContext, name, patch string) {
		expectAccepted(ctx, "NotificationChannel", name, patch)
	},
		Entry("a Slack webhook", "shop-slack", `{spec: {slack: {tokenSecretRef: null, channel: null, updateMessage: null, urlSecretRef: {name: slack, key: url}}}}`),
		Entry("a Slack channel by id", "shop-slack", `{spec: {slack: {channel: C024BE91L}}}`),
		Entry("a relay without TLS and credentials", "shop-mail", `{spec: {email: {port: 25, tls: None, usernameSecretRef: null, passwordSecretRef: null}}}`),
		Entry("an http address without a token", "pager", `{spec: {webhook: {url: "http://pager.example.com:8080/hook?team=shop", bearerTokenSecretRef: null}}}`),
		Entry("an address in a Secret", "pager", `{spec: {webhook: {url: null, urlSecretRef: {name: pager, key: url}}}}`),
		Entry("an IPv6 address", "pager", `{spec: {webhook: {url: "https://[2001:db8::1]/hook"}}}`),
	)

	DescribeTable("refuses", func(ctx SpecContext, name, patch, message string) {
		expectRejected(ctx, "NotificationChannel", name, patch, message)
	},
		Entry("no spec", "shop-slack", `{spec: null}`, "spec: Required value"),
		Entry("no type", "shop-slack", `{spec: {type: null}}`, "spec.type: Required value"),
		Entry("an unknown type", "shop-slack", `{spec: {type: Teams}}`, `Unsupported value: "Teams"`),
		Entry("Slack without its block", "shop-slack", `{spec: {slack: null}}`, "slack is required when type is Slack, and allowed only then"),
		Entry("e-mail without its block", "shop-mail", `{spec: {email: null}}`, "email is required when type is Email, and allowed only then"),
		Entry("a webhook without its block", "pager", `{spec: {webhook: null}}`, "webhook is required when type is Webhook, and allowed only then"),
		Entry("the block of another type", "shop-slack", `{spec: {webhook: {url: "https://example.com"}}}`, "webhook is required when type is Webhook, and allowed only then"),
		Entry("Slack as webhook and bot", "shop-slack", `{spec: {slack: {urlSecretRef: {name: slack, key: url}}}}`, "exactly one of the fields in [urlSecretRef tokenSecretRef] must be set"),
		Entry("a bot without a channel", "shop-slack", `{spec: {slack: {channel: null}}}`, "channel is required with tokenSecretRef"),
		Entry("a channel without #", "shop-slack", `{spec: {slack: {channel: shop-alerts}}}`, "spec.slack.channel"),
		Entry("a webhook that updates messages", "shop-slack", `{spec: {slack: {tokenSecretRef: null, channel: null, urlSecretRef: {name: slack, key: url}}}}`, "updateMessage needs tokenSecretRef"),
		Entry("a Secret without a key", "shop-slack", `{spec: {slack: {tokenSecretRef: {key: null}}}}`, "spec.slack.tokenSecretRef.key: Required value"),
		Entry("a user name without a password", "shop-mail", `{spec: {email: {passwordSecretRef: null}}}`, "usernameSecretRef and passwordSecretRef are set together"),
		Entry("a password in clear text", "shop-mail", `{spec: {email: {tls: None}}}`, "a password is not sent over a connection without TLS"),
		Entry("certificates without TLS", "shop-mail", `{spec: {email: {tls: None, usernameSecretRef: null, passwordSecretRef: null, caConfigMapRef: {name: ca, key: ca.crt}}}}`, "caConfigMapRef needs TLS"),
		Entry("no recipients", "shop-mail", `{spec: {email: {to: []}}}`, "should have at least 1 items"),
		Entry("a recipient that is no address", "shop-mail", `{spec: {email: {to: ["Alice <alice@example.com>"]}}}`, "spec.email.to[0]"),
		Entry("a sender with a line break", "shop-mail", `{spec: {email: {from: "a@example.com\nBcc: b@example.com"}}}`, "spec.email.from"),
		Entry("a webhook without an address", "pager", `{spec: {webhook: {url: null}}}`, "exactly one of the fields in [url urlSecretRef] must be set"),
		Entry("a webhook with two addresses", "pager", `{spec: {webhook: {urlSecretRef: {name: a, key: b}}}}`, "exactly one of the fields in [url urlSecretRef] must be set"),
		Entry("an address of another scheme", "pager", `{spec: {webhook: {url: "file:///etc/passwd"}}}`, "url must be an absolute http or https address"),
		Entry("a relative address", "pager", `{spec: {webhook: {url: "/hook"}}}`, "url must be an absolute http or https address"),
		Entry("credentials in the address", "pager", `{spec: {webhook: {url: "https://user:secret@pager.example.com/"}}}`, "url must not hold credentials"),
		Entry("a token in clear text", "pager", `{spec: {webhook: {url: "http://pager.example.com/"}}}`, "a bearer token is not sent over a connection without TLS"),
		Entry("a header of the hub's", "pager", `{spec: {webhook: {headers: [{name: AUTHORIZATION, valueSecretRef: {name: a, key: b}}]}}}`, "this header is set by the hub"),
		Entry("a header with a line break", "pager", `{spec: {webhook: {headers: [{name: "X-A\r\nX-B", valueSecretRef: {name: a, key: b}}]}}}`, "spec.webhook.headers[0].name"),
		Entry("an endless attempt", "pager", `{spec: {webhook: {timeoutSeconds: 600}}}`, "should be less than or equal to 60"),
		Entry("an unknown language", "shop-mail", `{spec: {language: de}}`, `Unsupported value: "de"`),
		Entry("no messages at all", "shop-slack", `{spec: {rateLimit: {maxPerHour: 0}}}`, "should be greater than or equal to 1"),
		Entry("an empty template", "shop-slack", `{spec: {templates: {title: ""}}}`, "spec.templates.title"),
		Entry("namespaces without a selector", "pager", `{spec: {allowedNamespaces: {selector: null}}}`, "selector is required when from is Selector, and allowed only then"),
	)
})
