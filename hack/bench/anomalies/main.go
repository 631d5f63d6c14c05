// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

// Command anomalies measures how long it takes from the moment at which a cluster's
// API server says that something is broken until the row about it can be read from
// the hub's history, with real programs on this machine: API servers, an agent, a
// hub, and each database in turn. It plays the kubelet, watches beside the agent, and
// prints Markdown tables.
//
//	go run ./hack/bench/anomalies [--changes=500] [--pods=1000] [--writers=8] [--databases=postgres,sqlite]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "anomalies:", err)
		os.Exit(1)
	}
}

// settings say what to measure.
type settings struct {
	changes, pods, writers int
	databases              []string
}

// longest bounds a run: a number that takes longer to get is not worth it.
const longest = 10 * time.Minute

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("anomalies", flag.ContinueOnError)
	var s settings
	flags.IntVar(&s.changes, "changes", 500, "Single changes, one after the other, with each database. From 2 to 5000.")
	flags.IntVar(&s.pods, "pods", 1000, "Pods that fail at once. From 400 to 5000.")
	flags.IntVar(&s.writers, "writers", 8, "Pods whose failure is written at the same time: the more, the busier the API server keeps this machine. From 1 to 64.")
	databases := flags.String("databases", "postgres,sqlite", "Where the hub keeps history.")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s.databases = strings.Split(*databases, ",")
	for _, name := range s.databases {
		if !slices.Contains([]string{"postgres", "sqlite"}, name) {
			return fmt.Errorf("--databases has %q; it takes postgres and sqlite", name)
		}
	}
	if s.changes < 2 || s.changes > 5000 || s.pods < 400 || s.pods > 5000 || s.writers < 1 || s.writers > 64 {
		return errors.New("--changes takes numbers from 2 to 5000, --pods from 400 to 5000, --writers from 1 to 64")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("the run took longer than %s", longest))
	defer cancel()
	results, err := measure(ctx, s)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return report(os.Stdout, s, results)
}

// result is what was measured with one database.
type result struct {
	database string
	single   timings
	storms   []storm
}

// measure starts everything and measures with each database.
func measure(ctx context.Context, s settings) (results []result, err error) {
	dir, err := os.MkdirTemp("", "atlhyper-anomalies-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	say("Building the programs and starting two control planes...")
	l, err := newLab(ctx, dir, s.writers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	say("Making pods...")
	storms, err := l.prepare(ctx, s.pods)
	if err != nil {
		return nil, err
	}
	for _, name := range s.databases {
		say("Measuring %d single changes with %s...", s.changes, name)
		if err := l.use(ctx, name); err != nil {
			return nil, err
		}
		r := result{database: name}
		if r.single, err = l.changeOneByOne(ctx, s.changes); err != nil {
			return nil, fmt.Errorf("measuring single changes with %s: %w", name, err)
		}
		say("Measuring storms of %d pods with %s...", s.pods, name)
		if r.storms, err = l.storm(ctx, storms); err != nil {
			return nil, fmt.Errorf("measuring storms with %s: %w", name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
