// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import "github.com/atlhyper/atlhyper/internal/telemetry"

// surroundings is what there is to know about where /proc and /sys come from.
type surroundings struct {
	// ownProc and ownSys are true when these are the collector's own, and not
	// those of the machine, mounted into its container.
	ownProc, ownSys bool
	// initialPIDs is true when the collector numbers processes as the machine
	// does: no container, or one with hostPID.
	initialPIDs bool
}

func lookAround(proc, sys tree) surroundings {
	return surroundings{
		ownProc:     proc.real && sameDevice(proc.path, "/proc"),
		ownSys:      sys.real && sameDevice(sys.path, "/sys"),
		initialPIDs: inInitialPIDNamespace(),
	}
}

// networkSource is where network counters come from.
type networkSource int

const (
	// fromInit is /proc/1/net/dev.
	fromInit networkSource = iota
	// fromSys is /sys/class/net/*/statistics.
	fromSys
	// fromSelf is /proc/self/net/dev, that of the collector.
	fromSelf
)

// scopeOf says whose network a source shows.
//
// /proc/net is /proc/self/net: whoever reads it sees its own interfaces, also in
// the machine's /proc. Process 1 of a /proc that is not the collector's own is the
// machine's, and so it is in the collector's own when it shares the machine's
// numbers. A /sys shows the interfaces of whoever mounted it.
func scopeOf(from networkSource, s surroundings) telemetry.NetworkScope {
	switch {
	case from == fromInit && (!s.ownProc || s.initialPIDs):
		return telemetry.NetworkHost
	case from == fromSys && !s.ownSys:
		return telemetry.NetworkHost
	default:
		// Own /sys or /proc/self: the machine's only with hostNetwork, which the
		// collector cannot see; Options.NetworkScope says so.
		return telemetry.NetworkPod
	}
}
