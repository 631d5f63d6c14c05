// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Command nodecollector runs AtlHyper's node collector on a node.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/atlhyper/atlhyper/internal/observability"
	"github.com/atlhyper/atlhyper/nodecollector/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nodecollector: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var config app.Config
	var logs observability.LogOptions
	flags := flag.NewFlagSet("nodecollector", flag.ContinueOnError)
	version := flags.Bool("version", false, "Print the version and exit.")
	config.BindFlags(flags)
	logs.BindFlags(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return fmt.Errorf("reading the flags: %w", err)
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *version:
		_, err := fmt.Fprintln(os.Stdout, observability.Version())
		return err
	}
	var err error
	if config.Logger, err = app.NewLogger(os.Stderr, logs); err != nil {
		return err
	}
	return app.Run(ctx, config)
}
