// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers/managedcluster"
)

var _ = Describe("the bundle", func() {
	It("keeps what another writer has put into it, whatever becomes of the hub's own keys", func(ctx SpecContext) {
		const thresholds = `{"version":1,"thresholds":[]}`
		restart := replaceHub(ctx, nil)
		names := []string{"bundle-others", "bundle-own"}
		for _, name := range names {
			create(ctx, name)
			provisioned(ctx, name)
		}
		write := func(data map[string]string) {
			GinkgoHelper()
			config := coreac.ConfigMap(v1alpha1.AgentBundle, clusterNamespace(names[0])).WithData(data)
			Expect(admin.Apply(ctx, config, client.FieldOwner("rules"))).To(Succeed())
		}
		keys := func(ctx context.Context, name string) []string {
			found := &corev1.ConfigMap{}
			err := admin.Get(ctx, types.NamespacedName{Namespace: clusterNamespace(name), Name: v1alpha1.AgentBundle}, found)
			if apierrors.IsNotFound(err) {
				return []string{"no bundle"}
			}
			ExpectWithOffset(1, err).NotTo(HaveOccurred())
			out := []string{}
			for key := range found.Data {
				out = append(out, key)
			}
			if document, ok := found.Data[v1alpha1.BundleThresholds]; ok {
				ExpectWithOffset(1, document).To(Equal(thresholds))
			}
			return out
		}
		has := func(name string, want ...any) {
			GinkgoHelper()
			Eventually(keys).WithContext(ctx).WithArguments(name).Should(ConsistOf(want...), name)
		}
		write(map[string]string{v1alpha1.BundleThresholds: thresholds})
		has(names[0], v1alpha1.BundleEndpoints, v1alpha1.BundleThresholds)

		By("gaining a key of the hub's")
		restart(func(o *managedcluster.Options) { o.IngestURL = "https://ingest.example" })
		has(names[1], v1alpha1.BundleEndpoints, v1alpha1.BundleIngest)
		has(names[0], v1alpha1.BundleEndpoints, v1alpha1.BundleIngest, v1alpha1.BundleThresholds)

		By("losing all of them")
		restart(func(o *managedcluster.Options) { o.AdvertiseURL, o.AdvertiseCA = "", nil })
		has(names[1], "no bundle")
		has(names[0], v1alpha1.BundleThresholds)

		By("having them again")
		restart(nil)
		has(names[1], v1alpha1.BundleEndpoints)
		has(names[0], v1alpha1.BundleEndpoints, v1alpha1.BundleThresholds)

		By("losing what the other writer had, and then the rest")
		write(nil)
		has(names[0], v1alpha1.BundleEndpoints)
		restart(func(o *managedcluster.Options) { o.AdvertiseURL, o.AdvertiseCA = "", nil })
		has(names[0], "no bundle")
	}, SpecTimeout(3*time.Minute))
})
