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
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers/managedcluster"
)

func joinSecretExists(ctx context.Context, cluster string) (bool, error) {
	err := admin.Get(ctx, joinKey(cluster), &corev1.Secret{})
	return err == nil, client.IgnoreNotFound(err)
}

var _ = Describe("joining", func() {
	It("answers a request once, with a token that ends when it was used", func(ctx SpecContext) {
		create(ctx, "joins")
		provisioned(ctx, "joins")
		secret := requestJoin(ctx, "joins", "first")
		Expect(secret.Type).To(Equal(corev1.SecretTypeOpaque))
		Expect(secret.Data).To(And(
			HaveKeyWithValue("cluster", []byte("joins")), HaveKeyWithValue("join-id", []byte("first")),
			HaveKeyWithValue("hub-url", []byte(plane.Config().Host)), HaveKeyWithValue("hub-ca.crt", plane.CA())))
		expires, err := time.Parse(time.RFC3339, secret.Annotations[v1alpha1.AnnotationJoinExpires])
		Expect(err).NotTo(HaveOccurred())
		Expect(expires).To(BeTemporally("~", time.Now().Add(time.Hour), time.Minute))

		token := string(secret.Data[v1alpha1.CredentialToken])
		a := &agent{cluster: "joins", uid: uidA}
		a.exchange(ctx, token)
		a.patchLease(ctx, uidA+"/test", "first")
		Eventually(joinSecretExists).WithArguments(ctx, "joins").Should(BeFalse())
		Eventually(func() string { return read(ctx, "joins").Status.ClusterID }).Should(Equal(uidA))

		By("not making another for the same request")
		Consistently(joinSecretExists).WithContext(ctx).WithArguments("joins").WithTimeout(time.Second).Should(BeFalse())

		By("ending the token, but not the session")
		bootstrap, err := kubernetes.NewForConfig(withToken(token))
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() bool {
			_, err := bootstrap.Discovery().ServerVersion()
			_, err2 := bootstrap.CoreV1().ConfigMaps(clusterNamespace("joins")).List(ctx, listOptions())
			return apierrors.IsUnauthorized(err) || apierrors.IsUnauthorized(err2)
		}).Should(BeTrue())
		Expect(a.lockedOut(ctx)).To(BeFalse())

		By("answering the next one")
		requestJoin(ctx, "joins", "second")
	}, SpecTimeout(3*time.Minute))

	It("does not answer a request again whose Secret was deleted, also after a restart", func(ctx SpecContext) {
		create(ctx, "once")
		provisioned(ctx, "once")
		secret := requestJoin(ctx, "once", "only")
		Expect(admin.Delete(ctx, secret)).To(Succeed())
		running.stop()
		running = startHub(ctx)
		Consistently(joinSecretExists).WithContext(ctx).WithArguments("once").WithTimeout(4 * time.Second).Should(BeFalse())
	}, SpecTimeout(3*time.Minute))

	It("replaces a Secret by one for a newer request, which ends the old token", func(ctx SpecContext) {
		create(ctx, "twice")
		provisioned(ctx, "twice")
		first := requestJoin(ctx, "twice", "one")
		second := requestJoin(ctx, "twice", "two")
		Expect(second.UID).NotTo(Equal(first.UID))
		old, err := kubernetes.NewForConfig(withToken(string(first.Data[v1alpha1.CredentialToken])))
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() bool {
			_, err := old.CoreV1().ConfigMaps(clusterNamespace("twice")).List(ctx, listOptions())
			return apierrors.IsUnauthorized(err)
		}).Should(BeTrue())
	}, SpecTimeout(3*time.Minute))

	It("withdraws a token that has expired", func(ctx SpecContext) {
		create(ctx, "late")
		provisioned(ctx, "late")
		requestJoin(ctx, "late", "slow")
		By("setting back the time that the hub remembers, as if an hour had passed")
		ns := &corev1.Namespace{}
		// A hub that is stopped before it remembers would answer the request again.
		Eventually(func() map[string]string {
			Expect(admin.Get(ctx, types.NamespacedName{Name: clusterNamespace("late")}, ns)).To(Succeed())
			return ns.Annotations
		}).Should(HaveKeyWithValue(managedcluster.AnnotationJoinAnswered, "slow"))
		running.stop()
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(ns), ns)).To(Succeed())
		expires := time.Now().Add(5 * time.Second)
		ns.Annotations[v1alpha1.AnnotationJoinExpires] = expires.UTC().Format(time.RFC3339)
		Expect(admin.Update(ctx, ns)).To(Succeed())
		running = startHub(ctx)
		Eventually(joinSecretExists).WithArguments(ctx, "late").Should(BeFalse())
		Expect(time.Now()).To(BeTemporally(">=", expires.Truncate(time.Second)), "it was withdrawn before it expired")
		Eventually(func() map[string]string {
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(ns), ns)).To(Succeed())
			return ns.Annotations
		}).ShouldNot(HaveKey(v1alpha1.AnnotationJoinExpires))
	}, SpecTimeout(3*time.Minute))
})
