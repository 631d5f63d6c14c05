// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("anomalies", func() {
	It("shows what every cluster tells, as text and as data", func(ctx SpecContext) {
		createCluster(ctx, "a-fine", nil)
		createCluster(ctx, "a-broken", nil)
		web := v1alpha1.AnomalyReference{
			Rule: "DeploymentUnavailable", Severity: v1alpha1.SeverityCritical, Kind: "Deployment", Namespace: "shop", Name: "web",
			Reason: "MinimumReplicasUnavailable", Count: 2, Since: metav1.Now(),
		}
		setStatus(ctx, "a-fine", asReported, reports(0, 0, 0))
		setStatus(ctx, "a-broken", asReported, reports(1, 2, 0, web))

		text := atlhyper(ctx, "anomalies")
		Expect(text.code).To(Equal(ExitOK), text.errOut)
		Expect(text.out).To(MatchRegexp(`(?s)^2 clusters: 1 critical, 2 warnings, 0 info

NAME      STATE    CRITICAL  WARNING  INFO  AS-OF
a-broken  Current  1         2        0     -
a-fine    Current  0         0        0     -

CLUSTER   SEVERITY  STATE  RULE                   OBJECT               COUNT  SINCE  REASON
a-broken  critical  Open   DeploymentUnavailable  Deployment shop/web  2      \d+s +MinimumReplicasUnavailable
  and 2 more in a-broken
$`))

		var fleet FleetAnomalies
		data := atlhyper(ctx, "anomalies", "--cluster", "a-broken", "-o", "json")
		Expect(json.Unmarshal([]byte(data.out), &fleet)).To(Succeed())
		Expect(fleet.Summary).To(Equal(AnomalyTotals{Clusters: 1, Critical: 1, Warning: 2}))
		Expect(fleet.Clusters[0].Worst).To(HaveExactElements(HaveField("Name", "web")))

		missing := atlhyper(ctx, "anomalies", "--cluster", "a-none")
		Expect(missing.code).To(Equal(ExitFailure))
		Expect(missing.errOut).To(ContainSubstring(`managedcluster "a-none" does not exist`))
		wrong := atlhyper(ctx, "anomalies", "-o", "table")
		Expect(wrong.errOut).To(ContainSubstring("--output is"))
		Expect(atlhyper(ctx, "__complete", "anomalies", "--cluster", "a-").out).To(ContainSubstring("a-broken"))
	}, SpecTimeout(3*time.Minute))
})
