// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import "math"

// increase says by how much a counter grew; ok is false when it went down, which
// means that it began anew.
func increase(prev, cur uint64) (delta float64, ok bool) {
	if cur < prev {
		return 0, false
	}
	return float64(cur - prev), true
}

// increase32 is increase for a counter that the kernel keeps in 32 bits: it may
// go down by wrapping, which is believed when it then grew by at most limit.
func increase32(prev, cur uint64, limit float64) (delta float64, ok bool) {
	if cur >= prev || prev > math.MaxUint32 {
		return increase(prev, cur)
	}
	delta = float64(cur + (math.MaxUint32 + 1) - prev)
	return delta, delta <= limit
}

// perSecond is the rate of a counter over seconds, which must be measured on the
// monotonic clock. ok is false when the counter went down or no time passed.
func perSecond(prev, cur uint64, seconds float64) (rate float64, ok bool) {
	delta, ok := increase(prev, cur)
	if !ok || seconds <= 0 {
		return 0, false
	}
	return delta / seconds, true
}

// percentOf returns 100*part/whole, and 0 when there is nothing at all.
func percentOf(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return 100 * part / whole
}
