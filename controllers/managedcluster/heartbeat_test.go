// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

func listOptions() metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: "metadata.name=" + v1alpha1.AgentBundle}
}

var _ = Describe("the heartbeat", func() {
	const connected = v1alpha1.ClusterConditionConnected

	It("expires after the grace period, not before, and comes back", func(ctx SpecContext) {
		create(ctx, "beats")
		provisioned(ctx, "beats")
		a := join(ctx, "beats", uidA, "n")
		eventually(ctx, "beats", connected).Should(Equal("True/LeaseRenewed"))
		Expect(read(ctx, "beats").Status.LastHeartbeatTime).NotTo(BeNil())
		eventually(ctx, "beats", v1alpha1.ClusterConditionAvailable).Should(Equal("Unknown/NotReported"))
		a.report(ctx, "v1.4.9", metav1.ConditionTrue)
		eventually(ctx, "beats", v1alpha1.ClusterConditionAvailable).Should(Equal("True/Available"))
		eventually(ctx, "beats", v1alpha1.ClusterConditionAgentCompatible).Should(Equal("True/InSkew"))
		a.report(ctx, "v1.2.0", metav1.ConditionFalse)
		eventually(ctx, "beats", v1alpha1.ClusterConditionAvailable).Should(Equal("False/LivezFailed"))
		eventually(ctx, "beats", v1alpha1.ClusterConditionAgentCompatible).Should(Equal("False/TooOld"))
		a.report(ctx, "v1.6.0", metav1.ConditionTrue)
		eventually(ctx, "beats", v1alpha1.ClusterConditionAgentCompatible).Should(Equal("False/TooNew"))

		By("renewing, which writes no status")
		stop := a.beat(ctx)
		eventually(ctx, "beats", v1alpha1.ClusterConditionAvailable).Should(Equal("True/Available"))
		// It is renewed about 12 times in such a while, and would expire once. The
		// clusters of other specs may be on their way out, and where the machine stalls
		// it is looked at once more for each renewal that was late: one quiet while is
		// asked for, which a renewal that costs something would never leave.
		const quiet = grace + 2*time.Second
		Eventually(func(g Gomega) {
			version, before := read(ctx, "beats").ResourceVersion, reconciliations()
			g.Consistently(func() string { return read(ctx, "beats").ResourceVersion }, quiet).Should(Equal(version))
			g.Expect(reconciliations() - before).To(BeNumerically("<=", 4))
		}).WithTimeout(10 * quiet).Should(Succeed())
		stop()

		By("falling silent")
		// Never early; and in time, where the machine does not stall.
		Eventually(func(g Gomega) {
			before := time.Now()
			last := a.renew(ctx)
			eventually(ctx, "beats", connected).Should(Equal("True/LeaseRenewed"))
			eventually(ctx, "beats", connected).Should(Equal("False/LeaseExpired"))
			noticed := time.Now()
			Expect(changed(ctx, "beats")).To(notBefore(before.Add(grace)))
			Expect(condition(ctx, "beats", v1alpha1.ClusterConditionAvailable)).To(Equal("Unknown/LeaseExpired"))
			Expect(condition(ctx, "beats", v1alpha1.ConditionReady)).To(Equal("True/Provisioned"))
			heard := read(ctx, "beats").Status.LastHeartbeatTime.Time
			Expect(heard).To(notBefore(before))
			g.Expect(heard).To(BeTemporally("<", last.Add(1500*time.Millisecond)))
			g.Expect(noticed).To(BeTemporally("<", last.Add(grace+1500*time.Millisecond)))
		}).WithTimeout(3 * grace).Should(Succeed())

		By("coming back")
		a.renew(ctx)
		eventually(ctx, "beats", connected).Should(Equal("True/LeaseRenewed"))
		Expect(condition(ctx, "beats", v1alpha1.ClusterConditionAvailable)).To(Equal("True/Available"))
	}, SpecTimeout(5*time.Minute))

	It("starts with the full grace after a restart of the hub", func(ctx SpecContext) {
		create(ctx, "lives")
		create(ctx, "dead")
		provisioned(ctx, "lives")
		provisioned(ctx, "dead")
		a := join(ctx, "lives", uidA, "n")
		join(ctx, "dead", uidB, "n")
		eventually(ctx, "dead", connected).Should(Equal("True/LeaseRenewed"))
		stop := a.beat(ctx)
		eventually(ctx, "dead", connected).Should(Equal("False/LeaseExpired"))
		Expect(condition(ctx, "lives", connected)).To(Equal("True/LeaseRenewed"))
		stop()
		a.renew(ctx)

		By("being away for longer than the grace period")
		running.stop()
		Consistently(func() string { return condition(ctx, "lives", connected) }, grace).Should(Equal("True/LeaseRenewed"))
		began := time.Now()
		running = startHub(ctx)
		eventually(ctx, "lives", connected).Should(Equal("False/LeaseExpired"))
		Expect(changed(ctx, "lives")).To(notBefore(began.Add(grace)))
		Expect(condition(ctx, "dead", connected)).To(Equal("False/LeaseExpired"))
		Expect(changed(ctx, "dead")).To(BeTemporally("<", began), "it has not been away meanwhile")
	}, SpecTimeout(3*time.Minute))

	It("suspects the hub when most clusters fall silent at once", func(ctx SpecContext) {
		names := []string{"cut-a", "cut-b", "cut-c"}
		var agents []*agent
		for _, name := range names {
			create(ctx, name)
		}
		for _, name := range names {
			provisioned(ctx, name)
			agents = append(agents, join(ctx, name, uidA, "n"))
		}
		// A machine that stalls between two renewals has them expire one by one.
		Eventually(func(g Gomega) {
			for _, a := range agents {
				a.renew(ctx)
			}
			for _, name := range names {
				eventually(ctx, name, connected).Should(Equal("True/LeaseRenewed"), name)
			}
			for _, name := range names {
				g.Eventually(condition).WithArguments(ctx, name, connected).WithTimeout(grace+5*time.Second).Should(Equal("Unknown/HubOutage"), name)
				g.Expect(condition(ctx, name, v1alpha1.ClusterConditionAvailable)).To(Equal("Unknown/HubOutage"))
			}
		}).WithTimeout(4 * grace).Should(Succeed())
		defer agents[0].beat(ctx)()
		eventually(ctx, "cut-a", connected).Should(Equal("True/LeaseRenewed"))
		By("judging each alone when the hold is over")
		eventually(ctx, "cut-b", connected).Should(Equal("False/LeaseExpired"))
		eventually(ctx, "cut-c", connected).Should(Equal("False/LeaseExpired"))
		Expect(condition(ctx, "cut-a", connected)).To(Equal("True/LeaseRenewed"))
	}, SpecTimeout(3*time.Minute))

	It("pins the first cluster and reports a clone", func(ctx SpecContext) {
		create(ctx, "cloned")
		provisioned(ctx, "cloned")
		a := join(ctx, "cloned", uidA, "n")
		eventually(ctx, "cloned", connected).Should(Equal("True/LeaseRenewed"))
		a.patchLease(ctx, uidB+"/clone", "")
		eventually(ctx, "cloned", v1alpha1.ClusterConditionAccepted).Should(Equal("False/IdentityConflict"))
		Expect(condition(ctx, "cloned", v1alpha1.ConditionReady)).To(Equal("False/IdentityConflict"))
		Expect(condition(ctx, "cloned", v1alpha1.ConditionStalled)).To(Equal("True/IdentityConflict"))
		status := read(ctx, "cloned").Status
		Expect(status.ClusterID).To(Equal(uidA))
		Expect(status.ConflictingClusterID).To(Equal(uidB))
		By("not taking the clone's renewals for heartbeats")
		for range 2 {
			a.patchLease(ctx, uidB+"/clone", "")
		}
		eventually(ctx, "cloned", connected).Should(Equal("False/LeaseExpired"))
		By("remembering the conflict after a restart")
		running.stop()
		a.renew(ctx)
		running = startHub(ctx)
		a.renew(ctx)
		Consistently(func() string { return condition(ctx, "cloned", v1alpha1.ClusterConditionAccepted) }, 4*time.Second).
			Should(Equal("False/IdentityConflict"))
	}, SpecTimeout(3*time.Minute))

	It("does not pin a cluster that is not the expected one", func(ctx SpecContext) {
		create(ctx, "expects", func(s *atlhyperac.ManagedClusterSpecApplyConfiguration) { s.WithExpectedClusterID(uidB) })
		provisioned(ctx, "expects")
		a := join(ctx, "expects", uidA, "n")
		eventually(ctx, "expects", v1alpha1.ClusterConditionAccepted).Should(Equal("False/IdentityConflict"))
		Expect(read(ctx, "expects").Status.ClusterID).To(BeEmpty())
		Expect(condition(ctx, "expects", connected)).To(Equal("Unknown/NeverJoined"))
		a.patchLease(ctx, uidB+"/right", "")
		Eventually(func() string { return read(ctx, "expects").Status.ClusterID }).Should(Equal(uidB))
		eventually(ctx, "expects", connected).Should(Equal("True/LeaseRenewed"))
	})
})
