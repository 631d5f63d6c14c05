// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn_test

import (
	"context"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/agent/hubconn"
	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/agent/report"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("Connection", func() {
	connected := func(ctx context.Context, modify func(*v1alpha1.ManagedCluster), timing hubconn.Timing) (*hubCluster, *agentUnderTest) {
		GinkgoHelper()
		c := provision(ctx, "c", modify)
		a := newAgent(ctx, timing)
		a.join(ctx, c, "nonce-1")
		a.start(ctx)
		Eventually(a.state).Should(Equal(hubconn.Connected))
		return c, a
	}

	It("joins, and lives on when the join token dies", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{})
		uid, err := memberUID(ctx)
		Expect(err).NotTo(HaveOccurred())

		By("holding the Lease and saying which join token it used")
		Expect(c.holder(ctx)).To(HavePrefix(uid + "/"))
		Eventually(func() string { return c.lease(ctx).Annotations[v1alpha1.AnnotationJoined] }).Should(Equal("nonce-1"))
		Expect(*c.lease(ctx).Spec.LeaseDurationSeconds).To(BeEquivalentTo(15))

		By("keeping the session in the member cluster")
		session := a.stored(ctx)
		Expect(session.Cluster).To(Equal(c.name))
		Expect(session.Endpoint.URL).To(Equal(hub.Config().Host))
		Expect(session.JoinID).To(Equal("nonce-1"))

		By("not needing the join token any more")
		token, err := os.ReadFile(a.options.JoinDir + "/token")
		Expect(err).NotTo(HaveOccurred())
		Expect(session.Token).NotTo(Equal(string(token)))
		read := func() error {
			_, err := withToken(string(token)).CoordinationV1().Leases(c.namespace).Get(ctx, "agent", metav1.GetOptions{})
			return err
		}
		Expect(read()).To(Succeed())
		c.deleteSecret(ctx, v1alpha1.AgentJoinSecret)
		Eventually(read).Should(Satisfy(apierrors.IsUnauthorized))
		c.expectRenewal(ctx)
		c.expectRenewal(ctx)
		Expect(a.state()).To(Equal(hubconn.Connected))
	})

	It("renews its token long before it expires", func(ctx SpecContext) {
		// 10 minutes is the shortest life; the fraction makes it 3 s until renewal.
		c, a := connected(ctx, fast, hubconn.Timing{SessionLifetime: 10 * time.Minute, RenewFraction: 0.005})
		first := a.stored(ctx).Token
		Eventually(func() string { return a.stored(ctx).Token }).ShouldNot(Equal(first))
		second := a.stored(ctx).Token
		Eventually(func() string { return a.stored(ctx).Token }).ShouldNot(Equal(second))
		c.expectRenewal(ctx)
		Expect(a.state()).To(Equal(hubconn.Connected))
	})

	It("is locked out within 60 s of a revocation, says why, and joins again", func(ctx SpecContext) {
		c, a := connected(ctx, nil, hubconn.Timing{})
		Eventually(func() string { return c.lease(ctx).Annotations[v1alpha1.AnnotationJoined] }).Should(Equal("nonce-1"))
		c.deleteSecret(ctx, v1alpha1.AgentSessionSecret)
		Eventually(a.state).WithTimeout(60 * time.Second).Should(Equal(hubconn.LockedOut))
		Expect(a.Status().Reason).To(ContainSubstring("refuses the session of cluster %q, it was revoked", c.name))
		Expect(a.Status().Reason).To(ContainSubstring("kubectl atlhyper join " + c.name))
		Eventually(a.logged).WithArguments(`"state"="LockedOut"`).Should(Equal(1)) // it is logged a moment after

		By("not reviving the session with a new Secret of that name")
		c.createSecret(ctx, v1alpha1.AgentSessionSecret)
		Consistently(a.state).WithTimeout(6 * time.Second).Should(Equal(hubconn.LockedOut))

		By("taking a new join token without a restart")
		a.join(ctx, c, "nonce-2")
		Eventually(a.state).Should(Equal(hubconn.Connected))
		Eventually(func() string { return c.lease(ctx).Annotations[v1alpha1.AnnotationJoined] }).Should(Equal("nonce-2"))
	})

	It("says that a dead join token is dead", func(ctx SpecContext) {
		c := provision(ctx, "c", fast)
		a := newAgent(ctx, hubconn.Timing{})
		a.join(ctx, c, "nonce-1")
		c.deleteSecret(ctx, v1alpha1.AgentJoinSecret)
		a.start(ctx)
		Eventually(a.state).Should(Equal(hubconn.LockedOut))
		Expect(a.Status().Reason).To(ContainSubstring("refused the join token"))
	})

	It("goes on when the hub's API server restarts", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{})
		hub.APIServer().Kill()
		restarted := false
		DeferCleanup(func(ctx SpecContext) {
			if !restarted {
				Expect(hub.StartAPIServer(ctx)).To(Succeed())
			}
		})
		Eventually(a.state).Should(Equal(hubconn.HubUnreachable))
		Expect(hub.StartAPIServer(ctx)).To(Succeed())
		restarted = true
		Eventually(a.state).Should(Equal(hubconn.Connected))
		c.expectRenewal(ctx)
		Expect(a.logged(`"state"="LockedOut"`)).To(BeZero())

		By("watching its ManagedCluster again")
		mc := c.cluster(ctx)
		mc.Spec.DisplayName = "after the restart"
		Expect(hubClient.Update(ctx, mc)).To(Succeed())
		Eventually(func() string {
			if _, seen, _ := a.Cluster(); seen != nil {
				return seen.Spec.DisplayName
			}
			return ""
		}).WithTimeout(time.Minute).Should(Equal("after the restart"))
	})

	It("uses its session after a restart of the agent", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{})
		Eventually(func() string { return a.stored(ctx).Token }).ShouldNot(BeEmpty())
		before := c.holder(ctx)
		a.stop()
		c.deleteSecret(ctx, v1alpha1.AgentJoinSecret)
		Expect(os.RemoveAll(a.options.JoinDir)).To(Succeed())
		a.start(ctx)
		Eventually(a.state).Should(Equal(hubconn.Connected))
		Expect(c.holder(ctx)).NotTo(Equal(before), "the instance is another one")
		Expect(strings.Split(c.holder(ctx), "/")[0]).To(Equal(strings.Split(before, "/")[0]))
	})

	It("says goodbye when its ManagedCluster is deleted", func(ctx SpecContext) {
		c, a := connected(ctx, func(mc *v1alpha1.ManagedCluster) {
			fast(mc)
			mc.Finalizers = []string{v1alpha1.FinalizerCluster}
		}, hubconn.Timing{})
		Eventually(func() string { return a.stored(ctx).Token }).ShouldNot(BeEmpty())
		Expect(hubClient.Delete(ctx, c.cluster(ctx))).To(Succeed())
		Eventually(func() string { return c.holder(ctx) }).Should(BeEmpty())
		Eventually(a.state).Should(Equal(hubconn.Deleting))
		Expect(a.stored(ctx).Token).To(BeEmpty())
		Consistently(func() string { return c.holder(ctx) }).WithTimeout(8 * time.Second).Should(BeEmpty())

		mc := c.cluster(ctx)
		mc.Finalizers = nil
		Expect(hubClient.Update(ctx, mc)).To(Succeed())
	})

	It("keeps quiet when it is a clone", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{})
		uid, err := memberUID(ctx)
		Expect(err).NotTo(HaveOccurred())
		mc := c.cluster(ctx)
		mc.Status.ClusterID = uid
		Expect(hubClient.Status().Update(ctx, mc)).To(Succeed())

		By("starting the same agent in another cluster")
		const otherUID = "22222222-2222-2222-2222-222222222222"
		copied := newAgent(ctx, hubconn.Timing{})
		copied.options.Store = a.options.Store
		copied.options.ClusterID = func(context.Context) (string, error) { return otherUID, nil }
		Eventually(func() string { return a.stored(ctx).Token }).ShouldNot(BeEmpty())
		copied.start(ctx)
		Eventually(copied.state).Should(Equal(hubconn.Clone))
		Expect(copied.Status().Reason).To(And(ContainSubstring(uid), ContainSubstring(otherUID)))
		_, _, mayReport := copied.Cluster()
		Expect(mayReport).To(BeFalse())
		Eventually(func() string { return c.holder(ctx) }).Should(HavePrefix(uid + "/"))
		Consistently(func() string { return c.holder(ctx) }).WithTimeout(12 * time.Second).Should(HavePrefix(uid + "/"))
	})

	It("follows the hub to a better address that works", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{EndpointRetry: time.Second})
		better := strings.Replace(hub.Config().Host, "127.0.0.1", "localhost", 1)
		c.setBundle(ctx, "https://127.0.0.1:1", better, hub.Config().Host)
		Eventually(func() string { return a.stored(ctx).Endpoint.URL }).Should(Equal(better))
		c.expectRenewal(ctx)
		Consistently(a.state).WithTimeout(6 * time.Second).Should(Equal(hubconn.Connected))
	})

	It("gets tokens that are good for one audience only", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{})
		token, err := a.Token(ctx, v1alpha1.IngestAudience, "")
		Expect(err).NotTo(HaveOccurred())
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{v1alpha1.IngestAudience}}}
		Expect(hubClient.Create(ctx, review)).To(Succeed())
		Expect(review.Status.Authenticated).To(BeTrue())
		Expect(review.Status.User.Username).To(Equal("system:serviceaccount:" + c.namespace + ":agent"))
		_, err = withToken(token).CoordinationV1().Leases(c.namespace).Get(ctx, "agent", metav1.GetOptions{})
		Expect(err).To(Satisfy(apierrors.IsUnauthorized))
	})

	It("reports its own status, nobody else's, and the same only once", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{})
		other := provision(ctx, "other", nil)
		snapshot := inventory.Snapshot{
			Kubernetes: inventory.KubernetesInfo{Version: "v1.37.2", Platform: "KWOK"},
			Nodes:      &inventory.NodeCounts{Ready: 2, Total: 3},
			Pods:       &inventory.PodCounts{Total: 7, Running: 7},
			Workloads:  inventory.WorkloadCounts{Deployments: new(int32(2))},
			Capacity:   &inventory.Resources{CPUMillis: 12500, MemoryBytes: 48 << 30, Pods: 330},
			Synced:     true, Stale: []string{"jobs.batch"},
			APIServer: inventory.APIServerHealth{Healthy: new(true)},
		}
		status := report.Status(snapshot, report.Agent{Version: "v0.1.0", StartedAt: time.Now()}, nil, time.Now())
		apply := func(name string) error {
			configuration, err := report.Configuration(name, status)
			Expect(err).NotTo(HaveOccurred())
			return a.ApplyStatus(ctx, configuration)
		}
		Expect(apply(c.name)).To(Succeed())
		first := c.cluster(ctx)
		Expect(first.Status.Nodes.Summary).To(Equal("2/3"))
		Expect(first.Status.Capacity.CPU.String()).To(Equal("12500m"))
		Expect(first.Status.Conditions).To(HaveLen(3))

		Expect(apply(c.name)).To(Succeed())
		Expect(c.cluster(ctx).ResourceVersion).To(Equal(first.ResourceVersion), "the same again is no write")
		Expect(apply(other.name)).To(Satisfy(apierrors.IsForbidden))
	})

	It("reports through the Reporter, and is silent while nothing changes", func(ctx SpecContext) {
		c, a := connected(ctx, fast, hubconn.Timing{})
		inv := &fixedInventory{snapshot: inventory.Snapshot{
			Kubernetes: inventory.KubernetesInfo{Version: "v1.37.2"}, Nodes: &inventory.NodeCounts{Ready: 1, Total: 1},
			Requested: &inventory.Resources{CPUMillis: 100, MemoryBytes: 1000}, Synced: true,
		}}
		reporter, err := report.New(report.Options{
			Inventory: inv, Hub: a.Connection, Agent: report.Agent{Version: "v0.1.0", StartedAt: time.Now()},
			MinInterval: time.Second, DriftInterval: time.Second,
		})
		Expect(err).NotTo(HaveOccurred())
		run, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- reporter.Run(run) }()
		DeferCleanup(func() {
			cancel()
			Expect(<-done).To(Succeed())
		})
		Eventually(func() *v1alpha1.NodeCounts { return c.cluster(ctx).Status.Nodes }).ShouldNot(BeNil())
		version := c.cluster(ctx).ResourceVersion
		// The comparison with the hub's copy runs every second and must find it right.
		Consistently(func() string { return c.cluster(ctx).ResourceVersion }).WithTimeout(8 * time.Second).Should(Equal(version))

		By("repairing what somebody else changed")
		mc := c.cluster(ctx)
		mc.Status.Nodes = nil
		Expect(hubClient.Status().Update(ctx, mc)).To(Succeed())
		Eventually(func() *v1alpha1.NodeCounts { return c.cluster(ctx).Status.Nodes }).ShouldNot(BeNil())
	})

	It("cannot read another cluster's objects", func(ctx SpecContext) {
		_, a := connected(ctx, fast, hubconn.Timing{})
		other := provision(ctx, "other", nil)
		intruder, err := client.New(a.RESTConfig(), client.Options{Scheme: hubClient.Scheme()})
		Expect(err).NotTo(HaveOccurred())
		Expect(intruder.Get(ctx, client.ObjectKey{Name: other.name}, &v1alpha1.ManagedCluster{})).To(Satisfy(apierrors.IsForbidden))
		Expect(intruder.List(ctx, &v1alpha1.ManagedClusterList{})).To(Satisfy(apierrors.IsForbidden))
	})
})

type fixedInventory struct{ snapshot inventory.Snapshot }

func (f *fixedInventory) Snapshot() inventory.Snapshot { return f.snapshot }
func (*fixedInventory) Changed() <-chan struct{}       { return nil }
