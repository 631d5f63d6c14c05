// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var _ = Describe("Agent", func() {
	BeforeEach(func(ctx SpecContext) { clearSession(ctx) })

	It("compares its cluster with the hub's thresholds, also after a restart", func(ctx SpecContext) {
		a := join(ctx)
		a.start(ctx)
		shown := func() *v1alpha1.AnomalySummary { return a.managedCluster(ctx).Status.Anomalies }
		Eventually(shown).Should(And(Not(BeNil()), HaveField("Critical", HaveValue(BeZero()))))
		write := func(ctx context.Context, list ...threshold.Threshold) {
			GinkgoHelper()
			document, refused, err := threshold.Marshal(list)
			Expect(err).NotTo(HaveOccurred())
			Expect(refused).To(BeEmpty())
			bundle := coreac.ConfigMap(v1alpha1.AgentBundle, v1alpha1.ClusterNamespacePrefix+a.managedCluster(ctx).Name).
				WithData(map[string]string{v1alpha1.BundleThresholds: string(document)})
			Expect(hubClient.Apply(ctx, bundle, client.FieldOwner("rules"))).To(Succeed())
		}
		n := node(ctx, "node-1", corev1.ConditionTrue)
		write(ctx, threshold.Threshold{
			Rule: "team/no-nodes", Severity: telemetry.SeverityCritical,
			Metric: threshold.Metric{Scope: threshold.ScopeCluster, Name: threshold.ClusterNodesNotReadyPercent, Operator: threshold.GreaterThanOrEqual, Threshold: "100"},
		})
		worst := func() []v1alpha1.AnomalyReference { return shown().Worst }
		setReady(ctx, n, corev1.ConditionFalse)
		ours := And(HaveField("Rule", "metric:team/no-nodes"), HaveField("Kind", "Cluster"), HaveField("Reason", "AboveThreshold"))
		Eventually(worst).Should(ContainElement(ours))

		By("remembering it")
		since := worst()[0].Since
		a.stop()
		a.start(ctx)
		Consistently(worst).WithTimeout(3 * time.Second).Should(ContainElement(And(ours, HaveField("Since", since))))

		By("ending with the rule")
		write(ctx)
		Eventually(worst).ShouldNot(ContainElement(ours))
	})
})
