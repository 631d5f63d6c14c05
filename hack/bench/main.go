// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Command bench measures AtlHyper on this machine and prints Markdown tables, as
// they stand in docs/operations/benchmarks.md. Everything it measures is a real
// program on a real API server; simulated agents are goroutines that speak the
// agent's own protocol with the agent's own code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctrl.SetLogger(logr.Discard()) // results are what is printed
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "fleet" {
		return errors.New("usage: bench fleet [--clusters=10,100,1000] [--window=2m]")
	}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	clusters := flags.String("clusters", "10,100,1000", "Numbers of simulated clusters, one run each.")
	window := flags.Duration("window", 2*time.Minute, "How long the idle fleet is measured.")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var sizes []int
	for text := range strings.SplitSeq(*clusters, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > 5000 {
			return fmt.Errorf("--clusters has %q; it takes numbers from 1 to 5000", text)
		}
		sizes = append(sizes, n)
	}
	return benchFleet(ctx, os.Stdout, sizes, *window)
}
