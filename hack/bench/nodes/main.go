// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

// Command nodes measures the node collector beside node_exporter on this machine,
// in one run, and prints a Markdown table. Both are the real programs in processes
// of their own: the collector measures the node and delivers samples over TLS to an
// agent that this program plays, node_exporter has the collectors that read the
// same and is scraped as Prometheus does it, compressed, over a connection that is
// kept. What recorded large machines cost is measured as well, in this process, and
// held to a budget by a test.
//
//	go run ./hack/bench/nodes [--cycles=60] [--every=1s] [--traced=20]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nodes:", err)
		os.Exit(1)
	}
}

// settings say how long to measure.
type settings struct {
	cycles int
	every  time.Duration
	traced int
}

func run(ctx context.Context, args []string) (err error) {
	if pid, ok := traced(args); ok {
		return trace(pid)
	}
	flags := flag.NewFlagSet("nodes", flag.ContinueOnError)
	var s settings
	flags.IntVar(&s.cycles, "cycles", 60, "Samples and scrapes that are measured, after as many again to warm up, at most 30.")
	flags.DurationVar(&s.every, "every", time.Second, "Time between them. At least 1s.")
	flags.IntVar(&s.traced, "traced", 20, "Samples and scrapes of which the system calls are counted.")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.cycles < 1 || s.traced < 1 || s.every < time.Second {
		return errors.New("--cycles and --traced take numbers from 1, --every at least 1s")
	}
	dir, err := os.MkdirTemp("", "atlhyper-nodes-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	fmt.Fprintln(os.Stderr, "Building and starting both...")
	ours, err := startCollector(ctx, dir, s.every)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	theirs, err := startExporter(ctx, dir, s.every)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.stop()) }()
	a, b, err := measure(ctx, s, ours, theirs)
	if err != nil {
		return err
	}
	if err := report(os.Stdout, s, a, b); err != nil {
		return err
	}
	return reportBudgets(ctx, os.Stdout)
}
