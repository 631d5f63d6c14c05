// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/atlhyper/atlhyper/agent/nodes"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

var (
	member  *controlplane.ControlPlane
	admin   kubernetes.Interface
	objects client.Client
	// agent authenticates as the agent's ServiceAccount, with the shipped roles.
	agent *rest.Config
)

func TestNodesOfARealCluster(t *testing.T) {
	RegisterFailHandler(Fail)
	ctrllog.SetLogger(GinkgoLogr)
	SetDefaultEventuallyTimeout(40 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Nodes of a real cluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	member, err = controlplane.Start(ctx, controlplane.Options{Name: "member", Dir: GinkgoT().TempDir()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(member.Stop)
	admin = kubernetes.NewForConfigOrDie(member.Config())
	objects, err = client.New(member.Config(), client.Options{})
	Expect(err).NotTo(HaveOccurred())

	By("installing the manifests as shipped")
	for _, object := range manifests("agent", "namespace", "rbac", "session", "service", "deployment") {
		Expect(objects.Create(ctx, object)).To(Succeed())
	}
	for _, object := range manifests("nodecollector", "namespace", "service_account", "authority", "daemonset") {
		Expect(objects.Create(ctx, object)).To(Succeed())
	}
	agent = rest.AnonymousClientConfig(member.Config())
	agent.BearerToken = token(ctx, v1alpha1.MemberNamespace, v1alpha1.MemberAgent, nil)
	for _, name := range []string{"node-1", "node-2"} {
		_, err := admin.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
}, NodeTimeout(5*time.Minute))

// manifests reads the objects of files of a folder of config.
func manifests(folder string, names ...string) []*unstructured.Unstructured {
	GinkgoHelper()
	var out []*unstructured.Unstructured
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("..", "..", "config", folder, name+".yaml"))
		Expect(err).NotTo(HaveOccurred())
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(object); errors.Is(err, io.EOF) {
				break
			} else {
				Expect(err).NotTo(HaveOccurred())
			}
			out = append(out, object)
		}
	}
	return out
}

// token asks for a token of a ServiceAccount, bound to a pod unless that is nil.
func token(ctx context.Context, namespace, account string, pod *corev1.Pod, audiences ...string) string {
	GinkgoHelper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: new(int64(3600))}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	}
	answer, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return answer.Status.Token
}

// podOn makes a pod of a ServiceAccount that runs on a node, with the spec of the
// shipped DaemonSet.
func podOn(ctx context.Context, node, account string) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: account + "-", Namespace: v1alpha1.MemberNodesNamespace}, Spec: podSpec()}
	pod.Spec.ServiceAccountName, pod.Spec.NodeName = account, node
	pod.Spec.PriorityClassName = "" // the controller of the class does not run
	pod, err := admin.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return pod
}

// collectorToken is the token that a collector on a node has.
func collectorToken(ctx context.Context, node string) string {
	GinkgoHelper()
	pod := podOn(ctx, node, v1alpha1.MemberCollector)
	return token(ctx, pod.Namespace, v1alpha1.MemberCollector, pod, v1alpha1.NodesAudience)
}

// receiver is a Receiver that runs in this process.
type receiver struct {
	*nodes.Receiver
	address string
	stop    func()
}

// start runs a Receiver as a start of the agent would, at an address that may be
// that of an earlier one.
func start(ctx context.Context, address string, sink nodes.Sink) *receiver {
	GinkgoHelper()
	var listener net.Listener
	Eventually(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
		return err
	}).Should(Succeed())
	r, err := nodes.New(agent, nodes.Options{Listener: listener, Sink: sink, Hosts: []string{"127.0.0.1"}, Logger: GinkgoLogr})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	x := &receiver{Receiver: r, address: listener.Addr().String()}
	x.stop = sync.OnceFunc(func() {
		cancel()
		Eventually(done).Should(Receive(BeNil()))
	})
	DeferCleanup(x.stop)
	return x
}

// authorities is what the agent has published.
func authorities(ctx context.Context) string {
	GinkgoHelper()
	found, err := admin.CoreV1().ConfigMaps(v1alpha1.MemberNodesNamespace).Get(ctx, v1alpha1.MemberNodesCA, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return found.Data[v1alpha1.CertificateAuthority]
}

func pool(pem string) *x509.CertPool {
	roots := x509.NewCertPool()
	Expect(roots.AppendCertsFromPEM([]byte(pem))).To(BeTrue())
	return roots
}
