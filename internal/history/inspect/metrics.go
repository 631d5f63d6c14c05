// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// metrics is the flags of "history metrics".
type metrics struct {
	span
	nodes, names, labels []string
	points               int
}

func newMetrics(p *program) *cobra.Command {
	f := &metrics{}
	cmd := p.subcommand("metrics", "Print metrics of nodes",
		"  hub history metrics                         # the nodes that send samples\n"+
			"  hub history metrics --node worker-1 --since 1h\n"+
			"  hub history metrics --metric 'fs_*' --node worker-1\n"+
			"  hub history metrics --metric cpu_usage_percent --points 20 -o jsonl",
		f.run)
	cmd.Long = "Print metrics of nodes: what each series did in a time range, or its points.\n" +
		"Without --node and --metric, print the nodes that send samples."
	flags := cmd.Flags()
	flags.StringSliceVar(&f.nodes, "node", nil, "only these nodes")
	flags.StringSliceVar(&f.names, "metric", nil, "only these metrics, such as cpu_usage_percent or 'memory_*'")
	flags.StringSliceVar(&f.labels, "label", nil, "only series with these labels, such as eth0 or /var/lib/kubelet")
	flags.IntVar(&f.points, "points", 0, fmt.Sprintf("print each series as at most this many points, up to %d, instead of in sum", history.MaxPoints))
	f.bind(cmd, "1h")
	return cmd
}

func (f *metrics) run(ctx context.Context, s *session) error {
	if len(f.nodes) == 0 && len(f.names) == 0 {
		if f.points != 0 || len(f.labels) > 0 || f.given() {
			return errors.New("--points, --label, --since and --until need --node or --metric")
		}
		return answer[nodeView]{what: "nodes with samples", columns: nodeColumns(s), rows: s.nodeRows(ctx, nil)}.write(ctx, s)
	}
	if f.points < 0 || f.points > history.MaxPoints {
		return fmt.Errorf("--points is %d, it has to be from 1 to %d", f.points, history.MaxPoints)
	}
	between, err := f.between(s, time.Hour, 0)
	if err != nil {
		return err
	}
	ids, err := metricsNamed(f.names)
	if err != nil {
		return err
	}
	if err := s.checkNodes(ctx, f.nodes); err != nil {
		return err
	}
	a := answer[metricView]{what: "values", columns: metricColumns(s, f.points > 0), rows: f.rows(ctx, s, ids, between)}
	return a.write(ctx, s)
}

