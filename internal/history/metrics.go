// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Bounds of metric queries.
const (
	// DefaultPoints is how many points a series has at most when the query does
	// not say.
	DefaultPoints = 300
	// MaxPoints is the most points of a series.
	MaxPoints = 2000
	// MaxSeries is the most series of one answer.
	MaxSeries = 500
)

// The resolutions at which history keeps metrics, besides the samples.
const (
	// FineStep is the width of the finer rollups.
	FineStep = 5 * time.Minute
	// CoarseStep is the width of the coarser rollups.
	CoarseStep = time.Hour
)

// Point sums up the values of one series between At and the next point.
type Point struct {
	// At is the beginning of the step.
	At time.Time
	// Count is how many values there were, never 0.
	Count uint64
	// Min, Max and Sum are those of the values.
	Min, Max, Sum float64
}

// Mean is the mean of the values.
func (p Point) Mean() float64 { return p.Sum / float64(p.Count) }

// PointsQuery asks for one metric of one node.
type PointsQuery struct {
	// Cluster and Node are required.
	Cluster ClusterUID
	// Node is the node's name.
	Node string
	// Metric is required.
	Metric telemetry.MetricID
	// Labels asks for some series of the metric; empty for all.
	Labels []string
	// Range is required.
	Range Range
	// Points is how many points a series has at most; 0 means DefaultPoints.
	Points int
}

// SeriesPoints is a series as it is drawn.
type SeriesPoints struct {
	// Series is the metric and the label.
	Series telemetry.Series
	// Points are ascending; a step without data has none.
	Points []Point
}

// Points answers a PointsQuery.
type Points struct {
	// Step is the width of each point: whole seconds for short ranges, a
	// multiple of FineStep or CoarseStep for longer ones.
	Step time.Duration
	// Series by label, at most MaxSeries.
	Series []SeriesPoints
	// Truncated is true when the metric has more series than MaxSeries.
	Truncated bool
}

// Node is a node that sent samples.
type Node struct {
	// Name of the node.
	Name string
	// LastSample is the time of the newest sample that is kept; zero when all
	// have expired.
	LastSample time.Time
}

// MetricsReader reads node metrics.
type MetricsReader interface {
	// Nodes returns the nodes of a cluster that ever sent samples, by name.
	Nodes(ctx context.Context, cluster ClusterUID) ([]Node, error)
	// NodeSeries returns the series of a node's newest sample, by metric and
	// label, or ErrNotFound when no sample is kept.
	NodeSeries(ctx context.Context, cluster ClusterUID, node string) ([]telemetry.Series, error)
	// NodePoints returns a metric's values over time. What arrived late for an
	// hour that is closed shows in the rollups once Compact has run.
	NodePoints(ctx context.Context, q PointsQuery) (Points, error)
}
