// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package source

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Metric is the one whose value says which record a sample is: its number and 1.
const Metric = telemetry.MetricUptime

func (s *Source) sample(n uint64) *telemetry.NodeSample {
	nodes := uint64(s.Nodes) //nolint:gosec // a small number
	sample := &telemetry.NodeSample{
		Node: s.NodeName(n % nodes), BootID: s.name("boot", n%nodes), CollectorSeq: n/nodes + 1, Interval: s.SampleEvery, Scope: telemetry.NetworkHost,
	}
	random := rand.New(rand.NewPCG(n, 7)) //nolint:gosec // measurements, not secrets
	for m := range telemetry.Metrics() {
		switch {
		case m.ID == Metric:
			sample.Values = append(sample.Values, float64(n+1))
		case len(sample.Series) > s.Values || m.Label != "":
			continue
		default:
			sample.Values = append(sample.Values, float64(random.IntN(10_000))/100)
		}
		sample.Series = append(sample.Series, telemetry.Series{Metric: m.ID})
	}
	return sample
}

// NodeName is the name of a node, from 0.
func (s *Source) NodeName(i uint64) string { return s.name("node", i) }

// SampleOf returns which record the sample of a node at a moment is.
func (s *Source) SampleOf(node string, at time.Time) (n uint64, ok bool) {
	var i uint64
	since := at.Sub(s.Base)
	if !s.parse(node, "node", &i) || since < 0 || since%s.SampleEvery != 0 || i >= uint64(s.Nodes) { //nolint:gosec // a small number
		return 0, false
	}
	return uint64(since/s.SampleEvery)*uint64(s.Nodes) + i, true //nolint:gosec // not negative
}

// Route is a route, from 0.
func (s *Source) Route(i uint64) telemetry.RouteKey {
	return telemetry.RouteKey{Controller: "traefik", Kind: "Ingress", Namespace: "shop", Name: s.name("route", i)}
}

func (s *Source) slice(n uint64) *telemetry.SLISlice {
	key := s.Key(telemetry.StreamSLI, n)
	total := float64(n + 1)
	out := &telemetry.SLISlice{
		Route: s.Route(key % uint64(s.Routes)), Start: s.Time(telemetry.StreamSLI, key), Total: total, SumSeconds: 1, //nolint:gosec // a small number
		Latency: telemetry.Histogram{Bounds: []float64{0.1, 1}, Counts: []float64{total, 0, 0}}, ExpectedScrapes: 4, GoodScrapes: 4,
	}
	out.Classes[telemetry.Class2xx] = total
	return out
}

// SliceOf returns which record a slice in the history is.
func (s *Source) SliceOf(slice *telemetry.SLISlice) (n uint64, ok bool) {
	n = uint64(slice.Total) - 1
	if slice.Total < 1 || slice.Total != float64(n+1) {
		return 0, false
	}
	want := s.slice(n)
	return n, slice.Route == want.Route && slice.Start.Equal(want.Start) && slices.Equal(slice.Latency.Counts, want.Latency.Counts)
}
