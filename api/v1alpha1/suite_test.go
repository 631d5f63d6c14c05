// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
)

const (
	crdFolder = "../../config/crd/bases"

	sampleFolder = "../../config/samples"
)

var kube client.Client

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "API")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	dir, err := os.MkdirTemp("", "atlhyper-api-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)

	cp, err := controlplane.Start(ctx, controlplane.Options{Dir: dir})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)

	// Installing the definitions also proves that the API server can afford every
	// CEL rule: it refuses those whose estimated cost is above its limit.
	_, err = envtest.InstallCRDs(cp.Config(), envtest.CRDInstallOptions{
		Paths:              []string{crdFolder},
		ErrorIfPathMissing: true,
	})
	Expect(err).NotTo(HaveOccurred())

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	kube, err = client.New(cp.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	for _, name := range []string{"team-shop", "platform", v1alpha1.ClusterNamespacePrefix + "prod-eu-1"} {
		Expect(kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	}
}, NodeTimeout(5*time.Minute))
