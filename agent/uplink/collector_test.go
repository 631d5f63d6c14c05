// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// scrape returns every series and its value, as long as the metrics are in order.
func scrape(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Fatalf("the metrics are not in order: %v, %v", problems, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			name := strings.TrimPrefix(f.GetName(), "atlhyper_agent_uplink_")
			out[fmt.Sprintf("%s{%s}", name, strings.Join(labels, ","))] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

func TestMetricsSayWhatStatsSay(t *testing.T) {
	at := time.Date(2026, time.November, 23, 9, 30, 0, 500e6, time.UTC)
	stats := Stats{Streams: map[telemetry.Stream]StreamStats{telemetry.StreamEvents: {
		Epoch: 7, Acked: 3, AckedAt: at, Delivered: 30, Quarantined: 2, Lag: 1500 * time.Millisecond, BacklogRecords: 10, ReplayRecords: 4,
		BacklogBytes: 1000, OldestAge: time.Minute, Dropped: 5,
	}}}
	stats.Lanes[Live] = LaneStats{Requests: map[string]uint64{"stored": 8, "busy": 1}, Bytes: 4096}
	stats.Lanes[Replay] = LaneStats{Requests: map[string]uint64{"stored": 2}, Bytes: 64, Problem: "no hub"}
	got := scrape(t, NewCollector(func() Stats { return stats }))
	want := map[string]float64{
		"lag_seconds{stream=events}": 1.5, "last_confirmed_timestamp_seconds{stream=events}": float64(at.UnixMilli()) / 1000,
		"backlog_records{lane=live,stream=events}": 6, "backlog_records{lane=replay,stream=events}": 4, "backlog_bytes{stream=events}": 1000,
		"oldest_record_age_seconds{stream=events}": 60, "delivered_records_total{stream=events}": 30, "quarantined_records_total{stream=events}": 2,
		"dropped_records_total{stream=events}": 5, "requests_total{lane=live,result=stored}": 8, "requests_total{lane=live,result=busy}": 1,
		"requests_total{lane=replay,result=stored}": 2, "sent_bytes_total{lane=live}": 4096, "sent_bytes_total{lane=replay}": 64,
		"failing{lane=live}": 0, "failing{lane=replay}": 1,
	}
	for series, value := range want {
		if v, ok := got[series]; !ok || v != value {
			t.Errorf("%s is %v, %v, want %v", series, v, ok, value)
		}
	}
	for series, value := range got {
		if _, ok := want[series]; !ok && value != 0 {
			t.Errorf("%s is %v, want 0", series, value)
		}
	}
}

// TestWhatIsNotKnownIsNotAMetric has an uplink before the hub has said anything.
func TestWhatIsNotKnownIsNotAMetric(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.network.away = true
		b.start()
		b.put(telemetry.StreamEvents, 3)
		b.pass(time.Second)
		got := scrape(t, NewCollector(b.uplink.Stats))
		for series := range got {
			if strings.HasPrefix(series, "lag_") || strings.HasPrefix(series, "last_") {
				t.Errorf("%s is told, and nothing was confirmed", series)
			}
		}
		// The gap of a fresh spool and three events.
		if diff := cmp.Diff([]float64{4, 1, 0}, []float64{
			got["backlog_records{lane=live,stream=events}"], got["failing{lane=live}"], got["requests_total{lane=live,result=stored}"],
		}); diff != "" || got["requests_total{lane=live,result=failed}"] == 0 {
			t.Errorf("without a hub (-want +got):\n%s", diff)
		}
		b.network.away = false
		b.drain(10 * time.Minute)
		got = scrape(t, NewCollector(b.uplink.Stats))
		if lag, ok := got["lag_seconds{stream=events}"]; !ok || lag <= 0 || got["delivered_records_total{stream=events}"] != 4 || got["failing{lane=live}"] != 0 {
			t.Errorf("with the hub back: %v", got)
		}
		b.lossless()
	})
}
