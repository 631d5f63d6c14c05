// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers/managedcluster"
)

// objectsOf returns empty objects with the keys of what the hub makes.
func objectsOf(name string) map[string]client.Object {
	ns := clusterNamespace(name)
	local := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns, Name: name} }
	global := metav1.ObjectMeta{Name: managedcluster.ClusterRoleName(name)}
	return map[string]client.Object{
		"ManagedCluster":     &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}},
		"Namespace":          &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}},
		"ServiceAccount":     &corev1.ServiceAccount{ObjectMeta: local("agent")},
		"Secret":             &corev1.Secret{ObjectMeta: local("agent-session")},
		"Lease":              &coordinationv1.Lease{ObjectMeta: local("agent")},
		"ConfigMap":          &corev1.ConfigMap{ObjectMeta: local("agent-bundle")},
		"Role":               &rbacv1.Role{ObjectMeta: local("agent")},
		"RoleBinding":        &rbacv1.RoleBinding{ObjectMeta: local("agent")},
		"ClusterRole":        &rbacv1.ClusterRole{ObjectMeta: global},
		"ClusterRoleBinding": &rbacv1.ClusterRoleBinding{ObjectMeta: global},
	}
}

// versions reads the resource versions of everything the hub makes.
func versions(ctx context.Context, name string) map[string]string {
	out := map[string]string{}
	for kind, object := range objectsOf(name) {
		ExpectWithOffset(1, admin.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed(), kind)
		out[kind] = object.GetResourceVersion()
	}
	return out
}

