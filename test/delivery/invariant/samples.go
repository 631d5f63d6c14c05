// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant

import (
	"context"
	"fmt"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

// nodes reads the samples one by one, in pieces that are drawn second by second, and
// the rollups of the same time.
func (r *reading) nodes(ctx context.Context) error {
	known := map[string]bool{}
	for i, a := range r.agents {
		s := a.Source
		end := s.Time(telemetry.StreamNodeMetrics, a.Ledger.Next[telemetry.StreamNodeMetrics]).Add(s.SampleEvery)
		for k := range uint64(s.Nodes) { //nolint:gosec // a small number
			known[s.NodeName(k)] = true
			if err := r.samples(ctx, i, k, history.Range{Start: s.Base, End: end}); err != nil {
				return err
			}
			if err := r.rollups(ctx, i, k, history.Range{Start: s.Base, End: end}); err != nil {
				return err
			}
		}
	}
	nodes, err := r.from.Nodes(ctx, r.cluster)
	for _, node := range nodes {
		if !known[node.Name] {
			r.strange("the node %s", node.Name)
		}
	}
	return err
}

// points reads the points of a node, each as wide as a step.
func (r *reading) points(ctx context.Context, s *source.Source, node uint64, span history.Range, step time.Duration, use func(history.Point)) error {
	width := history.MaxPoints * step
	for begin := span.Start; begin.Before(span.End); begin = begin.Add(width) {
		answer, err := r.from.NodePoints(ctx, history.PointsQuery{
			Cluster: r.cluster, Node: s.NodeName(node), Metric: source.Metric, Range: history.Range{Start: begin, End: begin.Add(width)}, Points: history.MaxPoints,
		})
		if err != nil {
			return err
		}
		if answer.Step != step || len(answer.Series) > 1 {
			return fmt.Errorf("drawing %s: %d series in steps of %s, not %s", s.NodeName(node), len(answer.Series), answer.Step, step)
		}
		for _, series := range answer.Series {
			for _, p := range series.Points {
				use(p)
			}
		}
	}
	return nil
}

func (r *reading) samples(ctx context.Context, agent int, node uint64, span history.Range) error {
	s := r.agents[agent].Source
	return r.points(ctx, s, node, span, time.Second, func(p history.Point) {
		n, ok := s.SampleOf(s.NodeName(node), p.At)
		if !ok || p.Sum != float64(p.Count)*float64(n+1) {
			r.strange("%d samples of node %d at %s, the sum is %v", p.Count, node, p.At, p.Sum)
			return
		}
		for range p.Count {
			r.Rows = append(r.Rows, Row{ID{agent, n}, Place{Stream: telemetry.StreamNodeMetrics}})
		}
	})
}

func (r *reading) rollups(ctx context.Context, agent int, node uint64, span history.Range) error {
	s := r.agents[agent].Source
	return r.points(ctx, s, node, span, history.FineStep, func(p history.Point) {
		r.Rollups = append(r.Rollups, Bucket{Agent: agent, Node: node, At: p.At.UTC(), Count: p.Count, Sum: p.Sum})
	})
}
