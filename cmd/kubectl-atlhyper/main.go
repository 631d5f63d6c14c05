// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Command kubectl-atlhyper is the plugin behind `kubectl atlhyper`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/atlhyper/atlhyper/internal/cli"
)

func main() {
	os.Exit(run())
}

func run() int {
	// The commands report their errors themselves; the libraries would repeat them.
	klog.SetLogger(logr.Discard())
	log.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	return cli.Run(ctx, streams, os.Args[1:])
}
