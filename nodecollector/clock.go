// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import "github.com/atlhyper/atlhyper/internal/telemetry"

// Clock is what the kernel thinks of its clock.
type Clock struct {
	// Known is false when it may not be asked.
	Known bool
	// Offset is by how much the clock is still to be moved, in seconds.
	Offset float64
	// Synced is true when the clock is disciplined, by NTP or PTP.
	Synced bool
}

// What adjtimex answers, from Linux's include/uapi/linux/timex.h.
const (
	timeError     = 5      // the state when the clock is not synchronized
	statusUnsync  = 0x0040 // nobody has disciplined the clock yet
	statusNanos   = 0x2000 // the offset is nanoseconds, else microseconds
	nanoseconds   = 1e9
	microseconds  = 1e6
	unitlessState = -1
)

// clockOf reads the answer of adjtimex: the state that it returns, the status
// bits, and the offset.
func clockOf(state int, status int32, offset int64) Clock {
	if state <= unitlessState {
		return Clock{}
	}
	unit := float64(microseconds)
	if status&statusNanos != 0 {
		unit = nanoseconds
	}
	return Clock{
		Known:  true,
		Offset: float64(offset) / unit,
		Synced: state != timeError && status&statusUnsync == 0,
	}
}

func (b *builder) clock(c Clock) {
	if !c.Known {
		return
	}
	b.add(telemetry.MetricClockOffset, "", c.Offset)
	b.flag(telemetry.MetricClockSynced, "", c.Synced)
}