// metricsNamed returns the metrics with names, patterns such as fs_*, or numbers.
func metricsNamed(wanted []string) ([]telemetry.MetricID, error) {
	var ids []telemetry.MetricID
	for _, w := range wanted {
		before := len(ids)
		for m := range telemetry.Metrics() {
			if ok, err := path.Match(w, m.Name); ok && err == nil {
				ids = append(ids, m.ID)
			}
		}
		if n, err := strconv.ParseUint(w, 10, 16); err == nil && n > 0 {
			ids = append(ids, telemetry.MetricID(n)) // one that only a newer collector knows
		}
		if len(ids) == before {
			return nil, missing("metric", []string{w}, resembling(w))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// resembling returns the names of all metrics, those first that share the most words
// with what was asked for, and of these those that begin like it.
func resembling(wanted string) []string {
	var names []string
	for m := range telemetry.Metrics() {
		names = append(names, m.Name)
	}
	asked := strings.Split(strings.ToLower(wanted), "_")
	score := func(name string) int {
		n := 0
		for _, word := range asked {
			if word != "" && strings.Contains(name, word) {
				n += 2
			}
		}
		if strings.HasPrefix(name, asked[0]) {
			n++
		}
		return n
	}
	slices.SortStableFunc(names, func(a, b string) int { return score(b) - score(a) })
	return names
}

// nodeRows yields the nodes of the selected clusters, or those of them with names.
func (s *session) nodeRows(ctx context.Context, names []string) iter.Seq2[nodeView, error] {
	return func(yield func(nodeView, error) bool) {
		for _, c := range s.clusters {
			nodes, err := s.reader.Nodes(ctx, c.uid)
			if err != nil {
				yield(nodeView{}, fmt.Errorf("listing the nodes of cluster %s: %w", c.title(), err))
				return
			}
			for _, n := range nodes {
				if len(names) > 0 && !slices.Contains(names, n.Name) {
					continue
				}
				if !yield(nodeView{clusterView: s.clusterView(c.uid), Node: n.Name, LastSample: n.LastSample.UTC()}, nil) {
					return
				}
			}
		}
	}
}

// checkNodes returns an error when a name is none of a node that sent samples.
func (s *session) checkNodes(ctx context.Context, wanted []string) error {
	if len(wanted) == 0 || len(s.clusters) == 0 {
		return nil
	}
	var existing []string
	for n, err := range s.nodeRows(ctx, nil) {
		if err != nil {
			return err
		}
		existing = append(existing, n.Node)
	}
	if unknown := absentFrom(wanted, existing); len(unknown) > 0 {
		slices.Sort(existing)
		return missing("node", unknown, slices.Compact(existing))
	}
	return nil
}

// rows yields what was asked for, node by node and metric by metric, so that no more
// is read than is printed.
func (f *metrics) rows(ctx context.Context, s *session, ids []telemetry.MetricID, between history.Range) iter.Seq2[metricView, error] {
	return func(yield func(metricView, error) bool) {
		for node, err := range s.nodeRows(ctx, f.nodes) {
			if err != nil {
				yield(metricView{}, err)
				return
			}
			wanted := ids
			if len(wanted) == 0 {
				if wanted, err = s.metricsOf(ctx, node); err != nil {
					yield(metricView{}, err)
					return
				}
			}
			for _, id := range wanted {
				q := history.PointsQuery{Cluster: node.Cluster, Node: node.Node, Metric: id, Labels: f.labels, Range: between, Points: f.points}
				if !s.series(ctx, q, node, yield) {
					return
				}
			}
		}
	}
}

// metricsOf returns the metrics of a node's newest sample.
func (s *session) metricsOf(ctx context.Context, node nodeView) ([]telemetry.MetricID, error) {
	series, err := s.reader.NodeSeries(ctx, node.Cluster, node.Node)
	if errors.Is(err, history.ErrNotFound) {
		return nil, nil // its samples have expired
	}
	if err != nil {
		return nil, fmt.Errorf("reading the series of node %s: %w", sanitize(node.Node), err)
	}
	ids := make([]telemetry.MetricID, len(series))
	for i, one := range series {
		ids[i] = one.Metric
	}
	return slices.Compact(ids), nil // they are sorted
}

// series yields the series of one metric of one node, and reports whether to go on.
func (s *session) series(ctx context.Context, q history.PointsQuery, node nodeView, yield func(metricView, error) bool) bool {
	points, err := s.reader.NodePoints(ctx, q)
	if err != nil {
		yield(metricView{}, fmt.Errorf("reading %s of node %s: %w", q.Metric, sanitize(q.Node), err))
		return false
	}
	if points.Truncated {
		s.notes = append(s.notes, fmt.Sprintf("Node %s has more than %d series of %s: narrow with --label.", sanitize(q.Node), history.MaxSeries, q.Metric))
	}
	for _, one := range points.Series {
		if len(one.Points) == 0 {
			continue
		}
		v := describeSeries(one.Series, node)
		v.Step = points.Step.Seconds()
		if q.Points == 0 {
			v.sum(one.Points)
			if !yield(v, nil) {
				return false
			}
			continue
		}
		for _, p := range one.Points {
			v.sum([]history.Point{p})
			if !yield(v, nil) {
				return false
			}
		}
	}
	return true
}

// metricView is what a series did, in a range or in one step of it.
type metricView struct {
	clusterView
	Node   string         `json:"node"`
	Metric string         `json:"metric"`
	Label  string         `json:"label,omitempty"`
	Unit   telemetry.Unit `json:"unit,omitempty"`
	Kind   string         `json:"kind,omitempty"`
	// At is the beginning of the first step, LastAt that of the last.
	At     time.Time `json:"at"`
	LastAt time.Time `json:"lastAt"`
	// Step is the width of a point in seconds.
	Step  float64 `json:"stepSeconds"`
	Count uint64  `json:"samples"`
	Min   float64 `json:"min"`
	Mean  float64 `json:"mean"`
	Max   float64 `json:"max"`
	// Last is the mean of the last step, and of a counter its maximum.
	Last float64 `json:"last"`

	decimals int
}

func describeSeries(one telemetry.Series, node nodeView) metricView {
	v := metricView{clusterView: node.clusterView, Node: node.Node, Metric: one.Metric.String(), Label: one.Label, decimals: 3}
	if m, ok := one.Metric.Lookup(); ok {
		v.Unit, v.Kind, v.decimals = m.Unit, m.Kind.String(), m.Decimals
	}
	return v
}

// sum sums up points, of which there is at least one.
func (v *metricView) sum(points []history.Point) {
	last := points[len(points)-1]
	v.At, v.LastAt, v.Count, v.Min, v.Max, v.Mean = points[0].At.UTC(), last.At.UTC(), 0, math.Inf(1), math.Inf(-1), 0
	for _, p := range points {
		v.Count += p.Count
		v.Min, v.Max = min(v.Min, p.Min), max(v.Max, p.Max)
	}
	for _, p := range points { // by parts, so that large values do not overflow
		v.Mean += mean(p) * (float64(p.Count) / float64(v.Count))
	}
	if v.Last = mean(last); v.Kind == telemetry.KindCounter.String() {
		v.Last = last.Max
	}
}

// mean is the mean of a point. It lies between its bounds even where a sum of values
// has grown beyond every number.
func mean(p history.Point) float64 {
	if m := p.Mean(); !math.IsNaN(m) {
		return max(p.Min, min(m, p.Max))
	}
	return p.Min
}

func metricColumns(s *session, points bool) []column[metricView] {
	value := func(header string, of func(metricView) float64) column[metricView] {
		return column[metricView]{header: header, right: true, cell: func(v metricView) string { return quantity(of(v), v.Unit, v.decimals) }}
	}
	columns := clusterColumn(s, func(v metricView) history.ClusterUID { return v.Cluster })
	columns = append(columns,
		column[metricView]{header: "NODE", cell: func(v metricView) string { return v.Node }},
		column[metricView]{header: "METRIC", cell: func(v metricView) string { return v.Metric }},
		column[metricView]{header: "LABEL", optional: true, cell: func(v metricView) string { return v.Label }},
	)
	if points {
		columns = append(columns, column[metricView]{header: "TIME", cell: func(v metricView) string { return stamp(v.At, s.location) }})
	}
	columns = append(columns,
		column[metricView]{header: "SAMPLES", right: true, cell: func(v metricView) string { return strconv.FormatUint(v.Count, 10) }},
		value("MIN", func(v metricView) float64 { return v.Min }),
		value("MEAN", func(v metricView) float64 { return v.Mean }),
		value("MAX", func(v metricView) float64 { return v.Max }),
	)
	if !points {
		columns = append(columns, value("LAST", func(v metricView) float64 { return v.Last }),
			column[metricView]{header: "AGE", cell: func(v metricView) string { return age(v.LastAt, s.now) }})
	}
	return columns
}

// nodeView is a node that sent samples.
type nodeView struct {
	clusterView
	Node       string    `json:"node"`
	LastSample time.Time `json:"lastSample,omitzero"`
}

func nodeColumns(s *session) []column[nodeView] {
	return slices.Concat(clusterColumn(s, func(v nodeView) history.ClusterUID { return v.Cluster }), []column[nodeView]{
		{header: "NODE", cell: func(v nodeView) string { return v.Node }},
		{header: "LAST SAMPLE", cell: func(v nodeView) string { return stamp(v.LastSample, s.location) }},
		{header: "AGE", cell: func(v nodeView) string { return age(v.LastSample, s.now) }},
	})
}
