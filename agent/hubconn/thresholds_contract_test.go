// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/agent/anomalies"
	"github.com/atlhyper/atlhyper/agent/hubconn"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// told is a Sink that writes down what it is told, and when.
type told struct {
	mu    sync.Mutex
	lines []string
	at    []time.Time
}

// Append implements anomalies.Sink.
func (s *told) Append(_ telemetry.Stream, _ time.Time, values ...telemetry.Payload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if t, ok := v.(*telemetry.AnomalyTransition); ok {
			s.lines = append(s.lines, fmt.Sprintf("%s %s %s", t.State, t.Rule, t.Reason))
			s.at = append(s.at, time.Now())
		}
	}
	return nil
}

func (s *told) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.lines...)
}

// last is when the last one came.
func (s *told) last() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[len(s.at)-1]
}

var _ = Describe("Thresholds in the bundle", func() {
	// as has the hub's rule engine write its key, as a field manager of its own.
	write := func(ctx context.Context, c *hubCluster, list ...threshold.Threshold) time.Time {
		GinkgoHelper()
		document, refused, err := threshold.Marshal(list)
		Expect(err).NotTo(HaveOccurred())
		Expect(refused).To(BeEmpty())
		bundle := coreac.ConfigMap(v1alpha1.AgentBundle, c.namespace).WithData(map[string]string{v1alpha1.BundleThresholds: string(document)})
		Expect(hubClient.Apply(ctx, bundle, client.FieldOwner("rules"))).To(Succeed())
		return time.Now()
	}
	busy := threshold.Threshold{
		Rule: "team/busy", Severity: telemetry.SeverityCritical,
		Metric: threshold.Metric{Scope: threshold.ScopeNode, Name: "cpu_usage_percent", Operator: threshold.GreaterThan, Threshold: "80"},
	}

	It("reach the engine within a second, and outlive the hub", func(ctx SpecContext) {
		sink := &told{}
		judged, err := anomalies.New(anomalies.Options{Sink: sink, File: filepath.Join(GinkgoT().TempDir(), "anomalies.json"), Logger: GinkgoLogr})
		Expect(err).NotTo(HaveOccurred())
		judging, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var running sync.WaitGroup
		running.Go(func() { defer GinkgoRecover(); Expect(judged.Run(judging)).To(Succeed()) })
		DeferCleanup(func() { cancel(); running.Wait() })
		judged.Observe(&facts.Node{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindNode, Name: "node-1"}, UID: "uid"}})
		judged.Synced(nil)
		seq := uint64(0)
		measure := func(v float64) {
			seq++
			now := time.Now()
			judged.ObserveSample(&telemetry.NodeSample{
				Node: "node-1", BootID: "boot", CollectorSeq: seq, Interval: 15 * time.Second,
				Series: []telemetry.Series{{Metric: telemetry.MetricCPUUsage}}, Values: []float64{v},
			}, now, now)
		}
		measure(95)

		c := provision(ctx, "c", fast)
		c.setBundle(ctx, hub.Config().Host)
		a := newAgent(ctx, hubconn.Timing{})
		a.options.Thresholds = judged.Thresholds
		a.join(ctx, c, "nonce-1")
		a.start(ctx)
		Eventually(a.state).Should(Equal(hubconn.Connected))
		Eventually(func() bool { _, known, _ := a.Ingest(); return known }).Should(BeTrue())
		Expect(sink.all()).To(BeEmpty())

		lines := []string{}
		becomes := func(what, line string, written time.Time) time.Duration {
			GinkgoHelper()
			lines = append(lines, line)
			Eventually(sink.all).WithPolling(time.Millisecond).Should(Equal(lines))
			took := sink.last().Sub(written)
			AddReportEntry("from the API server's answer to the sink: "+what, ReportEntryVisibilityAlways, took.String())
			return took
		}
		const raised, removed = "raised metric:team/busy AboveThreshold", "cleared metric:team/busy RuleRemoved"
		By("gaining a rule and losing it, both within a second where the machine does not stall")
		Eventually(func(g Gomega) {
			measure(95)
			slower := max(becomes("a new rule", raised, write(ctx, c, busy)), becomes("a rule that is gone", removed, write(ctx, c)))
			g.Expect(slower).To(BeNumerically("<", time.Second))
		}).Should(Succeed())

		By("not moving when another key changes")
		becomes("the rule again", raised, write(ctx, c, busy))
		Expect(judged.Stats()).To(Equal(anomalies.Stats{Thresholds: 1}))
		var bundle corev1.ConfigMap
		Expect(hubClient.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: v1alpha1.AgentBundle}, &bundle)).To(Succeed())
		Expect(bundle.Data).To(HaveKey(v1alpha1.BundleEndpoints))
		bundle.Data[v1alpha1.BundleIngest] = `{"endpoints":[{"url":"https://ingest.example.com"}]}`
		Expect(hubClient.Update(ctx, &bundle)).To(Succeed())
		Eventually(func() int { e, _, _ := a.Ingest(); return len(e) }).Should(Equal(1))
		Expect(sink.all()).To(Equal(lines))

		By("staying with what is known when the document cannot be read, and when there is no bundle")
		Expect(hubClient.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: v1alpha1.AgentBundle}, &bundle)).To(Succeed())
		bundle.Data[v1alpha1.BundleThresholds] = `{"version":9}`
		Expect(hubClient.Update(ctx, &bundle)).To(Succeed())
		Eventually(judged.Stats).Should(Equal(anomalies.Stats{Thresholds: 1, Unreadable: true}))
		Expect(hubClient.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: v1alpha1.AgentBundle}})).To(Succeed())
		Eventually(func() int { e, _, _ := a.Ingest(); return len(e) }).Should(BeZero())
		measure(95)
		Consistently(sink.all, "500ms").Should(Equal(lines))

		By("comparing while the hub is away")
		a.stop()
		measured := time.Now()
		measure(10)
		becomes("a measurement", "cleared metric:team/busy AboveThreshold", measured)
	})
})
