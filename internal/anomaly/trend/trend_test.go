// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package trend_test

import (
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/trend"
)

func TestEmpty(t *testing.T) {
	start := time.Date(2026, time.November, 23, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		minutes int
		value   func(minute int) float64
		want    time.Duration
		ok      bool
	}{
		"nothing is known":             {0, func(int) float64 { return 5 }, 0, false},
		"too little is known":          {20, func(m int) float64 { return 1000 - float64(m) }, 0, false},
		"it shrinks by one per minute": {60, func(m int) float64 { return 1000 - float64(m) }, 940 * time.Minute, true},
		"it grows":                     {60, func(m int) float64 { return 1000 + float64(m) }, 0, false},
		"it stays":                     {60, func(int) float64 { return 1000 }, 0, false},
		"what was long ago is forgotten": {720, func(m int) float64 {
			if m < 300 {
				return 10_000 - 20*float64(m)
			}
			return 4000 - float64(m)
		}, 3280 * time.Minute, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var line trend.Line
			now := start
			for m := 0; m <= tc.minutes && tc.minutes > 0; m++ {
				now = start.Add(time.Duration(m) * time.Minute)
				line.Add(now, tc.value(m))
			}
			in, ok := line.Empty(now, tc.value(tc.minutes))
			if ok != tc.ok || (in-tc.want).Abs() > time.Second {
				t.Errorf("empty in %s, %t; want %s, %t", in, ok, tc.want, tc.ok)
			}
		})
	}
}
