// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import "github.com/prometheus/client_golang/prometheus"

// The metrics.
var (
	nodesDesc = prometheus.NewDesc("atlhyper_agent_nodes",
		"Nodes whose collectors were heard within an hour, by whether they are fresh or silent.", []string{"state"}, nil)
	recordsDesc = prometheus.NewDesc("atlhyper_agent_nodes_records_total",
		"Records of node collectors, samples and gaps, by what became of them.", []string{"result"}, nil)
	lostDesc = prometheus.NewDesc("atlhyper_agent_nodes_lost_samples_total",
		"Samples that never come: collectors dropped them, or they were refused for good.", nil, nil)
	requestsDesc = prometheus.NewDesc("atlhyper_agent_nodes_requests_total",
		"Requests to the endpoint for node collectors by what was answered.", []string{"reason"}, nil)
)

// NewCollector returns a collector that asks what became of what arrived, usually
// Receiver.Stats, whenever its metrics are gathered. It has no series for single
// nodes.
func NewCollector(stats func() Stats) prometheus.Collector { return collector(stats) }

type collector func() Stats

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodesDesc, recordsDesc, lostDesc, requestsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(s.Fresh), "fresh")
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(s.Nodes-s.Fresh), "silent")
	ch <- prometheus.MustNewConstMetric(recordsDesc, prometheus.CounterValue, float64(s.Accepted), "accepted")
	ch <- prometheus.MustNewConstMetric(recordsDesc, prometheus.CounterValue, float64(s.Duplicates), "duplicate")
	ch <- prometheus.MustNewConstMetric(recordsDesc, prometheus.CounterValue, float64(s.Refused), "refused")
	ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(s.Lost))
	for reason := range reasons {
		ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(s.Answers[reason]), string(reason))
	}
}
