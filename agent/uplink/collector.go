// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The metrics. What is not known yet is missing, and not 0.
var (
	lagDesc = prometheus.NewDesc("atlhyper_agent_uplink_lag_seconds",
		"Age of the oldest record of the last live batch when the hub confirmed it.", []string{"stream"}, nil)
	confirmedDesc = prometheus.NewDesc("atlhyper_agent_uplink_last_confirmed_timestamp_seconds",
		"When the hub confirmed something last, in Unix time.", []string{"stream"}, nil)
	backlogDesc = prometheus.NewDesc("atlhyper_agent_uplink_backlog_records",
		"Records that the hub has not confirmed.", []string{"stream", "lane"}, nil)
	backlogBytesDesc = prometheus.NewDesc("atlhyper_agent_uplink_backlog_bytes",
		"Size of the records that the hub has not confirmed, uncompressed.", []string{"stream"}, nil)
	oldestDesc = prometheus.NewDesc("atlhyper_agent_uplink_oldest_record_age_seconds",
		"Age of the oldest record that the hub has not confirmed; 0 without one.", []string{"stream"}, nil)
	deliveredDesc = prometheus.NewDesc("atlhyper_agent_uplink_delivered_records_total",
		"Records that the hub confirmed, gaps included.", []string{"stream"}, nil)
	quarantinedDesc = prometheus.NewDesc("atlhyper_agent_uplink_quarantined_records_total",
		"Records that the hub set aside.", []string{"stream"}, nil)
	droppedDesc = prometheus.NewDesc("atlhyper_agent_uplink_dropped_records_total",
		"Records that were given up before the hub confirmed them.", []string{"stream"}, nil)
	requestsDesc = prometheus.NewDesc("atlhyper_agent_uplink_requests_total",
		"Requests with a batch by what the hub answered.", []string{"lane", "result"}, nil)
	sentDesc = prometheus.NewDesc("atlhyper_agent_uplink_sent_bytes_total",
		"Bytes of the batches that were sent, compressed.", []string{"lane"}, nil)
	failingDesc = prometheus.NewDesc("atlhyper_agent_uplink_failing",
		"1 while the last request of the lane did not reach the hub or was turned away.", []string{"lane"}, nil)

	descs = []*prometheus.Desc{
		lagDesc, confirmedDesc, backlogDesc, backlogBytesDesc, oldestDesc, deliveredDesc, quarantinedDesc, droppedDesc,
		requestsDesc, sentDesc, failingDesc,
	}
)

// NewCollector returns a collector that asks how delivery stands, usually
// Uplink.Stats, whenever its metrics are gathered. It has one series for each stream
// and lane, and nothing of what is delivered.
func NewCollector(stats func() Stats) prometheus.Collector { return collector(stats) }

type collector func() Stats

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	stats := c()
	for stream := range telemetry.Streams() {
		one := stats.Streams[stream]
		collectStream(ch, stream.String(), &one)
	}
	for i := range stats.Lanes {
		collectLane(ch, Lane(i).String(), &stats.Lanes[i])
	}
}

func collectStream(ch chan<- prometheus.Metric, name string, s *StreamStats) {
	if s.Epoch != 0 {
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, s.Lag.Seconds(), name)
	}
	if !s.AckedAt.IsZero() {
		ch <- prometheus.MustNewConstMetric(confirmedDesc, prometheus.GaugeValue, float64(s.AckedAt.UnixMilli())/1000, name)
	}
	ch <- prometheus.MustNewConstMetric(backlogDesc, prometheus.GaugeValue, float64(s.BacklogRecords-s.ReplayRecords), name, Live.String())
	ch <- prometheus.MustNewConstMetric(backlogDesc, prometheus.GaugeValue, float64(s.ReplayRecords), name, Replay.String())
	ch <- prometheus.MustNewConstMetric(backlogBytesDesc, prometheus.GaugeValue, float64(s.BacklogBytes), name)
	ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, s.OldestAge.Seconds(), name)
	ch <- prometheus.MustNewConstMetric(deliveredDesc, prometheus.CounterValue, float64(s.Delivered), name)
	ch <- prometheus.MustNewConstMetric(quarantinedDesc, prometheus.CounterValue, float64(s.Quarantined), name)
	ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(s.Dropped), name)
}

func collectLane(ch chan<- prometheus.Metric, name string, l *LaneStats) {
	for _, result := range verdicts {
		ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(l.Requests[result]), name, result)
	}
	ch <- prometheus.MustNewConstMetric(sentDesc, prometheus.CounterValue, float64(l.Bytes), name)
	failing := 0.0
	if l.Problem != "" {
		failing = 1
	}
	ch <- prometheus.MustNewConstMetric(failingDesc, prometheus.GaugeValue, failing, name)
}
