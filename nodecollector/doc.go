// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package nodecollector measures the node it runs on: it reads /proc, /sys and
// the filesystems, and makes telemetry.NodeSample values of them.
//
// Reading and parsing are apart. A file per collector (cpu.go, memory.go, load.go,
// pressure.go, filesystem.go, diskio.go, network.go, temperature.go, uptime.go,
// filehandles.go, conntrack.go, processes.go, clock.go) holds what the kernel's
// file says, a parser from bytes to counters, and a function from the counters of
// two moments to values; none of them reads anything, and there are as many files
// as there are sources. Reading is in reading.go, source.go, interfaces.go,
// sensors.go, mounts.go and probe.go, and what is special to the operating system
// in platform_linux.go.
//
// What holds everywhere:
//
//   - What could not be read is absent, never 0. So is a rate without an earlier
//     reading, and a rate over a counter that went down.
//   - Intervals are measured on the monotonic clock, per source: a step of the
//     wall clock changes nothing.
//   - A line that does not end with a line feed is torn, and ignored.
//   - Nothing waits for a filesystem, a sensor or a driver longer than a deadline,
//     and none of them is asked again while an earlier call has not returned.
//
// Parsers are our own where every sample needs them: procfs reads and parses in
// one step, scans with reflection and makes maps of everything, which costs more
// than our whole budget. procfs finds thermal zones and reads the limits of the
// kernel, which change rarely, and is what our parsers are compared with in tests.
package nodecollector
