// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package bucket limits how much of something may come per second.
package bucket

import "time"

// Rate is how much is allowed per second, and how much at once.
type Rate struct {
	// PerSecond is the sustained rate.
	PerSecond float64
	// Burst is how much may come at once after a pause.
	Burst float64
}

// Bucket is a token bucket. It is a value of its owner, who locks it. The zero value
// is full.
type Bucket struct {
	missing float64
	at      time.Time
}

// Take takes n tokens, or none of them and says how long to wait until they are
// there. What is more than the burst passes when the bucket is full.
func (b *Bucket) Take(r Rate, n float64, now time.Time) (wait time.Duration) {
	if d := now.Sub(b.at); d > 0 {
		b.missing = max(0, b.missing-d.Seconds()*r.PerSecond)
		b.at = now
	}
	if short := b.missing + min(n, r.Burst) - r.Burst; short > 0 {
		return max(time.Duration(short/r.PerSecond*float64(time.Second)), time.Millisecond)
	}
	b.missing += n
	return 0
}

// Give returns n tokens that were not used after all.
func (b *Bucket) Give(n float64) { b.missing = max(0, b.missing-n) }
