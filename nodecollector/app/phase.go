// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"hash/fnv"
	"time"
)

// phase is when, within each interval of the clock, a node measures: always the
// same for a name, also after a restart, and spread evenly over names, so that the
// nodes of a cluster do not send in step, however many start together. It is the
// name and not the UID, which a collector has no access to.
func phase(node string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(node)) // never an error
	return time.Duration(h.Sum64()>>1) % interval
}

// untilFirst is how long a node waits before it measures for the first time: until
// its phase, and a random part, from [0, 1), of a tenth of the interval more, so that
// names whose phases are near each other do not stay in step.
func untilFirst(now time.Time, node string, interval time.Duration, random float64) time.Duration {
	since := time.Duration(now.UnixNano() % int64(interval))
	wait := (phase(node, interval) - since + interval) % interval
	return wait + time.Duration(random*float64(interval/10))
}
