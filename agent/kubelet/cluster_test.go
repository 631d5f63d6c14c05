// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"context"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/agent/anomalies"
	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// agent watches the cluster, reads its kubelets and judges both.
type agent struct {
	*Reader
	judged *anomalies.Anomalies
	mu     sync.Mutex
	told   []string
	log    []string
}

// Append implements anomalies.Sink and inventory.Sink.
func (a *agent) Append(_ telemetry.Stream, _ time.Time, values ...telemetry.Payload) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, v := range values {
		if t, ok := v.(*telemetry.AnomalyTransition); ok {
			a.told = append(a.told, t.State.String()+" "+t.Severity.String()+" "+t.Rule+" "+t.Object.Namespace+"/"+t.Object.Name)
		}
	}
	return nil
}

// about returns what was told of a rule.
func (a *agent) about(rule string) func() []string {
	return func() []string {
		a.mu.Lock()
		defer a.mu.Unlock()
		return slices.DeleteFunc(slices.Clone(a.told), func(line string) bool { return !strings.Contains(line, " "+rule+" ") })
	}
}

// logged is how often something was logged.
func (a *agent) logged(what string) func() int {
	return func() (n int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, line := range a.log {
			if strings.Contains(line, what) {
				n++
			}
		}
		return n
	}
}

// byProxy has the API server ask kubelets.
func byProxy() source {
	GinkgoHelper()
	from, err := newProxy(shipped)
	Expect(err).NotTo(HaveOccurred())
	return from
}

// run runs an agent with the rights that are there until the end of the spec.
func run(ctx context.Context, from source) *agent {
	GinkgoHelper()
	a := &agent{}
	var err error
	a.judged, err = anomalies.New(anomalies.Options{Sink: a, File: filepath.Join(GinkgoT().TempDir(), "anomalies.json"), Logger: GinkgoLogr})
	Expect(err).NotTo(HaveOccurred())
	a.Reader = newReader(from, Options{Interval: 200 * time.Millisecond, Observer: a.judged, Logger: funcr.New(func(_, args string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.log = append(a.log, args)
	}, funcr.Options{})})
	inv, err := inventory.New(shipped, inventory.Options{Sink: a, Observer: a.Follow(a.judged), Logger: GinkgoLogr})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, each := range []func(context.Context) error{inv.Run, a.judged.Run, a.Run} {
		running.Go(func() { defer GinkgoRecover(); Expect(each(ctx)).To(Succeed()) })
	}
	DeferCleanup(func() { cancel(); running.Wait() })
	Eventually(func() bool { _, known := a.judged.Summary(); return known }).Should(BeTrue())
	return a
}

