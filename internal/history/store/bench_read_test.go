// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/historytest"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// fill stores hours of samples of some nodes, an hour per batch, and returns how
// many values there are.
func fill(b *testing.B, s *store.Store, clock *historytest.Clock, nodes, hours int) int {
	b.Helper()
	values, seq := 0, uint64(1)
	begin := clock.Now().Truncate(time.Hour).Add(-time.Duration(hours) * time.Hour)
	for n := range nodes {
		node := historytest.NewNode(fmt.Sprintf("node-%d", n), uint64(n))
		for h := range hours {
			var payloads []telemetry.Payload
			for range 240 {
				sample := node.Next()
				values += len(sample.Values)
				payloads = append(payloads, sample)
			}
			records := historytest.Records(seq, payloads, func(i int) time.Time { return begin.Add(time.Duration(h)*time.Hour + time.Duration(i)*15*time.Second) })
			seq += uint64(len(records))
			if _, err := s.Append(b.Context(), cluster, telemetry.NewBatch(telemetry.StreamNodeMetrics, 1, records)); err != nil {
				b.Fatal(err)
			}
		}
	}
	for more := true; more; {
		report, err := s.Maintain(b.Context(), history.TaskCompact, clock.Now())
		if err != nil {
			b.Fatal(err)
		}
		more = report.More
	}
	return values
}

