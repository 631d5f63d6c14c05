// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("ManagedCluster", func() {
	It("has its defaults", func(ctx SpecContext) {
		cluster := &v1alpha1.ManagedCluster{
			ObjectMeta: metav1.ObjectMeta{Name: "defaults"},
			Spec:       v1alpha1.ManagedClusterSpec{DisplayName: "Defaults"},
		}
		Expect(kube.Create(ctx, cluster)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, cluster)).To(Succeed()) })
		Expect(cluster.Spec.Accepted).To(HaveValue(BeTrue()))
		Expect(cluster.Spec.Suspended).To(HaveValue(BeFalse()))
		Expect(cluster.Status.ObservedGeneration).To(HaveValue(Equal(int64(-1))))
		Expect(cluster.Status.Conditions).To(BeEmpty())
	})

	// A default for the whole spec would belong to the manager "before-first-apply"
	// when an object without any field is applied twice, and denying the cluster
	// would then be a conflict.
	It("can be denied by applying it after a spec that says nothing", func(ctx SpecContext) {
		apply := func(spec map[string]any) *unstructured.Unstructured {
			object := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": v1alpha1.GroupVersion.String(), "kind": "ManagedCluster", "metadata": map[string]any{"name": "bare"},
			}}
			if spec != nil {
				object.Object["spec"] = spec
			}
			Expect(kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("gitops"))).To(Succeed())
			return object
		}
		bare := apply(nil)
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, bare)).To(Succeed()) })
		apply(nil)
		accepted, _, err := unstructured.NestedBool(apply(map[string]any{"accepted": false}).Object, "spec", "accepted")
		Expect(err).NotTo(HaveOccurred())
		Expect(accepted).To(BeFalse())
	})

	It("may have a name of as many characters as the hub's namespace leaves", func(ctx SpecContext) {
		Expect(v1alpha1.ClusterNameMaxLength).To(Equal(46))
		name := strings.Repeat("x", v1alpha1.ClusterNameMaxLength)
		cluster := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		Expect(kube.Create(ctx, cluster, client.DryRunAll)).To(Succeed())
		Expect(v1alpha1.ClusterNamespacePrefix + name).To(HaveLen(63))
	})

	DescribeTable("refuses the name", func(ctx SpecContext, name, message string) {
		cluster := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		err := kube.Create(ctx, cluster, client.DryRunAll)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(message))
	},
		Entry("of 47 characters", strings.Repeat("x", 47), "the name may have at most 46 characters, because the cluster's namespace is atlhyper-cluster-NAME"),
		Entry("of 64 characters", strings.Repeat("x", 64), "the name may have at most 46 characters"),
		Entry("in upper case", "Prod", "a lowercase RFC 1123 subdomain must consist of"),
		Entry("with dots", "prod.eu", "the name may not contain dots, because it is part of the name of a namespace"),
		Entry("with an underscore", "prod_eu", "a lowercase RFC 1123 subdomain must consist of"),
	)

	DescribeTable("refuses", func(ctx SpecContext, patch, message string) {
		expectRejected(ctx, "ManagedCluster", "prod-eu-1", patch, message)
	},
		Entry("an expected identity that is no UID", `{spec: {expectedClusterID: prod}}`, "spec.expectedClusterID"),
		Entry("an empty display name", `{spec: {displayName: ""}}`, "spec.displayName: Invalid value"),
		Entry("a heartbeat too fast", `{spec: {heartbeat: {periodSeconds: 1}}}`, "spec.heartbeat.periodSeconds in body should be greater than or equal to 5"),
		Entry("a heartbeat too slow", `{spec: {heartbeat: {periodSeconds: 601}}}`, "should be less than or equal to 600"),
		Entry("a single miss", `{spec: {heartbeat: {missesBeforeUnavailable: 1}}}`, "should be greater than or equal to 2"),
		Entry("an action that does not exist", `{spec: {remoteCommands: {allowedActions: [Reboot]}}}`, `Unsupported value: "Reboot"`),
		Entry("the same action twice", `{spec: {remoteCommands: {allowedActions: [Scale, Scale]}}}`, "Duplicate value"),
		Entry("a pattern with a star inside", `{spec: {remoteCommands: {allowedNamespaces: ["shop-*-eu"]}}}`, "spec.remoteCommands.allowedNamespaces[0]"),
		Entry("a selector that is not used", `{spec: {allowedNamespaces: {from: All}}}`, "selector is required when from is Selector, and allowed only then"),
		Entry("a missing selector", `{spec: {allowedNamespaces: {selector: null}}}`, "selector is required when from is Selector, and allowed only then"),
		Entry("an unknown permission", `{spec: {protection: {deletion: Maybe}}}`, `Unsupported value: "Maybe"`),
		Entry("an endless deletion", `{spec: {deletionPolicy: {timeoutSeconds: 86400}}}`, "should be less than or equal to 3600"),
	)
})
