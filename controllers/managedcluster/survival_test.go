// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers/hub"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

// reconciliations counts those that this process has made.
func reconciliations() float64 {
	families, err := metrics.Registry.Gather()
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	total := 0.0
	for _, family := range families {
		if family.GetName() == "controller_runtime_reconcile_total" {
			for _, m := range family.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func leader(ctx context.Context) string {
	lease := &coordinationv1.Lease{}
	ExpectWithOffset(1, admin.Get(ctx, types.NamespacedName{Namespace: "atlhyper-system", Name: hub.LeaderElectionID}, lease)).To(Succeed())
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func kubectl(ctx context.Context, args ...string) (string, error) {
	binaries, err := controlplane.Binaries()
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	args = append([]string{"--kubeconfig", plane.Kubeconfig()}, args...)
	out, err := exec.CommandContext(ctx, filepath.Join(binaries, "kubectl"), args...).CombinedOutput()
	return string(out), err
}

var _ = Describe("the hub", func() {
	const connected = v1alpha1.ClusterConditionConnected

	It("leaves a cluster in progress until it has seen it, and kubectl can wait for it", func(ctx SpecContext) {
		running.stop()
		create(ctx, "fresh")
		Expect(*read(ctx, "fresh").Status.ObservedGeneration).To(Equal(int64(-1)))
		_, err := kubectl(ctx, "wait", "--for=condition=Ready", "managedcluster/fresh", "--timeout=1s")
		Expect(err).To(HaveOccurred())
		running = startHub(ctx)
		out, err := kubectl(ctx, "wait", "--for=condition=Ready", "mc/fresh", "--timeout=60s")
		Expect(err).NotTo(HaveOccurred(), out)
		mc := read(ctx, "fresh")
		Expect(*mc.Status.ObservedGeneration).To(Equal(mc.Generation))
	}, SpecTimeout(3*time.Minute))

	It("hands over to a standby that has watched all along", func(ctx SpecContext) {
		create(ctx, "kept")
		provisioned(ctx, "kept")
		a := join(ctx, "kept", uidA, "n")
		eventually(ctx, "kept", connected).Should(Equal("True/LeaseRenewed"))
		// Where the machine does not stall, the standby leads before the Lease expires.
		Eventually(func(g Gomega) {
			first := leader(ctx)
			standby := startHub(ctx)
			before := time.Now()
			a.renew(ctx)
			eventually(ctx, "kept", connected).Should(Equal("True/LeaseRenewed"))
			// The standby watches for a while, so that a restart of the count would show.
			Consistently(func() string { return leader(ctx) }, 5*time.Second).Should(Equal(first))
			stopped := time.Now()
			running.stop()
			running = standby
			Eventually(func() string { return leader(ctx) }).ShouldNot(Or(Equal(first), BeEmpty()))
			eventually(ctx, "kept", connected).Should(Equal("False/LeaseExpired"))
			Expect(changed(ctx, "kept")).To(notBefore(before.Add(grace)))
			g.Expect(changed(ctx, "kept")).To(BeTemporally("<", stopped.Add(grace-time.Second)), "the standby has counted anew")
		}).WithTimeout(3 * grace).Should(Succeed())
		a.renew(ctx)
		eventually(ctx, "kept", connected).Should(Equal("True/LeaseRenewed"))
	}, SpecTimeout(3*time.Minute))

	It("does not blame clusters for an API server that was away", func(ctx SpecContext) {
		create(ctx, "innocent")
		provisioned(ctx, "innocent")
		a := join(ctx, "innocent", uidA, "n")
		eventually(ctx, "innocent", connected).Should(Equal("True/LeaseRenewed"))
		before := changed(ctx, "innocent")
		// A crash: in order it would wait a minute for the watches to end.
		plane.APIServer().Kill()
		over := time.NewTimer(grace + 2*time.Second)
		defer over.Stop()
		select {
		case <-over.C:
		case err := <-running.done:
			// It has lost its leadership, as it has to. Kubernetes would start it again.
			Expect(err).To(MatchError(ContainSubstring("leader election lost")))
			running.done <- nil
			<-over.C
		}
		Expect(plane.StartAPIServer(context.WithoutCancel(ctx))).To(Succeed())
		running.stop()
		running = startHub(ctx)
		stop := a.beat(ctx)
		defer stop()
		Consistently(func(g Gomega) {
			g.Expect(condition(ctx, "innocent", connected)).To(Equal("True/LeaseRenewed"))
			g.Expect(changed(ctx, "innocent")).To(Equal(before))
		}, grace).Should(Succeed())
	}, SpecTimeout(3*time.Minute))
})