var _ = Describe("Kubelets", Ordered, func() {
	It("says once what to do when the agent has no right to read them", SpecTimeout(3*time.Minute), func(ctx SpecContext) {
		one, other := join(ctx, "one", "192.0.2.10", ""), join(ctx, "other", "192.0.2.11", "")
		a := run(ctx, byProxy())
		Eventually(a.logged("apply config/agent/kubelet")).Should(Equal(1))
		Consistently(a.logged("Cannot read")).WithTimeout(2 * time.Second).Should(Equal(1))
		Expect(a.logged("cannot get resource")()).To(Equal(1))
		Eventually(a.Stats).Should(And(HaveField("Refused", true), HaveField("Nodes", 2), HaveField("Failing", 0)))
		Expect(one.requests()).To(BeEmpty())
		Expect(other.requests()).To(BeEmpty())
		Expect(a.about("PVCFillingUp")()).To(BeEmpty())
	})

	// It takes the minute that a claim has to be nearly full for.
	It("raises what they tell, and clears it when it is over", SpecTimeout(3*time.Minute), func(ctx SpecContext) {
		By("giving the right, as shipped")
		create(ctx, filepath.Join("kubelet", "rbac.yaml"))
		_, err := kube.CoreV1().PersistentVolumeClaims("default").Create(ctx, &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		m := join(ctx, "worker", "192.0.2.12", "data")
		dead := join(ctx, "dead", "192.0.2.13", "none")
		dead.server.Close()
		m.set(90)
		a := run(ctx, byProxy())
		Eventually(func() int64 { return a.Stats().Read }).Should(BeNumerically(">", 3))
		begun := time.Now()
		m.set(2)
		Eventually(a.about("PVCFillingUp")).WithTimeout(90 * time.Second).WithPolling(100 * time.Millisecond).Should(Equal([]string{"raised critical PVCFillingUp shop/data"}))
		// It is not raised early; late is what a machine that stalls may be.
		Expect(time.Since(begun)).To(And(BeNumerically(">=", time.Minute), BeNumerically("<", 80*time.Second)))

		By("having one kubelet that is dead and one that is not")
		Eventually(a.logged("Cannot read a kubelet")).Should(Equal(1))
		Eventually(a.Stats).Should(And(HaveField("Refused", false), HaveField("Nodes", 2), HaveField("Failing", 1), HaveField("Watched", 1)))
		Expect(slices.Sorted(maps.Keys(m.requests()))).To(Equal([]string{"GET " + pathContainers, "GET " + pathSummary}))

		By("freeing space")
		m.set(90)
		Eventually(a.about("PVCFillingUp")).Should(Equal([]string{"raised critical PVCFillingUp shop/data", "cleared critical PVCFillingUp shop/data"}))
		Eventually(func() int { return a.Stats().Watched }).Should(BeZero())
	})

	It("asks kubelets itself, with a token that is good for nothing else", SpecTimeout(3*time.Minute), func(ctx SpecContext) {
		m, stranger := join(ctx, "worker", "127.0.0.1", "data"), join(ctx, "stranger", "127.0.0.2", "other")
		m.set(2)
		stranger.set(2)
		file := filepath.Join(GinkgoT().TempDir(), "ca.crt")
		authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.server.Certificate().Raw})
		Expect(os.WriteFile(file, authority, 0o600)).To(Succeed())
		from, err := newDirect(shipped, v1alpha1.MemberNamespace, file)
		Expect(err).NotTo(HaveOccurred())

		By("having no right")
		a := run(ctx, from)
		Eventually(a.logged("apply config/agent/kubelet-direct")).Should(Equal(1))
		Expect(a.Stats().Refused).To(BeTrue())
		Expect(m.requests()).To(BeEmpty())

		By("giving it, as shipped")
		create(ctx, filepath.Join("kubelet-direct", "rbac.yaml"))
		a = run(ctx, from)
		Eventually(func() int { return a.Stats().Watched }).Should(Equal(1))
		Eventually(a.logged("Cannot read a kubelet")).Should(Equal(1))
		Eventually(func() []string { return slices.Sorted(maps.Keys(m.requests())) }).Should(Equal([]string{"GET " + pathContainers, "GET " + pathSummary}))
		Expect(stranger.requests()).To(BeEmpty(), "its certificate is for another address")

		By("looking at what the kubelet was shown")
		m.mu.Lock()
		token := strings.TrimPrefix(m.shown, "Bearer ")
		m.mu.Unlock()
		review, err := kube.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(review.Status.User.Username).To(Equal("system:serviceaccount:atlhyper-system:" + Account))
		config := rest.AnonymousClientConfig(cluster.Config())
		config.BearerToken = token
		thief := kubernetes.NewForConfigOrDie(config)
		for what, allowed := range map[string]bool{"nodes/stats": true, "nodes/metrics": true, "nodes/proxy": false, "nodes": false, "pods": false, "secrets": false, "serviceaccounts/token": false} {
			name, subresource, _ := strings.Cut(what, "/")
			answer, err := thief.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: name, Subresource: subresource},
			}}, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.Status.Allowed).To(Equal(allowed), what)
		}
	})
})
