// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly"
)

// report writes the tables.
func report(w io.Writer, s settings, results []result) error {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return fmt.Errorf("reading the version of the kernel: %w", err)
	}
	fmt.Fprintf(w, "%d cores, Linux %s, %s; %d writers. Milliseconds, p50 / p99 / max.\n\n", runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version(), s.writers)
	fmt.Fprintln(w, "| what | history | changes that are timed | watch event to row | of it until the agent has judged | API server's answer to row | request to row | history is looked at every |")
	fmt.Fprintln(w, "|---|---|---:|---:|---:|---:|---:|---:|")
	for i := range results {
		r := &results[i]
		line(w, "one change at a time", r.database, &r.single)
		for k := range r.storms {
			line(w, r.storms[k].name(), r.database, &r.storms[k].timings)
		}
	}
	fmt.Fprintf(w, "\n| %d pods fail at once | history | written within | all rows after | rows | anomalies told | held back | the guard's row after | agent CPU | hub CPU | agent sent |\n", s.pods)
	fmt.Fprintln(w, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for i := range results {
		for k := range results[i].storms {
			x := &results[i].storms[k]
			guard := "-"
			if x.held > 0 {
				guard = fmt.Sprintf("%d ms", x.guard.Milliseconds())
			}
			fmt.Fprintf(w, "| %s | %s | %d ms | %d ms | %d | %d | %d | %s | %.2f s | %.2f s | %.0f kB |\n", x.name(), results[i].database, x.written.Milliseconds(),
				x.settled.Milliseconds(), x.rows, x.raised, x.held, guard, x.cpu.Seconds(), x.hubCPU.Seconds(), x.sent/1000)
		}
	}
	fmt.Fprintf(w, "\nOf more than %d new anomalies within a minute, the first are told and one more stands for the others, which are told later, the worst first, as far as they still hold.\n", anomaly.StormLimit)
	return nil
}

func line(w io.Writer, what, database string, t *timings) {
	fmt.Fprintf(w, "| %s | %s | %d | %s | %s | %s | %s | %.1f ms |\n", what, database, len(t.watched), quantiles(t.watched), quantiles(t.judged), quantiles(t.answered),
		quantiles(t.asked), float64(t.resolution)/float64(time.Millisecond))
}

func (s *storm) name() string {
	switch s.owners {
	case 1:
		return fmt.Sprintf("%d pods, 1 owner", s.pods)
	default:
		return fmt.Sprintf("%d pods, %d owners", s.pods, s.owners)
	}
}

func quantiles(durations []time.Duration) string {
	sorted := slices.Sorted(slices.Values(durations))
	at := func(percent int) int64 { return sorted[min(len(sorted)*percent/100, len(sorted)-1)].Milliseconds() }
	return fmt.Sprintf("%d / %d / %d", at(50), at(99), at(100))
}
