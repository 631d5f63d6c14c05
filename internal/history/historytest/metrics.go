// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"math"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// samples sends n samples of a node, 15 s apart, the first at begin.
func (f *fixture) samples(n *Node, first uint64, begin time.Time, count int) []telemetry.Record {
	f.Helper()
	payloads := make([]telemetry.Payload, 0, count)
	for range count {
		payloads = append(payloads, n.Next())
	}
	records := Records(first, payloads, func(i int) time.Time { return begin.Add(time.Duration(i) * 15 * time.Second) })
	f.send(clusterA, telemetry.StreamNodeMetrics, epoch1, records...)
	return records
}

func (f *fixture) points(metric telemetry.MetricID, r history.Range, points int) history.Points {
	f.Helper()
	p, err := f.NodePoints(f.Context(), history.PointsQuery{Cluster: clusterA, Node: "node-1", Metric: metric, Range: r, Points: points})
	f.must(err)
	return p
}

// recompute sums up what was sent, the way a reader would.
func recompute(records []telemetry.Record, metric telemetry.MetricID, begin time.Time, step time.Duration) map[string][]history.Point {
	out := map[string][]history.Point{}
	for _, r := range records {
		s := r.Payload.(*telemetry.NodeSample) //nolint:forcetypeassert // samples only
		for i, series := range s.Series {
			if series.Metric != metric {
				continue
			}
			at := begin.Add(r.Time.Sub(begin).Truncate(step))
			points, v := out[series.Label], s.Values[i]
			if n := len(points); n == 0 || !points[n-1].At.Equal(at) {
				points = append(points, history.Point{At: at, Min: math.Inf(1), Max: math.Inf(-1)})
			}
			p := &points[len(points)-1]
			p.Count, p.Min, p.Max, p.Sum = p.Count+1, min(p.Min, v), max(p.Max, v), p.Sum+v
			out[series.Label] = points
		}
	}
	return out
}

// sameSeries compares points, and sums up to rounding.
func (f *fixture) sameSeries(what string, got history.Points, want map[string][]history.Point) {
	f.Helper()
	round := func(points []history.Point) []history.Point {
		points = slices.Clone(points)
		for i := range points {
			points[i].Sum = math.Round(points[i].Sum*1e4) / 1e4
		}
		return points
	}
	f.same(what+": series", len(got.Series), len(want))
	for _, s := range got.Series {
		f.same(what+" "+s.Series.Label, round(s.Points), round(want[s.Series.Label]))
	}
}

func testPoints(f *fixture) {
	now := f.clock.Now()
	begin := now.Truncate(time.Minute).Add(-10 * time.Minute)
	records := f.samples(NewNode("node-1", 1), 1, begin, 40)
	r := history.Range{Start: begin, End: begin.Add(10 * time.Minute)}
	got := f.points(telemetry.MetricCPUCoreUsage, r, 10)
	f.same("step", got.Step, time.Minute)
	f.sameSeries("by minute", got, recompute(records, telemetry.MetricCPUCoreUsage, begin, time.Minute))
	got = f.points(telemetry.MetricCPUUsage, r, history.MaxPoints)
	f.sameSeries("sample by sample", got, recompute(records, telemetry.MetricCPUUsage, begin, time.Second))
	one, err := f.NodePoints(f.Context(), history.PointsQuery{
		Cluster: clusterA, Node: "node-1", Metric: telemetry.MetricCPUCoreUsage, Labels: []string{"2"}, Range: r,
	})
	f.must(err)
	f.same("one label", []any{len(one.Series), one.Series[0].Series.Label}, []any{1, "2"})
	f.same("a metric that is not there", len(f.points(9999, r, 0).Series), 0)

	nodes, err := f.Nodes(f.Context(), clusterA)
	f.must(err)
	f.same("nodes", nodes, []history.Node{{Name: "node-1", LastSample: records[39].Time}})
	series, err := f.NodeSeries(f.Context(), clusterA, "node-1")
	f.must(err)
	f.same("series", len(series), len(NewNode("", 1).series))
	_, err = f.NodeSeries(f.Context(), clusterA, "no-such-node")
	f.refused("series of an unknown node", err, history.ErrNotFound)

	// For every range and every wish there are no more points than wished for.
	for _, d := range []time.Duration{time.Second, time.Minute, time.Hour, 26 * time.Hour, 40 * 24 * time.Hour, 400 * 24 * time.Hour} {
		for _, n := range []int{1, 2, 7, 300, history.MaxPoints} {
			p := f.points(telemetry.MetricCPUUsage, history.Range{Start: now.Add(-d), End: now}, n)
			if steps := math.Ceil(float64(d+p.Step-time.Millisecond) / float64(p.Step)); p.Step < time.Second || steps > float64(n)+1 {
				f.Errorf("%s in %d points: a step of %s", d, n, p.Step)
			}
		}
	}
}

