// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package faults breaks a fleet of real processes on real API servers, one
// fault at a time, and checks what people are promised: no false alarm, no
// missed one, and everything back by itself.
package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/database"
	"github.com/atlhyper/atlhyper/internal/testing/fleet"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// The fleet's heartbeat: the shortest period, and three of them as grace.
const (
	period = 5 * time.Second
	grace  = 3 * period
	// slack is what noticing may cost on a busy machine with 2 cores.
	slack = 10 * time.Second

	stopTimeout = time.Minute
)

var (
	hub     fleet.Hub
	replica *process.Process
	// postgres has the hub's history.
	postgres *database.Server
	// ingestOf is where each replica takes telemetry. Behind a Service it would be
	// one address; here agents follow the leader's.
	ingestOf = map[string]string{}
	members  map[string]*member
	api      client.Client
)

// member is a member cluster with its agent.
type member struct {
	fleet.Member

	joinFolder string
	agent      *process.Process
}

func TestFaults(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(60 * time.Second)
	SetDefaultEventuallyPollingInterval(200 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(200 * time.Millisecond)
	RunSpecs(t, "Faults")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	dir := GinkgoT().TempDir()
	bin := filepath.Join(dir, "bin")
	Expect(os.Mkdir(bin, 0o700)).To(Succeed())
	programs, err := fleet.Build(ctx, bin)
	Expect(err).NotTo(HaveOccurred())

	// The processes outlive this node's context, which ends with the node.
	hub.Cluster, err = fleet.StartCluster(ctx, programs, "hub", dir, controlplane.Options{ControllerManager: true})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return hub.Stop() })
	Expect(hub.Install(ctx)).To(Succeed())

	postgres, err = database.Postgres(ctx)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(postgres.Close)
	hub.DSN, err = postgres.NewDatabase(ctx)
	Expect(err).NotTo(HaveOccurred())

	sch := scheme.Scheme
	Expect(v1alpha1.AddToScheme(sch)).To(Succeed())
	api, err = client.New(hub.Config(), client.Options{Scheme: sch})
	Expect(err).NotTo(HaveOccurred())

	replica = startReplica(ctx, "hub-0")
	DeferCleanup(func() error { return replica.Stop(stopTimeout) })

	members = map[string]*member{}
	for _, name := range []string{"alpha", "beta"} {
		m := &member{}
		m.Cluster, err = fleet.StartCluster(ctx, programs, name, dir, controlplane.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() error { return m.Stop() })
		members[name] = m

		Expect(hub.Apply(ctx, "gitops", managedCluster(name))).To(Succeed())
		Eventually(condition).WithArguments(ctx, name, v1alpha1.ConditionReady).Should(HaveField("Status", metav1.ConditionTrue))
		m.joinFolder, err = m.Join(ctx, hub)
		Expect(err).NotTo(HaveOccurred())
		m.startAgent(ctx)
		DeferCleanup(func() error { return m.agent.Stop(stopTimeout) })
	}
	expectAllAvailable(ctx)
}, NodeTimeout(10*time.Minute))

func managedCluster(name string) string {
	return fmt.Sprintf(`apiVersion: atlhyper.io/v1alpha1
kind: ManagedCluster
metadata: {name: %s}
spec:
  heartbeat: {periodSeconds: %d, missesBeforeUnavailable: %d}
`, name, int(period.Seconds()), int(grace/period))
}

func startReplica(ctx context.Context, name string) *process.Process {
	GinkgoHelper()
	if ingestOf[name] == "" {
		address, err := fleet.FreeAddress(ctx)
		Expect(err).NotTo(HaveOccurred())
		ingestOf[name] = address
	}
	own := hub
	own.IngestAddress = ingestOf[name]
	p, err := own.StartReplica(ctx, name, "--leader-elect=true")
	Expect(err).NotTo(HaveOccurred())
	return p
}

func (m *member) startAgent(ctx context.Context) {
	GinkgoHelper()
	var err error
	m.agent, err = m.StartAgent(ctx, m.joinFolder)
	Expect(err).NotTo(HaveOccurred())
}

func cluster(ctx context.Context, name string) *v1alpha1.ManagedCluster {
	GinkgoHelper()
	mc := &v1alpha1.ManagedCluster{}
	Expect(api.Get(ctx, client.ObjectKey{Name: name}, mc)).To(Succeed())
	return mc
}

// condition is a condition of a ManagedCluster, empty where there is none.
func condition(ctx context.Context, name, kind string) (metav1.Condition, error) {
	mc := &v1alpha1.ManagedCluster{}
	if err := api.Get(ctx, client.ObjectKey{Name: name}, mc); err != nil {
		return metav1.Condition{}, err
	}
	if c := meta.FindStatusCondition(mc.Status.Conditions, kind); c != nil {
		return *c, nil
	}
	return metav1.Condition{}, nil
}

func available(ctx context.Context, name string) (metav1.ConditionStatus, error) {
	c, err := condition(ctx, name, v1alpha1.ClusterConditionAvailable)
	return c.Status, err
}

func expectAllAvailable(ctx context.Context) {
	GinkgoHelper()
	for name := range members {
		Eventually(available).WithArguments(ctx, name).Should(Equal(metav1.ConditionTrue), name)
	}
}

// sinceWhen maps every cluster to when its Available condition changed last: as
// long as it stays the same, nobody was alarmed.
func sinceWhen(ctx context.Context) map[string]metav1.Time {
	GinkgoHelper()
	since := map[string]metav1.Time{}
	for name := range members {
		c, err := condition(ctx, name, v1alpha1.ClusterConditionAvailable)
		Expect(err).NotTo(HaveOccurred())
		since[name] = c.LastTransitionTime
	}
	return since
}

// logOf returns what a program has written so far.
func logOf(elements ...string) (string, error) {
	text, err := os.ReadFile(filepath.Join(elements...))
	return strings.TrimSpace(string(text)), err
}