var _ = Describe("provisioning", func() {
	It("makes the objects of the contract", func(ctx SpecContext) {
		create(ctx, "made")
		provisioned(ctx, "made")
		mc := read(ctx, "made")
		Expect(mc.Status.Namespace).To(Equal("atlhyper-cluster-made"))
		Expect(*mc.Status.ObservedGeneration).To(Equal(mc.Generation))
		Expect(mc.Finalizers).To(ConsistOf(v1alpha1.FinalizerCluster))
		Expect(condition(ctx, "made", v1alpha1.ClusterConditionAccepted)).To(Equal("True/Accepted"))
		Expect(condition(ctx, "made", v1alpha1.ClusterConditionConnected)).To(Equal("Unknown/NeverJoined"))
		Expect(condition(ctx, "made", v1alpha1.ClusterConditionAvailable)).To(Equal("Unknown/NeverJoined"))
		Expect(condition(ctx, "made", v1alpha1.ClusterConditionAgentCompatible)).To(Equal("Unknown/NotReported"))
		for _, absent := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ClusterConditionDeleting} {
			Expect(condition(ctx, "made", absent)).To(BeEmpty(), absent)
		}

		objects := objectsOf("made")
		for kind, object := range objects {
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed(), kind)
			if kind != "ManagedCluster" {
				Expect(object.GetLabels()).To(And(
					HaveKeyWithValue("atlhyper.io/cluster", "made"),
					HaveKeyWithValue("app.kubernetes.io/managed-by", "atlhyper-hub")), kind)
			}
		}
		Expect(metav1.IsControlledBy(objects["Namespace"], mc)).To(BeTrue())
		Expect(*objects["ServiceAccount"].(*corev1.ServiceAccount).AutomountServiceAccountToken).To(BeFalse())
		session := objects["Secret"].(*corev1.Secret)
		Expect(session.Type).To(Equal(corev1.SecretTypeOpaque))
		Expect(session.Data).To(BeEmpty())
		var bundle struct{ Endpoints []map[string]string }
		Expect(json.Unmarshal([]byte(objects["ConfigMap"].(*corev1.ConfigMap).Data["endpoints.json"]), &bundle)).To(Succeed())
		Expect(bundle.Endpoints).To(ConsistOf(map[string]string{"url": plane.Config().Host, "ca": string(plane.CA())}))
		Expect(objects["Role"].(*rbacv1.Role).Rules).To(ConsistOf(
			rbacv1.PolicyRule{APIGroups: []string{"atlhyper.io"}, Resources: []string{"remotecommands"}, Verbs: []string{"get", "list", "watch"}},
			rbacv1.PolicyRule{APIGroups: []string{"atlhyper.io"}, Resources: []string{"remotecommands/status"}, Verbs: []string{"get", "patch"}},
			rbacv1.PolicyRule{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"agent"}, Verbs: []string{"get", "patch", "update"}},
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{"agent"}, Verbs: []string{"create"}},
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"agent-bundle"}, Verbs: []string{"get", "list", "watch"}},
		))
		Expect(objects["ClusterRole"].(*rbacv1.ClusterRole).Rules).To(ConsistOf(
			rbacv1.PolicyRule{APIGroups: []string{"atlhyper.io"}, Resources: []string{"managedclusters"}, ResourceNames: []string{"made"}, Verbs: []string{"get", "list", "watch"}},
			rbacv1.PolicyRule{APIGroups: []string{"atlhyper.io"}, Resources: []string{"managedclusters/status"}, ResourceNames: []string{"made"}, Verbs: []string{"get", "patch"}},
		))
		subject := ConsistOf(rbacv1.Subject{Kind: "ServiceAccount", Name: "agent", Namespace: "atlhyper-cluster-made"})
		Expect(objects["RoleBinding"].(*rbacv1.RoleBinding).Subjects).To(subject)
		Expect(objects["ClusterRoleBinding"].(*rbacv1.ClusterRoleBinding).Subjects).To(subject)
	})

	It("writes nothing when nothing has changed, also after a restart", func(ctx SpecContext) {
		create(ctx, "idle")
		provisioned(ctx, "idle")
		before := versions(ctx, "idle")
		apply(ctx, "idle") // the same again, as a GitOps tool does
		Consistently(versions).WithContext(ctx).WithArguments("idle").WithTimeout(2 * time.Second).Should(Equal(before))
		running.stop()
		running = startHub(ctx)
		Consistently(versions).WithContext(ctx).WithArguments("idle").WithTimeout(4 * time.Second).Should(Equal(before))

		By("still being alive")
		apply(ctx, "idle", func(s *atlhyperac.ManagedClusterSpecApplyConfiguration) {
			s.WithDisplayName("Idle").WithSuspended(true)
		})
		Eventually(func() int64 { return *read(ctx, "idle").Status.ObservedGeneration }).Should(Equal(int64(2)))
		Expect(condition(ctx, "idle", v1alpha1.ConditionReady)).To(Equal("True/Provisioned"))
	}, SpecTimeout(3*time.Minute))

	It("repairs what somebody else deletes or changes", func(ctx SpecContext) {
		create(ctx, "repaired")
		provisioned(ctx, "repaired")
		for kind, object := range objectsOf("repaired") {
			switch kind {
			case "ManagedCluster", "Namespace", "Secret", "ConfigMap":
				continue // the namespace below; Secrets and ConfigMaps are not watched
			}
			Expect(admin.Delete(ctx, object)).To(Succeed(), kind)
			Eventually(func() error { return admin.Get(ctx, client.ObjectKeyFromObject(object), object) }).Should(Succeed(), kind)
		}
		By("taking away rights that somebody added")
		role := &rbacv1.Role{}
		key := types.NamespacedName{Namespace: clusterNamespace("repaired"), Name: "agent"}
		Expect(admin.Get(ctx, key, role)).To(Succeed())
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}})
		Expect(admin.Update(ctx, role)).To(Succeed())
		Eventually(func() []rbacv1.PolicyRule {
			Expect(admin.Get(ctx, key, role)).To(Succeed())
			return role.Rules
		}).Should(HaveLen(5))
		By("coming to rest")
		before := versions(ctx, "repaired")
		Consistently(versions).WithContext(ctx).WithArguments("repaired").WithTimeout(2 * time.Second).Should(Equal(before))
		By("making the namespace again")
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: clusterNamespace("repaired")}}
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(ns), ns)).To(Succeed())
		uid := ns.UID
		Expect(admin.Delete(ctx, ns)).To(Succeed())
		Eventually(func(g Gomega) {
			for kind, object := range objectsOf("repaired") {
				g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed(), kind)
			}
			g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(ns), ns)).To(Succeed())
			g.Expect(ns.UID).NotTo(Equal(uid))
		}, time.Minute).Should(Succeed())
		provisioned(ctx, "repaired")
	}, SpecTimeout(3*time.Minute))

	It("waits for approval, and revokes when it is withdrawn", func(ctx SpecContext) {
		create(ctx, "asked", accepted(false))
		eventually(ctx, "asked", v1alpha1.ConditionReady).Should(Equal("False/AwaitingApproval"))
		Expect(condition(ctx, "asked", v1alpha1.ClusterConditionAccepted)).To(Equal("Unknown/AwaitingApproval"))
		ns := &corev1.Namespace{}
		key := types.NamespacedName{Name: clusterNamespace("asked")}
		Expect(client.IgnoreNotFound(admin.Get(ctx, key, ns))).To(Succeed())
		Expect(ns.Name).To(BeEmpty())
		Expect(read(ctx, "asked").Finalizers).To(BeEmpty())

		By("accepting it")
		apply(ctx, "asked", accepted(true))
		provisioned(ctx, "asked")
		a := join(ctx, "asked", uidA, "n1")
		eventually(ctx, "asked", v1alpha1.ClusterConditionConnected).Should(Equal("True/LeaseRenewed"))
		requestJoin(ctx, "asked", "n2")

		By("denying it")
		apply(ctx, "asked", accepted(false))
		eventually(ctx, "asked", v1alpha1.ConditionReady).Should(Equal("False/Denied"))
		Expect(condition(ctx, "asked", v1alpha1.ClusterConditionAccepted)).To(Equal("False/Denied"))
		Eventually(a.lockedOut).WithArguments(ctx).Should(BeTrue())
		for _, kind := range []string{"Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} {
			object := objectsOf("asked")[kind]
			Expect(client.IgnoreNotFound(admin.Get(ctx, client.ObjectKeyFromObject(object), object))).To(Succeed())
			Expect(object.GetUID()).To(BeEmpty(), kind)
		}
		secret := &corev1.Secret{}
		Expect(client.IgnoreNotFound(admin.Get(ctx, joinKey("asked"), secret))).To(Succeed())
		Expect(secret.Name).To(BeEmpty())

		By("accepting it again, which does not revive old tokens")
		apply(ctx, "asked", accepted(true))
		provisioned(ctx, "asked")
		// The API server believes in a token that it has seen for 10 s more.
		Eventually(a.lockedOut).WithArguments(ctx).Should(BeTrue())
		Consistently(a.lockedOut).WithArguments(ctx).WithTimeout(time.Second).Should(BeTrue())
		again := join(ctx, "asked", uidA, "n3")
		Expect(again.lockedOut(ctx)).To(BeFalse())
	}, SpecTimeout(3*time.Minute))
})
