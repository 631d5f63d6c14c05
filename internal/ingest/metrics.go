// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/connections"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Values of the label stream besides the names of streams.
const (
	streamOffsets = "offsets"
	streamNone    = "none"
)

type metrics struct {
	requests     *prometheus.CounterVec
	received     *prometheus.CounterVec
	records      *prometheus.CounterVec
	quarantined  *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	reviews      *prometheus.CounterVec
	connections  prometheus.Gauge
	turnedAway   prometheus.Counter
	strangers    prometheus.Counter
	epochs       prometheus.Counter
	certificates *prometheus.CounterVec
	accepted     *prometheus.GaugeVec
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "atlhyper", Subsystem: "ingest", Name: name, Help: help}, labels)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "atlhyper", Subsystem: "ingest", Name: name, Help: help})
}

func gaugeOpts(name, help string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{Namespace: "atlhyper", Subsystem: "ingest", Name: name, Help: help}
}

// newMetrics registers the metrics, each label value that is known with 0.
func newMetrics(registerer prometheus.Registerer, b *budget) (*metrics, error) {
	m := &metrics{
		requests:    counters("requests_total", "Requests by stream and outcome.", "stream", "outcome"),
		received:    counters("received_bytes_total", "Bytes of batches that were read, as they came.", "stream"),
		records:     counters("records_total", "Records that were stored.", "stream"),
		quarantined: counters("quarantined_records_total", "Records that were set aside.", "stream", "reason"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "atlhyper", Subsystem: "ingest", Name: "request_duration_seconds", Help: "Time from the headers of a request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"stream"}),
		reviews:      counters("token_reviews_total", "Tokens that the API server was asked about.", "result"),
		connections:  prometheus.NewGauge(gaugeOpts("connections", "Open connections.")),
		turnedAway:   counter("connections_refused_total", "Connections that were closed because there are too many."),
		strangers:    counter("connections_unauthenticated_total", "Connections that were closed because nobody authenticated in time."),
		epochs:       counter("epochs_total", "Epochs that began after another one of their stream."),
		certificates: counters("certificate_reads_total", "Certificates that were read because their files changed.", "result"),
		accepted: prometheus.NewGaugeVec(gaugeOpts("last_accepted_timestamp_seconds",
			"When this replica stored the last records of a cluster, in Unix time."), []string{"cluster"}),
	}
	err := errors.Join(
		registerer.Register(m.requests), registerer.Register(m.received), registerer.Register(m.records), registerer.Register(m.quarantined),
		registerer.Register(m.duration), registerer.Register(m.reviews), registerer.Register(m.connections), registerer.Register(m.turnedAway),
		registerer.Register(m.strangers), registerer.Register(m.epochs), registerer.Register(m.certificates), registerer.Register(m.accepted),
		registerer.Register(prometheus.NewGaugeFunc(gaugeOpts("batches_in_flight", "Batches being read, decoded or stored."),
			func() float64 { return float64(b.inFlight().batches) })),
		registerer.Register(prometheus.NewGaugeFunc(gaugeOpts("in_flight_bytes", "Declared size of the batches in flight."),
			func() float64 { return float64(b.inFlight().bytes) })),
	)
	if err != nil {
		return nil, fmt.Errorf("registering the metrics of ingest: %w", err)
	}
	m.initialise()
	return m, nil
}

func (m *metrics) initialise() {
	streams := []string{streamNone, streamOffsets}
	for s := range telemetry.Streams() {
		streams = append(streams, s.String())
		m.received.WithLabelValues(s.String())
		m.records.WithLabelValues(s.String())
		for _, reason := range quarantineReasons {
			m.quarantined.WithLabelValues(s.String(), string(reason))
		}
	}
	for _, stream := range streams {
		m.duration.WithLabelValues(stream)
		for reason := range reasons {
			m.requests.WithLabelValues(stream, string(reason))
		}
	}
	for _, result := range []bearer.Result{bearer.Accepted, bearer.Rejected, bearer.Failed, bearer.Overload} {
		m.reviews.WithLabelValues(string(result))
	}
	for _, result := range []string{certificateLoaded, certificateBroken} {
		m.certificates.WithLabelValues(result)
	}
}

func (m *metrics) answered(stream string, reason Reason, took time.Duration) {
	m.requests.WithLabelValues(stream, string(reason)).Inc()
	m.duration.WithLabelValues(stream).Observe(took.Seconds())
}

func (m *metrics) reviewed(result bearer.Result) { m.reviews.WithLabelValues(string(result)).Inc() }

func (m *metrics) connected(event connections.Event) {
	switch event {
	case connections.Opened:
		m.connections.Inc()
	case connections.Closed:
		m.connections.Dec()
	case connections.TurnedAway:
		m.turnedAway.Inc()
	case connections.Stranger:
		m.strangers.Inc()
	}
}
