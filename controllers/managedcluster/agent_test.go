// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

const (
	uidA = "aaaaaaaa-0000-4000-8000-000000000001"
	uidB = "bbbbbbbb-0000-4000-8000-000000000002"
	// The shortest grace period that the API allows.
	period = 5 * time.Second
	grace  = 2 * period
)

// create commits a ManagedCluster the way GitOps tools do and removes it when
// the spec is over.
func create(ctx context.Context, name string, change ...func(*atlhyperac.ManagedClusterSpecApplyConfiguration)) {
	apply(ctx, name, change...)
	DeferCleanup(func(ctx SpecContext) { //nolint:contextcheck // a cleanup has a context of its own
		mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		force := []byte(`{"metadata":{"annotations":{"atlhyper.io/force-delete":"true"}}}`)
		Expect(client.IgnoreNotFound(admin.Patch(ctx, mc, client.RawPatch(types.MergePatchType, force)))).To(Succeed())
		Expect(client.IgnoreNotFound(admin.Delete(ctx, mc))).To(Succeed())
		Eventually(exists).WithArguments(ctx, name).Should(BeFalse())
	}, NodeTimeout(2*time.Minute))
}

func apply(ctx context.Context, name string, change ...func(*atlhyperac.ManagedClusterSpecApplyConfiguration)) {
	spec := atlhyperac.ManagedClusterSpec().WithHeartbeat(
		atlhyperac.Heartbeat().WithPeriodSeconds(int32(period.Seconds())).WithMissesBeforeUnavailable(2))
	for _, f := range change {
		f(spec)
	}
	ExpectWithOffset(1, admin.Apply(ctx, atlhyperac.ManagedCluster(name).WithSpec(spec), client.FieldOwner("gitops"))).To(Succeed())
}

func accepted(value bool) func(*atlhyperac.ManagedClusterSpecApplyConfiguration) {
	return func(s *atlhyperac.ManagedClusterSpecApplyConfiguration) { s.WithAccepted(value) }
}

func read(ctx context.Context, name string) *v1alpha1.ManagedCluster {
	mc := &v1alpha1.ManagedCluster{}
	ExpectWithOffset(1, admin.Get(ctx, types.NamespacedName{Name: name}, mc)).To(Succeed())
	return mc
}

func exists(ctx context.Context, name string) (bool, error) {
	err := admin.Get(ctx, types.NamespacedName{Name: name}, &v1alpha1.ManagedCluster{})
	return err == nil, client.IgnoreNotFound(err)
}

// condition returns "Status/Reason" of a condition, empty when it is absent.
func condition(ctx context.Context, name, kind string) string {
	c := meta.FindStatusCondition(read(ctx, name).Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

// changed is when Connected changed last, by the hub's clock and to the second. It
// tells whether the hub was early, however late somebody looks.
func changed(ctx context.Context, name string) time.Time {
	c := meta.FindStatusCondition(read(ctx, name).Status.Conditions, v1alpha1.ClusterConditionConnected)
	ExpectWithOffset(1, c).NotTo(BeNil())
	return c.LastTransitionTime.Time
}

// notBefore matches what changed returns unless it is before a moment.
func notBefore(moment time.Time) gomegatypes.GomegaMatcher {
	return BeTemporally(">=", moment.Truncate(time.Second))
}

func eventually(ctx context.Context, name, kind string) AsyncAssertion {
	return Eventually(condition).WithArguments(ctx, name, kind)
}

// provisioned waits until the hub has done its part.
func provisioned(ctx context.Context, name string) {
	eventually(ctx, name, v1alpha1.ConditionReady).WithOffset(1).Should(Equal("True/Provisioned"))
}

func clusterNamespace(name string) string { return v1alpha1.ClusterNamespacePrefix + name }

// agent plays an agent with the credentials that a real one would have.
type agent struct {
	cluster, uid string
	session      kubernetes.Interface
	access       client.Client
}

// requestJoin asks for a join Secret and returns it.
func requestJoin(ctx context.Context, cluster, nonce string) *corev1.Secret {
	ask(ctx, cluster, nonce)
	secret := &corev1.Secret{}
	EventuallyWithOffset(1, func(g Gomega) {
		g.Expect(admin.Get(ctx, joinKey(cluster), secret)).To(Succeed())
		g.Expect(secret.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationJoinRequest, nonce))
		g.Expect(secret.Data).To(HaveKey(v1alpha1.CredentialToken))
	}).Should(Succeed())
	return secret
}

func joinKey(cluster string) types.NamespacedName {
	return types.NamespacedName{Namespace: clusterNamespace(cluster), Name: v1alpha1.AgentJoinSecret}
}

func ask(ctx context.Context, cluster, nonce string) {
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: cluster}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationJoinRequest, nonce)
	ExpectWithOffset(2, admin.Patch(ctx, mc, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
}

// join exchanges a join token for a session, as the agent does, and renews the
// Lease for the first time.
func join(ctx context.Context, cluster, uid, nonce string) *agent {
	secret := requestJoin(ctx, cluster, nonce)
	a := &agent{cluster: cluster, uid: uid}
	a.exchange(ctx, string(secret.Data[v1alpha1.CredentialToken]))
	a.patchLease(ctx, a.uid+"/test", nonce)
	return a
}

// exchange requests a session token with another token.
func (a *agent) exchange(ctx context.Context, token string) {
	bootstrap, err := kubernetes.NewForConfig(withToken(token))
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	request, err := bootstrap.CoreV1().ServiceAccounts(clusterNamespace(a.cluster)).CreateToken(ctx, v1alpha1.AgentServiceAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: v1alpha1.AgentSessionSecret},
		}}, metav1.CreateOptions{})
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	session := withToken(request.Status.Token)
	a.session, err = kubernetes.NewForConfig(session)
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	a.access, err = client.New(session, client.Options{Scheme: admin.Scheme(), Mapper: admin.RESTMapper()})
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
}

