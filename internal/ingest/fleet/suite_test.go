// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package fleet

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/bearer/tokenreview"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/ingest"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

var (
	plane *controlplane.ControlPlane
	admin client.Client
)

func TestFleet(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(40 * time.Second)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	RunSpecs(t, "Fleet")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	log.SetLogger(GinkgoLogr)
	var err error
	// The control plane has to outlive the context of this node.
	plane, err = controlplane.Start(context.WithoutCancel(ctx), controlplane.Options{Dir: GinkgoT().TempDir()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(plane.Stop()).To(Succeed()) })
	_, err = envtest.InstallCRDs(plane.Config(), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("..", "..", "..", "config", "crd", "bases")}, ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	admin, err = client.New(plane.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(5*time.Minute))

// join makes what the hub makes of a ManagedCluster, as far as ingest looks at it.
func join(ctx context.Context, name, uid string) {
	GinkgoHelper()
	ns := v1alpha1.ClusterNamespacePrefix + name
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
	for _, account := range []string{v1alpha1.AgentServiceAccount, "other"} {
		Expect(admin.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: account}})).To(Succeed())
	}
	Expect(admin.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.AgentSessionSecret}})).To(Succeed())
	cluster := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(admin.Create(ctx, cluster)).To(Succeed())
	accept(ctx, name, uid, metav1.ConditionTrue, v1alpha1.ClusterReasonAccepted)
}

func accept(ctx context.Context, name, uid string, status metav1.ConditionStatus, reason string) {
	GinkgoHelper()
	cluster := &v1alpha1.ManagedCluster{}
	Expect(admin.Get(ctx, client.ObjectKey{Name: name}, cluster)).To(Succeed())
	cluster.Status.ClusterID = uid
	meta.SetStatusCondition(&cluster.Status.Conditions, metav1.Condition{Type: v1alpha1.ClusterConditionAccepted, Status: status, Reason: reason})
	Expect(admin.Status().Update(ctx, cluster)).To(Succeed())
}

// agentToken returns a token of a ServiceAccount, bound to the session's Secret.
func agentToken(ctx context.Context, cluster, account string, audiences ...string) string {
	GinkgoHelper()
	ns := v1alpha1.ClusterNamespacePrefix + cluster
	secret := &corev1.Secret{}
	Expect(admin.Get(ctx, client.ObjectKey{Namespace: ns, Name: v1alpha1.AgentSessionSecret}, secret)).To(Succeed())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      audiences,
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Secret", APIVersion: "v1", Name: secret.Name, UID: secret.UID},
	}}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: account}}
	Expect(admin.SubResource("token").Create(ctx, sa, request)).To(Succeed())
	return request.Status.Token
}

