// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import "time"

const (
	// maxBatch is how many entries are sent at once.
	maxBatch = 20
	// backlogPause is the time between two batches of what waited.
	backlogPause = time.Second

	retryMin, retryMax     = time.Second, 30 * time.Second
	refusedMin, refusedMax = 5 * time.Second, time.Minute
	// leastPause keeps full jitter from being no pause at all.
	leastPause = 50 * time.Millisecond
	// leastRetryAfter and mostRetryAfter bound what an agent can ask for.
	leastRetryAfter, mostRetryAfter = time.Second, 10 * time.Minute
)

// pace decides how much to send, and how long to wait before the next attempt. It
// is a value with pure rules.
type pace struct {
	// limit is how many entries the next batch may have.
	limit int
	// failures and refusals in a row.
	failures, refusals int
}

func newPace() pace { return pace{limit: 1} }

// settle notes the answer to a batch of a number of entries, and returns how long to
// wait until the next one. random is from [0, 1).
func (p *pace) settle(o outcome, entries int, more bool, random float64) time.Duration {
	switch o.verdict {
	case stored:
		p.failures, p.refusals = 0, 0
		p.limit = min(2*p.limit, maxBatch)
		if !more {
			return 0
		}
		return time.Duration(float64(backlogPause) * (0.5 + random))
	case tooLarge:
		p.failures, p.refusals = 0, 0
		p.limit = max(entries/2, 1)
		return time.Duration(float64(backlogPause) * (0.5 + random))
	case busy:
		p.refusals, p.limit = 0, 1
		after := min(max(o.retryAfter, leastRetryAfter), mostRetryAfter)
		return after + time.Duration(random*float64(after)/10)
	case forbidden, unauthenticated:
		p.refusals++
		p.limit = 1
		return time.Duration(float64(doubled(p.refusals, refusedMin, refusedMax)) * (0.8 + 0.4*random))
	default:
		p.refusals, p.limit = 0, 1
		p.failures++
		return max(time.Duration(random*float64(doubled(p.failures, retryMin, retryMax))), leastPause)
	}
}

// doubled returns low, doubled with each time after the first, up to high.
func doubled(times int, low, high time.Duration) time.Duration {
	d := low
	for range times - 1 {
		if d >= high/2 {
			return high
		}
		d *= 2
	}
	return min(d, high)
}
