// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Command hub runs the AtlHyper hub.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/controllers/hub"
	"github.com/atlhyper/atlhyper/internal/observability"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hub:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	config := hub.DefaultConfig()
	root := &cobra.Command{
		Use:           "hub",
		Short:         "Watch and operate many Kubernetes clusters from one hub",
		Version:       observability.Version(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return hub.Run(cmd.Context(), config) },
	}
	flags := flag.NewFlagSet("hub", flag.ContinueOnError)
	config.BindFlags(flags)
	root.Flags().AddGoFlagSet(flags)
	root.AddCommand(hub.HistoryCommand(os.Stdout, os.Stderr))
	return root
}
