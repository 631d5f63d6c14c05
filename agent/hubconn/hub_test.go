// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/agent/hubconn/hubtest"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// hubCluster is what the hub's controller makes for a ManagedCluster.
type hubCluster struct {
	name      string
	namespace string
}

// provision makes a ManagedCluster and everything that goes with it on the hub.
func provision(ctx context.Context, prefix string, modify func(*v1alpha1.ManagedCluster)) *hubCluster {
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	if modify != nil {
		modify(mc)
	}
	Expect(hubtest.Provision(ctx, hubClient, mc)).To(Succeed())
	return &hubCluster{name: mc.Name, namespace: v1alpha1.ClusterNamespacePrefix + mc.Name}
}

// fast makes an agent renew its Lease as often as the API allows.
func fast(mc *v1alpha1.ManagedCluster) { mc.Spec.Heartbeat = &v1alpha1.Heartbeat{PeriodSeconds: 5} }

func (c *hubCluster) createSecret(ctx context.Context, name string) {
	Expect(hubClient.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}})).To(Succeed())
}

func (c *hubCluster) deleteSecret(ctx context.Context, name string) {
	Expect(hubClient.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}})).To(Succeed())
}

// joinSecret is the data of a Secret with a new join token.
func (c *hubCluster) joinSecret(ctx context.Context, id string) map[string]string {
	GinkgoHelper()
	data, err := hubtest.JoinData(ctx, hubClient, c.name, id, hub.Config().Host, string(hub.CA()))
	Expect(err).NotTo(HaveOccurred())
	return data
}

func (c *hubCluster) lease(ctx context.Context) *coordinationv1.Lease {
	GinkgoHelper()
	lease := &coordinationv1.Lease{}
	Expect(hubClient.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: v1alpha1.AgentLease}, lease)).To(Succeed())
	return lease
}

func (c *hubCluster) holder(ctx context.Context) string {
	GinkgoHelper()
	if holder := c.lease(ctx).Spec.HolderIdentity; holder != nil {
		return *holder
	}
	return ""
}

func (c *hubCluster) cluster(ctx context.Context) *v1alpha1.ManagedCluster {
	GinkgoHelper()
	mc := &v1alpha1.ManagedCluster{}
	Expect(hubClient.Get(ctx, client.ObjectKey{Name: c.name}, mc)).To(Succeed())
	return mc
}

// expectRenewal waits until the Lease is renewed once more.
func (c *hubCluster) expectRenewal(ctx context.Context) {
	GinkgoHelper()
	before := c.lease(ctx).Spec.RenewTime
	Expect(before).NotTo(BeNil())
	Eventually(func() bool { return c.lease(ctx).Spec.RenewTime.After(before.Time) }).Should(BeTrue())
}

// withToken is a client of the hub with a bearer token.
func withToken(token string) kubernetes.Interface {
	GinkgoHelper()
	anonymous := rest.AnonymousClientConfig(hub.Config())
	anonymous.BearerToken = token
	clientset, err := kubernetes.NewForConfig(anonymous)
	Expect(err).NotTo(HaveOccurred())
	return clientset
}

func (c *hubCluster) setBundle(ctx context.Context, urls ...string) {
	GinkgoHelper()
	entries := make([]string, 0, len(urls))
	for _, url := range urls {
		entries = append(entries, fmt.Sprintf(`{"url":%q,"ca":%q}`, url, hub.CA()))
	}
	Expect(hubClient.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: v1alpha1.AgentBundle},
		Data:       map[string]string{v1alpha1.BundleEndpoints: `{"endpoints":[` + strings.Join(entries, ",") + `]}`},
	})).To(Succeed())
}
