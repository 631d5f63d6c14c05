// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import "time"

// rate is how much is allowed per second, and how much at once.
type rate struct{ perSecond, burst float64 }

// bucket is a token bucket. It is a value of its owner, who locks it. The zero
// value is full.
type bucket struct {
	missing float64
	at      time.Time
}

// take takes n tokens, or none of them and says how long to wait until they are
// there. What is more than the burst passes when the bucket is full.
func (b *bucket) take(r rate, n float64, now time.Time) (wait time.Duration) {
	if d := now.Sub(b.at); d > 0 {
		b.missing = max(0, b.missing-d.Seconds()*r.perSecond)
		b.at = now
	}
	if short := b.missing + min(n, r.burst) - r.burst; short > 0 {
		return max(time.Duration(short/r.perSecond*float64(time.Second)), time.Millisecond)
	}
	b.missing += n
	return 0
}
