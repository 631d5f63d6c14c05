// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestStaleness(t *testing.T) {
	all := []string{"pods", "nodes", "jobs.batch"}
	sorted := []string{"jobs.batch", "nodes", "pods"}
	broken := errors.New("connection refused")
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no role"))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

	type check struct {
		second int
		stale  []string
		next   int // in seconds, -1 for never
	}
	for name, tt := range map[string]struct {
		events func(*staleness)
		checks []check
	}{
		"nothing happened": {
			func(*staleness) {}, []check{{0, nil, -1}, {3600, nil, -1}},
		},
		"failing becomes stale after 20 s": {
			func(s *staleness) { s.failed("pods", broken, at(0)); s.failed("pods", broken, at(15)) },
			[]check{{15, nil, 20}, {19, nil, 20}, {20, []string{"pods"}, -1}},
		},
		"a watch that ends and resumes never does": {
			func(s *staleness) {
				for second := range 60 {
					s.failed("pods", broken, at(second))
					s.succeeded("pods")
				}
			},
			[]check{{60, nil, -1}, {120, nil, -1}},
		},
		"success starts the wait anew": {
			func(s *staleness) {
				s.failed("pods", broken, at(0))
				s.succeeded("pods")
				s.failed("pods", broken, at(19))
			},
			[]check{{20, nil, 39}, {39, []string{"pods"}, -1}},
		},
		"a refusal becomes stale after 5 s": {
			func(s *staleness) { s.failed("pods", forbidden, at(0)) },
			[]check{{0, nil, 5}, {4, nil, 5}, {5, []string{"pods"}, -1}},
		},
		"a refusal by a starting API server does not": {
			func(s *staleness) {
				s.failed("pods", broken, at(0))
				s.failed("pods", forbidden, at(10))
				s.failed("pods", forbidden, at(12))
				s.succeeded("pods")
			},
			[]check{{17, nil, -1}},
		},
		"a refusal counts from the first refusal": {
			func(s *staleness) { s.failed("pods", broken, at(0)); s.failed("pods", forbidden, at(10)) },
			[]check{{14, nil, 15}, {15, []string{"pods"}, -1}},
		},
		"failures do not reset by becoming refusals": {
			func(s *staleness) { s.failed("pods", broken, at(0)); s.failed("pods", forbidden, at(18)) },
			[]check{{19, nil, 20}, {20, []string{"pods"}, -1}},
		},
		"others go on": {
			func(s *staleness) { s.failed("pods", forbidden, at(0)); s.failed("jobs.batch", broken, at(1)) },
			[]check{{6, []string{"pods"}, 21}, {21, []string{"jobs.batch", "pods"}, -1}},
		},
		"no answer at all makes everything stale": {
			func(s *staleness) { s.reached(false, at(0)); s.reached(false, at(10)) },
			[]check{{19, nil, 20}, {20, sorted, -1}},
		},
		"an answer ends that": {
			func(s *staleness) { s.reached(false, at(0)); s.reached(true, at(30)) },
			[]check{{30, nil, -1}},
		},
		"an answer does not end a kind's own failure": {
			func(s *staleness) {
				s.failed("pods", broken, at(0))
				s.reached(false, at(0))
				s.reached(true, at(30))
			},
			[]check{{30, []string{"pods"}, -1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &staleness{after: 20 * time.Second, afterRefusal: 5 * time.Second, failures: map[string]failure{}}
			tt.events(s)
			for _, c := range tt.checks {
				stale, next := s.at(at(c.second), all)
				if diff := cmp.Diff(c.stale, stale); diff != "" {
					t.Errorf("at %d s stale (-want +got):\n%s", c.second, diff)
				}
				var want time.Time
				if c.next >= 0 {
					want = at(c.next)
				}
				if !next.Equal(want) {
					t.Errorf("at %d s the next look is at %v, want %v", c.second, next, want)
				}
			}
		})
	}
}

func TestIsRefusal(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"forbidden":       {apierrors.NewForbidden(pods, "", nil), true},
		"unauthorized":    {apierrors.NewUnauthorized("token expired"), true},
		"API not served":  {apierrors.NewNotFound(pods, ""), true},
		"verb not served": {apierrors.NewMethodNotSupported(pods, "watch"), true},
		"overloaded":      {apierrors.NewTooManyRequests("later", 1), false},
		"broken":          {apierrors.NewInternalError(errors.New("etcd")), false},
		"expired":         {apierrors.NewResourceExpired("too old"), false},
		"network":         {errors.New("connection refused"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := isRefusal(tt.err); got != tt.want {
				t.Errorf("isRefusal() = %t, want %t", got, tt.want)
			}
		})
	}
}
