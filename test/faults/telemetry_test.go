// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// incidents makes things happen in a member while the programs around it fail.
type incidents struct {
	kube   kubernetes.Interface
	reason string
	made   int
}

// happen creates a Warning and a Service, and removes every third Service again,
// until ctx ends.
func (i *incidents) happen(ctx context.Context) {
	defer GinkgoRecover()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		name := fmt.Sprintf("%s-%d", i.reason, i.made)
		now := metav1.Now()
		event := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: "default"},
			InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: name},
			Type:           corev1.EventTypeWarning, Reason: i.reason, Message: "made by a test", Count: 1, FirstTimestamp: now, LastTimestamp: now,
		}
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "s-" + name, Namespace: "default"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		whole := context.WithoutCancel(ctx) // what was begun is made
		_, err := i.kube.CoreV1().Events("default").Create(whole, event, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = i.kube.CoreV1().Services("default").Create(whole, service, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		if i.made%3 == 0 {
			Expect(i.kube.CoreV1().Services("default").Delete(whole, service.Name, metav1.DeleteOptions{})).To(Succeed())
		}
		i.made++
	}
}

// during lets things happen in a member while do runs, and returns how many did.
func during(ctx SpecContext, name, reason string, do func()) int {
	GinkgoHelper()
	kube, err := kubernetes.NewForConfig(members[name].Config())
	Expect(err).NotTo(HaveOccurred())
	i := &incidents{kube: kube, reason: reason}
	happening, stop := context.WithCancel(ctx)
	var owned sync.WaitGroup
	owned.Go(func() { i.happen(happening) })
	do()
	stop()
	owned.Wait()
	Expect(i.made).To(BeNumerically(">", 10), "too little happened to say anything")
	return i.made
}

// recorded reads from history, beside the hub.
type recorded struct {
	*store.Store

	cluster history.ClusterUID
}

func openHistory(ctx SpecContext, name string) recorded {
	GinkgoHelper()
	s, err := store.Open(ctx, hub.DSN, store.Options{ReadOnly: true, Connections: 2})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	return recorded{s, history.ClusterUID(cluster(ctx, name).Status.ClusterID)}
}

// events counts what history has of a reason: how often each object was told of.
func (r recorded) events(ctx context.Context, reason string) (map[string]uint32, error) {
	counts := map[string]uint32{}
	q := history.EventQuery{
		Cluster: r.cluster, Range: lastHour(), Reasons: []string{reason}, Paging: history.Paging{Limit: history.MaxLimit},
	}
	for {
		page, err := r.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Items {
			counts[e.Regarding.Name] += e.Count
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return counts, nil
		}
	}
}

// services are the names of the Services that exist, as far as history knows.
func (r recorded) services(ctx context.Context) ([]string, error) {
	var names []string
	q := history.ObjectQuery{Cluster: r.cluster, Kinds: []telemetry.Kind{telemetry.KindService}, Paging: history.Paging{Limit: history.MaxLimit}}
	for {
		page, err := r.Objects(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			names = append(names, o.Namespace+"/"+o.Name)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return names, nil
		}
	}
}

// gaps are the reasons of the gaps.
func (r recorded) gaps(ctx context.Context) (reasons []telemetry.GapReason, err error) {
	page, err := r.Gaps(ctx, history.LedgerQuery{Cluster: r.cluster, Range: lastHour(), Paging: history.Paging{Limit: history.MaxLimit}})
	for _, gap := range page.Items {
		reasons = append(reasons, gap.Reason)
	}
	return reasons, err
}

func lastHour() history.Range {
	return history.Range{Start: time.Now().Add(-time.Hour), End: time.Now().Add(time.Minute)}
}

