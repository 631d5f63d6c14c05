// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// specTimeout bounds each spec.
const specTimeout = 4 * time.Minute

var template = corev1.PodTemplateSpec{
	ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "a"}},
	Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
}

// newNamespace makes a namespace whose contents go at the end of the spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns, err := client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "inventory-"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { //nolint:contextcheck // a cleanup has a context of its own
		now, all := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, metav1.ListOptions{}
		Expect(client.CoreV1().Pods(ns.Name).DeleteCollection(ctx, now, all)).To(Succeed())
		Expect(client.AppsV1().Deployments(ns.Name).DeleteCollection(ctx, now, all)).To(Succeed())
	})
	return ns.Name
}

func createPod(ctx context.Context, namespace, name string, change func(*corev1.Pod)) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: *template.Spec.DeepCopy()}
	change(pod)
	pod, err := client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return pod
}

func deletePod(ctx context.Context, namespace, name string) {
	GinkgoHelper()
	Expect(client.CoreV1().Pods(namespace).Delete(ctx, name,
		metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})).To(Succeed())
}

func createDeployment(ctx context.Context, namespace, name string) {
	GinkgoHelper()
	_, err := client.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.DeploymentSpec{Template: template, Selector: &metav1.LabelSelector{MatchLabels: template.Labels}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// crashAPIServer kills the API server. One that is asked to stop waits for its
// watches to end, for longer than a spec should take.
func crashAPIServer() {
	cluster.APIServer().Kill()
	DeferCleanup(func(ctx SpecContext) {
		select {
		case <-cluster.APIServer().Done():
			Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		default:
		}
	})
}

// totalPods is what an Inventory says, -1 for nothing.
func totalPods(i *Inventory) func() int32 {
	return func() int32 {
		if pods := i.Snapshot().Pods; pods != nil {
			return pods.Total
		}
		return -1
	}
}

func synced(i *Inventory) func() bool { return func() bool { return i.Snapshot().Synced } }

func stale(i *Inventory) func() []string { return func() []string { return i.Snapshot().Stale } }

func healthy(i *Inventory) func() *bool {
	return func() *bool { return i.Snapshot().APIServer.Healthy }
}

// limitedUser makes a ServiceAccount that may read everything but pods, and a
// function that decides what it may read besides.
func limitedUser(ctx context.Context, namespace string) (*rest.Config, func(context.Context, ...string)) {
	GinkgoHelper()
	read := []string{"get", "list", "watch"}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"nodes", "namespaces"}, Verbs: read},
			{APIGroups: []string{"apps", "batch"}, Resources: []string{"*"}, Verbs: read},
		},
	}
	role, err := client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	account, err := client.CoreV1().ServiceAccounts(namespace).Create(ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "limited"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account.Name}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { //nolint:contextcheck // a cleanup has a context of its own
		Expect(client.RbacV1().ClusterRoleBindings().Delete(ctx, namespace, metav1.DeleteOptions{})).To(Succeed())
		Expect(client.RbacV1().ClusterRoles().Delete(ctx, namespace, metav1.DeleteOptions{})).To(Succeed())
	})
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account.Name,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	cfg := rest.AnonymousClientConfig(cluster.Config())
	cfg.BearerToken = token.Status.Token
	// The server learns of roles and accounts a moment after they are made.
	limited := kubernetes.NewForConfigOrDie(cfg)
	Eventually(func() error {
		_, err := limited.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		return err
	}).Should(Succeed())

	base := role.Rules
	return cfg, func(ctx context.Context, resources ...string) {
		GinkgoHelper()
		role.Rules = slices.Clone(base)
		if len(resources) > 0 {
			role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: resources, Verbs: read})
		}
		role, err = client.RbacV1().ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
}
