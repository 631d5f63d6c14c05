// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/atlhyper/atlhyper/agent/hubconn"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

const (
	eventually = 30 * time.Second
	poll       = 100 * time.Millisecond
)

var (
	hub, member             *controlplane.ControlPlane
	hubClient, memberClient client.Client
)

func TestHubconn(t *testing.T) {
	RegisterFailHandler(Fail)
	ctrllog.SetLogger(GinkgoLogr)
	SetDefaultEventuallyTimeout(eventually)
	SetDefaultEventuallyPollingInterval(poll)
	RunSpecs(t, "Connection to the hub")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	hub, hubClient = startControlPlane(ctx, "hub", scheme)
	member, memberClient = startControlPlane(ctx, "member", scheme)
	_, err := envtest.InstallCRDs(hub.Config(), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())
	applyFile(ctx, filepath.Join("..", "..", "config", "admission", "agent-confinement.yaml"))
}, NodeTimeout(5*time.Minute))

func startControlPlane(ctx context.Context, name string, scheme *runtime.Scheme) (*controlplane.ControlPlane, client.Client) {
	cp, err := controlplane.Start(ctx, controlplane.Options{Name: name, Dir: GinkgoT().TempDir()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)
	c, err := client.New(cp.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return cp, c
}

// applyFile creates every object of a YAML file on the hub.
func applyFile(ctx context.Context, path string) {
	f, err := os.Open(path)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	decoder := utilyaml.NewYAMLOrJSONDecoder(f, 4096)
	for {
		object := &unstructured.Unstructured{}
		if decoder.Decode(object) != nil {
			return
		}
		Expect(hubClient.Create(ctx, object)).To(Succeed())
	}
}

// memberUID is the identity of the member cluster.
func memberUID(ctx context.Context) (string, error) {
	var namespace corev1.Namespace
	err := memberClient.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &namespace)
	return string(namespace.UID), err
}

// agentUnderTest is a Connection with what it needs in the member cluster.
type agentUnderTest struct {
	*hubconn.Connection
	options hubconn.Options
	stop    func()

	mu    sync.Mutex
	lines []string
}

// newAgent makes an agent with a namespace, a session Secret and a join folder
// of its own in the member cluster.
func newAgent(ctx context.Context, timing hubconn.Timing) *agentUnderTest {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "agent-"}}
	Expect(memberClient.Create(ctx, namespace)).To(Succeed())
	Expect(memberClient.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: v1alpha1.MemberSessionSecret},
	})).To(Succeed())
	core, err := corev1client.NewForConfig(member.Config())
	Expect(err).NotTo(HaveOccurred())
	a := &agentUnderTest{}
	a.options = hubconn.Options{
		ClusterID: memberUID,
		JoinDir:   GinkgoT().TempDir(),
		Store:     hubconn.NewSecretStore(core, namespace.Name),
		Version:   "v0.0.0-test",
		Logger:    a.logger(),
		Timing:    timing,
	}
	DeferCleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, line := range a.lines {
			Expect(line).NotTo(ContainSubstring("eyJ"), "the log shows a token")
		}
	})
	return a
}

func (a *agentUnderTest) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		GinkgoWriter.Println(args)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lines = append(a.lines, args)
	}, funcr.Options{Verbosity: 1, LogTimestamp: true})
}

// logged counts the lines with a text.
func (a *agentUnderTest) logged(text string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, line := range a.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// start runs a Connection, as a start of the agent's process would.
func (a *agentUnderTest) start(ctx context.Context) {
	var err error
	a.Connection, err = hubconn.New(a.options)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func(c *hubconn.Connection) { done <- c.Run(ctx) }(a.Connection)
	a.stop = sync.OnceFunc(func() {
		cancel()
		Expect(<-done).To(Succeed())
	})
	DeferCleanup(a.stop)
}

// join puts a join token into the join folder.
func (a *agentUnderTest) join(ctx context.Context, c *hubCluster, id string) {
	for name, text := range c.joinSecret(ctx, id) {
		Expect(os.WriteFile(filepath.Join(a.options.JoinDir, name), []byte(text), 0o600)).To(Succeed())
	}
}

func (a *agentUnderTest) state() hubconn.State { return a.Status().State }

// stored is the session in the member cluster.
func (a *agentUnderTest) stored(ctx context.Context) hubconn.Credentials {
	session, err := a.options.Store.Load(ctx)
	if err != nil {
		Expect(err).To(MatchError(hubconn.ErrNoSession))
	}
	return session
}
