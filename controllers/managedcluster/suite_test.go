// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers/hub"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

const (
	repository = "../.."
	hubVersion = "v1.5.0"
	// Somebody who looks has to see a hub that waits, also when the machine stalls.
	outageHold = 10 * time.Second
)

var (
	plane *controlplane.ControlPlane
	admin client.Client
	// hubAccess authenticates as the hub's ServiceAccount with the shipped roles.
	hubAccess *rest.Config
	// hubCA is a file with the certificate of the API server.
	hubCA   string
	running *hubProcess
)

func TestManagedCluster(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(40 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(100 * time.Millisecond)
	RunSpecs(t, "ManagedCluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	// The control plane has to outlive the context of this node.
	plane, err = controlplane.Start(context.WithoutCancel(ctx), controlplane.Options{Dir: GinkgoT().TempDir(), ControllerManager: true})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(plane.Stop()).To(Succeed()) })

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	admin, err = client.New(plane.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	By("refusing to run without the custom resources")
	Expect(hub.Run(ctx, hubConfig(plane.Config()))).To(MatchError(ContainSubstring("apply config/crd first")))

	_, err = envtest.InstallCRDs(plane.Config(), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(repository, "config", "crd", "bases")}, ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())
	applyFiles(ctx, filepath.Join(repository, "config", "hub", "namespace.yaml"))
	applyFiles(ctx, filepath.Join(repository, "config", "rbac", "*.yaml"))
	applyFiles(ctx, filepath.Join(repository, "config", "admission", "*.yaml"))

	hubCA = filepath.Join(GinkgoT().TempDir(), "ca.crt")
	Expect(os.WriteFile(hubCA, plane.CA(), 0o600)).To(Succeed())
	hubAccess = tokenFor(ctx, "atlhyper-system", "atlhyper-hub")
	running = startHub(ctx)
	DeferCleanup(func() { running.stop() })
}, NodeTimeout(5*time.Minute))

// tokenFor returns a configuration that authenticates as a ServiceAccount.
func tokenFor(ctx context.Context, namespace, name string) *rest.Config {
	request := &authenticationv1.TokenRequest{}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	ExpectWithOffset(1, admin.SubResource("token").Create(ctx, account, request)).To(Succeed())
	return withToken(request.Status.Token)
}

func withToken(token string) *rest.Config {
	return &rest.Config{
		Host: plane.Config().Host, BearerToken: token, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: plane.CA()},
	}
}

func hubConfig(access *rest.Config) hub.Config {
	c := hub.DefaultConfig()
	c.RESTConfig = access
	c.MetricsBindAddress, c.HealthProbeBindAddress = "0", "0"
	c.Telemetry.DSN = hub.NoHistory // a scripted one is in telemetry_integration_test.go
	c.MassOutageHold = outageHold
	c.Version = hubVersion
	c.Log.Format = "console"
	return c
}

// hubProcess is a hub that runs in this process.
type hubProcess struct {
	cancel context.CancelFunc
	done   chan error
}

func startHub(ctx context.Context) *hubProcess {
	config := hubConfig(hubAccess)
	config.AdvertiseURL, config.AdvertiseCAFile = plane.Config().Host, hubCA
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &hubProcess{cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- hub.Run(ctx, config) }()
	return p
}

func (p *hubProcess) stop() {
	p.cancel()
	var err error
	EventuallyWithOffset(1, p.done, 40*time.Second).Should(Receive(&err))
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
}

// applyFiles applies YAML files as a user would, with server-side apply. Files of
// kustomize are left out.
func applyFiles(ctx context.Context, pattern string) {
	files, err := filepath.Glob(pattern)
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	ExpectWithOffset(1, files).NotTo(BeEmpty())
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		f, err := os.Open(file)
		ExpectWithOffset(1, err).NotTo(HaveOccurred())
		decoder := yaml.NewYAMLOrJSONDecoder(f, 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if errors.Is(err, io.EOF) {
				break
			}
			ExpectWithOffset(1, err).NotTo(HaveOccurred())
			if len(object.Object) == 0 {
				continue
			}
			config := client.ApplyConfigurationFromUnstructured(object)
			ExpectWithOffset(1, admin.Apply(ctx, config, client.FieldOwner("test"), client.ForceOwnership)).To(Succeed(), file)
		}
		ExpectWithOffset(1, f.Close()).To(Succeed())
	}
}
