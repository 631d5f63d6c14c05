// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/atlhyper/atlhyper/agent/nodes"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// podSpec is that of the shipped DaemonSet.
func podSpec() corev1.PodSpec {
	GinkgoHelper()
	var set appsv1.DaemonSet
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(manifests("nodecollector", "daemonset")[0].Object, &set)).To(Succeed())
	return set.Spec.Template.Spec
}

// batch is a batch with one sample of node-1.
func batch() []byte {
	GinkgoHelper()
	encoder, err := wire.NewEncoder(1)
	Expect(err).NotTo(HaveOccurred())
	b := telemetry.NewBatch(telemetry.StreamNodeMetrics, 1, []telemetry.Record{{Seq: 1, Time: time.Now(), Payload: &telemetry.NodeSample{
		Node: "node-1", BootID: "boot", CollectorSeq: 1,
	}}})
	data, err := encoder.Append(nil, &b)
	Expect(err).NotTo(HaveOccurred())
	return data
}

// post sends a batch with a token and returns the answer.
func (x *receiver) post(ctx context.Context, token string, body []byte) (status int, reply nodes.Reply) {
	GinkgoHelper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool(authorities(ctx)), MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+x.address+"/v1/streams/node-metrics/batches", bytes.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	q.Header.Set("Authorization", "Bearer "+token)
	q.Header.Set("Content-Type", wire.ContentType)
	response, err := transport.RoundTrip(q)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(json.Unmarshal(data, &reply)).To(Succeed())
	return response.StatusCode, reply
}

// shown is the certificate that a Receiver shows; nil while there is none.
func (x *receiver) shown(ctx context.Context) *x509.Certificate {
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", x.address) // what it shows is verified by who asks
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// ready waits until a Receiver shows a certificate that what is published verifies.
func (x *receiver) ready(ctx context.Context) *x509.Certificate {
	GinkgoHelper()
	var cert *x509.Certificate
	Eventually(func(g Gomega) {
		cert = x.shown(ctx)
		g.Expect(cert).NotTo(BeNil())
		published := authorities(ctx)
		g.Expect(published).NotTo(BeEmpty())
		for _, name := range []string{"127.0.0.1", "atlhyper-agent.atlhyper-system.svc"} {
			_, err := cert.Verify(x509.VerifyOptions{Roots: pool(published), DNSName: name})
			g.Expect(err).NotTo(HaveOccurred())
		}
	}).Should(Succeed())
	return cert
}

var _ = Describe("certificates", Serial, func() {
	It("are made, published, and outlive the agent", func(ctx SpecContext) {
		x := start(ctx, "127.0.0.1:0", &sink{})
		first := x.ready(ctx)
		published := authorities(ctx)
		x.stop()
		x = start(ctx, x.address, &sink{})
		second := x.ready(ctx)
		Expect(authorities(ctx)).To(Equal(published), "a restart published another authority")
		Expect(second.Equal(first)).To(BeFalse(), "the key of the serving certificate was kept")
	})

	It("are made again when somebody empties the Secret and the ConfigMap", func(ctx SpecContext) {
		x := start(ctx, "127.0.0.1:0", &sink{})
		x.ready(ctx)
		published := authorities(ctx)
		x.stop()
		secret, err := admin.CoreV1().Secrets(v1alpha1.MemberNamespace).Get(ctx, v1alpha1.MemberNodesSecret, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		secret.Data = map[string][]byte{v1alpha1.CertificateAuthority: []byte("nonsense"), v1alpha1.CertificateAuthorityKey: nil}
		_, err = admin.CoreV1().Secrets(v1alpha1.MemberNamespace).Update(ctx, secret, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		x = start(ctx, "127.0.0.1:0", &sink{})
		Eventually(func() string { return authorities(ctx) }).ShouldNot(Equal(published))
		x.ready(ctx)
	})

	It("wait for the collectors' namespace to be installed", func(ctx SpecContext) {
		maps := admin.CoreV1().ConfigMaps(v1alpha1.MemberNodesNamespace)
		Expect(maps.Delete(ctx, v1alpha1.MemberNodesCA, metav1.DeleteOptions{})).To(Succeed())
		x := start(ctx, "127.0.0.1:0", &sink{})
		Eventually(func() *x509.Certificate { return x.shown(ctx) }).ShouldNot(BeNil())
		Expect(objects.Create(ctx, manifests("nodecollector", "authority")[0])).To(Succeed())
		x.ready(ctx)
	})

	It("are all that the agent may touch", func(ctx SpecContext) {
		own := kubernetes.NewForConfigOrDie(agent)
		can := func(verb, resource, namespace, name string) bool {
			GinkgoHelper()
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Resource: resource, Namespace: namespace, Name: name},
			}}
			answer, err := own.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
			return answer.Status.Allowed
		}
		Expect(can("update", "secrets", v1alpha1.MemberNamespace, v1alpha1.MemberNodesSecret)).To(BeTrue())
		Expect(can("update", "configmaps", v1alpha1.MemberNodesNamespace, v1alpha1.MemberNodesCA)).To(BeTrue())
		for _, verb := range []string{"get", "list", "create", "update", "delete"} {
			Expect(can(verb, "secrets", v1alpha1.MemberNamespace, "other")).To(BeFalse(), verb)
			Expect(can(verb, "secrets", v1alpha1.MemberNodesNamespace, v1alpha1.MemberNodesSecret)).To(BeFalse(), verb)
			Expect(can(verb, "configmaps", v1alpha1.MemberNodesNamespace, "other")).To(BeFalse(), verb)
			Expect(can(verb, "configmaps", v1alpha1.MemberNamespace, v1alpha1.MemberNodesCA)).To(BeFalse(), verb)
		}
	})
})

