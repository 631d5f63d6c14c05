// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import (
	"math"
	"time"
)

// SliceWidth is how much time an SLISlice covers.
const SliceWidth = time.Minute

// RouteKey names what an SLI slice was measured on: one route as one ingress
// controller sees it.
type RouteKey struct {
	// Controller is the ingress controller, such as "traefik" or "ingress-nginx".
	Controller string
	// Kind is the kind of the object that defines the route: Ingress,
	// HTTPRoute, IngressRoute or Service; empty when it is unknown.
	Kind string
	// Namespace and Name of that object.
	Namespace, Name string
	// Route tells routes of one object apart: the controller's own name of the
	// router, rule, path or backend. May be empty.
	Route string
}

// StatusClass is an index into SLISlice.Classes.
type StatusClass int

// The classes of HTTP status codes.
const (
	// ClassOther is for requests that ended without a status code.
	ClassOther StatusClass = iota
	// Class1xx to Class5xx are named after the first digit.
	Class1xx
	Class2xx
	Class3xx
	Class4xx
	Class5xx
	// StatusClasses is the number of classes.
	StatusClasses
)

// Histogram is how many requests fell between bounds. The slices of many
// histograms share the memory of their Bounds: never change one in place.
type Histogram struct {
	// Bounds are the finite upper bounds in seconds, inclusive, ascending, at
	// most MaxBuckets. Empty when the source has no histogram.
	Bounds []float64
	// Counts are the requests in each bucket and no other (not cumulative):
	// Counts[i] lie in (Bounds[i-1], Bounds[i]], and the last, beyond every
	// bound, makes it len(Bounds)+1. Empty when Bounds is.
	Counts []float64
}

// SLISlice is what one route did in one closed minute: increments, never raw
// counters, so that storing it twice changes nothing. Counts are numbers of
// requests; they are fractions only where an increment was spread over a gap.
type SLISlice struct {
	// Route is what was measured.
	Route RouteKey
	// Start is the beginning of the slice, on a full minute. The slice ends
	// SliceWidth later.
	Start time.Time
	// Total is the number of requests.
	Total float64
	// Bad is the number of requests that failed, by the source's default
	// notion: those of class 5xx and those that ended without a status code.
	Bad float64
	// Classes splits Total by class of status code. All zero when the source
	// does not tell.
	Classes [StatusClasses]float64
	// Latency is how long the requests took.
	Latency Histogram
	// SumSeconds is the sum of the durations in seconds.
	SumSeconds float64
	// ExpectedScrapes is how many scrapes the slice should rest on.
	ExpectedScrapes uint32
	// GoodScrapes is how many succeeded. 0 means that the numbers were spread
	// over a gap and that the slice is not covered.
	GoodScrapes uint32
}

func (*SLISlice) payload() {}

// End returns the end of the slice.
func (s *SLISlice) End() time.Time { return s.Start.Add(SliceWidth) }

// Coverage returns the part of the expected scrapes that succeeded, from 0 to 1.
func (s *SLISlice) Coverage() float64 {
	if s.ExpectedScrapes == 0 {
		return 0
	}
	return min(1, float64(s.GoodScrapes)/float64(s.ExpectedScrapes))
}

// Validate implements Payload.
func (s *SLISlice) Validate() error {
	var c checker
	c.required("route.controller", s.Route.Controller, MaxReason)
	c.text("route.kind", s.Route.Kind, MaxReason)
	c.text("route.namespace", s.Route.Namespace, MaxName)
	c.text("route.name", s.Route.Name, MaxName)
	c.text("route.route", s.Route.Route, MaxLabelValue)
	c.requiredTime("start", s.Start)
	if !s.Start.Equal(s.Start.Truncate(SliceWidth)) {
		c.fail("start", "is not on a full minute")
	}
	c.positive("total", s.Total)
	c.positive("bad", s.Bad)
	if s.Bad > s.Total {
		c.fail("bad", "is more than the total")
	}
	for _, n := range s.Classes {
		c.positive("classes", n)
	}
	c.positive("sumSeconds", s.SumSeconds)
	s.Latency.check(&c)
	return c.err
}

func (h *Histogram) check(c *checker) {
	c.count("latency.bounds", len(h.Bounds), MaxBuckets)
	if want := len(h.Bounds) + min(1, len(h.Bounds)); len(h.Counts) != want {
		c.fail("latency.counts", "%d counts for %d bounds, %d are needed", len(h.Counts), len(h.Bounds), want)
	}
	last := math.Inf(-1)
	for _, bound := range h.Bounds {
		c.finite("latency.bounds", bound)
		if bound <= last {
			c.fail("latency.bounds", "are not ascending")
		}
		last = bound
	}
	for _, n := range h.Counts {
		c.positive("latency.counts", n)
	}
}
