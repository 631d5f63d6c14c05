// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/rs/zerolog"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	agentmanifests "github.com/atlhyper/atlhyper/config/agent"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

var (
	cluster *controlplane.ControlPlane
	kube    kubernetes.Interface
	// shipped leads to the cluster with the rights that the agent's manifests give.
	shipped *rest.Config
)

func TestAnomaliesOfARealCluster(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	RunSpecs(t, "Anomalies of a real cluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	cluster, err = controlplane.Start(ctx, controlplane.Options{Dir: GinkgoT().TempDir()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cluster.Stop)
	config := cluster.Config()
	config.QPS, config.Burst = 2000, 2000
	kube = kubernetes.NewForConfigOrDie(config)

	By("installing the agent's namespace and rights, as shipped")
	c, err := client.New(config, client.Options{})
	Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"namespace.yaml", "rbac.yaml"} {
		document, err := fs.ReadFile(agentmanifests.Files, name)
		Expect(err).NotTo(HaveOccurred())
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(document), 4096)
		for {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(object); errors.Is(err, io.EOF) {
				break
			} else {
				Expect(err).NotTo(HaveOccurred())
			}
			// The API server makes kube-node-lease a moment after its start.
			Eventually(func() error { return c.Create(ctx, object.DeepCopy()) }).Should(Succeed())
		}
	}
	token, err := kube.CoreV1().ServiceAccounts(v1alpha1.MemberNamespace).CreateToken(ctx, v1alpha1.MemberAgent,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	shipped = rest.AnonymousClientConfig(config)
	shipped.BearerToken = token.Status.Token
}, NodeTimeout(5*time.Minute))

// watched is an agent that watches the cluster and judges it.
type watched struct {
	*Anomalies
	sink *recorder
	stop func()
	// seen is when an object came in first.
	mu   sync.Mutex
	seen map[string]time.Time
}

// Observe implements inventory.Observer.
func (w *watched) Observe(o facts.Object) {
	if o.About().Kind == facts.KindPod {
		now := time.Now()
		w.mu.Lock()
		w.seen[o.About().Name] = now
		w.mu.Unlock()
	}
	w.Anomalies.Observe(o)
}

// nowhere is the Sink of what these specs are not about.
type nowhere struct{}

func (nowhere) Append(telemetry.Stream, time.Time, ...telemetry.Payload) error { return nil }

// watch runs an agent until stop or the end of the spec, and waits until it has seen
// everything.
func watch(ctx context.Context, cfg *rest.Config, file string) *watched {
	GinkgoHelper()
	w := &watched{sink: &recorder{}, seen: map[string]time.Time{}}
	var err error
	w.Anomalies, err = New(Options{Sink: w.sink, File: file, Logger: GinkgoLogr})
	Expect(err).NotTo(HaveOccurred())
	inv, err := inventory.New(cfg, inventory.Options{
		Sink: nowhere{}, Observer: w, Logger: GinkgoLogr, HealthInterval: 200 * time.Millisecond,
	})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { defer GinkgoRecover(); Expect(inv.Run(ctx)).To(Succeed()) })
	running.Go(func() { defer GinkgoRecover(); Expect(w.Run(ctx)).To(Succeed()) })
	w.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	DeferCleanup(w.stop)
	Eventually(func() bool { _, known := w.Summary(); return known }).Should(BeTrue())
	return w
}

// about returns what was told about objects of a name.
func (w *watched) about(name string) func() []string {
	return func() []string {
		told := []string{}
		for _, l := range w.sink.all() {
			if what, ok := strings.CutSuffix(l.text, " "+name); ok {
				told = append(told, what)
			}
		}
		return told
	}
}

func remember() string {
	return filepath.Join(GinkgoT().TempDir(), "state", "anomalies.json")
}

// newNamespace makes a namespace whose pods go at the end of the spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "anomalies-"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { removePods(ctx, ns.Name) }) //nolint:contextcheck // a cleanup has a context of its own
	return ns.Name
}

func removePods(ctx context.Context, namespace string) {
	GinkgoHelper()
	Expect(kube.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, metav1.ListOptions{})).To(Succeed())
}

// inTime tries something that has to be done within a second, and gives how long it
// took: on a machine that may stall, once in a few times is enough. Each try begins
// with nothing and leaves nothing.
func inTime(ctx context.Context, try func(ns string) time.Duration) {
	GinkgoHelper()
	const tries = 3
	var took []time.Duration
	for len(took) < tries && (len(took) == 0 || took[len(took)-1] >= time.Second) {
		ns := newNamespace(ctx)
		took = append(took, try(ns))
		removePods(ctx, ns)
	}
	Expect(took[len(took)-1]).To(BeNumerically("<", time.Second), "%d tries took %s", len(took), took)
}

// makePod makes a pod that runs, of an owner when there is a name of one.
func makePod(ctx context.Context, namespace, name, owner string) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
	}
	if owner != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: "uid-of-the-owner", Controller: new(true)}}
	}
	pod, err := kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, StartTime: new(metav1.Now()),
		Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: true, Started: new(true), Image: "web:1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}},
	}
	pod, err = kube.CoreV1().Pods(namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return pod
}

// wait makes the container of a pod wait, as a kubelet would say.
func wait(ctx context.Context, pod *corev1.Pod, reason string) *corev1.Pod {
	GinkgoHelper()
	s := &pod.Status.ContainerStatuses[0]
	s.Ready = false
	s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "as the kubelet says"}}
	if reason == "CrashLoopBackOff" {
		s.RestartCount = 3
		s.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1, FinishedAt: metav1.Now()}}
	}
	return update(ctx, pod)
}

// recovered makes it run again.
func recovered(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	s := &pod.Status.ContainerStatuses[0]
	s.Ready, s.State = true, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	return update(ctx, pod)
}

func update(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	updated, err := kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return updated
}

func remove(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Expect(kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})).To(Succeed())
}

// wire returns a connection to the API server that can be cut, open, and a config
// that leads through it.
func wire() (*toxiproxy.Proxy, *rest.Config) {
	GinkgoHelper()
	target, err := url.Parse(shipped.Host)
	Expect(err).NotTo(HaveOccurred())
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "wire", "127.0.0.1:0", target.Host)
	Expect(proxy.Start()).To(Succeed())
	DeferCleanup(proxy.Stop)
	cfg := rest.CopyConfig(shipped)
	cfg.Host = "https://" + proxy.Listen
	return proxy, cfg
}
