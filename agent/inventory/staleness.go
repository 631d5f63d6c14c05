// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// staleness judges which resources cannot be read, from the outcomes of the
// requests for them. It is damped, because watches end and API servers restart
// all the time: a resource is stale only after failing for a while without one
// success in between. It reads no clock and does no locking.
type staleness struct {
	// after is for how long requests must fail.
	after time.Duration
	// afterRefusal is the same while the API server answers and says no. It is
	// not zero because an API server that has just started refuses everybody
	// until it has read the roles.
	afterRefusal time.Duration

	failures map[string]failure
	// unreachableSince is since when the API server has not answered at all.
	unreachableSince time.Time
}

// failure is a run of failed requests for one resource.
type failure struct {
	// err is the latest.
	err   error
	since time.Time
	// refusedSince is since when the failures have been refusals; zero when the
	// last one was not.
	refusedSince time.Time
}

// failed notes a failed request for a resource.
func (s *staleness) failed(resource string, err error, now time.Time) {
	f, failing := s.failures[resource]
	if !failing {
		f.since = now
	}
	switch {
	case !isRefusal(err):
		f.refusedSince = time.Time{}
	case f.refusedSince.IsZero():
		f.refusedSince = now
	}
	f.err = err
	s.failures[resource] = f
}

// succeeded notes that a resource was listed or that its watch was resumed.
func (s *staleness) succeeded(resource string) { delete(s.failures, resource) }

// reached notes whether the API server gave any answer.
func (s *staleness) reached(answered bool, now time.Time) {
	switch {
	case answered:
		s.unreachableSince = time.Time{}
	case s.unreachableSince.IsZero():
		s.unreachableSince = now
	}
}

// at returns which of the resources are stale, sorted, and when to ask again;
// the zero time for not before the next event.
func (s *staleness) at(now time.Time, all []string) (stale []string, next time.Time) {
	later := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if !s.unreachableSince.IsZero() {
		deadline := s.unreachableSince.Add(s.after)
		if !now.Before(deadline) {
			return slices.Sorted(slices.Values(all)), time.Time{}
		}
		later(deadline)
	}
	for _, resource := range slices.Sorted(maps.Keys(s.failures)) {
		f := s.failures[resource]
		deadline := f.since.Add(s.after)
		if !f.refusedSince.IsZero() {
			if d := f.refusedSince.Add(s.afterRefusal); d.Before(deadline) {
				deadline = d
			}
		}
		if now.Before(deadline) {
			later(deadline)
		} else {
			stale = append(stale, resource)
		}
	}
	return stale, next
}

// isRefusal says whether the API server understood the request and will go on
// saying no until somebody changes something: a role, or what it serves.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) ||
		apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err)
}
