// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

var _ = Describe("A fleet", Serial, func() {
	BeforeEach(func(ctx SpecContext) { expectAllAvailable(ctx) }, NodeTimeout(4*time.Minute))

	It("does not notice that its hub is killed and restarted", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		replica.Kill()
		replica = startReplica(ctx, "hub-0")

		Consistently(func() map[string]metav1.Time { return sinceWhen(ctx) }, grace+slack).Should(Equal(before))
		for name := range members {
			Expect(available(ctx, name)).To(Equal(metav1.ConditionTrue))
		}
	}, SpecTimeout(4*time.Minute))

	It("loses a cluster when its grace is over and not before, and gets it back", func(ctx SpecContext) {
		members["alpha"].agent.Kill()
		killed := time.Now()
		lease := &coordinationv1.Lease{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: v1alpha1.ClusterNamespacePrefix + "alpha", Name: v1alpha1.AgentLease}, lease)).To(Succeed())
		Eventually(available).WithArguments(ctx, "alpha").WithTimeout(grace + slack).Should(Equal(metav1.ConditionUnknown))
		AddReportEntry("noticed after", time.Since(killed).Round(100*time.Millisecond).String())

		connected, err := condition(ctx, "alpha", v1alpha1.ClusterConditionConnected)
		Expect(err).NotTo(HaveOccurred())
		// The condition has whole seconds.
		Expect(connected.LastTransitionTime.Time).To(BeTemporally(">=", lease.Spec.RenewTime.Add(grace).Truncate(time.Second)))
		Expect(connected.Status).To(Equal(metav1.ConditionFalse))
		Expect(connected.Reason).To(Equal(v1alpha1.ClusterReasonLeaseExpired))
		Expect(connected.Message).NotTo(BeEmpty())
		Expect(available(ctx, "beta")).To(Equal(metav1.ConditionTrue), "the other cluster has nothing to do with it")
		ready, err := condition(ctx, "alpha", v1alpha1.ConditionReady)
		Expect(err).NotTo(HaveOccurred())
		Expect(ready.Status).To(Equal(metav1.ConditionTrue), "an outage must not block a GitOps sync")

		members["alpha"].startAgent(ctx)
		expectAllAvailable(ctx)
	}, SpecTimeout(6*time.Minute))

	It("still notices an agent that died while the hub was away", func(ctx SpecContext) {
		replica.Kill()
		members["alpha"].agent.Kill()
		replica = startReplica(ctx, "hub-0")
		Eventually(available).WithArguments(ctx, "alpha").WithTimeout(20*time.Second + grace + 4*slack).Should(Equal(metav1.ConditionUnknown))
		Expect(available(ctx, "beta")).To(Equal(metav1.ConditionTrue))

		members["alpha"].startAgent(ctx)
		expectAllAvailable(ctx)
	}, SpecTimeout(6*time.Minute))

	It("is led by the standby soon after the leader stops, and after it is killed", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		names := []string{"hub-0", "hub-1"} // who leads, and who stands by
		// A machine that stalls makes it later; once in a few times is enough.
		handOver := func(what string, within time.Duration, end func(*process.Process)) {
			GinkgoHelper()
			var took []time.Duration
			for len(took) < 3 && (len(took) == 0 || took[len(took)-1] >= within) {
				waited, err := attempts(names[1])
				Expect(err).NotTo(HaveOccurred())
				standby := startReplica(ctx, names[1])
				Eventually(attempts).WithArguments(names[1]).Should(BeNumerically(">", waited))
				end(replica)
				replica, names[0], names[1] = standby, names[1], names[0]
				took = append(took, timeToProvision(ctx, fmt.Sprintf("after-%s-%d", what, len(took))))
			}
			AddReportEntry("after a "+what+" the leader was replaced within", fmt.Sprint(took))
			Expect(took[len(took)-1]).To(BeNumerically("<", within), "after %s", took)
		}
		By("stopping the leader")
		stop := func(p *process.Process) { Expect(p.Stop(stopTimeout)).To(Succeed()) }
		handOver("stop", 10*time.Second, stop)
		By("killing the new leader")
		handOver("kill", 30*time.Second, (*process.Process).Kill)
		if names[0] != "hub-0" { // which is who the other specs know
			handOver("stop-again", time.Minute, stop)
		}

		Expect(sinceWhen(ctx)).To(Equal(before), "a change of leader alarmed somebody")
	}, SpecTimeout(6*time.Minute))

	It("survives a restart of the hub's API server", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		hub.CrashAPIServer()
		Expect(hub.StartAPIServer(ctx)).To(Succeed())

		Consistently(func() map[string]metav1.Time { return sinceWhen(ctx) }, grace+slack).Should(Equal(before))
		took := timeToProvision(ctx, "after-restart")
		AddReportEntry("the hub worked again within", took.String())
	}, SpecTimeout(6*time.Minute))

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
	}, SpecTimeout(6*time.Minute))

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
		// One such window is asked for: when a machine stalls, something does change.
		const window = 30 * time.Second
		Eventually(func(g Gomega) {
			before := map[string]string{}
			for name := range members {
				before[name] = cluster(ctx, name).ResourceVersion
			}
			writes := 0
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for range window / time.Second {
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
			g.Expect(writes).To(BeNumerically("<=", len(members)))
		}).WithTimeout(3 * window).Should(Succeed())
	}, SpecTimeout(4*time.Minute))
})

// attempts counts how often a replica has begun to ask for the leadership.
func attempts(name string) (int, error) {
	text, err := logOf(hub.Dir, name+".log")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return strings.Count(text, "Attempting to acquire leader lease"), err
}

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
