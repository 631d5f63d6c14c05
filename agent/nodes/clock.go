// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"net/http"
	"strconv"
	"time"
)

const (
	// sentHeader has the time of sending on the collector's clock, in milliseconds
	// since 1970.
	sentHeader = "Atlhyper-Sent"

	// maxSkew is how wrong a node's clock may be without its samples being corrected.
	maxSkew = 2 * time.Minute
	// maxAge is how old a sample may be, and maxAhead how far in the future.
	maxAge, maxAhead = 24 * time.Hour, 5 * time.Minute
)

// sentAt returns the time of sending, or now when the collector does not say.
func sentAt(h http.Header, now time.Time) time.Time {
	millis, err := strconv.ParseInt(h.Get(sentHeader), 10, 64)
	if err != nil || millis < 0 || millis > 1<<46 { // the year 4199
		return now
	}
	return time.UnixMilli(millis)
}

// clock is what is known of a node's clock. It is a value with pure rules.
type clock struct {
	// behind is how far the clock is behind the agent's; negative when ahead.
	behind time.Duration
	// shift is what is added to times of samples. It stays while it is about right, so
	// that a sample that comes twice has one time.
	shift time.Duration
}

// observe notes when something was sent and when it arrived.
func (c *clock) observe(sent, now time.Time) {
	c.behind = now.Sub(sent)
	if (c.behind - c.shift).Abs() > maxSkew {
		c.shift = c.behind.Round(time.Second)
		if c.behind.Abs() <= maxSkew {
			c.shift = 0
		}
	}
}

// place returns the time to hand on for a sample, and its moment on the agent's
// clock. It is false when that is too long ago or lies in the future.
func (c *clock) place(at, now time.Time) (corrected, moment time.Time, ok bool) {
	corrected, moment = at.Add(c.shift), at.Add(c.behind)
	if moment.After(now) {
		moment = now
	}
	age := now.Sub(corrected)
	return corrected, moment, age <= maxAge && age >= -maxAhead
}
