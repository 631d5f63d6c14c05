// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("Agent", func() {
	BeforeEach(func(ctx SpecContext) { clearSession(ctx) })

	It("tells the hub what is broken, at once when it is critical", func(ctx SpecContext) {
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeName: "volume", StorageClassName: new("fast"),
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}
		Expect(memberClient.Create(ctx, claim)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			claim.Finalizers = nil
			Expect(memberClient.Update(ctx, claim)).To(Succeed())
			Expect(memberClient.Delete(ctx, claim)).To(Succeed())
		})
		become := func(ctx context.Context, phase corev1.PersistentVolumeClaimPhase) {
			GinkgoHelper()
			claim.Status.Phase = phase
			Expect(memberClient.Status().Update(ctx, claim)).To(Succeed())
		}
		become(ctx, corev1.ClaimBound)

		a := join(ctx)
		a.start(ctx)
		shown := func() *v1alpha1.AnomalySummary { return a.managedCluster(ctx).Status.Anomalies }
		Eventually(shown).Should(And(Not(BeNil()), HaveField("Worst", BeEmpty()), HaveField("Critical", HaveValue(BeZero()))))
		Eventually(func(g Gomega) { // once in time, if the machine does not stall
			become(ctx, corev1.ClaimBound)
			Eventually(shown).Should(HaveField("Critical", HaveValue(BeZero())))
			become(ctx, corev1.ClaimLost)
			lost := time.Now()
			Eventually(shown).Should(HaveField("Critical", HaveValue(BeEquivalentTo(1))))
			g.Expect(time.Since(lost)).To(BeNumerically("<", 3*time.Second))
		}).Should(Succeed())
		Expect(shown().Worst).To(HaveExactElements(And(
			HaveField("Rule", "PVCLost"), HaveField("Severity", v1alpha1.SeverityCritical), HaveField("Kind", "PersistentVolumeClaim"),
			HaveField("Namespace", "default"), HaveField("Name", "data"), HaveField("Count", BeEquivalentTo(1)),
		)))

		By("remembering it over a restart, while it clears")
		a.stop()
		become(ctx, corev1.ClaimBound)
		a.start(ctx)
		Eventually(shown).Should(HaveField("Critical", HaveValue(BeZero())))
		Expect(shown().Worst).To(BeEmpty())
	})
})
