// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package bucket_test

import (
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/bucket"
)

func TestBucket(t *testing.T) {
	r := bucket.Rate{PerSecond: 2, Burst: 10}
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	var b bucket.Bucket
	steps := []struct {
		after time.Duration
		give  float64
		n     float64
		want  time.Duration
	}{
		{0, 0, 10, 0}, // the zero value is full
		{0, 0, 1, 500 * time.Millisecond},
		{500 * time.Millisecond, 0, 1, 0},
		{0, 0, 4, 2 * time.Second},
		{0, 4, 4, 0},
		{-time.Hour, 0, 1, 500 * time.Millisecond}, // a clock that goes back gives nothing
		{time.Hour, 0, 10, 5 * time.Second},
		{0, 5000, 10, 0}, // what is given back is no more than the burst
		{0, 0, 1, 500 * time.Millisecond},
		{2 * time.Hour, 0, 1000, 0}, // more than the burst passes, and is paid
		{0, 0, 1, 495*time.Second + 500*time.Millisecond},
		{495*time.Second + 499*time.Millisecond + 999*time.Microsecond, 0, 1, time.Millisecond},
	}
	for i, s := range steps {
		now = now.Add(s.after)
		b.Give(s.give)
		if got := b.Take(r, s.n, now); got != s.want {
			t.Errorf("step %d: wait %s, want %s", i, got, s.want)
		}
	}
}