// BenchmarkBytesPerSample reports what a value takes, with indexes and TOAST, as
// blocks, with the rollups, as a row per value, and as a row per sample with a
// column per series.
func BenchmarkBytesPerSample(b *testing.B) {
	clock := historytest.NewClock()
	dsn := dsns["postgres"](b)
	s := open(b, dsn, store.Options{Now: clock.Now})
	values := fill(b, s, clock, 1, 24)
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
	size := func(tables string) float64 {
		var n int64
		if err := conn.QueryRow(b.Context(), "SELECT SUM(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname ~ $1", tables).Scan(&n); err != nil {
			b.Fatal(err)
		}
		return float64(n) / float64(values)
	}
	blocks := size("^node_chunks_p")
	rollups := size("^node_(fine|coarse)_p")

	node := historytest.NewNode("node-0", 0)
	var narrow, wide [][]any
	columns := []string{"node_id", "at"}
	for i := range 24 * 240 {
		sample, at := node.Next(), clock.Now().Add(time.Duration(i)*15*time.Second)
		row := []any{1, at}
		for j, v := range sample.Values {
			narrow = append(narrow, []any{j, at, v})
			row = append(row, v)
			if i == 0 {
				columns = append(columns, fmt.Sprintf("v%d", j))
			}
		}
		wide = append(wide, row)
	}
	create := "CREATE TABLE narrow (series_id int NOT NULL, at timestamptz NOT NULL, value float8 NOT NULL, PRIMARY KEY (series_id, at));" +
		"CREATE TABLE wide (node_id int NOT NULL, at timestamptz NOT NULL, " + strings.Join(columns[2:], " float8, ") + " float8, PRIMARY KEY (node_id, at))"
	if _, err := conn.Exec(b.Context(), create); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.CopyFrom(b.Context(), pgx.Identifier{"narrow"}, []string{"series_id", "at", "value"}, pgx.CopyFromRows(narrow)); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.CopyFrom(b.Context(), pgx.Identifier{"wide"}, columns, pgx.CopyFromRows(wide)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(blocks, "B/value")
	b.ReportMetric(rollups, "rollups-B/value")
	b.ReportMetric(size("^narrow$"), "row-per-value-B/value")
	b.ReportMetric(size("^wide$"), "wide-row-B/value")
	b.ReportMetric(0, "ns/op")
}

var benchRoute = telemetry.RouteKey{Controller: "traefik", Kind: "Ingress", Namespace: "shop", Name: "web", Route: "r"}

// fillRest stores events, pods and slices of 30 days.
func fillRest(b *testing.B, s *store.Store, clock *historytest.Clock, scale int) {
	b.Helper()
	now := clock.Now()
	add := func(stream telemetry.Stream, n int, at func(i int) time.Time, payload func(i int) telemetry.Payload) {
		for first := 0; first < n; first += 5000 {
			var payloads []telemetry.Payload
			for i := first; i < min(n, first+5000); i++ {
				payloads = append(payloads, payload(i))
			}
			records := historytest.Records(uint64(first+1), payloads, func(i int) time.Time { return at(first + i) }) //nolint:gosec // small
			if ack, err := s.Append(b.Context(), cluster, telemetry.NewBatch(stream, 1, records)); err != nil || ack.Quarantined > 0 {
				b.Fatal(ack, err)
			}
		}
	}
	events := 5000 * scale
	seen := func(i int) time.Time {
		return now.Add(-29*24*time.Hour + time.Duration(i)*(29*24*time.Hour/time.Duration(events)))
	}
	add(telemetry.StreamEvents, events, seen, func(i int) telemetry.Payload { return historytest.Event(fmt.Sprintf("e%07d", i), 1, 1, seen(i)) })
	add(telemetry.StreamInventory, 2000*scale, func(int) time.Time { return now }, func(i int) telemetry.Payload {
		return historytest.Pod(fmt.Sprintf("ns-%d", i%20), fmt.Sprintf("pod-%07d", i), fmt.Sprintf("uid-%07d", i), 0)
	})
	const minutes = 30 * 24 * 60
	start := now.Truncate(time.Minute).Add(-minutes * time.Minute)
	add(telemetry.StreamSLI, minutes*max(1, scale/3), func(i int) time.Time { return start.Add(time.Duration(i%minutes+1) * time.Minute) }, func(i int) telemetry.Payload {
		r := benchRoute
		if i >= minutes {
			r.Route = fmt.Sprintf("r%d", i/minutes)
		}
		return historytest.Slice(r, start.Add(time.Duration(i%minutes)*time.Minute), 100, 1)
	})
	for more := true; more; {
		report, err := s.Maintain(b.Context(), history.TaskSums, now)
		if err != nil {
			b.Fatal(err)
		}
		more = report.More
	}
}

// BenchmarkQueries reports p50 and p99 of what a dashboard asks, with some history
// and with ten times as much.
func BenchmarkQueries(b *testing.B) {
	for _, name := range []string{"postgres", "sqlite"} {
		for _, scale := range []int{1, 10} {
			clock := historytest.NewClock()
			s := open(b, dsns[name](b), store.Options{Now: clock.Now})
			fill(b, s, clock, 2*scale, 26)
			fillRest(b, s, clock, scale)
			now := clock.Now()
			day := history.Range{Start: now.Add(-24 * time.Hour), End: now}
			month := history.Range{Start: now.Add(-30 * 24 * time.Hour), End: now}
			points := func(r history.Range) func(int) error {
				return func(i int) error {
					_, err := s.NodePoints(b.Context(), history.PointsQuery{
						Cluster: cluster, Node: fmt.Sprintf("node-%d", i%(2*scale)), Metric: telemetry.MetricCPUUsage, Range: r,
					})
					return err
				}
			}
			for query, ask := range map[string]func(int) error{
				"chart-24h": points(day),
				"chart-1h":  points(history.Range{Start: now.Add(-time.Hour), End: now}),
				"events": func(int) error {
					_, err := s.Events(b.Context(), history.EventQuery{Cluster: cluster, Range: day})
					return err
				},
				"pods": func(i int) error {
					_, err := s.Objects(b.Context(), history.ObjectQuery{Cluster: cluster, Kinds: []telemetry.Kind{telemetry.KindPod}, Namespaces: []string{fmt.Sprintf("ns-%d", i%20)}})
					return err
				},
				"slo-30d": func(int) error {
					_, err := s.SumSlices(b.Context(), history.SliceQuery{Cluster: cluster, Route: benchRoute, Range: month})
					return err
				},
			} {
				b.Run(fmt.Sprintf("%s/%s/history=%dx", name, query, scale), func(b *testing.B) {
					var took []time.Duration
					for i := 0; b.Loop(); i++ {
						begin := time.Now()
						if err := ask(i); err != nil {
							b.Fatal(err)
						}
						took = append(took, time.Since(begin))
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}
