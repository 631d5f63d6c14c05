// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import "github.com/prometheus/client_golang/prometheus"

// The metrics.
var (
	nodesDesc = prometheus.NewDesc("atlhyper_agent_kubelets",
		"Nodes by how reading their kubelets went last: read, failing, or lost, which the control plane does not hear from and nobody asks.", []string{"state"}, nil)
	readingsDesc = prometheus.NewDesc("atlhyper_agent_kubelet_readings_total",
		"Readings of kubelets by what became of them.", []string{"result"}, nil)
	watchedDesc = prometheus.NewDesc("atlhyper_agent_kubelet_watched",
		"Containers and claims that are near a threshold.", nil, nil)
	refusedDesc = prometheus.NewDesc("atlhyper_agent_kubelet_refused",
		"1 while the agent has no right to read kubelets.", nil, nil)
)

// NewCollector returns a collector that asks how reading goes, usually Reader.Stats,
// whenever its metrics are gathered. It has no series for single nodes.
func NewCollector(stats func() Stats) prometheus.Collector { return collector(stats) }

type collector func() Stats

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodesDesc, readingsDesc, watchedDesc, refusedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	refused := 0.0
	if s.Refused {
		refused = 1
	}
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(s.Nodes-s.Lost-s.Failing), "read")
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(s.Failing), "failing")
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(s.Lost), "lost")
	ch <- prometheus.MustNewConstMetric(readingsDesc, prometheus.CounterValue, float64(s.Read), "read")
	ch <- prometheus.MustNewConstMetric(readingsDesc, prometheus.CounterValue, float64(s.Failed), "failed")
	ch <- prometheus.MustNewConstMetric(watchedDesc, prometheus.GaugeValue, float64(s.Watched))
	ch <- prometheus.MustNewConstMetric(refusedDesc, prometheus.GaugeValue, refused)
}
