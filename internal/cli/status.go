// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// clearScreen moves the cursor to the upper left and clears what follows.
const clearScreen = "\x1b[H\x1b[J"

// statusOptions are the flags of status.
type statusOptions struct {
	output   string
	selector string
	watch    bool
	exitCode bool

	names  []string
	labels labels.Selector
}

func newStatusCommand(f *factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := statusOptions{}
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show how the fleet is",
		Long: `Show how the fleet is, on one screen, worst first.

REASON is the reason of the worst condition of a cluster, SINCE when that began.
PODS counts running pods of all, CPU and MEM are what is requested of what is
allocatable. LAST-SEEN is when the hub last saw the agent, to 5 minutes; the other
columns of a cluster that is not available are as old as that. A dash means that
it is not known. Columns that do not fit are left out; -o wide shows all.

Exits with 0, or with 1 after an error or, with --exit-code, when a cluster is not
available.`,
		Example: `  # The whole fleet
  kubectl atlhyper status

  # Two clusters, redrawn whenever something changes
  kubectl atlhyper status prod-eu-1 prod-eu-2 --watch

  # In a script: are all production clusters available?
  kubectl atlhyper status -l env=production --exit-code

  # The names of the clusters that are not
  kubectl atlhyper status -o json | jq -r '.clusters[] | select(.available != "True") | .name'`,
		ValidArgsFunction: f.completeClusters(0),
		RunE: func(cmd *cobra.Command, names []string) error {
			o.names = names
			return o.run(cmd.Context(), f, streams)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.output, "output", "o", "", "Form of the output: wide, yaml or json. A table that fits by default.")
	fs.StringVarP(&o.selector, "selector", "l", "", "Label selector, as in env=production,tier!=edge.")
	fs.BoolVarP(&o.watch, "watch", "w", false, "Print again whenever something changes, until interrupted.")
	fs.BoolVar(&o.exitCode, "exit-code", false, "Exit with 1 when a cluster is not available.")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions([]cobra.Completion{formatWide, formatYAML, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *statusOptions) run(ctx context.Context, f *factory, streams genericiooptions.IOStreams) error {
	if !slices.Contains([]string{"", formatWide, formatYAML, formatJSON}, o.output) {
		return fmt.Errorf("--output is %q; it can be wide, yaml or json", o.output)
	}
	var err error
	if o.labels, err = labels.Parse(o.selector); err != nil {
		return fmt.Errorf("reading --selector: %w", err)
	}
	if o.selector != "" && len(o.names) > 0 {
		return errors.New("name clusters or select them by label, not both")
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	clusters, err := o.read(ctx, c)
	if err != nil {
		return err
	}
	healthy, err := o.print(streams.Out, clusters, "")
	if err != nil {
		return err
	}
	if o.watch {
		if healthy, err = o.follow(ctx, c, streams); err != nil {
			return err
		}
	}
	if o.exitCode && !healthy {
		return errNotAvailable
	}
	return nil
}

// read gets the named clusters one by one, which needs no right to list, and
// otherwise lists.
func (o *statusOptions) read(ctx context.Context, c client.Reader) ([]v1alpha1.ManagedCluster, error) {
	if len(o.names) == 0 {
		list := &v1alpha1.ManagedClusterList{}
		if err := c.List(ctx, list, client.MatchingLabelsSelector{Selector: o.labels}); err != nil {
			return nil, readError("the managedclusters", err)
		}
		return list.Items, nil
	}
	var clusters []v1alpha1.ManagedCluster
	var errs []error
	for _, name := range o.names {
		cluster, err := getCluster(ctx, c, name)
		switch {
		case apierrors.IsNotFound(err):
			errs = append(errs, fmt.Errorf("managedcluster %q does not exist", name))
		case err != nil:
			errs = append(errs, err)
		default:
			clusters = append(clusters, *cluster)
		}
	}
	return clusters, errors.Join(errs...)
}

// print writes the fleet once and says whether every cluster is available. A
// notice stands above the table.
func (o *statusOptions) print(w io.Writer, clusters []v1alpha1.ManagedCluster, notice string) (bool, error) {
	now := time.Now()
	fleet := Fleet(clusters, now)
	healthy := !slices.ContainsFunc(fleet.Clusters, func(c ClusterStatus) bool { return c.Available != "True" })

	// One write for one frame: nothing flickers.
	var frame bytes.Buffer
	if o.output == formatJSON || o.output == formatYAML {
		if o.watch && o.output == formatYAML {
			frame.WriteString("---\n")
		}
		if err := writeValue(&frame, fleet, o.output); err != nil {
			return healthy, err
		}
	} else {
		layout, terminal := o.layout(w)
		switch {
		case o.watch && terminal:
			frame.WriteString(clearScreen)
		case o.watch:
			fmt.Fprintf(&frame, "\n%s\n", now.UTC().Format(time.RFC3339))
		}
		if notice != "" {
			frame.WriteString(sanitize(notice) + "\n\n")
		}
		if err := Render(&frame, fleet, now, layout); err != nil {
			return healthy, err
		}
	}
	if _, err := w.Write(frame.Bytes()); err != nil {
		return healthy, fmt.Errorf("writing the status: %w", err)
	}
	return healthy, nil
}

// layout fits a terminal if there is one.
func (o *statusOptions) layout(w io.Writer) (layout Layout, terminal bool) {
	layout = Layout{Width: defaultWidth}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		terminal = true
		layout.Color = os.Getenv("NO_COLOR") == ""
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			layout.Width = width
		}
	}
	if o.output == formatWide {
		layout.Width = 0
	}
	return layout, terminal
}
