// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// large is a sample of a node of 8 cores, 12 filesystems and 6 disks: about 300
// values.
func large(node string, seq int) *facts.NodeSample {
	var values []value
	for m := range telemetry.Metrics() {
		n := map[string]int{"": 1, "core": 8, "mount": 12, "device": 6, "interface": 4, "sensor": 4}[m.Label]
		for i := range n {
			label := ""
			if m.Label != "" {
				label = fmt.Sprintf("%s-%d", m.Label, i)
			}
			values = append(values, value{m.ID, label, 1})
		}
	}
	return sampleOf(node, seq, values...)
}

// crowdOf is thresholds on the metrics of nodes in turn, exceeded or not.
func crowdOf(n int, limit string) []threshold.Threshold {
	var metrics []threshold.Description
	for _, d := range threshold.Metrics() {
		if d.Scope == threshold.ScopeNode && d.Label == "" {
			metrics = append(metrics, d)
		}
	}
	list := make([]threshold.Threshold, 0, n)
	for i := range n {
		list = append(list, above(fmt.Sprintf("rule-%04d", i), metrics[i%len(metrics)].Name, limit,
			selecting(threshold.Selector{MatchLabels: map[string]string{"pool": "a"}})))
	}
	return list
}

// withThresholds is an engine of 100 nodes.
func withThresholds(list []threshold.Threshold) *anomaly.Engine {
	e := anomaly.New(anomaly.Options{Now: start})
	for n := range 100 {
		node := nodeOf(fmt.Sprintf("node-%d", n))
		node.Labels = map[string]string{"pool": "a", "kubernetes.io/os": "linux"}
		e.Observe(node, start)
	}
	e.Synced(start)
	e.SetThresholds(list, start)
	return e
}

// BenchmarkThresholds is one sample of one of 100 nodes.
func BenchmarkThresholds(b *testing.B) {
	for _, bc := range []struct {
		name  string
		count int
		limit string
	}{{"none", 0, ""}, {"10 not exceeded", 10, "50"}, {"1000 not exceeded", 1000, "50"}, {"1000 exceeded", 1000, "0"}} {
		b.Run(bc.name, func(b *testing.B) {
			e := withThresholds(crowdOf(bc.count, bc.limit))
			const rounds = 4
			var samples []*facts.NodeSample
			for seq := range rounds {
				for n := range 100 {
					samples = append(samples, large(fmt.Sprintf("node-%d", n), seq))
				}
			}
			for _, s := range samples[:100] {
				e.Observe(s, start)
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				e.Observe(samples[n%len(samples)], start.Add(time.Duration(n)*time.Microsecond))
				n++
			}
		})
	}
}

// BenchmarkSetThresholds replaces one of 1,000 while 100 nodes are known.
func BenchmarkSetThresholds(b *testing.B) {
	list := crowdOf(1000, "50")
	e := withThresholds(list)
	for n := range 100 {
		e.Observe(large(fmt.Sprintf("node-%d", n), 0), start)
	}
	document, _, err := threshold.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		parsed, _, err := threshold.Parse(string(document))
		if err != nil {
			b.Fatal(err)
		}
		parsed[500].ForSeconds = int32(n % 2)
		e.SetThresholds(parsed, start)
	}
}

// TestThresholdCost keeps what BenchmarkThresholds measures, with room for a busy
// machine: a sample of a cluster with 1,000 thresholds within 500 µs.
func TestThresholdCost(t *testing.T) {
	e := withThresholds(crowdOf(1000, "50"))
	const rounds = 100
	var samples []*facts.NodeSample
	for n := range rounds {
		samples = append(samples, large(fmt.Sprintf("node-%d", n), 0))
	}
	cost := best(5, func() {
		for _, s := range samples {
			e.Observe(s, start)
		}
	}) / rounds
	t.Logf("one sample %s", cost)
	limit := 500 * time.Microsecond
	if race {
		limit *= 10
	}
	if cost > limit {
		t.Errorf("one sample took %s", cost)
	}
}
