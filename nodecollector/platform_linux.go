// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The numbers by which statfs knows what the kernel shows.
const (
	procMagic = 0x9fa0
	sysMagic  = 0x62656572
)

// initialPIDNamespace is how every kernel names the first PID namespace.
const initialPIDNamespace = "pid:[4026531836]"

// statfsOf asks a filesystem how full it is. It may never return.
func statfsOf(path string) (SpaceCounts, error) {
	var s unix.Statfs_t
	if _, err := ignoringInterrupts(func() (int, error) { return 0, unix.Statfs(path, &s) }); err != nil {
		return SpaceCounts{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return SpaceCounts{
		Blocks: s.Blocks, Free: s.Bfree, Available: s.Bavail, BlockSize: uint64(s.Bsize), //nolint:gosec // not negative
		Files: s.Files, FilesFree: s.Ffree,
	}, nil
}

// kernelClock asks the kernel for its opinion of its clock.
func kernelClock() Clock {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return Clock{}
	}
	return clockOf(state, t.Status, int64(t.Offset)) //nolint:unconvert // 32 bits on some platforms
}

// isProc and isSys say whether the kernel itself shows a folder.
func isProc(path string) bool { return filesystemType(path) == procMagic }

func isSys(path string) bool { return filesystemType(path) == sysMagic }

func filesystemType(path string) int64 {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return 0
	}
	return int64(s.Type) //nolint:unconvert // 32 bits on some platforms
}

// sameDevice says whether two folders are on the same filesystem.
func sameDevice(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

// inInitialPIDNamespace says whether this process sees the machine's processes as
// the machine numbers them.
func inInitialPIDNamespace() bool {
	name, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && name == initialPIDNamespace
}

// processCPU is the CPU time of this process so far.
func processCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
