// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func TestDeliveryShown(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	since := func(d time.Duration) *metav1.Time { return new(metav1.NewTime(now.Add(-d))) }
	for name, tc := range map[string]struct {
		delivery Delivery
		before   *v1alpha1.AgentDelivery
		want     *v1alpha1.AgentDelivery
	}{
		"all is well":        {Delivery{}, nil, nil},
		"a short backlog":    {Delivery{Oldest: 59 * time.Second}, nil, nil},
		"a backlog":          {Delivery{Oldest: 7 * time.Minute}, nil, &v1alpha1.AgentDelivery{BacklogSeconds: 300}},
		"records were lost":  {Delivery{Dropped: 4711}, nil, &v1alpha1.AgentDelivery{DroppedRecords: 4000}},
		"failing for moment": {Delivery{FailingSince: now.Add(-59 * time.Second), Problem: "p"}, nil, nil},
		"failing": {
			Delivery{FailingSince: now.Add(-time.Minute), Problem: "p"},
			nil,
			&v1alpha1.AgentDelivery{FailingSince: since(time.Minute), Problem: "p"},
		},
		"failing in other words": {
			Delivery{FailingSince: now.Add(-time.Hour), Problem: "q"},
			&v1alpha1.AgentDelivery{FailingSince: since(time.Hour), Problem: "p"},
			&v1alpha1.AgentDelivery{FailingSince: since(time.Hour), Problem: "p"},
		},
		"failing again": {
			Delivery{FailingSince: now.Add(-time.Minute), Problem: "q"},
			&v1alpha1.AgentDelivery{FailingSince: since(time.Hour), Problem: "p"},
			&v1alpha1.AgentDelivery{FailingSince: since(time.Minute), Problem: "q"},
		},
		"recovered": {Delivery{}, &v1alpha1.AgentDelivery{FailingSince: since(time.Hour), Problem: "p"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.delivery.shown(tc.before, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBacklogStep(t *testing.T) {
	for age, want := range map[time.Duration]int32{
		0: 0, time.Minute - 1: 0, time.Minute: 60, 5*time.Minute - 1: 60, 5 * time.Minute: 300, 16 * time.Minute: 900,
		59 * time.Minute: 1800, time.Hour: 3600, 119 * time.Minute: 3600, 25 * time.Hour: 90000, math.MaxInt64: math.MaxInt32,
	} {
		if got := backlogStep(age); got != want {
			t.Errorf("%s: %d, want %d", age, got, want)
		}
	}
}

func TestFirstDigit(t *testing.T) {
	for n, want := range map[uint64]int64{0: 0, 7: 7, 10: 10, 49: 40, 999: 900, 1000: 1000, math.MaxUint64: 9e18} {
		if got := firstDigit(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}
