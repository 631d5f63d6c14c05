// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
)

// logRefused is how many thresholds that are not valid one line of the log names.
const logRefused = 10

// compare takes thresholds. A document that cannot be read changes nothing: nobody
// knows what it wants.
func (j *judge) compare(document string, now time.Time) []anomaly.Transition {
	list, refused, err := threshold.Parse(document)
	if err != nil {
		j.log.Error(err, "Staying with the metric thresholds known before")
		stats := j.anomalies.Stats()
		stats.Unreadable = true
		j.anomalies.stats.Store(&stats)
		return nil
	}
	if len(refused) > 0 {
		named := make([]error, 0, logRefused)
		for _, r := range refused[:min(len(refused), logRefused)] {
			named = append(named, r)
		}
		j.log.Error(errors.Join(named...), "Leaving out metric thresholds that this agent cannot evaluate", "refused", len(refused))
	}
	if before := j.anomalies.Stats(); len(list) > 0 || before.Thresholds > 0 {
		j.log.Info("Comparing metrics with the hub's thresholds", "thresholds", len(list))
	}
	j.anomalies.stats.Store(&Stats{Thresholds: len(list), Refused: len(refused)})
	j.saveSoon()
	return j.engine.SetThresholds(list, now)
}

// Stats are numbers about what is judged.
type Stats struct {
	// Thresholds is how many metric thresholds are evaluated, and Refused how many
	// of the hub's are not because they are not valid.
	Thresholds, Refused int
	// Unreadable is true when the hub's last document could not be read, so that
	// what it said before holds.
	Unreadable bool
}

// Stats returns the numbers of the moment.
func (a *Anomalies) Stats() Stats {
	if s := a.stats.Load(); s != nil {
		return *s
	}
	return Stats{}
}

var (
	thresholdsDesc = prometheus.NewDesc("atlhyper_agent_thresholds",
		"Metric thresholds of the hub by whether they are evaluated, or refused because they are not valid.", []string{"state"}, nil)
	unreadableDesc = prometheus.NewDesc("atlhyper_agent_thresholds_unreadable",
		"1 while the hub's last thresholds could not be read and those before them are evaluated.", nil, nil)
)

// NewCollector returns a collector that asks for the numbers, usually
// Anomalies.Stats, whenever its metrics are gathered.
func NewCollector(stats func() Stats) prometheus.Collector { return collector(stats) }

type collector func() Stats

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- thresholdsDesc
	ch <- unreadableDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	ch <- prometheus.MustNewConstMetric(thresholdsDesc, prometheus.GaugeValue, float64(s.Thresholds), "evaluated")
	ch <- prometheus.MustNewConstMetric(thresholdsDesc, prometheus.GaugeValue, float64(s.Refused), "refused")
	unreadable := 0.0
	if s.Unreadable {
		unreadable = 1
	}
	ch <- prometheus.MustNewConstMetric(unreadableDesc, prometheus.GaugeValue, unreadable)
}
