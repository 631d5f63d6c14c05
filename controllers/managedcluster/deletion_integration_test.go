// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

func remove(ctx context.Context, name string) {
	ExpectWithOffset(1, admin.Delete(ctx, &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
}

func gone(ctx context.Context, name string) AsyncAssertion {
	return Eventually(exists).WithOffset(1).WithArguments(ctx, name)
}

// leftovers returns which of the hub's objects still exist.
func leftovers(ctx context.Context, name string) ([]string, error) {
	var out []string
	for kind, object := range objectsOf(name) {
		err := admin.Get(ctx, client.ObjectKeyFromObject(object), object)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err == nil {
			out = append(out, kind)
		}
	}
	return out, nil
}

var _ = Describe("deletion", func() {
	timeout := func(seconds int32) func(*atlhyperac.ManagedClusterSpecApplyConfiguration) {
		return func(s *atlhyperac.ManagedClusterSpecApplyConfiguration) {
			s.WithDeletionPolicy(atlhyperac.ClusterDeletionPolicy().WithTimeoutSeconds(seconds))
		}
	}

	It("does not wait for a cluster that never joined, and leaves nothing", func(ctx SpecContext) {
		create(ctx, "unborn")
		provisioned(ctx, "unborn")
		remove(ctx, "unborn")
		gone(ctx, "unborn").Should(BeFalse())
		Eventually(leftovers).WithArguments(ctx, "unborn").Should(BeEmpty())
	})

	It("waits for a connected agent to say goodbye", func(ctx SpecContext) {
		create(ctx, "online")
		provisioned(ctx, "online")
		a := join(ctx, "online", uidA, "n")
		eventually(ctx, "online", v1alpha1.ClusterConditionConnected).Should(Equal("True/LeaseRenewed"))
		remove(ctx, "online")
		eventually(ctx, "online", v1alpha1.ClusterConditionDeleting).Should(Equal("True/WaitingForAgent"))
		a.renew(ctx)
		Consistently(func() string { return condition(ctx, "online", v1alpha1.ClusterConditionDeleting) }, 2*time.Second).
			Should(Equal("True/WaitingForAgent"))
		Expect(a.lockedOut(ctx)).To(BeFalse())
		a.patchLease(ctx, "", "")
		gone(ctx, "online").Should(BeFalse())
		Eventually(leftovers).WithArguments(ctx, "online").Should(BeEmpty())
		Eventually(a.lockedOut).WithArguments(ctx).Should(BeTrue())
	})

	It("does not wait for an agent that falls silent", func(ctx SpecContext) {
		create(ctx, "offline")
		provisioned(ctx, "offline")
		join(ctx, "offline", uidA, "n")
		eventually(ctx, "offline", v1alpha1.ClusterConditionConnected).Should(Equal("True/LeaseRenewed"))
		began := time.Now()
		remove(ctx, "offline")
		eventually(ctx, "offline", v1alpha1.ClusterConditionDeleting).Should(Equal("True/WaitingForAgent"))
		gone(ctx, "offline").WithTimeout(time.Minute).Should(BeFalse())
		// Some seconds are the API server's, which has a namespace to empty. The
		// deadline would be after minutes.
		Expect(time.Since(began)).To(BeNumerically("<", time.Minute))
	})

	It("ends at the deadline, whatever remains", func(ctx SpecContext) {
		create(ctx, "stuck", timeout(8))
		provisioned(ctx, "stuck")
		ns := &corev1.Namespace{}
		key := types.NamespacedName{Namespace: clusterNamespace("stuck"), Name: "keeps-the-namespace"}
		keeper := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Finalizers: []string{"example.com/keep"}}}
		Expect(admin.Create(ctx, keeper)).To(Succeed())
		began := time.Now()
		remove(ctx, "stuck")
		eventually(ctx, "stuck", v1alpha1.ClusterConditionDeleting).Should(Equal("True/RemovingNamespace"))
		gone(ctx, "stuck").Should(BeFalse())
		Expect(time.Since(began)).To(And(BeNumerically(">", 6500*time.Millisecond), BeNumerically("<", 20*time.Second)))
		Expect(admin.Get(ctx, types.NamespacedName{Name: key.Namespace}, ns)).To(Succeed())

		By("not letting a new cluster of the same name use the old namespace")
		create(ctx, "stuck")
		eventually(ctx, "stuck", v1alpha1.ConditionReady).Should(Equal("False/Provisioning"))
		Expect(condition(ctx, "stuck", v1alpha1.ConditionReconciling)).To(Equal("True/Provisioning"))
		Expect(admin.Patch(ctx, keeper, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
		eventually(ctx, "stuck", v1alpha1.ConditionReady).Should(Equal("True/Provisioned"))
	}, SpecTimeout(3*time.Minute))

	It("skips every wait when forced", func(ctx SpecContext) {
		create(ctx, "forced")
		provisioned(ctx, "forced")
		a := join(ctx, "forced", uidA, "n")
		eventually(ctx, "forced", v1alpha1.ClusterConditionConnected).Should(Equal("True/LeaseRenewed"))
		defer a.beat(ctx)() // an agent that stays would be waited for until the deadline
		remove(ctx, "forced")
		eventually(ctx, "forced", v1alpha1.ClusterConditionDeleting).Should(Equal("True/WaitingForAgent"))
		force := []byte(`{"metadata":{"annotations":{"atlhyper.io/force-delete":"true"}}}`)
		Expect(admin.Patch(ctx, read(ctx, "forced"), client.RawPatch(types.MergePatchType, force))).To(Succeed())
		gone(ctx, "forced").Should(BeFalse())
		Eventually(leftovers).WithArguments(ctx, "forced").Should(BeEmpty())
		Eventually(a.lockedOut).WithArguments(ctx).Should(BeTrue())
	})
})
