// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/nodecollector/push"
)

// sink keeps what it is given.
type sink struct {
	full atomic.Bool

	mu      sync.Mutex
	records []telemetry.Record
}

// Append implements nodes.Sink.
func (s *sink) Append(_ telemetry.Stream, at time.Time, values ...telemetry.Payload) error {
	if s.full.Load() {
		return errors.New("the disk is full")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		s.records = append(s.records, telemetry.Record{Time: at, Payload: v})
	}
	return nil
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// values counts how often each value arrived from each node, and the gaps.
func (s *sink) values() (nodes map[string]map[float64]int, gaps int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes = map[string]map[float64]int{}
	for i := range s.records {
		sample, ok := s.records[i].Payload.(*telemetry.NodeSample)
		if !ok {
			gaps++
			continue
		}
		if nodes[sample.Node] == nil {
			nodes[sample.Node] = map[float64]int{}
		}
		v, _ := sample.Value(telemetry.MetricLoad1, "")
		nodes[sample.Node][v]++
	}
	return nodes, gaps
}

// collector is a Pusher with the files that a kubelet would mount.
type collector struct {
	*push.Pusher
	node   string
	caFile string
	stop   func()
}

func collect(ctx context.Context, address, node string) *collector {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	files := push.Options{
		URL: "https://" + address, CAFile: filepath.Join(dir, "ca.crt"), TokenFile: filepath.Join(dir, "token"), Interval: time.Second,
	}
	Expect(os.WriteFile(files.TokenFile, []byte(collectorToken(ctx, node)), 0o600)).To(Succeed())
	var published string
	Eventually(func() string {
		published = authorities(ctx)
		return published
	}).ShouldNot(BeEmpty())
	Expect(os.WriteFile(files.CAFile, []byte(published), 0o600)).To(Succeed())
	p, err := push.New(files)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	c := &collector{Pusher: p, node: node, caFile: files.CAFile}
	c.stop = sync.OnceFunc(func() {
		cancel()
		Eventually(done).Should(Receive(BeNil()))
	})
	DeferCleanup(c.stop)
	return c
}

// add adds a sample with a value that tells it from all others.
func (c *collector) add(v int) {
	c.Add(time.Now(), telemetry.NodeSample{
		Node: c.node, BootID: "boot-of-" + c.node, Interval: time.Second,
		Series: []telemetry.Series{{Metric: telemetry.MetricLoad1}}, Values: []float64{float64(v)},
	})
}

// measure adds samples until it has added some, one each 20 ms.
func (c *collector) measure(ctx context.Context, from, to int) {
	GinkgoHelper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for v := from; v < to; v++ {
		select {
		case <-tick.C:
			c.add(v)
		case <-ctx.Done():
			Fail("the spec ended before everything was measured")
		}
	}
}

func once(n int) map[float64]int {
	out := map[float64]int{}
	for v := range n {
		out[float64(v)] = 1
	}
	return out
}

var _ = Describe("delivery from collectors to the sink", Serial, func() {
	It("loses nothing and doubles nothing, whoever restarts", func(ctx SpecContext) {
		kept := &sink{}
		x := start(ctx, "127.0.0.1:0", kept)
		x.ready(ctx)
		a, b := collect(ctx, x.address, "node-1"), collect(ctx, x.address, "node-2")
		var measuring sync.WaitGroup
		defer measuring.Wait()

		By("measuring on two nodes while the agent restarts")
		measuring.Go(func() {
			defer GinkgoRecover()
			b.measure(ctx, 0, 300)
		})
		a.measure(ctx, 0, 100)
		x.stop()
		a.measure(ctx, 100, 150)
		x = start(ctx, x.address, kept)
		a.measure(ctx, 150, 200)

		By("restarting a collector, the new one before the old one has ended")
		next := collect(ctx, x.address, "node-1")
		next.add(200)
		a.add(201)
		next.add(202)
		a.stop()
		next.measure(ctx, 203, 250)

		By("filling the agent's disk for a while")
		kept.full.Store(true)
		next.measure(ctx, 250, 300)
		kept.full.Store(false)
		measuring.Wait()

		Eventually(func(g Gomega) {
			nodes, gaps := kept.values()
			g.Expect(nodes).To(HaveLen(2))
			g.Expect(nodes["node-1"]).To(HaveLen(300))
			g.Expect(nodes["node-2"]).To(HaveLen(300))
			g.Expect(gaps).To(BeZero())
		}).WithTimeout(90 * time.Second).Should(Succeed())
		nodes, _ := kept.values()
		Expect(nodes["node-1"]).To(Equal(once(300)))
		Expect(nodes["node-2"]).To(Equal(once(300)))
		Eventually(func() int { return a.Stats().Buffered + b.Stats().Buffered + next.Stats().Buffered }).Should(BeZero())

		Eventually(func() int32 { return x.Snapshot().Nodes }).Should(Equal(int32(2)))
		Expect(x.Stats().Lost).To(BeZero())
	}, SpecTimeout(4*time.Minute))

	It("goes on when the authority is exchanged", func(ctx SpecContext) {
		kept := &sink{}
		x := start(ctx, "127.0.0.1:0", kept)
		x.ready(ctx)
		c := collect(ctx, x.address, "node-1")
		c.add(0)
		Eventually(kept.count).Should(Equal(1))

		x.stop()
		secret, err := admin.CoreV1().Secrets(v1alpha1.MemberNamespace).Get(ctx, v1alpha1.MemberNodesSecret, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		secret.Data = nil
		_, err = admin.CoreV1().Secrets(v1alpha1.MemberNamespace).Update(ctx, secret, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		x = start(ctx, x.address, kept)
		x.ready(ctx)
		c.add(1)
		Eventually(func() string { return c.Stats().Problem }).Should(ContainSubstring("certificate"))
		Expect(kept.count()).To(Equal(1), "something was sent to an agent that was not verified")

		Expect(os.WriteFile(c.caFile, []byte(authorities(ctx)), 0o600)).To(Succeed())
		Eventually(kept.count).Should(Equal(2))
		Eventually(func() int { return c.Stats().Buffered }).Should(BeZero())
	})
})
