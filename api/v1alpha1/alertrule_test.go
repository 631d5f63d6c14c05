// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("AlertRule", func() {
	It("has its defaults", func(ctx SpecContext) {
		object := sample("AlertRule", "shop-workloads")
		Expect(kube.Create(ctx, object)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
		rule := &v1alpha1.AlertRule{}
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(object), rule)).To(Succeed())
		Expect(rule.Spec.GroupWaitSeconds).To(HaveValue(Equal(int32(30))))
		Expect(rule.Spec.GroupIntervalSeconds).To(Equal(int32(300)))
		Expect(rule.Spec.RepeatIntervalSeconds).To(Equal(int32(14400)))
		Expect(rule.Spec.Limit).To(Equal(int32(100)))
		Expect(rule.Spec.Suspended).To(HaveValue(BeFalse()))
		Expect(rule.Spec.ForSeconds).To(BeNil(), "unset means what the anomaly rule says")
	})

	DescribeTable("accepts", func(ctx SpecContext, name, patch string) {
		expectAccepted(ctx, "AlertRule", name, patch)
	},
		Entry("every anomaly", "shop-workloads", `{spec: {source: {anomaly: {severities: null, namespaces: null, ownerKinds: null}}}}`),
		Entry("an overspent budget", "shop-budget-burn", `{spec: {severity: warning, source: {slo: {burnTiers: null, budgetBelowPercent: 0}}}}`),
		Entry("a negative threshold", "node-filesystem-full", `{spec: {source: {metric: {threshold: "-12.5"}}}}`),
		Entry("no wait at all", "shop-workloads", `{spec: {groupWaitSeconds: 0, forSeconds: 0}}`),
		Entry("repeats as often as the group is looked at", "shop-workloads", `{spec: {groupIntervalSeconds: 300, repeatIntervalSeconds: 300}}`),
		Entry("a time over midnight", "node-filesystem-full", `{spec: {activeTimes: [{from: "22:00", to: "06:00"}]}}`),
		Entry("whole days", "node-filesystem-full", `{spec: {activeTimes: [{weekdays: [Sunday], from: "00:00", to: "24:00"}]}}`),
	)

	DescribeTable("refuses", func(ctx SpecContext, name, patch, message string) {
		expectRejected(ctx, "AlertRule", name, patch, message)
	},
		Entry("no source", "shop-workloads", `{spec: {source: null}}`, "spec.source: Required value"),
		Entry("an empty source", "node-filesystem-full", `{spec: {source: {metric: null}}}`, "exactly one of the fields in [anomaly metric slo cluster] must be set"),
		Entry("two sources", "node-filesystem-full", `{spec: {source: {cluster: {condition: Available}}}}`, "exactly one of the fields in [anomaly metric slo cluster] must be set"),
		Entry("a metric without a severity", "node-filesystem-full", `{spec: {severity: null}}`, "severity is required, except with source anomaly and with burn tiers of source slo"),
		Entry("a cluster without a severity", "cluster-unavailable", `{spec: {severity: null}}`, "severity is required"),
		Entry("a budget without a severity", "shop-budget-burn", `{spec: {source: {slo: {burnTiers: null, budgetBelowPercent: 10}}}}`, "severity is required"),
		Entry("an unknown severity", "node-filesystem-full", `{spec: {severity: page}}`, `Unsupported value: "page"`),
		Entry("a threshold as a number", "node-filesystem-full", `{spec: {source: {metric: {threshold: 90}}}}`, "must be of type string"),
		Entry("a threshold that is no number", "node-filesystem-full", `{spec: {source: {metric: {threshold: "90%"}}}}`, "spec.source.metric.threshold"),
		Entry("an operator in symbols", "node-filesystem-full", `{spec: {source: {metric: {operator: ">"}}}}`, `Unsupported value: ">"`),
		Entry("nodes of a cluster metric", "node-filesystem-full", `{spec: {source: {metric: {scope: Cluster}}}}`, "nodeSelector is allowed only with scope: Node"),
		Entry("a metric name that is none", "node-filesystem-full", `{spec: {source: {metric: {name: "rate(x[5m])"}}}}`, "spec.source.metric.name"),
		Entry("burn tiers and a budget", "shop-budget-burn", `{spec: {source: {slo: {budgetBelowPercent: 10}}}}`, "exactly one of the fields in [burnTiers budgetBelowPercent] must be set"),
		Entry("SLOs by name and by label", "shop-budget-burn", `{spec: {source: {slo: {names: [shop-web]}}}}`, "names and selector exclude each other"),
		Entry("a budget above 100", "shop-budget-burn", `{spec: {severity: info, source: {slo: {burnTiers: null, budgetBelowPercent: 101}}}}`, "should be less than or equal to 100"),
		Entry("a condition that clusters do not have", "cluster-unavailable", `{spec: {source: {cluster: {condition: Happy}}}}`, `Unsupported value: "Happy"`),
		Entry("an alert on True", "cluster-unavailable", `{spec: {source: {cluster: {statuses: ["True"]}}}}`, `Unsupported value: "True"`),
		Entry("an anomaly rule that cannot be one", "shop-workloads", `{spec: {source: {anomaly: {rules: [crash-loop]}}}}`, "spec.source.anomaly.rules[0]"),
		Entry("an empty namespace filter", "shop-workloads", `{spec: {source: {anomaly: {namespaces: {include: null, exclude: null}}}}}`, "should have at least 1 properties"),
		Entry("a label of the hub's", "shop-workloads", `{spec: {labels: {severity: critical}}}`, "the labels alertname, cluster and severity are set by the hub"),
		Entry("a label name that is none", "shop-workloads", `{spec: {labels: {"the team": shop}}}`, "a label name has at most 64 letters, digits and underscores"),
		Entry("an annotation name that is none", "shop-workloads", `{spec: {annotations: {"run-book": shop}}}`, "an annotation name has at most 64 letters, digits and underscores"),
		Entry("repeats below the default group interval", "shop-workloads", `{spec: {repeatIntervalSeconds: 299}}`, "repeatIntervalSeconds must not be below groupIntervalSeconds"),
		Entry("a group interval above the default repeat", "shop-workloads", `{spec: {groupIntervalSeconds: 14401}}`, "repeatIntervalSeconds must not be below groupIntervalSeconds"),
		Entry("a negative for", "shop-workloads", `{spec: {forSeconds: -1}}`, "spec.forSeconds in body should be greater than or equal to 0"),
		Entry("the same groupBy label twice", "shop-workloads", `{spec: {groupBy: [cluster, cluster]}}`, "Duplicate value"),
		Entry("an inhibition by everything", "shop-workloads", `{spec: {inhibitedBy: [{matchers: []}]}}`, "should have at least 1 items"),
		Entry("an inhibition by a broken expression", "shop-workloads", `{spec: {inhibitedBy: [{matchers: [{name: team, matchType: Regexp, value: "("}]}]}}`, "error parsing regexp"),
		Entry("a time that is no time", "node-filesystem-full", `{spec: {activeTimes: [{from: "8:00", to: "20:00"}]}}`, "spec.activeTimes[0].from"),
		Entry("a time without an end", "node-filesystem-full", `{spec: {activeTimes: [{from: "08:00"}]}}`, "spec.activeTimes[0].to: Required value"),
		Entry("a time of no length", "node-filesystem-full", `{spec: {activeTimes: [{from: "08:00", to: "08:00"}]}}`, "from and to must differ"),
		Entry("an abbreviated day", "node-filesystem-full", `{spec: {activeTimes: [{weekdays: [Mon], from: "08:00", to: "20:00"}]}}`, `Unsupported value: "Mon"`),
		Entry("a channel without a name", "shop-workloads", `{spec: {notify: [{channelRef: {}}]}}`, "spec.notify[0].channelRef.name: Required value"),
		Entry("a limit of 0", "shop-workloads", `{spec: {limit: 0}}`, "spec.limit in body should be greater than or equal to 1"),
	)
})

