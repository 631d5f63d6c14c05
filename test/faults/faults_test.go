// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package faults

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("A fleet", Serial, func() {
	BeforeEach(func(ctx SpecContext) { expectAllAvailable(ctx) }, NodeTimeout(2*time.Minute))

	It("does not notice that its hub is killed and restarted", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		replica.Kill()
		replica = startReplica(ctx, "hub-0")

		Consistently(func() map[string]metav1.Time { return sinceWhen(ctx) }, grace+slack).Should(Equal(before))
		for name := range members {
			Expect(available(ctx, name)).To(Equal(metav1.ConditionTrue))
		}
	}, SpecTimeout(2*time.Minute))

	It("loses a cluster when its grace is over and not before, and gets it back", func(ctx SpecContext) {
		members["alpha"].agent.Kill()
		killed := time.Now()

		// The last renewal may be a period and its jitter old.
		Consistently(available).WithArguments(ctx, "alpha").WithTimeout(grace - period - period/10 - time.Second).Should(Equal(metav1.ConditionTrue))
		Eventually(available).WithArguments(ctx, "alpha").WithTimeout(grace + slack).Should(Equal(metav1.ConditionUnknown))
		AddReportEntry("noticed after", time.Since(killed).Round(100*time.Millisecond).String())

		connected, err := condition(ctx, "alpha", v1alpha1.ClusterConditionConnected)
		Expect(err).NotTo(HaveOccurred())
		Expect(connected.Status).To(Equal(metav1.ConditionFalse))
		Expect(connected.Reason).To(Equal(v1alpha1.ClusterReasonLeaseExpired))
		Expect(connected.Message).NotTo(BeEmpty())
		Expect(available(ctx, "beta")).To(Equal(metav1.ConditionTrue), "the other cluster has nothing to do with it")
		ready, err := condition(ctx, "alpha", v1alpha1.ConditionReady)
		Expect(err).NotTo(HaveOccurred())
		Expect(ready.Status).To(Equal(metav1.ConditionTrue), "an outage must not block a GitOps sync")

		members["alpha"].startAgent(ctx)
		expectAllAvailable(ctx)
	}, SpecTimeout(3*time.Minute))

	It("still notices an agent that died while the hub was away", func(ctx SpecContext) {
		replica.Kill()
		members["alpha"].agent.Kill()
		replica = startReplica(ctx, "hub-0")
		Eventually(available).WithArguments(ctx, "alpha").WithTimeout(20*time.Second + grace + slack).Should(Equal(metav1.ConditionUnknown))
		Expect(available(ctx, "beta")).To(Equal(metav1.ConditionTrue))

		members["alpha"].startAgent(ctx)
		expectAllAvailable(ctx)
	}, SpecTimeout(3*time.Minute))

	It("is led by the standby soon after the leader stops, and after it is killed", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		standby := startReplica(ctx, "hub-1")
		Eventually(logOf).WithArguments(hub.Dir, "hub-1.log").Should(ContainSubstring("Attempting to acquire leader lease"))

		By("stopping the leader")
		Expect(replica.Stop(stopTimeout)).To(Succeed())
		took := timeToProvision(ctx, "after-stop")
		AddReportEntry("a stopped leader was replaced within", took.String())
		Expect(took).To(BeNumerically("<", 10*time.Second))

		By("killing the new leader")
		replica = startReplica(ctx, "hub-0")
		standby.Kill()
		took = timeToProvision(ctx, "after-kill")
		AddReportEntry("a killed leader was replaced within", took.String())
		Expect(took).To(BeNumerically("<", 30*time.Second))

		Expect(sinceWhen(ctx)).To(Equal(before), "a change of leader alarmed somebody")
	}, SpecTimeout(3*time.Minute))

	It("survives a restart of the hub's API server", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		hub.CrashAPIServer()
		Expect(hub.StartAPIServer(ctx)).To(Succeed())

		Consistently(func() map[string]metav1.Time { return sinceWhen(ctx) }, grace+slack).Should(Equal(before))
		took := timeToProvision(ctx, "after-restart")
		AddReportEntry("the hub worked again within", took.String())
	}, SpecTimeout(3*time.Minute))

	It("survives a restart of a member's API server", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		alpha := members["alpha"]
		alpha.CrashAPIServer()
		Expect(alpha.StartAPIServer(ctx)).To(Succeed())
		Consistently(func() map[string]metav1.Time { return sinceWhen(ctx) }, grace).Should(Equal(before))

		By("seeing what changes afterwards")
		Expect(alpha.Apply(ctx, "test", "apiVersion: v1\nkind: Node\nmetadata: {name: late}\n")).To(Succeed())
		Eventually(func() string {
			nodes := cluster(ctx, "alpha").Status.Nodes
			if nodes == nil {
				return ""
			}
			return nodes.Summary
		}).Should(Equal("0/1"))
	}, SpecTimeout(3*time.Minute))

	It("says that a member's API server is away", func(ctx SpecContext) {
		alpha := members["alpha"]
		alpha.CrashAPIServer()
		Eventually(available).WithArguments(ctx, "alpha").WithTimeout(90 * time.Second).Should(Equal(metav1.ConditionFalse))
		Expect(condition(ctx, "alpha", v1alpha1.ClusterConditionAPIServerHealthy)).To(HaveField("Reason", v1alpha1.ClusterReasonLivezFailed))
		Expect(condition(ctx, "alpha", v1alpha1.ClusterConditionConnected)).To(HaveField("Status", metav1.ConditionTrue))

		Expect(alpha.StartAPIServer(ctx)).To(Succeed())
		expectAllAvailable(ctx)
	}, SpecTimeout(4*time.Minute))

	It("locks an agent out within a minute of revoking its session, and lets it join again", func(ctx SpecContext) {
		alpha := members["alpha"]
		session := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.ClusterNamespacePrefix + "alpha", Name: v1alpha1.AgentSessionSecret,
		}}
		Expect(api.Delete(ctx, session)).To(Succeed())
		revoked := time.Now()
		Eventually(logOf).WithArguments(alpha.Dir, "agent.log").WithTimeout(60 * time.Second).Should(ContainSubstring(`"state": "LockedOut"`))
		AddReportEntry("locked out after", time.Since(revoked).Round(100*time.Millisecond).String())
		Eventually(available).WithArguments(ctx, "alpha").WithTimeout(grace + slack).Should(Equal(metav1.ConditionUnknown))

		By("joining again without restarting the agent")
		_, err := alpha.Join(ctx, hub)
		Expect(err).NotTo(HaveOccurred())
		expectAllAvailable(ctx)
	}, SpecTimeout(4*time.Minute))

	It("writes no status while nothing changes", func(ctx SpecContext) {
		// lastHeartbeatTime may be refreshed once in 5 minutes; more than one write
		// per cluster in this window means that something writes what nobody sees.
		before := map[string]string{}
		for name := range members {
			before[name] = cluster(ctx, name).ResourceVersion
		}
		writes := 0
		for range 30 {
			tick := time.NewTimer(time.Second)
			select {
			case <-tick.C:
			case <-ctx.Done():
				Fail("the window was cut short")
			}
			for name := range members {
				if rv := cluster(ctx, name).ResourceVersion; rv != before[name] {
					writes++
					before[name] = rv
				}
			}
		}
		AddReportEntry("status writes in 30 s of an idle fleet of 2", writes)
		Expect(writes).To(BeNumerically("<=", len(members)))
	}, SpecTimeout(2*time.Minute))
})

// timeToProvision commits a cluster and measures until a leader has made it Ready.
func timeToProvision(ctx SpecContext, name string) time.Duration {
	GinkgoHelper()
	started := time.Now()
	Expect(hub.Apply(ctx, "gitops", managedCluster(name))).To(Succeed())
	Eventually(condition).WithArguments(ctx, name, v1alpha1.ConditionReady).Should(HaveField("Status", metav1.ConditionTrue))
	took := time.Since(started).Round(100 * time.Millisecond)

	// A cluster that never joined must be gone at once, with all it had.
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(api.Delete(ctx, mc)).To(Succeed())
	expectGone(ctx, mc)
	expectGone(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ClusterNamespacePrefix + name}})
	return took
}

func expectGone(ctx SpecContext, object client.Object) {
	GinkgoHelper()
	Eventually(func() bool {
		return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(object), object))
	}).Should(BeTrue(), "%T %s remains", object, object.GetName())
}
