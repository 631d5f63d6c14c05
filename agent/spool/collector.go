// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"maps"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The metrics.
var (
	bytesDesc = prometheus.NewDesc("atlhyper_agent_spool_bytes",
		"What the spool occupies on the disk.", nil, nil)
	limitDesc = prometheus.NewDesc("atlhyper_agent_spool_limit_bytes",
		"What the spool may occupy on the disk at the moment.", nil, nil)
	memoryDesc = prometheus.NewDesc("atlhyper_agent_spool_memory_bytes",
		"What waits in memory for the disk.", nil, nil)
	troubleDesc = prometheus.NewDesc("atlhyper_agent_spool_trouble",
		"1 while the disk takes nothing.", nil, nil)
	epochsDesc = prometheus.NewDesc("atlhyper_agent_spool_epochs",
		"Epochs that are held.", []string{"stream"}, nil)
	appendedDesc = prometheus.NewDesc("atlhyper_agent_spool_appended_records_total",
		"Records that were given a number, gaps included.", []string{"stream"}, nil)
	splitsDesc = prometheus.NewDesc("atlhyper_agent_spool_splits_total",
		"Backlogs that moved to the replay lane.", []string{"stream"}, nil)
	droppedDesc = prometheus.NewDesc("atlhyper_agent_spool_dropped_records_total",
		"Records that are lost, by the reason that their gap gives.", []string{"stream", "reason"}, nil)

	descs = []*prometheus.Desc{bytesDesc, limitDesc, memoryDesc, troubleDesc, epochsDesc, appendedDesc, splitsDesc, droppedDesc}

	// dropReasons are those for which the spool drops records.
	dropReasons = []telemetry.GapReason{
		telemetry.GapSpoolFull, telemetry.GapSpoolCorrupt, telemetry.GapSourceOverflow, telemetry.GapRefused, telemetry.GapTooLarge,
	}
)

// NewCollector returns a collector that asks what the spool holds and has lost, usually
// Spool.Stats, whenever its metrics are gathered.
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
	ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(stats.Bytes))
	ch <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(stats.Limit))
	ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(stats.MemoryBytes))
	trouble := 0.0
	if stats.Trouble != nil {
		trouble = 1
	}
	ch <- prometheus.MustNewConstMetric(troubleDesc, prometheus.GaugeValue, trouble)
	for stream := range telemetry.Streams() {
		one := stats.Streams[stream]
		ch <- prometheus.MustNewConstMetric(epochsDesc, prometheus.GaugeValue, float64(one.Epochs), stream.String())
		ch <- prometheus.MustNewConstMetric(appendedDesc, prometheus.CounterValue, float64(one.Appended), stream.String())
		ch <- prometheus.MustNewConstMetric(splitsDesc, prometheus.CounterValue, float64(one.Splits), stream.String())
		dropped := map[telemetry.GapReason]uint64{}
		for _, reason := range dropReasons {
			dropped[reason] = 0 // so that a first one is seen as an increase
		}
		maps.Copy(dropped, one.Dropped)
		for reason, n := range dropped {
			ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(n), stream.String(), reason.String())
		}
	}
}
