// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import "time"

const (
	// leastPause keeps full jitter from being no pause at all.
	leastPause = 50 * time.Millisecond
	// leastRetryAfter and mostRetryAfter bound what a hub can ask for.
	leastRetryAfter, mostRetryAfter = time.Second, 10 * time.Minute
)

// fullJitter returns the pause after a number of failures in a row, from 1: a
// random part of low, doubled with each failure up to high. random is from [0, 1).
func fullJitter(failures int, low, high time.Duration, random float64) time.Duration {
	return max(time.Duration(random*float64(doubled(failures, low, high))), min(leastPause, low))
}

// steady returns the pause after a number of refusals in a row, from 1: low,
// doubled with each up to high, give or take a fifth.
func steady(refusals int, low, high time.Duration, random float64) time.Duration {
	return time.Duration(float64(doubled(refusals, low, high)) * (0.8 + 0.4*random))
}

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

// asked returns how long to wait when the hub named a time: never less, within
// bounds, and up to a tenth more, so that not everybody returns at once.
func asked(retryAfter time.Duration, random float64) time.Duration {
	d := min(max(retryAfter, leastRetryAfter), mostRetryAfter)
	return d + time.Duration(random*float64(d)/10)
}

// debt is a token bucket that is paid afterwards: something may be sent when
// nothing is owed, whatever its size.
type debt struct {
	perSecond float64 // 0: unlimited
	owed      float64
	at        time.Time
}

// wait returns how long to wait before the next one.
func (d *debt) wait(now time.Time) time.Duration {
	if d.perSecond <= 0 {
		return 0
	}
	if passed := now.Sub(d.at); passed > 0 {
		d.owed = max(0, d.owed-passed.Seconds()*d.perSecond)
	}
	d.at = now
	if d.owed == 0 {
		return 0
	}
	return max(time.Duration(d.owed/d.perSecond*float64(time.Second)), time.Millisecond)
}

// spend notes what was sent.
func (d *debt) spend(bytes int, now time.Time) {
	d.wait(now)
	d.owed += float64(bytes)
}