var _ = Describe("Silence", func() {
	DescribeTable("accepts", func(ctx SpecContext, patch string) {
		expectAccepted(ctx, "Silence", "node-replacement", patch)
	},
		Entry("no start", `{spec: {startsAt: null}}`),
		Entry("a matcher for an absent label, beside another", `{spec: {matchers: [{name: cluster, value: prod-eu-1}, {name: team, value: ""}]}}`),
	)

	DescribeTable("refuses", func(ctx SpecContext, patch, message string) {
		expectRejected(ctx, "Silence", "node-replacement", patch, message)
	},
		Entry("no spec", `{spec: null}`, "spec: Required value"),
		Entry("no matchers", `{spec: {matchers: null}}`, "spec.matchers: Required value"),
		Entry("an empty list of matchers", `{spec: {matchers: []}}`, "should have at least 1 items"),
		Entry("matchers that only exclude", `{spec: {matchers: [{name: cluster, matchType: NotEqual, value: prod}]}}`, "at least one matcher must ask for a value"),
		Entry("an expression that matches everything", `{spec: {matchers: [{name: cluster, matchType: Regexp, value: ".*"}]}}`, "at least one matcher must ask for a value"),
		Entry("an expression with an empty branch", `{spec: {matchers: [{name: cluster, matchType: Regexp, value: "prod|"}]}}`, "at least one matcher must ask for a value"),
		Entry("a matcher for nothing but an absent label", `{spec: {matchers: [{name: cluster, value: ""}]}}`, "at least one matcher must ask for a value"),
		Entry("a broken expression", `{spec: {matchers: [{name: cluster, value: prod}, {name: team, matchType: NotRegexp, value: "a(b"}]}}`, "error parsing regexp"),
		Entry("a matcher without a value", `{spec: {matchers: [{name: cluster}]}}`, "spec.matchers[0].value: Required value"),
		Entry("a comparison as a sign", `{spec: {matchers: [{name: cluster, matchType: "=~", value: prod}]}}`, `Unsupported value: "=~"`),
		Entry("a label name that is none", `{spec: {matchers: [{name: the-cluster, value: prod}]}}`, "spec.matchers[0].name"),
		Entry("no end", `{spec: {endsAt: null}}`, "spec.endsAt: Required value"),
		Entry("an end before the start", `{spec: {endsAt: "2026-12-06T21:59:59Z"}}`, "endsAt must be after startsAt"),
		Entry("an end at the start", `{spec: {endsAt: "2026-12-06T22:00:00Z"}}`, "endsAt must be after startsAt"),
		Entry("an end that is no time", `{spec: {endsAt: tomorrow}}`, "spec.endsAt"),
		Entry("no comment", `{spec: {comment: null}}`, "spec.comment: Required value"),
	)

	It("keeps its creator", func(ctx SpecContext) {
		silence := patched("Silence", "node-replacement", `{spec: {createdBy: alice}}`)
		Expect(kube.Create(ctx, silence)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, silence)).To(Succeed()) })
		for _, patch := range []string{`{"spec":{"createdBy":"bob"}}`, `{"spec":{"createdBy":null}}`} {
			expectPatchRejected(ctx, silence, patch, "createdBy cannot be changed")
		}
		Expect(mergePatch(ctx, silence, `{"spec":{"endsAt":"2026-12-07T04:00:00Z"}}`)).To(Succeed(), "the end can be moved")
	})
})
