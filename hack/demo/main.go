// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Command demo runs AtlHyper on this machine: a hub and two member clusters as
// real control planes, their nodes and pods played by KWOK, and the hub and the
// agents as real processes with real credentials. It ends with Ctrl-C and leaves
// nothing behind. `make demo` builds what it needs and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The DSN comes in the environment: it may have a password.
	dsn := os.Getenv("ATLHYPER_DSN")
	once := flag.Bool("once", false, "Stop as soon as everything has been shown, for CI.")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, dsn, *once)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run plays the demo and cleans up whatever happens.
func run(ctx context.Context, dsn string, once bool) (err error) {
	d, err := newDemo(os.Stdout, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.play(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C while starting is a wish, not a failure.
		}
		return err
	}
	if once {
		return nil
	}
	return d.stay(ctx)
}
