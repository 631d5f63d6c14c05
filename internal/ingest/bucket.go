// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import "time"

// Rate is how much is allowed per second, and how much at once.
type Rate struct {
	// PerSecond is the sustained rate.
	PerSecond float64
	// Burst is how much may come at once after a pause.
	Burst float64
}

// bucket is a token bucket. It is a value of its owner, who locks it.
type bucket struct {
	rate  Rate
	level float64
	at    time.Time
}

func newBucket(rate Rate, now time.Time) bucket {
	return bucket{rate: rate, level: rate.Burst, at: now}
}

// take takes n tokens, or none of them and says how long to wait until they are
// there. What is more than the burst passes when the bucket is full.
func (b *bucket) take(n float64, now time.Time) (wait time.Duration) {
	if d := now.Sub(b.at); d > 0 {
		b.level = min(b.rate.Burst, b.level+d.Seconds()*b.rate.PerSecond)
		b.at = now
	}
	if missing := min(n, b.rate.Burst) - b.level; missing > 0 {
		return max(time.Duration(missing/b.rate.PerSecond*float64(time.Second)), time.Millisecond)
	}
	b.level -= n
	return 0
}

// give returns n tokens that were not used after all.
func (b *bucket) give(n float64) { b.level = min(b.rate.Burst, b.level+n) }