func (a *agent) tryPatchLease(ctx context.Context, holder, joined string) error {
	metadata := map[string]any{}
	if joined != "" {
		metadata["annotations"] = map[string]any{v1alpha1.AnnotationJoined: joined}
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata, "spec": map[string]any{
		"holderIdentity": holder, "renewTime": metav1.NowMicro(), "leaseDurationSeconds": int(grace.Seconds()),
	}})
	if err != nil {
		return err
	}
	_, err = a.session.CoordinationV1().Leases(clusterNamespace(a.cluster)).
		Patch(ctx, v1alpha1.AgentLease, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: v1alpha1.FieldOwnerAgent})
	return err
}

func (a *agent) patchLease(ctx context.Context, holder, joined string) {
	ExpectWithOffset(2, a.tryPatchLease(ctx, holder, joined)).To(Succeed())
}

// renew renews the Lease once and returns when.
func (a *agent) renew(ctx context.Context) time.Time {
	a.patchLease(ctx, a.uid+"/test", "")
	return time.Now()
}

// beat renews the Lease every second until the returned function is called.
func (a *agent) beat(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// An API server that is away is not this function's business.
				_ = a.tryPatchLease(ctx, a.uid+"/test", "")
			}
		}
	}()
	return func() { cancel(); <-done }
}

// report writes the agent's part of the status.
func (a *agent) report(ctx context.Context, version string, apiHealthy metav1.ConditionStatus) {
	reason := v1alpha1.ClusterReasonLivezOK
	if apiHealthy != metav1.ConditionTrue {
		reason = v1alpha1.ClusterReasonLivezFailed
	}
	status := atlhyperac.ManagedClusterStatus().
		WithAgent(atlhyperac.AgentInfo().WithVersion(version).WithStartedAt(metav1.NewTime(time.Unix(1_700_000_000, 0)))).
		WithConditions(metaac.Condition().WithType(v1alpha1.ClusterConditionAPIServerHealthy).WithStatus(apiHealthy).
			WithReason(reason).WithMessage("as simulated").WithLastTransitionTime(metav1.Now()))
	config := atlhyperac.ManagedCluster(a.cluster).WithStatus(status)
	ExpectWithOffset(1, a.access.Status().Apply(ctx, config, client.FieldOwner(v1alpha1.FieldOwnerAgent))).To(Succeed())
}

// lockedOut says whether the API server refuses the agent's session.
func (a *agent) lockedOut(ctx context.Context) bool {
	_, err := a.session.CoordinationV1().Leases(clusterNamespace(a.cluster)).Get(ctx, v1alpha1.AgentLease, metav1.GetOptions{})
	return apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err)
}