var _ = Describe("Ingest with an API server", Ordered, func() {
	members := &switched{}
	stored := &rows{n: map[history.ClusterUID]int{}}
	var send func(token string, first, last uint64) response

	BeforeAll(func(ctx SpecContext) {
		members.use(ManagedClusters{Reader: admin})
		reviews, err := authenticationv1client.NewForConfig(plane.Config())
		Expect(err).NotTo(HaveOccurred())
		send = serve(ctx, ingest.Config{
			Appender: stored, Offsets: stored, Members: members,
			Reviewer: tokenreview.Reviewer{Creator: reviews.TokenReviews(), Audience: v1alpha1.IngestAudience},
		})
		join(ctx, "east", east)
		join(ctx, "west", west)
	})

	It("stores under the pinned ID of the token's cluster", func(ctx SpecContext) {
		expectAcked(send(agentToken(ctx, "east", "agent", v1alpha1.IngestAudience), 1, 3), 3)
		expectAcked(send(agentToken(ctx, "west", "agent", "other", v1alpha1.IngestAudience), 1, 2), 2)
		Expect(stored.of(east)).To(Equal(3))
		Expect(stored.of(west)).To(Equal(2))
	})

	It("refuses tokens for another audience, of another account, and forged ones", func(ctx SpecContext) {
		good := agentToken(ctx, "east", "agent", v1alpha1.IngestAudience)
		for name, token := range map[string]string{
			"the API server's audience": agentToken(ctx, "east", "agent"),
			"another audience":          agentToken(ctx, "east", "agent", "atlhyper-ingest-2"),
			"another account":           agentToken(ctx, "east", "other", v1alpha1.IngestAudience),
			"changed signature":         good[:len(good)-8] + "AAAAAAAA",
			"another cluster's claims":  claiming("west"),
		} {
			By(name)
			expectRefused(send(token, 4, 4), http.StatusUnauthorized, ingest.ReasonUnauthenticated)
		}
		expectAcked(send(good, 4, 4), 4)
	})

	It("follows the ManagedCluster", func(ctx SpecContext) {
		token := agentToken(ctx, "west", "agent", v1alpha1.IngestAudience)
		accept(ctx, "west", west, metav1.ConditionFalse, v1alpha1.ClusterReasonIdentityConflict)
		expectRefused(send(token, 3, 3), http.StatusForbidden, ingest.ReasonIdentityConflict)
		accept(ctx, "west", west, metav1.ConditionUnknown, v1alpha1.ClusterReasonAwaitingApproval)
		expectRefused(send(token, 3, 3), http.StatusForbidden, ingest.ReasonNotAccepted)
		accept(ctx, "west", "", metav1.ConditionTrue, v1alpha1.ClusterReasonAccepted)
		expectRefused(send(token, 3, 3), http.StatusServiceUnavailable, ingest.ReasonIdentityPending)
		accept(ctx, "west", west, metav1.ConditionTrue, v1alpha1.ClusterReasonAccepted)
		expectAcked(send(token, 3, 3), 3)
		Expect(admin.Delete(ctx, &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "west"}})).To(Succeed())
		expectRefused(send(token, 4, 4), http.StatusForbidden, ingest.ReasonClusterUnknown)
	})

	It("goes on with tokens it knows while the API server is away", func(ctx SpecContext) {
		known := agentToken(ctx, "east", "agent", v1alpha1.IngestAudience)
		unknown := agentToken(ctx, "east", "agent", v1alpha1.IngestAudience)
		expectAcked(send(known, 5, 5), 5)
		// An informer's cache outlives the API server.
		members.use(cached{"east": {ClusterID: east, Accepted: true}})
		DeferCleanup(func() { members.use(ManagedClusters{Reader: admin}) })
		plane.CrashAPIServer()
		away := send(unknown, 6, 6)
		expectRefused(away, http.StatusServiceUnavailable, ingest.ReasonAuthUnavailable)
		Expect(away.header.Get("Retry-After")).NotTo(BeEmpty())
		expectAcked(send(known, 6, 6), 6)
		Expect(plane.StartAPIServer(context.WithoutCancel(ctx))).To(Succeed())
		Eventually(func() int { return send(unknown, 7, 7).status }).Should(Equal(http.StatusOK))
	}, NodeTimeout(4*time.Minute))

	It("ends revoked sessions and deleted accounts within 60 seconds", func(ctx SpecContext) {
		join(ctx, "north", "7c0e1f0a-0000-4000-8000-00000000000c")
		revoked := agentToken(ctx, "east", "agent", v1alpha1.IngestAudience)
		deleted := agentToken(ctx, "north", "agent", v1alpha1.IngestAudience)
		Expect(send(revoked, 7, 7).status).To(Equal(http.StatusOK))
		Expect(send(deleted, 1, 1).status).To(Equal(http.StatusOK))

		ns := v1alpha1.ClusterNamespacePrefix + "east"
		Expect(admin.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.AgentSessionSecret}})).To(Succeed())
		ns = v1alpha1.ClusterNamespacePrefix + "north"
		Expect(admin.Delete(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.AgentServiceAccount}})).To(Succeed())
		for _, token := range []string{revoked, deleted} {
			Eventually(func() int { return send(token, 100, 100).status }).WithTimeout(75 * time.Second).Should(Equal(http.StatusUnauthorized))
		}
	}, NodeTimeout(5*time.Minute))
})
