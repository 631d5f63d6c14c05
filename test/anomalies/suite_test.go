// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package anomalies checks what people are promised of anomalies on the whole way:
// a real API server says what a kubelet says, a real agent judges it, a real hub
// stores it, and the programs that people use show it. The test plays the kubelet
// and the controllers.
package anomalies

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/fleet"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

const (
	memberName = "alpha"

	stopTimeout = time.Minute
)

var (
	hub     fleet.Hub
	replica *process.Process
	api     client.Client

	member     fleet.Member
	joinFolder string
	agent      *process.Process
	kube       kubernetes.Interface
)

func TestAnomalies(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(5 * time.Millisecond)
	RunSpecs(t, "Anomalies from end to end")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	dir := GinkgoT().TempDir()
	bin := filepath.Join(dir, "bin")
	Expect(os.Mkdir(bin, 0o700)).To(Succeed())
	programs, err := fleet.Build(ctx, bin)
	Expect(err).NotTo(HaveOccurred())

	startControlPlanes(ctx, programs, dir)
	Expect(hub.Install(ctx)).To(Succeed())
	hub.DSN = "sqlite://" + filepath.Join(dir, "history.db")
	hub.IngestAddress, err = fleet.FreeAddress(ctx)
	Expect(err).NotTo(HaveOccurred())
	sch := scheme.Scheme
	Expect(v1alpha1.AddToScheme(sch)).To(Succeed())
	api, err = client.New(hub.Config(), client.Options{Scheme: sch})
	Expect(err).NotTo(HaveOccurred())
	kube, err = kubernetes.NewForConfig(member.Config())
	Expect(err).NotTo(HaveOccurred())

	replica, err = hub.StartReplica(ctx, "hub-0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return replica.Stop(stopTimeout) })

	// With the least grace, so that a lost agent is noticed soon.
	Expect(hub.Apply(ctx, "gitops", `apiVersion: atlhyper.io/v1alpha1
kind: ManagedCluster
metadata: {name: `+memberName+`}
spec:
  heartbeat: {periodSeconds: 5, missesBeforeUnavailable: 2}
`)).To(Succeed())
	Eventually(condition).WithArguments(ctx, v1alpha1.ConditionReady).Should(Equal(metav1.ConditionTrue))
	joinFolder, err = member.Join(ctx, hub)
	Expect(err).NotTo(HaveOccurred())
	startAgent(ctx)
	DeferCleanup(func() error { return agent.Stop(stopTimeout) })
	Eventually(condition).WithArguments(ctx, v1alpha1.ClusterConditionMetricsFlowing).WithTimeout(time.Minute).Should(Equal(metav1.ConditionTrue))
}, NodeTimeout(10*time.Minute))

// startControlPlanes starts that of the hub and that of the member, side by side.
func startControlPlanes(ctx context.Context, programs fleet.Programs, dir string) {
	GinkgoHelper()
	var starting sync.WaitGroup
	var failures [2]error
	starting.Go(func() {
		hub.Cluster, failures[0] = fleet.StartCluster(ctx, programs, "hub", dir, controlplane.Options{ControllerManager: true})
	})
	starting.Go(func() {
		member.Cluster, failures[1] = fleet.StartCluster(ctx, programs, memberName, dir, controlplane.Options{})
	})
	starting.Wait()
	if failures[0] == nil {
		DeferCleanup(func() error { return hub.Stop() })
	}
	if failures[1] == nil {
		DeferCleanup(func() error { return member.Stop() })
	}
	Expect(failures).To(HaveEach(BeNil()))
}

// startAgent returns when the agent runs, which is before it has seen anything.
func startAgent(ctx context.Context) {
	GinkgoHelper()
	var err error
	agent, err = member.StartAgent(ctx, joinFolder, "--status-min-interval=1s")
	Expect(err).NotTo(HaveOccurred())
}

// condition is the status of a condition of the ManagedCluster.
func condition(ctx context.Context, kind string) (metav1.ConditionStatus, error) {
	mc := &v1alpha1.ManagedCluster{}
	if err := api.Get(ctx, client.ObjectKey{Name: memberName}, mc); err != nil {
		return "", err
	}
	if c := meta.FindStatusCondition(mc.Status.Conditions, kind); c != nil {
		return c.Status, nil
	}
	return metav1.ConditionUnknown, nil
}
