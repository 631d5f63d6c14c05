// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
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

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

var (
	cluster *controlplane.ControlPlane
	kube    kubernetes.Interface
	objects client.Client
	// shipped leads to the cluster with the rights that the agent's manifests give.
	shipped *rest.Config
	// nodesWay is how the API server gets to nodes.
	nodesWay *tunnel
)

func TestKubeletsOfARealCluster(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	RunSpecs(t, "Kubelets of a real cluster")
}

// The API server asks no kubelet at a loopback address. So nodes have addresses that
// belong to nobody, and the API server gets there through a tunnel that ends here.
const egress = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
  - name: cluster
    connection:
      proxyProtocol: HTTPConnect
      transport:
        uds:
          udsName: %s
`

var _ = BeforeSuite(func(ctx SpecContext) {
	dir := GinkgoT().TempDir()
	nodesWay = dig(ctx, filepath.Join(dir, "nodes"))
	file := filepath.Join(dir, "egress.yaml")
	Expect(os.WriteFile(file, fmt.Appendf(nil, egress, filepath.Join(dir, "nodes")), 0o600)).To(Succeed())
	var err error
	cluster, err = controlplane.Start(ctx, controlplane.Options{Dir: dir, APIServerArgs: []string{"--egress-selector-config-file=" + file}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cluster.Stop)
	kube = kubernetes.NewForConfigOrDie(cluster.Config())
	objects, err = client.New(cluster.Config(), client.Options{})
	Expect(err).NotTo(HaveOccurred())

	By("installing the agent's namespace and rights, as shipped")
	create(ctx, "namespace.yaml")
	create(ctx, "rbac.yaml")
	token, err := kube.CoreV1().ServiceAccounts(v1alpha1.MemberNamespace).CreateToken(ctx, v1alpha1.MemberAgent,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	shipped = rest.AnonymousClientConfig(cluster.Config())
	shipped.BearerToken = token.Status.Token
}, NodeTimeout(5*time.Minute))

// create creates every object of a file of config/agent.
func create(ctx context.Context, name string) {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "agent", name))
	Expect(err).NotTo(HaveOccurred())
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return
		} else {
			Expect(err).NotTo(HaveOccurred())
		}
		// The API server makes kube-node-lease a moment after its start.
		Eventually(func() error { return objects.Create(ctx, object.DeepCopy()) }).Should(Succeed())
	}
}

// tunnel connects whoever asks for an address to what stands for it.
type tunnel struct {
	server *httptest.Server
	mu     sync.Mutex
	ends   map[string]string
}

func dig(ctx context.Context, socket string) *tunnel {
	GinkgoHelper()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	Expect(err).NotTo(HaveOccurred())
	t := &tunnel{ends: map[string]string{}}
	t.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}}
	t.server.Start()
	DeferCleanup(func() { t.server.CloseClientConnections(); t.server.Close() })
	return t
}

// ServeHTTP implements http.Handler for the method CONNECT.
func (t *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	end := t.ends[r.Host]
	t.mu.Unlock()
	if r.Method != http.MethodConnect || end == "" {
		http.Error(w, "there is no such node", http.StatusBadGateway)
		return
	}
	far, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", end)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = far.Close()
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
}

// machine is a node with something that answers like its kubelet.
type machine struct {
	name   string
	server *httptest.Server
	mu     sync.Mutex
	// free is which part of the claim is, in percent; negative when no pod has it.
	free  int
	claim string
	// asked are the paths that were asked for, and shown is who asked last.
	asked map[string]int
	shown string
}

// join makes a node of the cluster.
func join(ctx context.Context, name, address, claim string) *machine {
	GinkgoHelper()
	m := &machine{name: name, claim: claim, free: -1, asked: map[string]int{}}
	m.server = httptest.NewUnstartedServer(m)
	if net.ParseIP(address).IsLoopback() {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address+":0")
		Expect(err).NotTo(HaveOccurred())
		Expect(m.server.Listener.Close()).To(Succeed())
		m.server.Listener = listener
	}
	m.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	m.server.StartTLS()
	DeferCleanup(m.server.Close)
	port := m.server.Listener.Addr().(*net.TCPAddr).Port
	nodesWay.mu.Lock()
	nodesWay.ends[fmt.Sprintf("%s:%d", address, port)] = m.server.Listener.Addr().String()
	nodesWay.mu.Unlock()
	node, err := kube.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { //nolint:contextcheck // a cleanup has a context of its own
		Expect(client.IgnoreNotFound(kube.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}))).To(Succeed())
	})
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port) //nolint:gosec // a port
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	_, err = kube.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return m
}

// ServeHTTP implements http.Handler.
func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[r.Method+" "+r.URL.Path]++
	m.shown = r.Header.Get("Authorization")
	switch r.URL.Path {
	case pathSummary:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, summaryOf(m.claim, m.free))
	case pathContainers:
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, cadvisorV2)
	default:
		http.NotFound(w, r)
	}
}

func (m *machine) set(free int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = free
}

func (m *machine) requests() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]int{}
	for path := range m.asked {
		all[path] = m.asked[path]
	}
	return all
}
