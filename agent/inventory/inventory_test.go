// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var _ = Describe("Inventory", func() {
	It("follows what is created, updated and deleted", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		i := run(ctx, cluster.Config(), quick())
		Eventually(synced(i)).Should(BeTrue())
		Eventually(func() string { return i.Snapshot().Kubernetes.Version }).Should(HavePrefix("v1.37."))
		Eventually(healthy(i)).Should(HaveValue(BeTrue()))

		system, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(i.ClusterID(ctx)).To(Equal(string(system.UID)))
		first := i.Snapshot()
		Expect(first.ClusterID).To(Equal(string(system.UID)))
		Expect(first.Stale).To(BeEmpty())
		Expect(first.Nodes).To(Equal(&NodeCounts{}))
		Expect(first.Pods).To(Equal(&PodCounts{}))
		Expect(first.Requested).To(Equal(&Resources{}))
		Expect(first.Workloads).To(Equal(WorkloadCounts{
			Deployments: new(int32(0)), StatefulSets: new(int32(0)), DaemonSets: new(int32(0)), Jobs: new(int32(0)), CronJobs: new(int32(0)),
		}))

		By("adding a node")
		node, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{ProviderID: "kwok://n1"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) {
			Expect(client.CoreV1().Nodes().Delete(ctx, "n1", metav1.DeleteOptions{})).To(Succeed())
			Eventually(func() *NodeCounts { return i.Snapshot().Nodes }).Should(Equal(&NodeCounts{}))
			Expect(i.Snapshot().Capacity).To(Equal(&Resources{}))
			Expect(i.Snapshot().Kubernetes.Platform).To(BeEmpty())
		})
		node.Status.Capacity = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
		node.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3500m")}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		_, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() *NodeCounts { return i.Snapshot().Nodes }).Should(Equal(&NodeCounts{Ready: 1, Total: 1}))
		Expect(i.Snapshot().Capacity).To(Equal(&Resources{CPUMillis: 4000, MemoryBytes: 8 << 30, Pods: 110}))
		Expect(i.Snapshot().Allocatable).To(HaveField("CPUMillis", int64(3500)))
		Expect(i.Snapshot().Kubernetes.Platform).To(Equal("KWOK"))

		By("creating pods, one of them bound")
		createPod(ctx, ns, "waiting", func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list("5", "1Gi") })
		bound := createPod(ctx, ns, "bound", func(p *corev1.Pod) {
			p.Spec.NodeName = "n1"
			p.Spec.Containers[0].Resources.Requests = list("250m", "64Mi")
		})
		Eventually(func() *PodCounts { return i.Snapshot().Pods }).Should(Equal(&PodCounts{Total: 2, Pending: 2}))
		Expect(i.Snapshot().Requested).To(Equal(&Resources{CPUMillis: 250, MemoryBytes: 64 << 20, Pods: 1}))

		By("running it, then making it ready, then ending it")
		set := func(phase corev1.PodPhase, ready corev1.ConditionStatus) {
			GinkgoHelper()
			bound.Status.Phase = phase
			bound.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
			bound, err = client.CoreV1().Pods(ns).UpdateStatus(ctx, bound, metav1.UpdateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		set(corev1.PodRunning, corev1.ConditionFalse)
		Eventually(func() *PodCounts { return i.Snapshot().Pods }).Should(Equal(&PodCounts{Total: 2, Pending: 1, Running: 1, NotReady: 1}))
		set(corev1.PodRunning, corev1.ConditionTrue)
		Eventually(func() *PodCounts { return i.Snapshot().Pods }).Should(Equal(&PodCounts{Total: 2, Pending: 1, Running: 1}))
		set(corev1.PodSucceeded, corev1.ConditionFalse)
		Eventually(func() *PodCounts { return i.Snapshot().Pods }).Should(Equal(&PodCounts{Total: 2, Pending: 1, Succeeded: 1}))
		Expect(i.Snapshot().Requested).To(Equal(&Resources{}))

		By("deleting both")
		deletePod(ctx, ns, "waiting")
		deletePod(ctx, ns, "bound")
		Eventually(func() *PodCounts { return i.Snapshot().Pods }).Should(Equal(&PodCounts{}))

		By("creating one workload of each kind")
		selector := &metav1.LabelSelector{MatchLabels: template.Labels}
		createDeployment(ctx, ns, "a")
		meta := metav1.ObjectMeta{Name: "a"}
		_, err = client.AppsV1().StatefulSets(ns).Create(ctx, &appsv1.StatefulSet{
			ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: template, Selector: selector},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = client.AppsV1().DaemonSets(ns).Create(ctx, &appsv1.DaemonSet{
			ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: template, Selector: selector},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		job := batchv1.JobSpec{Template: *template.DeepCopy()}
		job.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		_, err = client.BatchV1().Jobs(ns).Create(ctx, &batchv1.Job{ObjectMeta: meta, Spec: job}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = client.BatchV1().CronJobs(ns).Create(ctx, &batchv1.CronJob{
			ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "0 * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: job}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() WorkloadCounts { return i.Snapshot().Workloads }).Should(Equal(WorkloadCounts{
			Deployments: new(int32(1)), StatefulSets: new(int32(1)), DaemonSets: new(int32(1)), Jobs: new(int32(1)), CronJobs: new(int32(1)),
		}))
		Expect(client.AppsV1().StatefulSets(ns).Delete(ctx, "a", metav1.DeleteOptions{})).To(Succeed())
		Expect(client.AppsV1().DaemonSets(ns).Delete(ctx, "a", metav1.DeleteOptions{})).To(Succeed())
		Expect(client.BatchV1().CronJobs(ns).Delete(ctx, "a", metav1.DeleteOptions{})).To(Succeed())
		Expect(client.BatchV1().Jobs(ns).Delete(ctx, "a",
			metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})).To(Succeed())
		Eventually(func() WorkloadCounts { return i.Snapshot().Workloads }).Should(Equal(WorkloadCounts{
			Deployments: new(int32(1)), StatefulSets: new(int32(0)), DaemonSets: new(int32(0)), Jobs: new(int32(0)), CronJobs: new(int32(0)),
		}))
	})

	It("signals once and then rests while nothing changes", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		pod := createPod(ctx, ns, "a", func(*corev1.Pod) {})
		i := run(ctx, cluster.Config(), quick())
		Eventually(synced(i)).Should(BeTrue())
		Eventually(healthy(i)).Should(HaveValue(BeTrue()))
		Eventually(func() string { return i.Snapshot().Kubernetes.Version + i.Snapshot().ClusterID }).ShouldNot(BeEmpty())
		Eventually(i.Changed()).Should(Receive())
		Eventually(func(g Gomega) { g.Consistently(i.Changed(), "500ms").ShouldNot(Receive()) }).Should(Succeed())

		By("changing what nobody counts, while every watch ends at least once")
		before := i.Snapshot()
		pod.Labels = map[string]string{"a": "b"}
		_, err := client.CoreV1().Pods(ns).Update(ctx, pod, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Consistently(i.Changed(), "7s").ShouldNot(Receive())
		Expect(i.Snapshot()).To(Equal(before))

		By("changing what counts")
		deletePod(ctx, ns, "a")
		Eventually(i.Changed()).Should(Receive())
	})

	It("notices what was deleted while it could not watch", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		for n := range 5 {
			createPod(ctx, ns, fmt.Sprintf("p%d", n), func(*corev1.Pod) {})
		}
		g, cfg := newGate(ctx, cluster.Config())
		i := run(ctx, cfg, quick())
		Eventually(totalPods(i)).Should(BeEquivalentTo(5))

		g.close()
		deletePod(ctx, ns, "p0")
		deletePod(ctx, ns, "p1")
		createPod(ctx, ns, "late", func(*corev1.Pod) {})
		By("restarting the API server, which forgets the history that a watch could resume from")
		crashAPIServer()
		Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		Expect(totalPods(i)()).To(BeEquivalentTo(5))
		g.open()
		Eventually(totalPods(i)).Should(BeEquivalentTo(4))
		Eventually(stale(i)).Should(BeEmpty())
	})

	It("takes a restart of the API server calmly", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		for n := range 3 {
			createPod(ctx, ns, fmt.Sprintf("p%d", n), func(*corev1.Pod) {})
		}
		options := quick()
		// The real damping, on watches that end when the server does.
		options.StaleAfter, options.UnhealthyAfter, options.watchTimeout = 0, 0, 0
		i := run(ctx, cluster.Config(), options)
		Eventually(totalPods(i)).Should(BeEquivalentTo(3))
		Eventually(synced(i)).Should(BeTrue())
		Eventually(healthy(i)).Should(HaveValue(BeTrue()))

		crashAPIServer()
		restarted := make(chan error, 1)
		go func() { restarted <- cluster.StartAPIServer(ctx) }()
		calm := func(g Gomega) {
			s := i.Snapshot()
			g.Expect(s.Stale).To(BeEmpty())
			g.Expect(*s.APIServer.Healthy).To(BeTrue())
			g.Expect(s.Pods.Total).To(BeEquivalentTo(3))
		}
		for waiting := true; waiting; {
			select {
			case err := <-restarted:
				Expect(err).NotTo(HaveOccurred())
				waiting = false
			default:
				Consistently(calm, "200ms", "20ms").Should(Succeed())
			}
		}
		createPod(ctx, ns, "late", func(*corev1.Pod) {})
		Eventually(totalPods(i)).Should(BeEquivalentTo(4))
		createDeployment(ctx, ns, "late")
		Eventually(func() *int32 { return i.Snapshot().Workloads.Deployments }).Should(HaveValue(BeEquivalentTo(1)))
		Expect(stale(i)()).To(BeEmpty())
	})

	It("goes on without a kind that it may not read any more", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		createPod(ctx, ns, "a", func(*corev1.Pod) {})
		cfg, allow := limitedUser(ctx, ns)
		allow(ctx, "pods")
		i := run(ctx, cfg, quick())
		Eventually(synced(i)).Should(BeTrue())
		Eventually(totalPods(i)).Should(BeEquivalentTo(1))
		Expect(stale(i)()).To(BeEmpty())

		allow(ctx)
		Eventually(stale(i)).Should(Equal([]string{"pods"}))
		createPod(ctx, ns, "unseen", func(*corev1.Pod) {})
		createDeployment(ctx, ns, "seen")
		Eventually(func() *int32 { return i.Snapshot().Workloads.Deployments }).Should(HaveValue(BeEquivalentTo(1)))
		Expect(totalPods(i)()).To(BeEquivalentTo(1), "the last counts stay")
		Expect(healthy(i)()).To(HaveValue(BeTrue()))
		Consistently(stale(i), "4s").Should(Equal([]string{"pods"}))

		allow(ctx, "pods")
		Eventually(stale(i)).Should(BeEmpty())
		Eventually(totalPods(i)).Should(BeEquivalentTo(2))
	})

	It("never counts a kind that it may not read as empty", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		createPod(ctx, ns, "a", func(*corev1.Pod) {})
		cfg, allow := limitedUser(ctx, ns)
		allow(ctx)
		i := run(ctx, cfg, quick())
		Eventually(synced(i)).Should(BeTrue())
		Expect(stale(i)()).To(Equal([]string{"pods"}))
		Expect(i.Snapshot().Pods).To(BeNil())
		Expect(i.Snapshot().Requested).To(BeNil())
		Expect(i.Snapshot().Nodes).NotTo(BeNil())

		allow(ctx, "pods")
		Eventually(totalPods(i)).Should(BeEquivalentTo(1))
		Eventually(stale(i)).Should(BeEmpty())
	})

	It("goes on without an API that is not served", SpecTimeout(specTimeout), func(ctx SpecContext) {
		i := run(ctx, startCluster(ctx, "--runtime-config=batch/v1=false").Config(), quick())
		Eventually(synced(i)).Should(BeTrue())
		Expect(stale(i)()).To(Equal([]string{"cronjobs.batch", "jobs.batch"}))
		Expect(i.Snapshot().Workloads.Jobs).To(BeNil())
		Expect(i.Snapshot().Workloads.Deployments).To(HaveValue(BeEquivalentTo(0)))
	})

	It("serves what it knows while the API server is away, and says so", SpecTimeout(specTimeout), func(ctx SpecContext) {
		ns := newNamespace(ctx)
		createPod(ctx, ns, "a", func(*corev1.Pod) {})
		i := run(ctx, cluster.Config(), quick())
		Eventually(totalPods(i)).Should(BeEquivalentTo(1))
		Eventually(healthy(i)).Should(HaveValue(BeTrue()))
		Eventually(synced(i)).Should(BeTrue())

		down := time.Now()
		crashAPIServer()
		Eventually(healthy(i)).Should(HaveValue(BeFalse()))
		Expect(time.Since(down)).To(BeNumerically(">=", patience), "damped")
		s := i.Snapshot()
		Expect(s.APIServer.Message).To(Equal("/livez: connection refused"))
		Expect(s.APIServer.Since).To(And(BeTemporally(">=", down), BeTemporally("<=", time.Now())))
		Expect(s.Pods.Total).To(BeEquivalentTo(1))
		Eventually(stale(i)).Should(Equal([]string{
			"cronjobs.batch", "daemonsets.apps", "deployments.apps", "jobs.batch", "nodes", "pods", "statefulsets.apps",
		}))

		Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		Eventually(healthy(i)).Should(HaveValue(BeTrue()))
		Expect(i.Snapshot().APIServer.Message).To(BeEmpty())
		Eventually(stale(i)).Should(BeEmpty())
		Expect(totalPods(i)()).To(BeEquivalentTo(1))
	})

	It("waits for an API server that is away at the start", SpecTimeout(specTimeout), func(ctx SpecContext) {
		g, cfg := newGate(ctx, cluster.Config())
		g.close()
		i := run(ctx, cfg, quick())
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := i.ClusterID(short)
		Expect(err).To(MatchError(context.DeadlineExceeded))
		Expect(err).To(MatchError(ContainSubstring("connection refused")))
		Expect(i.Snapshot().Synced).To(BeFalse())
		Expect(i.Snapshot().Kubernetes.Version).To(BeEmpty())
		Eventually(healthy(i)).Should(HaveValue(BeFalse()))

		g.open()
		Expect(i.ClusterID(ctx)).NotTo(BeEmpty())
		Eventually(stale(i)).Should(BeEmpty())
		Eventually(healthy(i)).Should(HaveValue(BeTrue()))
		Eventually(func() *PodCounts { return i.Snapshot().Pods }).ShouldNot(BeNil())
		Eventually(func() string { return i.Snapshot().Kubernetes.Version }).ShouldNot(BeEmpty())
	})

	It("ends at once while it waits for an API server", SpecTimeout(specTimeout), func(ctx SpecContext) {
		g, cfg := newGate(ctx, cluster.Config())
		g.close()
		options := quick()
		options.retryMax, options.HealthInterval = 30*time.Second, 30*time.Second
		Eventually(func(g Gomega) { // once at once, if the machine does not stall
			i, end := begin(ctx, cfg, options)
			// Long enough for reflectors to be in a wait of several seconds.
			Consistently(func() *PodCounts { return i.Snapshot().Pods }, "4s").Should(BeNil())
			g.Expect(end()).To(BeNumerically("<", time.Second))
		}).Should(Succeed())
	})
})
