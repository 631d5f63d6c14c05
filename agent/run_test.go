// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func node(ctx context.Context, name string, ready corev1.ConditionStatus) *corev1.Node {
	GinkgoHelper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(memberClient.Create(ctx, n)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(memberClient.Delete(ctx, n)).To(Succeed()) }) //nolint:contextcheck // a cleanup has a context of its own
	n.Status.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110")}
	n.Status.Allocatable = n.Status.Capacity
	setReady(ctx, n, ready)
	return n
}

func setReady(ctx context.Context, n *corev1.Node, ready corev1.ConditionStatus) {
	GinkgoHelper()
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, Reason: "Test"}}
	Expect(memberClient.Status().Update(ctx, n)).To(Succeed())
}

var _ = Describe("Agent", func() {
	condition := func(ctx context.Context, a *runningAgent, kind string) func() string {
		return func() string {
			c := meta.FindStatusCondition(a.managedCluster(ctx).Status.Conditions, kind)
			if c == nil {
				return ""
			}
			return fmt.Sprintf("%s/%s", c.Status, c.Reason)
		}
	}

	BeforeEach(func(ctx SpecContext) { clearSession(ctx) })

	It("joins with the rights it is shipped with and reports its cluster", func(ctx SpecContext) {
		node(ctx, "node-1", corev1.ConditionTrue)
		sick := node(ctx, "node-2", corev1.ConditionFalse)
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pod"},
			Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{
				Name: "c", Image: "i",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}},
			}}},
		}
		Expect(memberClient.Create(ctx, pod)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(memberClient.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		})

		a := join(ctx)
		a.start(ctx)
		Eventually(func() string { return a.ready(ctx) }).Should(HavePrefix("200 Connected since"))
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionInventorySynced)).Should(Equal("True/InventoryCurrent"))
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionAPIServerHealthy)).Should(Equal("True/LivezOK"))
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionNodesHealthy)).Should(Equal("False/NodesNotReady"))
		status := a.managedCluster(ctx).Status
		Expect(status.Nodes.Summary).To(Equal("1/2"))
		Expect(*status.Pods.Total).To(BeEquivalentTo(1))
		Expect(status.Kubernetes.Version).To(HavePrefix("v1."))
		Expect(status.Agent.Version).NotTo(BeEmpty())
		Expect(status.Capacity.CPU.String()).To(Equal("8"))
		Expect(status.Allocatable.Memory.String()).To(Equal("32Gi"))
		Expect(status.Requested.CPU.String()).To(Equal("250m"))
		Expect(*status.Workloads.Deployments).To(BeEquivalentTo(1), "the agent's own")
		Expect(status.StaleResources).To(BeEmpty())

		By("reporting a change, and then writing nothing")
		setReady(ctx, sick, corev1.ConditionTrue)
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionNodesHealthy)).Should(Equal("True/AllNodesReady"))
		const quiet = 8 * time.Second
		Eventually(func(g Gomega) { // in one while in which the machine does not stall
			version := a.managedCluster(ctx).ResourceVersion
			g.Consistently(func() string { return a.managedCluster(ctx).ResourceVersion }).WithTimeout(quiet).Should(Equal(version))
		}).WithTimeout(3 * quiet).Should(Succeed())

		By("going on with its session after a restart, keeping the transition times")
		before := a.managedCluster(ctx).Status
		a.stop()
		a.start(ctx)
		Eventually(func() string { return a.ready(ctx) }).Should(HavePrefix("200 Connected since"))
		Eventually(func() bool {
			return a.managedCluster(ctx).Status.Agent.StartedAt.After(before.Agent.StartedAt.Time)
		}).Should(BeTrue())
		Expect(a.managedCluster(ctx).Status.Conditions).To(Equal(before.Conditions))
	})

	It("marks as stale what it may not read any more, and recovers", func(ctx SpecContext) {
		a := join(ctx)
		a.start(ctx)
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionInventorySynced)).Should(Equal("True/InventoryCurrent"))

		var role rbacv1.ClusterRole
		Expect(memberClient.Get(ctx, client.ObjectKey{Name: v1alpha1.MemberAgent}, &role)).To(Succeed())
		all := role.DeepCopy().Rules
		a.stop()
		role.Rules = role.Rules[:1]
		Expect(memberClient.Update(ctx, &role)).To(Succeed())
		a.start(ctx)
		Eventually(func() []string { return a.managedCluster(ctx).Status.StaleResources }).WithTimeout(time.Minute).Should(ContainElement("deployments.apps"))
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionInventorySynced)).Should(Equal("False/InventoryStale"))
		Expect(a.managedCluster(ctx).Status.Nodes).NotTo(BeNil(), "the rest goes on")

		role.Rules = all
		Expect(memberClient.Update(ctx, &role)).To(Succeed())
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionInventorySynced)).WithTimeout(time.Minute).Should(Equal("True/InventoryCurrent"))
	})

	It("reports that its own API server is away, and outlives it", func(ctx SpecContext) {
		a := join(ctx)
		a.start(ctx)
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionAPIServerHealthy)).Should(Equal("True/LivezOK"))
		member.APIServer().Kill()
		started := false
		DeferCleanup(func(ctx SpecContext) {
			if !started {
				Expect(member.StartAPIServer(ctx)).To(Succeed())
			}
		})
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionAPIServerHealthy)).WithTimeout(time.Minute).Should(Equal("False/LivezFailed"))
		Expect(a.ready(ctx)).To(HavePrefix("200 Connected since"), "the hub is there")
		Expect(member.StartAPIServer(ctx)).To(Succeed())
		started = true
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionAPIServerHealthy)).WithTimeout(time.Minute).Should(Equal("True/LivezOK"))
		Eventually(condition(ctx, a, v1alpha1.ClusterConditionInventorySynced)).WithTimeout(time.Minute).Should(Equal("True/InventoryCurrent"))
	})

	It("outlives the hub", func(ctx SpecContext) {
		a := join(ctx)
		a.start(ctx)
		Eventually(func() string { return a.ready(ctx) }).Should(HavePrefix("200 Connected since"))
		hub.APIServer().Kill()
		started := false
		DeferCleanup(func(ctx SpecContext) {
			if !started {
				Expect(hub.StartAPIServer(ctx)).To(Succeed())
			}
		})
		Eventually(func() string { return a.ready(ctx) }).Should(HavePrefix("503 HubUnreachable since"))
		node(ctx, "while-the-hub-was-away", corev1.ConditionTrue)
		Expect(hub.StartAPIServer(ctx)).To(Succeed())
		started = true
		Eventually(func() string { return a.ready(ctx) }).WithTimeout(time.Minute).Should(HavePrefix("200 Connected since"))
		Eventually(func() string {
			if n := a.managedCluster(ctx).Status.Nodes; n != nil {
				return n.Summary
			}
			return ""
		}).Should(Equal("1/1"))
	})
})
