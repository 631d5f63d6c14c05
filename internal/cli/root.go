// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package cli holds the commands of `kubectl atlhyper`. What is printed is
// computed by pure functions; the commands read, call them and write.
package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/atlhyper/atlhyper/internal/observability"
)

// FieldManager is the field manager of every write of this program.
const FieldManager = "kubectl-atlhyper"

// Exit codes of the program.
const (
	// ExitOK means that the command did what it was asked.
	ExitOK = 0
	// ExitFailure means that it did not, that `status --exit-code` found a cluster
	// that is not available, or that `analyze --exit-code` found an anomaly.
	ExitFailure = 1
)

// errNotAvailable ends `status --exit-code` without a further message: the
// table has said it.
var errNotAvailable = errors.New("a cluster is not available")

// Run executes the command that args name, args being those after the program's
// name, and returns the exit code. Errors go to the error stream.
func Run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	cmd := NewCommand(streams) //nolint:contextcheck // cobra hands the context to each command.
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, errNotAvailable), errors.Is(err, errAnomalies), errors.Is(err, errUnreadable):
		return ExitFailure
	default:
		fmt.Fprintf(streams.ErrOut, "error: %s\n", sanitizeLines(err.Error()))
		return ExitFailure
	}
}

// NewCommand returns `kubectl atlhyper` with all its commands, reading from and
// writing to streams only.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	// A bearer token in an argument is visible to every user of the machine, and
	// nothing here is namespaced.
	flags.BearerToken, flags.Namespace = nil, nil
	f := &factory{flags: flags}

	cmd := &cobra.Command{
		Use:   "kubectl-atlhyper",
		Short: "Watch and operate many Kubernetes clusters from one hub",
		Long: `Watch and operate many Kubernetes clusters from one hub.

The current context of the kubeconfig has to be the hub's, or --context names it.

To complete commands and cluster names in the shell, put an executable file
kubectl_complete-atlhyper into the PATH that contains:

  #!/bin/sh
  exec kubectl atlhyper __complete "$@"`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl atlhyper"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetIn(streams.In)
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.ErrOut)
	flags.AddFlags(cmd.PersistentFlags())
	// The flag exists, so registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("context", f.completeContexts)
	cmd.AddCommand(
		newJoinCommand(f, streams),
		newAcceptCommand(f, streams),
		newStatusCommand(f, streams),
		newAnomaliesCommand(f, streams),
		newAnalyzeCommand(streams),
		newVersionCommand(streams),
	)
	return cmd
}

func newVersionCommand(streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  kubectl atlhyper version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(streams.Out, "kubectl-atlhyper %s (%s %s/%s)\n",
				observability.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
