// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// RouteQuery asks for routes. Empty filters match everything.
type RouteQuery struct {
	// Cluster is required.
	Cluster ClusterUID
	// Namespaces of the objects that define the routes.
	Namespaces []string
	// Name of that object.
	Name string
	// Paging bounds the result, in the order in which routes were first seen.
	Paging
}

// SliceQuery asks for the slices of one route.
type SliceQuery struct {
	// Cluster is required.
	Cluster ClusterUID
	// Route is required.
	Route telemetry.RouteKey
	// Range of the slices' beginnings is required.
	Range Range
	// Paging bounds the result, oldest first.
	Paging
}

// SLISum sums up the slices of one route in a range.
type SLISum struct {
	// Slices is how many there were.
	Slices uint64
	// Covered is how many of them rest on at least one good scrape.
	Covered uint64
	// Total, Bad and SumSeconds are sums of the slices' fields.
	Total, Bad, SumSeconds float64
	// Classes are sums too.
	Classes [telemetry.StatusClasses]float64
	// Latency has the bounds of the slices and the sums of their counts. Slices
	// with other bounds than the newest count in Mixed and not here.
	Latency telemetry.Histogram
	// Mixed is how many requests lie in histograms with other bounds.
	Mixed float64
	// ExpectedScrapes and GoodScrapes are sums.
	ExpectedScrapes, GoodScrapes uint64
}

// SLIReader reads SLI slices.
type SLIReader interface {
	// Routes returns the routes that ever sent slices.
	Routes(ctx context.Context, q RouteQuery) (Page[telemetry.RouteKey], error)
	// Slices returns slices one by one.
	Slices(ctx context.Context, q SliceQuery) (Page[telemetry.SLISlice], error)
	// SumSlices sums the slices that begin in the range. Whole hours are read
	// from rollups, so that a window of 90 days costs no more than 2,300 rows.
	SumSlices(ctx context.Context, q SliceQuery) (SLISum, error)
}
