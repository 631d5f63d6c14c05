// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/atlhyper/atlhyper/agent"
	"github.com/atlhyper/atlhyper/agent/hubconn/hubtest"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	agentmanifests "github.com/atlhyper/atlhyper/config/agent"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

var (
	hub, member             *controlplane.ControlPlane
	hubClient, memberClient client.Client
	memberKubeconfig        string
)

func TestAgent(t *testing.T) {
	RegisterFailHandler(Fail)
	ctrllog.SetLogger(GinkgoLogr)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	RunSpecs(t, "Agent")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	hub, hubClient = startControlPlane(ctx, "hub", scheme)
	member, memberClient = startControlPlane(ctx, "member", scheme)
	_, err := envtest.InstallCRDs(hub.Config(), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("..", "config", "crd", "bases")}, ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())
	policy, err := os.ReadFile(filepath.Join("..", "config", "admission", "agent-confinement.yaml"))
	Expect(err).NotTo(HaveOccurred())
	create(ctx, hubClient, policy)

	By("installing the agent's manifests, as shipped, in the member cluster")
	for _, name := range []string{"namespace.yaml", "rbac.yaml", "session.yaml", "deployment.yaml"} {
		document, err := fs.ReadFile(agentmanifests.Files, name)
		Expect(err).NotTo(HaveOccurred())
		create(ctx, memberClient, document)
	}
	memberKubeconfig = filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.MemberNamespace, Name: v1alpha1.MemberAgent}}
	Expect(memberClient.SubResource("token").Create(ctx, account, request)).To(Succeed())
	config := rest.AnonymousClientConfig(member.Config())
	config.BearerToken = request.Status.Token
	Expect(controlplane.WriteKubeconfig(memberKubeconfig, "member", config)).To(Succeed())
}, NodeTimeout(5*time.Minute))

func startControlPlane(ctx context.Context, name string, scheme *runtime.Scheme) (*controlplane.ControlPlane, client.Client) {
	cp, err := controlplane.Start(ctx, controlplane.Options{Name: name, Dir: GinkgoT().TempDir()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)
	c, err := client.New(cp.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return cp, c
}

// create creates every object of a YAML document.
func create(ctx context.Context, c client.Client, document []byte) {
	GinkgoHelper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(document), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Create(ctx, object)).To(Succeed())
	}
}

// runningAgent is an agent that runs in this process.
type runningAgent struct {
	cluster  string
	joinDir  string
	spoolDir string
	probes   string
	stop     func()
}

// join provisions a cluster on the hub and writes a join folder for it.
func join(ctx context.Context) *runningAgent {
	GinkgoHelper()
	mc := &v1alpha1.ManagedCluster{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "m-"},
		Spec:       v1alpha1.ManagedClusterSpec{Heartbeat: &v1alpha1.Heartbeat{PeriodSeconds: 5}},
	}
	Expect(hubtest.Provision(ctx, hubClient, mc)).To(Succeed())
	a := &runningAgent{cluster: mc.Name, joinDir: GinkgoT().TempDir(), spoolDir: GinkgoT().TempDir()}
	data, err := hubtest.JoinData(ctx, hubClient, mc.Name, "nonce-"+mc.Name, hub.Config().Host, string(hub.CA()))
	Expect(err).NotTo(HaveOccurred())
	for name, text := range data {
		Expect(os.WriteFile(filepath.Join(a.joinDir, name), []byte(text), 0o600)).To(Succeed())
	}
	return a
}

// start runs the agent until the spec ends, or stop is called.
func (a *runningAgent) start(ctx context.Context) {
	GinkgoHelper()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	a.probes = listener.Addr().String()
	Expect(listener.Close()).To(Succeed())

	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		done <- agent.Run(ctx, agent.Config{
			Kubeconfig: memberKubeconfig, JoinDir: a.joinDir, HealthProbeBindAddress: a.probes,
			StatusMinInterval: time.Second, SpoolDir: a.spoolDir, Logger: GinkgoLogr,
		})
	}()
	a.stop = sync.OnceFunc(func() {
		cancel()
		Expect(<-done).To(Succeed())
	})
	DeferCleanup(a.stop)
}

// ready is the answer of /readyz.
func (a *runningAgent) ready(ctx context.Context) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.probes+"/readyz", http.NoBody)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(response.StatusCode, " ", string(body))
}

func (a *runningAgent) managedCluster(ctx context.Context) *v1alpha1.ManagedCluster {
	GinkgoHelper()
	mc := &v1alpha1.ManagedCluster{}
	Expect(hubClient.Get(ctx, client.ObjectKey{Name: a.cluster}, mc)).To(Succeed())
	return mc
}

// clearSession makes the next agent join afresh.
func clearSession(ctx context.Context) {
	GinkgoHelper()
	session := &corev1.Secret{}
	err := memberClient.Get(ctx, client.ObjectKey{Namespace: v1alpha1.MemberNamespace, Name: v1alpha1.MemberSessionSecret}, session)
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	if !apierrors.IsNotFound(err) {
		session.Data = nil
		Expect(memberClient.Update(ctx, session)).To(Succeed())
	}
}
