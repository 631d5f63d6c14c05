// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPUTime is what a process has used so far, to the nanosecond: what the scheduler
// counts of each of its threads. Threads of Go programs do not end. It fails when there
// is no process of that number.
func CPUTime(pid int) (total time.Duration, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	if len(tasks) == 0 {
		return 0, fmt.Errorf("reading the CPU time of process %d: it has no threads, so it has ended", pid)
	}
	for _, path := range tasks {
		text, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
		}
		word, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
		}
		total += time.Duration(n)
	}
	return total, nil
}
