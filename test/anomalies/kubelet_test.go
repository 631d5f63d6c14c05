// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newNamespace makes a namespace and returns its name.
func newNamespace(ctx context.Context, name string) string {
	GinkgoHelper()
	_, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return name
}

// workload is a Deployment that is as it should be.
type workload struct {
	namespace, name string
	replicas        int32
	set             *appsv1.ReplicaSet
}

// makeWorkload makes a Deployment with its ReplicaSet and their statuses, as the
// controllers would, but no pods.
func makeWorkload(ctx context.Context, namespace, name string, replicas int32) *workload {
	GinkgoHelper()
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"deployment.kubernetes.io/revision": "1"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()},
		},
	}
	d, err := kube.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	since := metav1.Now()
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: replicas, UpdatedReplicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas,
		Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", LastTransitionTime: since, LastUpdateTime: since},
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable", LastTransitionTime: since, LastUpdateTime: since},
		},
	}
	d, err = kube.AppsV1().Deployments(namespace).UpdateStatus(ctx, d, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())

	hashed := map[string]string{"app": name, appsv1.DefaultDeploymentUniqueLabelKey: "5d4f8c7b9"}
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-5d4f8c7b9", Labels: hashed, Annotations: d.Annotations, OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment")),
		}},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: hashed},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: hashed}, Spec: podSpec()},
		},
	}
	rs, err = kube.AppsV1().ReplicaSets(namespace).Create(ctx, rs, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	rs.Status = appsv1.ReplicaSetStatus{ObservedGeneration: rs.Generation, Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas, FullyLabeledReplicas: replicas}
	rs, err = kube.AppsV1().ReplicaSets(namespace).UpdateStatus(ctx, rs, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return &workload{namespace: namespace, name: name, replicas: replicas, set: rs}
}

// pods makes the replicas of the workload, running.
func (w *workload) pods(ctx context.Context) []*corev1.Pod {
	GinkgoHelper()
	pods := make([]*corev1.Pod, 0, w.replicas)
	for n := range w.replicas {
		pods = append(pods, create(ctx, w.namespace, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-%05d", w.set.Name, n), Labels: w.set.Labels,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
			},
			Spec: podSpec(),
		}))
	}
	return pods
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "registry.example.com/web:1"}}}
}

// makePod makes a pod that nobody owns, running.
func makePod(ctx context.Context, namespace, name string) *corev1.Pod {
	GinkgoHelper()
	return create(ctx, namespace, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: podSpec()})
}

// create makes a pod, and says of it what a kubelet says of one that runs.
func create(ctx context.Context, namespace string, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	pod, err := kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	now := metav1.Now()
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &now, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "web", Image: "registry.example.com/web:1", Started: new(true),
	}}}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	return recovers(ctx, pod)
}

// recovers says of a pod that its container runs and is ready.
func recovers(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	s := &pod.Status.ContainerStatuses[0]
	s.Ready, s.State = true, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	return say(ctx, pod, corev1.ConditionTrue)
}

// waits says of a pod that its container waits.
func waits(ctx context.Context, pod *corev1.Pod, reason, message string) *corev1.Pod {
	GinkgoHelper()
	s := &pod.Status.ContainerStatuses[0]
	s.Ready, s.State = false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	return say(ctx, pod, corev1.ConditionFalse)
}

// crashes says of a pod that its container ended for the third time and waits for
// its next start.
func crashes(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	s := &pod.Status.ContainerStatuses[0]
	s.RestartCount = 3
	s.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: "Error", ExitCode: 1, StartedAt: metav1.NewTime(time.Now().Add(-2 * time.Second)), FinishedAt: metav1.Now(),
	}}
	return waits(ctx, pod, "CrashLoopBackOff", "back-off 40s restarting failed container=web")
}

// outOfMemory says of a pod that its container was killed for its memory, and runs
// again.
func outOfMemory(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	s := &pod.Status.ContainerStatuses[0]
	s.RestartCount++
	s.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.Now(),
	}}
	return recovers(ctx, pod)
}

func say(ctx context.Context, pod *corev1.Pod, ready corev1.ConditionStatus) *corev1.Pod {
	GinkgoHelper()
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if (c.Type == corev1.PodReady || c.Type == corev1.ContainersReady) && c.Status != ready {
			c.Status, c.LastTransitionTime = ready, metav1.Now()
		}
	}
	updated, err := kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return updated
}

func remove(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Expect(kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})).To(Succeed())
}

// makeNode makes a node that is ready, and whose kubelet was heard of last so long
// ago.
func makeNode(ctx context.Context, name string, silence time.Duration) {
	GinkgoHelper()
	node, err := kube.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	now := metav1.Now()
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastTransitionTime: now, LastHeartbeatTime: now,
	}}
	_, err = kube.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &name, LeaseDurationSeconds: new(int32(40)), RenewTime: new(metav1.NewMicroTime(now.Add(-silence))),
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// heartbeats renews the Lease of a node, now and every 10 s until the specs are over,
// and returns when the first was written.
func heartbeats(ctx context.Context, name string) time.Time {
	GinkgoHelper()
	leases := kube.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	renew := func(ctx context.Context) error {
		lease, err := leases.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		lease.Spec.RenewTime = new(metav1.NowMicro())
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		return err
	}
	first := time.Now()
	Expect(renew(ctx)).To(Succeed())
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var owned sync.WaitGroup
	owned.Go(func() {
		defer GinkgoRecover()
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-beating.Done():
				return
			case <-tick.C:
			}
			if err := renew(beating); beating.Err() == nil {
				Expect(err).NotTo(HaveOccurred())
			}
		}
	})
	DeferCleanup(func() { stop(); owned.Wait() })
	return first
}