// expectComplete waits until history tells everything that happened, once.
func expectComplete(ctx SpecContext, name, reason string, made int) {
	GinkgoHelper()
	r := openHistory(ctx, name)
	want := map[string]uint32{}
	for n := range made {
		want[fmt.Sprintf("%s-%d", reason, n)] = 1
	}
	Eventually(r.events).WithArguments(ctx, reason).WithTimeout(150 * time.Second).Should(Equal(want))

	kube, err := kubernetes.NewForConfig(members[name].Config())
	Expect(err).NotTo(HaveOccurred())
	list, err := kube.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	existing := make([]string, len(list.Items))
	for n := range list.Items {
		existing[n] = list.Items[n].Namespace + "/" + list.Items[n].Name
	}
	Eventually(r.services).WithArguments(ctx).WithTimeout(60 * time.Second).Should(ConsistOf(existing))
	// A killed agent cannot know that its disk has everything, and says so.
	Expect(r.gaps(ctx)).To(Or(BeEmpty(), HaveEach(telemetry.GapEpochLost)))
}

func flowing(ctx context.Context, name string) (string, error) {
	c, err := condition(ctx, name, v1alpha1.ClusterConditionMetricsFlowing)
	return string(c.Status) + "/" + c.Reason, err
}

var _ = Describe("Telemetry", Serial, func() {
	BeforeEach(func(ctx SpecContext) {
		expectAllAvailable(ctx)
		Eventually(flowing).WithArguments(ctx, "alpha").Should(HavePrefix("True/"))
	}, NodeTimeout(4*time.Minute))

	It("is complete although hub and agent are killed again and again", func(ctx SpecContext) {
		seed := uint64(GinkgoRandomSeed())
		AddReportEntry("seed", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		made := during(ctx, "alpha", "walk", func() {
			for range 12 {
				pause := time.NewTimer(time.Duration(500+random.IntN(2500)) * time.Millisecond)
				select {
				case <-pause.C:
				case <-ctx.Done():
					Fail("the walk was cut short")
				}
				if random.IntN(2) == 0 {
					replica.Kill()
					replica = startReplica(ctx, "hub-0")
				} else {
					members["alpha"].agent.Kill()
					members["alpha"].startAgent(ctx)
				}
			}
		})
		AddReportEntry("things that happened", made)
		expectComplete(ctx, "alpha", "walk", made)
	}, SpecTimeout(8*time.Minute))

	It("waits for a database that is away, while everything else goes on", func(ctx SpecContext) {
		before := sinceWhen(ctx)
		made := during(ctx, "alpha", "no-database", func() {
			postgres.Crash()
			down := time.Now()
			Eventually(func(g Gomega) {
				c, err := condition(ctx, "alpha", v1alpha1.ClusterConditionDegraded)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(c).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", v1alpha1.ClusterReasonDatabaseUnavailable)))
			}).Should(Succeed())
			AddReportEntry("noticed after", time.Since(down).Round(100*time.Millisecond).String())
			Expect(condition(ctx, "alpha", v1alpha1.ConditionReady)).To(HaveField("Status", metav1.ConditionTrue), "history never blocks a GitOps sync")
			took := timeToProvision(ctx, "without-history")
			AddReportEntry("a cluster was provisioned within", took.String())
			Expect(postgres.Start(ctx)).To(Succeed())
			Eventually(condition).WithArguments(ctx, "alpha", v1alpha1.ClusterConditionDegraded).ShouldNot(HaveField("Status", metav1.ConditionTrue))
		})
		expectComplete(ctx, "alpha", "no-database", made)
		Expect(sinceWhen(ctx)).To(Equal(before), "the database alarmed somebody about a cluster")
		Eventually(flowing).WithArguments(ctx, "alpha").Should(HavePrefix("True/"))
	}, SpecTimeout(8*time.Minute))

	It("goes to the replica that takes over", func(ctx SpecContext) {
		made := during(ctx, "alpha", "new-leader", func() {
			before, err := attempts("hub-1")
			Expect(err).NotTo(HaveOccurred())
			standby := startReplica(ctx, "hub-1")
			Eventually(attempts).WithArguments("hub-1").Should(BeNumerically(">", before))
			replica.Kill()
			timeToProvision(ctx, "under-a-new-leader")
			replica = standby
		})
		expectComplete(ctx, "alpha", "new-leader", made)
		Expect(replica.Stop(stopTimeout)).To(Succeed())
		replica = startReplica(ctx, "hub-0")
		expectAllAvailable(ctx)
	}, SpecTimeout(8*time.Minute))
})