var _ = Describe("tokens", func() {
	var x *receiver
	var kept *sink

	BeforeEach(func(ctx SpecContext) {
		kept = &sink{}
		x = start(ctx, "127.0.0.1:0", kept)
		x.ready(ctx)
	})

	It("of a collector speak for its node", func(ctx SpecContext) {
		status, reply := x.post(ctx, collectorToken(ctx, "node-1"), batch())
		Expect(status).To(Equal(http.StatusOK))
		Expect(reply.Accepted).To(HaveValue(Equal(1)))
		latest, ok := x.Latest("node-1")
		Expect(ok).To(BeTrue())
		Expect(latest.Sample.Node).To(Equal("node-1"))
	})

	refused := func(want nodes.Reason, held func(ctx SpecContext) string) func(ctx SpecContext) {
		return func(ctx SpecContext) {
			status, reply := x.post(ctx, held(ctx), batch())
			Expect(reply.Reason).To(Equal(want))
			Expect(status).To(BeNumerically(">=", 400))
			Expect(kept.count()).To(BeZero())
		}
	}
	It("are refused with another node in the body", refused(nodes.ReasonContradiction,
		func(ctx SpecContext) string { return collectorToken(ctx, "node-2") }))
	It("are refused with the audience of the API server", refused(nodes.ReasonUnauthenticated,
		func(ctx SpecContext) string {
			pod := podOn(ctx, "node-1", v1alpha1.MemberCollector)
			return token(ctx, pod.Namespace, v1alpha1.MemberCollector, pod)
		}))
	It("are refused with the audience of the hub", refused(nodes.ReasonUnauthenticated,
		func(ctx SpecContext) string {
			pod := podOn(ctx, "node-1", v1alpha1.MemberCollector)
			return token(ctx, pod.Namespace, v1alpha1.MemberCollector, pod, v1alpha1.IngestAudience)
		}))
	It("are refused of another ServiceAccount", refused(nodes.ReasonUnauthenticated,
		func(ctx SpecContext) string {
			_, err := admin.CoreV1().ServiceAccounts(v1alpha1.MemberNodesNamespace).Create(ctx,
				&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
			pod := podOn(ctx, "node-1", "other")
			return token(ctx, pod.Namespace, "other", pod, v1alpha1.NodesAudience)
		}))
	It("are refused of the agent itself", refused(nodes.ReasonUnauthenticated,
		func(ctx SpecContext) string {
			return token(ctx, v1alpha1.MemberNamespace, v1alpha1.MemberAgent, nil, v1alpha1.NodesAudience)
		}))
	It("are refused without a node", refused(nodes.ReasonNoNode,
		func(ctx SpecContext) string {
			return token(ctx, v1alpha1.MemberNodesNamespace, v1alpha1.MemberCollector, nil, v1alpha1.NodesAudience)
		}))
	It("are refused of a pod that runs nowhere yet", refused(nodes.ReasonNoNode,
		func(ctx SpecContext) string { return collectorToken(ctx, "") }))
	It("are refused with another signature", refused(nodes.ReasonUnauthenticated,
		func(ctx SpecContext) string {
			good := collectorToken(ctx, "node-1")
			return good[:len(good)-40] + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		}))

	It("end with their pod", func(ctx SpecContext) {
		pod := podOn(ctx, "node-1", v1alpha1.MemberCollector)
		held := token(ctx, pod.Namespace, v1alpha1.MemberCollector, pod, v1alpha1.NodesAudience)
		status, _ := x.post(ctx, held, batch())
		Expect(status).To(Equal(http.StatusOK))
		Expect(admin.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})).To(Succeed())
		// A Receiver that has seen the token goes on for 50 s; one that has not
		// refuses it as soon as the API server does, which is after 10 s.
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: held, Audiences: []string{v1alpha1.NodesAudience}}}
		Eventually(func(g Gomega) {
			answer, err := admin.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(answer.Status.Authenticated).To(BeFalse())
		}).WithPolling(500 * time.Millisecond).Should(Succeed())
		fresh := start(ctx, "127.0.0.1:0", kept)
		fresh.ready(ctx)
		status, _ = fresh.post(ctx, held, batch())
		Expect(status).To(Equal(http.StatusUnauthorized))
	})

	It("cannot be used at the API server", func(ctx SpecContext) {
		config := *agent
		config.BearerToken = collectorToken(ctx, "node-1")
		_, err := kubernetes.NewForConfigOrDie(&config).CoreV1().Nodes().Get(ctx, "node-1", metav1.GetOptions{})
		Expect(apierrors.IsUnauthorized(err)).To(BeTrue(), "got %v", err)
	})
})

var _ = Describe("the DaemonSet's pods", func() {
	It("are admitted to their namespace and not to the agent's", func(ctx SpecContext) {
		podOn(ctx, "node-1", v1alpha1.MemberCollector)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "collector", Namespace: v1alpha1.MemberNamespace}, Spec: podSpec()}
		pod.Spec.PriorityClassName = ""
		_, err := admin.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		Expect(err).To(MatchError(ContainSubstring("violates PodSecurity")))
		Expect(err).To(MatchError(ContainSubstring("hostPath")))
	})

	It("break restricted pod security by their volumes alone", func(ctx SpecContext) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "collector", Namespace: v1alpha1.MemberNamespace}, Spec: podSpec()}
		pod.Spec.PriorityClassName = ""
		for i := range pod.Spec.Volumes {
			if v := &pod.Spec.Volumes[i]; v.HostPath != nil {
				v.HostPath, v.EmptyDir = nil, &corev1.EmptyDirVolumeSource{}
			}
		}
		_, err := admin.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		Expect(err).NotTo(HaveOccurred())
	})
})
