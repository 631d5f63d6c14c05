// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// limitedRole allows everything with clusters and nothing else.
func limitedRole() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "limited"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupName}, Resources: []string{"managedclusters"}, Verbs: []string{"*"}}},
	}
}

func limitedBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "limited"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "limited"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "limited"}},
	}
}

// asReported gives a cluster the status that a healthy one has.
func asReported(c *v1alpha1.ManagedCluster) { c.Status = member(c.Name).Status }

func unaccepted(c *v1alpha1.ManagedCluster) { c.Spec.Accepted = new(false) }

var _ = Describe("accept", func() {
	It("admits the named clusters, once", func(ctx SpecContext) {
		createCluster(ctx, "new-1", unaccepted)
		createCluster(ctx, "new-2", unaccepted)
		setStatus(ctx, "new-2", func(c *v1alpha1.ManagedCluster) { c.Status.ClusterID = "0f6f5b3e-8f5b-4b6a-9d0e-3a1d2c4b5a69" })

		first := atlhyper(ctx, "accept", "new-1", "missing", "new-2")
		Expect(first.code).To(Equal(ExitFailure))
		Expect(first.out).To(Equal("managedcluster/new-1 accepted\n" +
			"managedcluster/new-2 accepted, cluster ID 0f6f5b3e-8f5b-4b6a-9d0e-3a1d2c4b5a69\n"))
		Expect(first.errOut).To(ContainSubstring(`managedcluster "missing" does not exist`))
		cluster := read(ctx, "new-1")
		Expect(cluster.Spec.Accepted).To(HaveValue(BeTrue()))
		Expect(cluster.ManagedFields).To(ContainElement(HaveField("Manager", FieldManager)))

		again := atlhyper(ctx, "accept", "new-1")
		Expect(again).To(Equal(result{out: "managedcluster/new-1 accepted (unchanged)\n"}))
		Expect(read(ctx, "new-1").ResourceVersion).To(Equal(cluster.ResourceVersion))
	}, SpecTimeout(3*time.Minute))

	It("admits all that wait, but none that was denied", func(ctx SpecContext) {
		createCluster(ctx, "waits", unaccepted)
		createCluster(ctx, "refused", unaccepted)
		setStatus(ctx, "refused", condition(v1alpha1.ClusterConditionAccepted, metav1.ConditionFalse, v1alpha1.ClusterReasonDenied, "", 0))
		Expect(atlhyper(ctx, "accept", "--all-pending")).To(Equal(result{out: "managedcluster/waits accepted\n"}))
		Expect(read(ctx, "refused").Spec.Accepted).To(HaveValue(BeFalse()))
		Expect(atlhyper(ctx, "accept", "--all-pending")).To(Equal(result{errOut: "No cluster waits for approval.\n"}))
	}, SpecTimeout(3*time.Minute))

	It("warns when a GitOps tool holds the opposite", func(ctx SpecContext) {
		desired := atlhyperac.ManagedCluster("from-git").WithSpec(atlhyperac.ManagedClusterSpec().WithAccepted(false))
		Expect(hubClient.Apply(ctx, desired, client.FieldOwner("argocd-controller"))).To(Succeed())
		removeAfterwards("from-git")
		accepted := atlhyper(ctx, "accept", "from-git")
		Expect(accepted.code).To(Equal(ExitOK))
		Expect(accepted.errOut).To(ContainSubstring("argocd-controller applies spec.accepted of from-git"))
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("status", func() {
	It("shows the fleet as text and as data, and judges it", func(ctx SpecContext) {
		production := func(c *v1alpha1.ManagedCluster) { c.Labels = map[string]string{"env": "production"} }
		createCluster(ctx, "s-fine", production)
		createCluster(ctx, "s-down", nil)
		setStatus(ctx, "s-fine", asReported)
		setStatus(ctx, "s-down", asReported, unavailable)

		text := atlhyper(ctx, "status")
		Expect(text.code).To(Equal(ExitOK), text.errOut)
		Expect(text.out).To(MatchRegexp(`(?s)^2 clusters: 1 available, 1 unavailable, 0 unknown
nodes 6/6 ready, pods 80/84 running, 1 cluster with old figures

NAME +AVAILABLE +REASON +SINCE +VERSION +NODES +PODS +CPU +MEM +AGENT +LAST-SEEN
s-down +False +LivezFailed +\d+s +v1.37.2 +3/3 +40/42 +38% +67% +v0.1.0 +\d+s
s-fine +True +- +\d+s +v1.37.2 +3/3 +40/42 +38% +67% +v0.1.0 +\d+s

Needs attention:
  s-down  LivezFailed \(\d+s\): /livez`))

		var fleet FleetStatus
		data := atlhyper(ctx, "status", "-o", "json")
		Expect(json.Unmarshal([]byte(data.out), &fleet)).To(Succeed())
		Expect(fleet.Summary).To(SatisfyAll(HaveField("Available", 1), HaveField("Unavailable", 1)))
		Expect(fleet.Clusters).To(HaveExactElements(HaveField("Name", "s-down"), HaveField("Name", "s-fine")))

		judged := atlhyper(ctx, "status", "--exit-code")
		Expect(judged.code).To(Equal(ExitFailure))
		Expect(judged.errOut).To(BeEmpty())
		selected := atlhyper(ctx, "status", "-l", "env=production", "--exit-code")
		Expect(selected.code).To(Equal(ExitOK), selected.errOut)
		Expect(selected.out).NotTo(ContainSubstring("s-down"))
		named := atlhyper(ctx, "status", "s-fine")
		Expect(named.out).To(HavePrefix("1 cluster: 1 available"))
		missing := atlhyper(ctx, "status", "s-fine", "s-none")
		Expect(missing.code).To(Equal(ExitFailure))
		Expect(missing.errOut).To(ContainSubstring(`managedcluster "s-none" does not exist`))
	}, SpecTimeout(3*time.Minute))

	It("says that there is nothing yet", func(ctx SpecContext) {
		Expect(atlhyper(ctx, "status", "--exit-code").out).To(HavePrefix("The fleet has no clusters."))
	}, SpecTimeout(3*time.Minute))

	It("completes names of clusters", func(ctx SpecContext) {
		createCluster(ctx, "c-one", nil)
		createCluster(ctx, "c-two", nil)
		Expect(atlhyper(ctx, "__complete", "status", "c-one", "").out).To(HavePrefix("c-two\n:4"))
		Expect(atlhyper(ctx, "__complete", "join", "c-one", "").out).To(HavePrefix(":4"))
		Expect(atlhyper(ctx, "__complete", "join", "x", "--context", "").out).To(HavePrefix("hub\n:4"))
	}, SpecTimeout(3*time.Minute))

	It("follows changes, also across an outage of the API server", func(ctx SpecContext) {
		createCluster(ctx, "w-one", nil)
		createCluster(ctx, "w-two", nil)
		createCluster(ctx, "w-other", nil)
		out := gbytes.NewBuffer()
		followCtx, interrupt := context.WithCancel(ctx)
		defer interrupt()
		codes := make(chan int, 1)
		go func() {
			streams := genericiooptions.IOStreams{Out: out, ErrOut: GinkgoWriter}
			codes <- Run(followCtx, streams, []string{"--kubeconfig", hub.Kubeconfig(), "status", "w-one", "w-two", "--watch", "--exit-code"})
		}()
		Eventually(out).Should(gbytes.Say(`2 clusters: 0 available, 0 unavailable, 2 unknown`))
		setStatus(ctx, "w-one", asReported)
		Eventually(out).Should(gbytes.Say(`2 clusters: 1 available, 0 unavailable, 1 unknown`))

		hub.APIServer().Kill()
		restarted := false
		defer func() {
			if !restarted {
				Expect(hub.StartAPIServer(ctx)).To(Succeed())
			}
		}()
		Eventually(out).Should(gbytes.Say(`NOT CONNECTED to the hub`))
		Eventually(out).Should(gbytes.Say(`2 clusters: 1 available, 0 unavailable, 1 unknown`))
		restarted = true
		Expect(hub.StartAPIServer(ctx)).To(Succeed())
		setStatus(ctx, "w-two", asReported)
		Eventually(out, time.Minute).Should(gbytes.Say(`2 clusters: 2 available, 0 unavailable, 0 unknown`))

		interrupt()
		Eventually(codes).Should(Receive(Equal(ExitOK)))
	}, SpecTimeout(3*time.Minute))
})