func testCompaction(f *fixture) {
	hour := f.clock.Now().Truncate(time.Hour)
	begin := hour.Add(-2*time.Hour - 10*time.Minute)
	records := f.samples(NewNode("node-1", 2), 1, begin, 500)
	r := history.Range{Start: begin, End: hour.Add(10 * time.Minute)}
	before := map[telemetry.MetricID]history.Points{}
	for m := range telemetry.Metrics() {
		before[m.ID] = f.points(m.ID, r, history.MaxPoints)
	}
	report := f.maintain(history.TaskCompact)
	f.same("hours", report.Done, 3)
	f.same("rows", report.Rows, int64(500))
	for m := range telemetry.Metrics() {
		f.same("compacted "+m.Name, f.points(m.ID, r, history.MaxPoints), before[m.ID])
	}
	f.sameSeries("still what was sent", f.points(telemetry.MetricDiskAwait, r, history.MaxPoints),
		recompute(records, telemetry.MetricDiskAwait, begin.Truncate(time.Second), before[telemetry.MetricDiskAwait].Step))
	nodes, err := f.Nodes(f.Context(), clusterA)
	f.must(err)
	f.same("the last sample is known", nodes[0].LastSample, records[499].Time)
	series, err := f.NodeSeries(f.Context(), clusterA, "node-1")
	f.must(err)
	f.same("so are its series", len(series), len(NewNode("", 1).series))
	f.same("nothing is left to do", f.maintain(history.TaskCompact), history.TaskReport{})
}

func testLateSamples(f *fixture) {
	hour := f.clock.Now().Truncate(time.Hour).Add(-3 * time.Hour)
	node := NewNode("node-1", 3)
	records := f.samples(node, 1, hour, 100)
	f.maintain(history.TaskCompact)
	records = append(records, f.samples(node, 101, hour.Add(25*time.Minute), 100)...)
	r := history.Range{Start: hour, End: hour.Add(time.Hour)}
	check := func(when string) {
		f.Helper()
		got := f.points(telemetry.MetricNetReceive, r, history.MaxPoints)
		f.sameSeries("samples "+when, got, recompute(records, telemetry.MetricNetReceive, hour, got.Step))
		got = f.points(telemetry.MetricNetReceive, r, 12)
		f.same("step", got.Step, history.FineStep)
		f.sameSeries("rollup "+when, got, recompute(records, telemetry.MetricNetReceive, hour, history.FineStep))
	}
	check("before the second compaction")
	f.maintain(history.TaskCompact)
	check("after it")

	// An agent that lost its spool sends what the collector still had: the same
	// samples, in a new epoch.
	f.send(clusterA, telemetry.StreamNodeMetrics, epoch2, Records(1, []telemetry.Payload{records[198].Payload, records[199].Payload},
		func(i int) time.Time { return records[198+i].Time })...)
	f.maintain(history.TaskCompact)
	check("after samples that came twice")
}

func testRollups(f *fixture) {
	day := f.clock.Now().Truncate(time.Hour).Add(-26 * time.Hour)
	records := make([]telemetry.Record, 0, 26*240)
	node := NewNode("node-1", 4)
	for h := range 26 {
		records = append(records, f.samples(node, uint64(len(records)+1), day.Add(time.Duration(h)*time.Hour), 240)...)
		if h == 12 {
			f.maintain(history.TaskCompact)
		}
	}
	f.maintain(history.TaskCompact)
	r := history.Range{Start: day, End: day.Add(26 * time.Hour)}
	for _, metric := range []telemetry.MetricID{telemetry.MetricCPUCoreUsage, telemetry.MetricMemoryTotal, telemetry.MetricUptime} {
		fine := f.points(metric, r, 312)
		f.same("step", fine.Step, history.FineStep)
		f.sameSeries("fine", fine, recompute(records, metric, day, history.FineStep))
		coarse := f.points(metric, r, 26)
		f.same("step", coarse.Step, history.CoarseStep)
		f.sameSeries("coarse", coarse, recompute(records, metric, day, history.CoarseStep))
		wide := f.points(metric, r, 13)
		f.sameSeries("wide", wide, recompute(records, metric, day, 2*time.Hour))
	}
}
