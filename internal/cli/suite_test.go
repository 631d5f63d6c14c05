// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

func TestCommands(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(40 * time.Second)
	RunSpecs(t, "kubectl atlhyper")
}

var (
	hub, memberPlane *controlplane.ControlPlane
	hubClient        client.WithWatch
	memberClient     client.Client
	testScheme       = runtime.NewScheme()
)

var _ = BeforeSuite(func(ctx SpecContext) {
	klog.SetLogger(GinkgoLogr)
	log.SetLogger(GinkgoLogr)
	Expect(clientgoscheme.AddToScheme(testScheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(testScheme)).To(Succeed())

	hub = startControlPlane(ctx, "hub")
	memberPlane = startControlPlane(ctx, "member")
	_, err := envtest.InstallCRDs(hub.Config(), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("..", "..", "config", "crd", "bases", "atlhyper.io_managedclusters.yaml")}, ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())
	hubClient, err = client.NewWithWatch(hub.Config(), client.Options{Scheme: testScheme})
	Expect(err).NotTo(HaveOccurred())
	memberClient, err = client.New(memberPlane.Config(), client.Options{Scheme: testScheme})
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(5*time.Minute))

func startControlPlane(ctx context.Context, name string) *controlplane.ControlPlane {
	GinkgoHelper()
	plane, err := controlplane.Start(ctx, controlplane.Options{Name: name, Dir: GinkgoT().TempDir()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(plane.Stop)
	return plane
}

// result is what a command has printed and its exit code.
type result struct {
	code        int
	out, errOut string
}

// atlhyper runs a command against the hub.
func atlhyper(ctx context.Context, args ...string) result {
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	code := Run(ctx, streams, append([]string{"--kubeconfig", hub.Kubeconfig()}, args...))
	return result{code: code, out: out.String(), errOut: errOut.String()}
}

// kubectl runs the real kubectl against the member.
func kubectl(ctx context.Context, stdin string, args ...string) string {
	GinkgoHelper()
	bin, err := controlplane.Binaries()
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "kubectl"), append([]string{"--kubeconfig", memberPlane.Kubeconfig()}, args...)...)
	cmd.Stdin = bytes.NewBufferString(stdin)
	cmd.Env = append(os.Environ(), "HOME="+GinkgoT().TempDir())
	output, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "kubectl %v:\n%s", args, output)
	return string(output)
}

// createCluster makes a ManagedCluster and removes it after the spec.
func createCluster(ctx context.Context, name string, change func(*v1alpha1.ManagedCluster)) {
	GinkgoHelper()
	cluster := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if change != nil {
		change(cluster)
	}
	Expect(hubClient.Create(ctx, cluster)).To(Succeed())
	removeAfterwards(name) //nolint:contextcheck // A cleanup gets a context of its own.
}

func removeAfterwards(name string) {
	DeferCleanup(func(ctx SpecContext) {
		cluster := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		Expect(client.IgnoreNotFound(hubClient.Delete(ctx, cluster))).To(Succeed())
	})
}

// setStatus lets the test write what the hub and the agent would.
func setStatus(ctx context.Context, name string, options ...clusterOption) {
	GinkgoHelper()
	cluster := read(ctx, name)
	base := cluster.DeepCopy()
	for _, option := range options {
		option(cluster)
	}
	for i := range cluster.Status.Conditions {
		// The golden files live at a fixed time, servers do not.
		cluster.Status.Conditions[i].LastTransitionTime = metav1.Now()
	}
	cluster.Status.LastHeartbeatTime = new(metav1.Now())
	Expect(hubClient.Status().Patch(ctx, cluster, client.MergeFrom(base))).To(Succeed())
}

func read(ctx context.Context, name string) *v1alpha1.ManagedCluster {
	GinkgoHelper()
	cluster, err := getCluster(ctx, hubClient, name)
	Expect(err).NotTo(HaveOccurred())
	return cluster
}

// playHub answers the next join request of a cluster, whose nonce is not
// answered, as the hub does: the Secret first, the token later. It runs until the
// spec ends and sends the nonce it has answered.
func playHub(ctx context.Context, name, token, nonceBefore string, data map[string][]byte) <-chan string {
	GinkgoHelper()
	namespace := v1alpha1.ClusterNamespacePrefix + name
	answered := make(chan string, 1)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	DeferCleanup(func() { cancel(); <-done })
	watcher, err := hubClient.Watch(ctx, &v1alpha1.ManagedClusterList{}, client.MatchingFields{"metadata.name": name})
	Expect(err).NotTo(HaveOccurred())
	go func() {
		defer GinkgoRecover()
		defer close(done)
		defer watcher.Stop()
		for event := range watcher.ResultChan() {
			cluster, ok := event.Object.(*v1alpha1.ManagedCluster)
			if !ok {
				continue
			}
			nonce := cluster.Annotations[v1alpha1.AnnotationJoinRequest]
			if nonce == "" || nonce == nonceBefore {
				continue
			}
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
			Expect(client.IgnoreAlreadyExists(hubClient.Create(ctx, ns))).To(Succeed())
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.AgentJoinSecret}}
			Expect(client.IgnoreNotFound(hubClient.Delete(ctx, secret))).To(Succeed())
			// An answer to somebody else comes by first.
			secret = secret.DeepCopy()
			secret.ResourceVersion = ""
			secret.Annotations = map[string]string{v1alpha1.AnnotationJoinRequest: "another"}
			secret.Data = map[string][]byte{v1alpha1.CredentialToken: []byte("a stale token")}
			Expect(hubClient.Create(ctx, secret)).To(Succeed())
			secret.Annotations[v1alpha1.AnnotationJoinRequest] = nonce
			secret.Data = nil
			Expect(hubClient.Update(ctx, secret)).To(Succeed())
			secret.Annotations[v1alpha1.AnnotationJoinExpires] = "2030-01-02T03:04:05Z"
			secret.Data = map[string][]byte{v1alpha1.CredentialToken: []byte(token), v1alpha1.CredentialJoinID: []byte(nonce)}
			maps.Copy(secret.Data, data)
			Expect(hubClient.Update(ctx, secret)).To(Succeed())
			answered <- nonce
			return
		}
	}()
	return answered
}
