// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func memberSecret(ctx context.Context, name string) *corev1.Secret {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(memberClient.Get(ctx, client.ObjectKey{Namespace: v1alpha1.MemberNamespace, Name: name}, secret)).To(Succeed())
	return secret
}

// storeSession writes the session as the agent does: with its identity, by a patch.
func storeSession(ctx context.Context, token string) {
	GinkgoHelper()
	config := memberPlane.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + v1alpha1.MemberNamespace + ":" + v1alpha1.MemberAgent}
	agent, err := client.New(config, client.Options{Scheme: testScheme})
	Expect(err).NotTo(HaveOccurred())
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: v1alpha1.MemberNamespace, Name: v1alpha1.MemberSessionSecret}
	// Roles reach the authorizer through its informers, a moment after they were applied.
	Eventually(func() error { return agent.Get(ctx, key, secret) }).Should(Succeed())
	base := secret.DeepCopy()
	secret.Data = map[string][]byte{v1alpha1.CredentialToken: []byte(token)}
	Expect(agent.Patch(ctx, secret, client.MergeFrom(base), client.FieldOwner(v1alpha1.FieldOwnerAgent))).To(Succeed())
}

var _ = Describe("join", func() {
	It("prints manifests that a member accepts again and again without losing its session", func(ctx SpecContext) {
		removeAfterwards("east")
		first := playHub(ctx, "east", "first-token", "", nil)
		joined := atlhyper(ctx, "join", "east", "--create", "--agent-image", "registry.example.com/agent:v9")
		Expect(joined.code).To(Equal(ExitOK), joined.errOut)
		nonce := <-first
		Expect(read(ctx, "east").Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationJoinRequest, nonce))
		Expect(joined.errOut).To(SatisfyAll(
			ContainSubstring("managedcluster/east created"),
			ContainSubstring("is an address of this machine; if the member cannot reach it, pass --hub-url"),
			ContainSubstring("valid until 2030-01-02T03:04:05Z"),
			ContainSubstring("kubectl atlhyper join east | kubectl --context MEMBER apply -f -"),
			Not(ContainSubstring("first-token")), Not(ContainSubstring("Zmlyc3QtdG9rZW4")), Not(ContainSubstring(nonce)),
		))

		By("applying it")
		kubectl(ctx, joined.out, "apply", "-f", "-")
		secret := memberSecret(ctx, v1alpha1.MemberJoinSecret)
		Expect(secret.Data).To(Equal(map[string][]byte{
			v1alpha1.CredentialCluster: []byte("east"), v1alpha1.CredentialHubURL: []byte(hub.Config().Host),
			v1alpha1.CredentialHubCA: hub.CA(), v1alpha1.CredentialToken: []byte("first-token"),
			v1alpha1.CredentialJoinID: []byte(nonce),
		}))
		Expect(kubectl(ctx, "", "get", "deployment", "-n", v1alpha1.MemberNamespace, v1alpha1.MemberAgent, "-o", "jsonpath={..image}")).
			To(Equal("registry.example.com/agent:v9"))
		storeSession(ctx, "the session")

		By("applying it again")
		Expect(kubectl(ctx, joined.out, "apply", "-f", "-")).NotTo(ContainSubstring("configured"))
		Expect(memberSecret(ctx, v1alpha1.MemberSessionSecret).Data).To(HaveKeyWithValue(v1alpha1.CredentialToken, []byte("the session")))

		By("joining again")
		second := playHub(ctx, "east", "second-token", nonce, nil)
		again := atlhyper(ctx, "join", "east", "-o", "json")
		Expect(again.code).To(Equal(ExitOK), again.errOut)
		Expect(<-second).NotTo(Equal(nonce))
		Expect(again.out).NotTo(ContainSubstring("Zmlyc3QtdG9rZW4"))
		kubectl(ctx, again.out, "apply", "-f", "-")
		Expect(memberSecret(ctx, v1alpha1.MemberJoinSecret).Data).To(HaveKeyWithValue(v1alpha1.CredentialToken, []byte("second-token")))
		Expect(memberSecret(ctx, v1alpha1.MemberSessionSecret).Data).To(HaveKeyWithValue(v1alpha1.CredentialToken, []byte("the session")))

		By("changing to server-side apply")
		kubectl(ctx, again.out, "apply", "--server-side", "--force-conflicts", "-f", "-")
		Expect(memberSecret(ctx, v1alpha1.MemberSessionSecret).Data).To(HaveKeyWithValue(v1alpha1.CredentialToken, []byte("the session")))

		By("installing by server-side apply from the beginning")
		kubectl(ctx, "", "delete", "secret", "-n", v1alpha1.MemberNamespace, v1alpha1.MemberSessionSecret)
		kubectl(ctx, again.out, "apply", "--server-side", "-f", "-")
		Expect(memberSecret(ctx, v1alpha1.MemberSessionSecret).Data).To(BeEmpty())
		storeSession(ctx, "a newer session")
		kubectl(ctx, again.out, "apply", "--server-side", "-f", "-")
		Expect(memberSecret(ctx, v1alpha1.MemberSessionSecret).Data).To(Equal(map[string][]byte{v1alpha1.CredentialToken: []byte("a newer session")}))
	}, SpecTimeout(2*time.Minute))

	It("prints the Secret alone into a private file, with the advertised address", func(ctx SpecContext) {
		createCluster(ctx, "west", nil)
		answered := playHub(ctx, "west", "token", "", map[string][]byte{
			v1alpha1.CredentialHubURL: []byte("https://hub.example.com"), v1alpha1.CredentialHubCA: []byte("advertised"),
		})
		file := filepath.Join(GinkgoT().TempDir(), "join.yaml")
		joined := atlhyper(ctx, "join", "west", "--only-secret", "--output-file", file)
		Expect(joined.code).To(Equal(ExitOK), joined.errOut)
		Expect(joined.out).To(BeEmpty())
		Expect(joined.errOut).To(SatisfyAll(
			Not(ContainSubstring("warning")), ContainSubstring("kubectl --context MEMBER apply -f "+file)))
		info, err := os.Stat(file)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
		kubectl(ctx, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+v1alpha1.MemberNamespace+"}", "apply", "-f", "-")
		Expect(kubectl(ctx, "", "apply", "-f", file)).To(MatchRegexp(`^secret/atlhyper-agent-join (created|configured)\n$`))
		Expect(memberSecret(ctx, v1alpha1.MemberJoinSecret).Data).To(Equal(map[string][]byte{
			v1alpha1.CredentialCluster: []byte("west"), v1alpha1.CredentialHubURL: []byte("https://hub.example.com"),
			v1alpha1.CredentialHubCA: []byte("advertised"), v1alpha1.CredentialToken: []byte("token"),
			v1alpha1.CredentialJoinID: []byte(<-answered),
		}))
	}, SpecTimeout(3*time.Minute))

	It("says that no hub runs, and takes its request back", func(ctx SpecContext) {
		createCluster(ctx, "lonely", nil)
		joined := atlhyper(ctx, "join", "lonely", "--timeout", "3s")
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.out).To(BeEmpty())
		Expect(joined.errOut).To(ContainSubstring(`did not answer the join request of managedcluster "lonely" within 3s: ` +
			`no hub has acted on the ManagedCluster yet`))
		Expect(read(ctx, "lonely").Annotations).NotTo(HaveKey(v1alpha1.AnnotationJoinRequest))
	}, SpecTimeout(3*time.Minute))

	It("says which condition is to blame", func(ctx SpecContext) {
		createCluster(ctx, "broken", nil)
		setStatus(ctx, "broken", func(c *v1alpha1.ManagedCluster) { c.Status.ObservedGeneration = new(c.Generation) },
			condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ClusterReasonProvisionFailed, "creating the namespace: quota", 0))
		joined := atlhyper(ctx, "join", "broken", "--timeout", "3s")
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.errOut).To(ContainSubstring("condition Ready is False (ProvisionFailed): creating the namespace: quota"))
	}, SpecTimeout(3*time.Minute))

	It("takes its request back when interrupted", func(ctx SpecContext) {
		createCluster(ctx, "impatient", nil)
		joinCtx, interrupt := context.WithCancel(ctx)
		defer interrupt()
		results := make(chan result, 1)
		go func() { results <- atlhyper(joinCtx, "join", "impatient", "--timeout", "1m") }()
		Eventually(func() map[string]string { return read(ctx, "impatient").Annotations }).Should(HaveKey(v1alpha1.AnnotationJoinRequest))
		interrupt()
		var joined result
		Eventually(results).Should(Receive(&joined))
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.errOut).To(ContainSubstring("waiting for the hub's answer: context canceled"))
		Expect(read(ctx, "impatient").Annotations).NotTo(HaveKey(v1alpha1.AnnotationJoinRequest))
	}, SpecTimeout(3*time.Minute))

	It("shows what to commit when there is no ManagedCluster", func(ctx SpecContext) {
		joined := atlhyper(ctx, "join", "nobody")
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.out).To(BeEmpty())
		Expect(joined.errOut).To(SatisfyAll(
			ContainSubstring("kind: ManagedCluster\nmetadata:\n  name: nobody\n"), ContainSubstring("kubectl atlhyper join nobody --create")))
		Expect(hubClient.Get(ctx, client.ObjectKey{Name: "nobody"}, &v1alpha1.ManagedCluster{})).NotTo(Succeed())
	}, SpecTimeout(3*time.Minute))

	It("leaves the name to the API server's judgement", func(ctx SpecContext) {
		joined := atlhyper(ctx, "join", "a.b", "--create")
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.errOut).To(ContainSubstring("the name may not contain dots"))
	}, SpecTimeout(3*time.Minute))

	It("refuses a cluster that is not accepted and one that is being deleted", func(ctx SpecContext) {
		createCluster(ctx, "stranger", func(c *v1alpha1.ManagedCluster) { c.Spec.Accepted = new(false) })
		joined := atlhyper(ctx, "join", "stranger")
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.errOut).To(ContainSubstring("kubectl atlhyper accept stranger"))
		Expect(read(ctx, "stranger").Annotations).To(BeEmpty())

		createCluster(ctx, "leaving", func(c *v1alpha1.ManagedCluster) { c.Finalizers = []string{v1alpha1.FinalizerCluster} })
		leaving := read(ctx, "leaving")
		Expect(hubClient.Delete(ctx, leaving)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
			Expect(hubClient.Patch(ctx, leaving, patch)).To(Succeed())
		})
		joined = atlhyper(ctx, "join", "leaving")
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.errOut).To(ContainSubstring("is being deleted"))
	}, SpecTimeout(3*time.Minute))

	It("needs no more of Secrets than to list and watch that one, and says at once when it may not", func(ctx SpecContext) {
		createCluster(ctx, "closed", nil)
		role := limitedRole()
		for _, manifest := range []client.Object{role, limitedBinding()} {
			Expect(hubClient.Create(ctx, manifest)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(hubClient.Delete(ctx, manifest)).To(Succeed()) })
		}
		var joined result
		Eventually(func() string {
			joined = atlhyper(ctx, "join", "closed", "--as", "limited", "--timeout", "1m")
			return joined.errOut
		}).Should(ContainSubstring(`reading the Secret agent-join of managedcluster "closed": secrets "agent-join" is forbidden`))
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(read(ctx, "closed").Annotations).NotTo(HaveKey(v1alpha1.AnnotationJoinRequest))

		role.Rules = append(role.Rules, rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{v1alpha1.AgentJoinSecret}, Verbs: []string{"list", "watch"},
		})
		Expect(hubClient.Update(ctx, role)).To(Succeed())
		Eventually(func() string {
			return atlhyper(ctx, "join", "closed", "--as", "limited", "--timeout", "1s").errOut
		}).Should(ContainSubstring("did not answer"))
		playHub(ctx, "closed", "token", "", nil)
		joined = atlhyper(ctx, "join", "closed", "--as", "limited", "--only-secret")
		Expect(joined.code).To(Equal(ExitOK), joined.errOut)
	}, SpecTimeout(3*time.Minute))

	It("says that the context is not a hub's", func(ctx SpecContext) {
		joined := atlhyper(ctx, "join", "x", "--kubeconfig", memberPlane.Kubeconfig())
		Expect(joined.code).To(Equal(ExitFailure))
		Expect(joined.errOut).To(ContainSubstring("is the current context the hub's"))
	}, SpecTimeout(3*time.Minute))
})
