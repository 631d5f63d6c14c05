// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sync/errgroup"

	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// subject is a program that is measured.
type subject interface {
	// pid is its process.
	pid() int
	// cycle waits until the next sample or scrape is through, and returns the bytes
	// that travelled: as sent, and before compression.
	cycle(ctx context.Context) (sent, plain int, err error)
	stop() error
}

// figures are what one program costs per cycle.
type figures struct {
	cpu time.Duration
	// inside is what the program says that measuring alone cost; 0 when it does
	// not say.
	inside time.Duration
	// memory is what is resident, private the part of it that is no file: the
	// program itself is one.
	memory, private uint64
	sent, plain     float64
	calls           float64
	// slowest is the cycle with the most CPU time.
	slowest time.Duration
}

// measure runs both at the same time, so that what else happens on the machine
// concerns both, and counts their system calls afterwards, which slows them down.
func measure(ctx context.Context, s settings, ours *collector, theirs *exporter) (a, b figures, err error) {
	fmt.Fprintf(os.Stderr, "Warming up for %d cycles and measuring %d...\n", min(s.cycles, 30), s.cycles)
	var group errgroup.Group
	group.Go(func() error { return cycles(ctx, s, ours, &a) })
	group.Go(func() error { return cycles(ctx, s, theirs, &b) })
	if err := group.Wait(); err != nil {
		return a, b, err
	}
	a.inside = ours.insideCPU()
	fmt.Fprintf(os.Stderr, "Counting the system calls of %d cycles each...\n", s.traced)
	for _, p := range []struct {
		subject subject
		into    *figures
	}{{ours, &a}, {theirs, &b}} {
		calls, err := countCalls(ctx, p.subject, s.traced)
		if err != nil {
			return a, b, fmt.Errorf("counting system calls: %w", err)
		}
		p.into.calls = float64(calls) / float64(s.traced)
	}
	return a, b, nil
}

func cycles(ctx context.Context, s settings, p subject, f *figures) error {
	for range min(s.cycles, 30) {
		if _, _, err := p.cycle(ctx); err != nil {
			return err
		}
	}
	began, err := process.CPUTime(p.pid())
	if err != nil {
		return err
	}
	last := began
	for range s.cycles {
		sent, plain, err := p.cycle(ctx)
		if err != nil {
			return err
		}
		f.sent += float64(sent) / float64(s.cycles)
		f.plain += float64(plain) / float64(s.cycles)
		now, err := process.CPUTime(p.pid())
		if err != nil {
			return err
		}
		f.slowest = max(f.slowest, now-last)
		last = now
	}
	f.cpu = (last - began) / time.Duration(s.cycles)
	f.memory, f.private, err = memory(p.pid())
	return err
}

// memory is the resident set of a process in bytes, and the private part of it.
func memory(pid int) (resident, private uint64, err error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return status.VmRSS, status.RssAnon, nil
}

// report writes the table.
func report(w io.Writer, s settings, a, b figures) error {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return fmt.Errorf("reading the version of the kernel: %w", err)
	}
	fmt.Fprintf(w, "%d cycles, one every %s; %d cores, Linux %s, %s.\n\n", s.cycles, s.every, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())
	fmt.Fprintln(w, "| per collection | node collector | node_exporter 1.12.1 | ratio | target |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|")
	row := func(what, format string, ours, theirs float64, target string) {
		fmt.Fprintf(w, "| %s | "+format+" | "+format+" | %.4f (1/%.1f) | %s |\n", what, ours, theirs, ours/theirs, theirs/ours, target)
	}
	millis := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	row("CPU, delivery included", "%.3f ms", millis(a.cpu), millis(b.cpu), "1/5")
	fmt.Fprintf(w, "| CPU of measuring alone, as the collector says | %.3f ms | | | |\n", millis(a.inside))
	row("CPU of the slowest", "%.3f ms", millis(a.slowest), millis(b.slowest), "")
	row("memory (RSS)", "%.1f MiB", float64(a.memory)/(1<<20), float64(b.memory)/(1<<20), "1/2")
	row("of it private", "%.1f MiB", float64(a.private)/(1<<20), float64(b.private)/(1<<20), "")
	row("bytes sent, compressed", "%.0f B", a.sent, b.sent, "")
	row("bytes sent, against uncompressed", "%.0f B", a.sent, b.plain, "1/100")
	row("system calls", "%.0f", a.calls, b.calls, "")
	return nil
}
