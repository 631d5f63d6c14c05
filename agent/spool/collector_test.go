// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func register(t *testing.T, stats func() spool.Stats) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(spool.NewCollector(stats)); err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Fatalf("the metrics are not in order: %v, %v", problems, err)
	}
	return registry
}

func TestMetricsSayWhatStatsSay(t *testing.T) {
	stats := spool.Stats{Bytes: 8192, Limit: 1 << 20, MemoryBytes: 10, Trouble: syscall.ENOSPC, Streams: map[telemetry.Stream]spool.StreamStats{
		telemetry.StreamEvents: {Epochs: 3, Appended: 40, Splits: 2, Dropped: map[telemetry.GapReason]uint64{telemetry.GapSpoolFull: 5, telemetry.GapThinned: 1}},
	}}
	registry := register(t, func() spool.Stats { return stats })
	const want = `
# HELP atlhyper_agent_spool_bytes What the spool occupies on the disk.
# TYPE atlhyper_agent_spool_bytes gauge
atlhyper_agent_spool_bytes 8192
# HELP atlhyper_agent_spool_limit_bytes What the spool may occupy on the disk at the moment.
# TYPE atlhyper_agent_spool_limit_bytes gauge
atlhyper_agent_spool_limit_bytes 1.048576e+06
# HELP atlhyper_agent_spool_memory_bytes What waits in memory for the disk.
# TYPE atlhyper_agent_spool_memory_bytes gauge
atlhyper_agent_spool_memory_bytes 10
# HELP atlhyper_agent_spool_trouble 1 while the disk takes nothing.
# TYPE atlhyper_agent_spool_trouble gauge
atlhyper_agent_spool_trouble 1
# HELP atlhyper_agent_spool_splits_total Backlogs that moved to the replay lane.
# TYPE atlhyper_agent_spool_splits_total counter
atlhyper_agent_spool_splits_total{stream="anomalies"} 0
atlhyper_agent_spool_splits_total{stream="command-output"} 0
atlhyper_agent_spool_splits_total{stream="events"} 2
atlhyper_agent_spool_splits_total{stream="inventory"} 0
atlhyper_agent_spool_splits_total{stream="node-metrics"} 0
atlhyper_agent_spool_splits_total{stream="sli"} 0
`
	err := testutil.GatherAndCompare(registry, strings.NewReader(want), "atlhyper_agent_spool_bytes", "atlhyper_agent_spool_limit_bytes",
		"atlhyper_agent_spool_memory_bytes", "atlhyper_agent_spool_trouble", "atlhyper_agent_spool_splits_total")
	if err != nil {
		t.Error(err)
	}
	for labels, want := range map[[2]string]float64{
		{"events", "SpoolFull"}: 5, {"events", "Thinned"}: 1, {"events", "Refused"}: 0, {"sli", "SpoolFull"}: 0, {"sli", "TooLarge"}: 0,
	} {
		if got, ok := dropped(t, registry, labels[0], labels[1]); !ok || got != want {
			t.Errorf("dropped of %v: %v, %v, want %v", labels, got, ok, want)
		}
	}
}

// dropped returns how many records of a stream are told to be lost for a reason.
func dropped(t *testing.T, registry *prometheus.Registry, stream, reason string) (float64, bool) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "atlhyper_agent_spool_dropped_records_total" && labels["stream"] == stream && labels["reason"] == reason {
				return m.GetCounter().GetValue(), true
			}
		}
	}
	return 0, false
}

func TestMetricsOfASpool(t *testing.T) {
	s, h := begin(t, spool.Options{})
	out := appendItems(t, s, telemetry.StreamEvents, items(telemetry.StreamEvents, 1, 10, 100)...)
	if err := s.Discard(telemetry.StreamEvents, out.Epoch, out.First+1); err != nil {
		t.Fatal(err)
	}
	h.drain(t, s)
	if got, _ := dropped(t, register(t, s.Stats), "events", "Refused"); got != 2 {
		t.Errorf("%v records are told to be refused, want 2", got)
	}
}
