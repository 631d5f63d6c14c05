// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("ServiceSLO", func() {
	It("has its defaults", func(ctx SpecContext) {
		object := patched("ServiceSLO", "shop-web", `{spec: {minFailures: null, window: {rollingDays: null, calendar: {unit: Week}}, dataPolicy: {minCoveragePercent: 50}}}`)
		Expect(kube.Create(ctx, object)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
		slo := &v1alpha1.ServiceSLO{}
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(object), slo)).To(Succeed())
		Expect(slo.Spec.BudgetScope).To(Equal(v1alpha1.BudgetScopeCluster))
		Expect(slo.Spec.BudgetingMethod).To(Equal(v1alpha1.BudgetingMethodOccurrences))
		Expect(slo.Spec.MinFailures).To(Equal(int32(5)))
		Expect(slo.Spec.Window.Calendar.TimeZone).To(Equal("UTC"))
		Expect(*slo.Spec.DataPolicy).To(Equal(v1alpha1.SLODataPolicy{
			MinCoveragePercent: 50, EndpointsDown: v1alpha1.EndpointsDownOutage, AbsentForSeconds: 600,
		}))
	})

	DescribeTable("accepts", func(ctx SpecContext, patch string) {
		expectAccepted(ctx, "ServiceSLO", "shop-web", patch)
	},
		Entry("the shortest window", `{spec: {window: {rollingDays: 1}}}`),
		Entry("the longest window", `{spec: {window: {rollingDays: 90}}}`),
		Entry("a very high objective", `{spec: {objectives: [{name: a, objective: "99.9999", availability: {}}]}}`),
		Entry("a very low objective", `{spec: {objectives: [{name: a, objective: "0.0001", availability: {}}]}}`),
		Entry("a factor just within reach: 10 is the ceiling of 90 %",
			`{spec: {objectives: [{name: a, objective: "90", availability: {}}], burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "9.99", severity: critical}]}}}`),
		Entry("a factor far above that for a high objective",
			`{spec: {objectives: [{name: a, objective: "99.9", availability: {}}], burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "999", severity: critical}]}}}`),
		Entry("a correction as long as the window", `{spec: {window: {rollingDays: 1}, corrections: [{from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", reason: freeze}]}}`),
		Entry("a gRPC status", `{spec: {objectives: [{name: a, objective: "99", availability: {failureCodes: ["14", "16", "0"]}}]}}`),
		Entry("series of a controller", `{spec: {target: {ingress: null, series: {controller: Traefik, labels: {service: "shop-web-80@kubernetes"}}}}}`),
		Entry("a port of a Service", `{spec: {target: {ingress: null, service: {namespace: shop, name: web, port: 80}}}}`),
		Entry("a rule of an IngressRoute", `{spec: {target: {ingress: null, ingressRoute: {namespace: shop, name: web, ruleIndex: 0}}}}`),
	)

	DescribeTable("refuses", func(ctx SpecContext, patch, message string) {
		expectRejected(ctx, "ServiceSLO", "shop-web", patch, message)
	},
		Entry("no spec", `{spec: null}`, "spec: Required value"),
		Entry("no target", `{spec: {target: null}}`, "spec.target: Required value"),
		Entry("an empty target", `{spec: {target: {ingress: null}}}`, "exactly one of the fields in [ingress httpRoute ingressRoute service series] must be set"),
		Entry("two targets", `{spec: {target: {service: {namespace: shop, name: web}}}}`, "exactly one of the fields in [ingress httpRoute ingressRoute service series] must be set"),
		Entry("a path that is none", `{spec: {target: {ingress: {path: api}}}}`, "spec.target.ingress.path"),
		Entry("a port above 65535", `{spec: {target: {ingress: null, service: {namespace: shop, name: web, port: 70000}}}}`, "should be less than or equal to 65535"),
		Entry("series without labels", `{spec: {target: {ingress: null, series: {controller: Traefik, labels: {}}}}}`, "should have at least 1 properties"),
		Entry("series of an unknown controller", `{spec: {target: {ingress: null, series: {controller: Caddy, labels: {a: b}}}}}`, `Unsupported value: "Caddy"`),
		Entry("a label name that is none", `{spec: {target: {ingress: null, series: {controller: Traefik, labels: {"a-b": c}}}}}`, "a label name has at most 64 letters, digits and underscores"),
		Entry("clusters by name and by label", `{spec: {clusters: {names: [prod-eu-1]}}}`, "exactly one of the fields in [names selector] must be set"),

		Entry("no objectives", `{spec: {objectives: []}}`, "spec.objectives in body should have at least 1 items"),
		Entry("nine objectives", `{spec: {objectives: [{name: a, objective: "9", availability: {}}, {name: b, objective: "9", availability: {}}, {name: c, objective: "9", availability: {}}, {name: d, objective: "9", availability: {}}, {name: e, objective: "9", availability: {}}, {name: f, objective: "9", availability: {}}, {name: g, objective: "9", availability: {}}, {name: h, objective: "9", availability: {}}, {name: i, objective: "9", availability: {}}]}}`, "must have at most 8 items"),
		Entry("two objectives of the same name", `{spec: {objectives: [{name: a, objective: "99", availability: {}}, {name: a, objective: "98", availability: {}}]}}`, "Duplicate value"),
		Entry("an objective of 100", `{spec: {objectives: [{name: a, objective: "100", availability: {}}]}}`, "a percentage must be above 0 and below 100"),
		Entry("an objective of 0", `{spec: {objectives: [{name: a, objective: "0.0", availability: {}}]}}`, "a percentage must be above 0 and below 100"),
		Entry("an objective as a number", `{spec: {objectives: [{name: a, objective: 99.9, availability: {}}]}}`, "must be of type string"),
		Entry("a negative objective", `{spec: {objectives: [{name: a, objective: "-1", availability: {}}]}}`, "spec.objectives[0].objective"),
		Entry("an objective that is both", `{spec: {objectives: [{name: a, objective: "99", availability: {}, latency: {thresholdMilliseconds: 300}}]}}`, "exactly one of the fields in [availability latency] must be set"),
		Entry("an objective that is neither", `{spec: {objectives: [{name: a, objective: "99"}]}}`, "exactly one of the fields in [availability latency] must be set"),
		Entry("a latency of nothing", `{spec: {objectives: [{name: a, objective: "99", latency: {thresholdMilliseconds: 0}}]}}`, "should be greater than or equal to 1"),
		Entry("a status that does not exist", `{spec: {objectives: [{name: a, objective: "99", availability: {failureCodes: ["6xx"]}}]}}`, "failureCodes[0]"),

		Entry("no window", `{spec: {window: null}}`, "spec.window: Required value"),
		Entry("two windows", `{spec: {window: {calendar: {unit: Month}}}}`, "exactly one of the fields in [rollingDays calendar] must be set"),
		Entry("a window of 0 days", `{spec: {window: {rollingDays: 0}}}`, "spec.window.rollingDays in body should be greater than or equal to 1"),
		Entry("a window of 91 days", `{spec: {window: {rollingDays: 91}}}`, "spec.window.rollingDays in body should be less than or equal to 90"),
		Entry("an unknown unit", `{spec: {window: {rollingDays: null, calendar: {unit: Day}}}}`, `Unsupported value: "Day"`),

		Entry("timeslices without the method", `{spec: {timeslices: {sliceObjective: "99"}}}`, "timeslices is required when budgetingMethod is Timeslices, and allowed only then"),
		Entry("the method without timeslices", `{spec: {budgetingMethod: Timeslices}}`, "timeslices is required when budgetingMethod is Timeslices, and allowed only then"),
		Entry("slices that are no whole minutes", `{spec: {budgetingMethod: Timeslices, timeslices: {sliceObjective: "99", sliceSeconds: 90}}}`, "should be a multiple of 60"),
		Entry("no failures needed", `{spec: {minFailures: 0}}`, "spec.minFailures in body should be greater than or equal to 1"),

		Entry("custom tiers without tiers", `{spec: {burnAlerts: {policy: Custom}}}`, "tiers is required when policy is Custom, and allowed only then"),
		Entry("tiers without custom", `{spec: {burnAlerts: {policy: None, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "2", severity: critical}]}}}`, "tiers is required when policy is Custom, and allowed only then"),
		Entry("a short window as long as the long one", `{spec: {burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 3600, longSeconds: 3600, factor: "2", severity: critical}]}}}`, "shortSeconds must be below longSeconds"),
		Entry("a long window longer than the SLO's", `{spec: {window: {rollingDays: 1}, burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 86460, factor: "2", severity: critical}]}}}`, "a tier's longSeconds must not be longer than the SLO's window"),
		Entry("a tier with factor and share", `{spec: {burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "2", budgetPercent: "2", severity: critical}]}}}`, "exactly one of the fields in [factor budgetPercent] must be set"),
		Entry("a factor of 0", `{spec: {burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "0.0", severity: critical}]}}}`, "factor must be above 0"),
		Entry("a negative factor", `{spec: {burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "-2", severity: critical}]}}}`, "factor must be above 0"),
		Entry("a factor at the ceiling: 10 at 90 %", `{spec: {objectives: [{name: a, objective: "90", availability: {}}], burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "10", severity: critical}]}}}`, "a tier's factor must be below 1/(1 - objective)"),
		Entry("a factor out of reach of one of two objectives", `{spec: {burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, factor: "21", severity: critical}]}}}`, "a tier's factor must be below 1/(1 - objective)"),
		Entry("a share of the budget out of reach: 50 % of 30 days in 1 hour is 360", `{spec: {burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, budgetPercent: "50", severity: critical}]}}}`, "a tier's budgetPercent cannot be spent within longSeconds"),
		Entry("the same with a calendar window", `{spec: {window: {rollingDays: null, calendar: {unit: Year}}, burnAlerts: {policy: Custom, tiers: [{name: page, shortSeconds: 300, longSeconds: 3600, budgetPercent: "2", severity: critical}]}}}`, "a tier's budgetPercent cannot be spent within longSeconds"),

		Entry("a correction that ends before it begins", `{spec: {corrections: [{from: "2026-09-01T23:00:00Z", to: "2026-09-01T22:00:00Z", reason: typing error}]}}`, "from must be before to"),
		Entry("a correction longer than the window", `{spec: {window: {rollingDays: 1}, corrections: [{from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:01Z", reason: freeze}]}}`, "a correction must not be longer than the SLO's window"),
		Entry("a correction without a reason", `{spec: {corrections: [{from: "2026-09-01T22:00:00Z", to: "2026-09-01T23:00:00Z"}]}}`, "spec.corrections[0].reason: Required value"),
	)
})
