// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/atlhyper/atlhyper/internal/cli/analyze"
)

// These end analyze without a further message: what was written has said it.
var (
	errAnomalies  = errors.New("anomalies were found")
	errUnreadable = errors.New("not everything could be read")
)

const (
	// maxDump bounds what is read of one file, in bytes.
	maxDump = 2 << 30
	// maxErrors is how many errors about what cannot be read are written.
	maxErrors = 100
)

// dumpExtensions are those of the files of a folder that are read.
var dumpExtensions = []string{".json", ".yaml", ".yml"}

// analyzeOptions are the flags of analyze.
type analyzeOptions struct {
	files    []string
	now      string
	output   string
	partial  bool
	exitCode bool
}

func newAnalyzeCommand(streams genericiooptions.IOStreams) *cobra.Command {
	o := analyzeOptions{}
	cmd := &cobra.Command{
		Use:   "analyze -f FILE...",
		Short: "Find anomalies in a file of Kubernetes objects, without a cluster",
		Long: `Find anomalies in a file of Kubernetes objects, without a cluster.

The files hold YAML documents or JSON, objects or Lists, as kubectl get -o yaml
prints them. Of a folder its .json, .yaml and .yml files are read, by name, and
not those of folders in it. The rules are those that agents use;
docs/reference/anomalies.md lists them. Rules about measurements, such as CPU or
full disks, need a running agent and find nothing here.

How long something has lasted is judged by the times in the objects. --now says
when the durations end. By default that is the newest sign of life in the files
(heartbeats of nodes, Leases, events) if it is older than 10 minutes, and
otherwise the clock; times that are ahead of the clock by more than 10 minutes are
not believed. Where an object does not tell when something began, the earliest
moment at which it can have begun is taken, at worst its creation. What has no
time at all has lasted long enough to be found, not to escalate. A node that does
not tell when it was cordoned is not reported.

What is not in the files does not exist: a Service without its EndpointSlices has
no endpoints. --partial says that the files are a part of the cluster only.
Secrets and IngressClasses are missed only where there are some; without any
EndpointSlice, the ready pods that a Service selects stand for its endpoints.

What cannot be read is named on the error stream, and the rest is judged. Nothing
is concluded from what may be in it.

Exits with 0, or with 1 after an error, when something could not be read or, with
--exit-code, when there is an anomaly.`,
		Example: `  # The cluster of the current context
  kubectl get all,events,ingress,pvc,endpointslices -A -o yaml | kubectl atlhyper analyze -f -

  # A support bundle, judged by when it was made
  kubectl atlhyper analyze -f pods.yaml -f nodes.json --now 2026-11-23T12:00:00Z

  # All files of a folder
  kubectl atlhyper analyze -f bundle/

  # The names of what is critical
  kubectl atlhyper analyze -f dump.yaml -o json | jq -r '.[] | select(.severity == "critical") | .name'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return o.run(streams) },
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "File or folder to read, - for the standard input. Can be given several times.")
	fs.StringVar(&o.now, "now", "", "When durations end, as in 2026-11-23T12:00:00Z.")
	fs.StringVarP(&o.output, "output", "o", "", "Form of the output: json or yaml. Text by default.")
	fs.BoolVar(&o.partial, "partial", false, "The files are a part of the cluster: conclude nothing from what they do not have.")
	fs.BoolVar(&o.exitCode, "exit-code", false, "Exit with 1 when there is an anomaly.")
	_ = cmd.MarkFlagFilename("filename", "yaml", "yml", "json")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions([]cobra.Completion{formatYAML, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check returns what --now says, zero without it.
func (o *analyzeOptions) check() (now time.Time, err error) {
	if !slices.Contains([]string{"", formatYAML, formatJSON}, o.output) {
		return now, fmt.Errorf("--output is %q; it can be yaml or json", o.output)
	}
	if len(o.files) == 0 {
		return now, errors.New("name a file with -f, or - for the standard input")
	}
	if o.now != "" {
		if now, err = time.Parse(time.RFC3339, o.now); err != nil {
			return now, fmt.Errorf("--now is %q; a time such as 2026-11-23T12:00:00Z is expected", o.now)
		}
	}
	return now, nil
}

func (o *analyzeOptions) run(streams genericiooptions.IOStreams) error {
	now, err := o.check()
	if err != nil {
		return err
	}
	clock := time.Now().UTC().Truncate(time.Second)
	d := &analyze.Dump{Clock: clock}
	unread, err := readDumps(d, o.files, streams.In)
	if err != nil {
		return err
	}
	complain(streams.ErrOut, unread)
	if now.IsZero() {
		if now = analyze.Moment(d, clock); !now.Equal(clock) {
			fmt.Fprintf(streams.ErrOut, "Judged as of %s, the newest time in the files. Use --now to say otherwise.\n", now.UTC().Format(time.RFC3339))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(d.Ignored)) {
		fmt.Fprintf(streams.ErrOut, "Ignored %d objects of %s: no rule looks at them.\n", d.Ignored[kind], sanitize(kind))
	}
	if len(d.Objects) == 0 && len(unread) > 0 && o.output == "" {
		return errUnreadable // that there are no anomalies would be too much to say
	}
	if len(d.Objects) == 0 {
		fmt.Fprintln(streams.ErrOut, "There is no object that a rule looks at.")
	}
	findings := analyze.Judge(d, analyze.Options{Now: now, Partial: o.partial})
	if err := o.print(streams.Out, findings, now); err != nil {
		return err
	}
	switch {
	case len(unread) > 0:
		return errUnreadable
	case o.exitCode && len(findings) > 0:
		return errAnomalies
	}
	return nil
}

// complain names what could not be read.
func complain(w io.Writer, unread []error) {
	for i, err := range unread {
		if i == maxErrors {
			fmt.Fprintf(w, "error: and %d more\n", len(unread)-i)
			break
		}
		fmt.Fprintf(w, "error: %s\n", sanitize(err.Error()))
	}
}

// readDumps reads files and folders. It returns what could not be read of them, and
// an error about a file that could not be read at all.
func readDumps(d *analyze.Dump, names []string, in io.Reader) (unread []error, err error) {
	for _, name := range names {
		files := []string{name}
		if name != "-" {
			if files, err = filesOf(name); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			errs, err := readDump(d, file, in)
			if err != nil {
				return nil, err
			}
			unread = append(unread, errs...)
		}
	}
	return unread, nil
}

// filesOf returns the files of a folder that are read, or the name of a file.
func filesOf(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return []string{name}, nil //nolint:nilerr // opening it tells what is wrong
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name) // in the order of their names
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	var files []string
	for _, entry := range entries {
		file := filepath.Join(name, entry.Name())
		if !slices.Contains(dumpExtensions, filepath.Ext(file)) {
			continue
		}
		// A folder may hold links, as that of a ConfigMap does.
		if info, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("opening the file: %w", err)
		} else if !info.IsDir() {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the folder %s has no files that end in %s", name, strings.Join(dumpExtensions, ", "))
	}
	return files, nil
}

// readDump reads a file, or in for "-".
func readDump(d *analyze.Dump, file string, in io.Reader) ([]error, error) {
	name := file
	if file == "-" {
		name = "standard input"
	} else {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("opening the file: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	content, err := io.ReadAll(io.LimitReader(in, maxDump+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(content) > maxDump {
		return nil, fmt.Errorf("reading %s: it is larger than %d GiB; split it", name, maxDump>>30)
	}
	return d.Read(name, content), nil
}

func (o *analyzeOptions) print(w io.Writer, findings []analyze.Finding, now time.Time) error {
	if o.output != "" {
		return writeValue(w, findings, o.output)
	}
	var text bytes.Buffer
	renderFindings(&text, findings, now)
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("writing the anomalies: %w", err)
	}
	return nil
}

// renderFindings writes a block for each anomaly, and a line that counts them.
func renderFindings(w *bytes.Buffer, findings []analyze.Finding, now time.Time) {
	if len(findings) == 0 {
		fmt.Fprintln(w, "No anomalies.")
		return
	}
	counts := map[string]int{}
	for i := range findings {
		f := &findings[i]
		counts[f.Severity.String()]++
		name := f.Name
		if f.Namespace != "" {
			name = f.Namespace + "/" + f.Name
		}
		fmt.Fprintf(w, "%s  %s  %s\n", strings.ToUpper(f.Severity.String()), f.Rule, sanitize(f.Kind+" "+name))
		lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		row := func(what, value string) {
			if value != "" {
				fmt.Fprintf(lines, "  %s\t%s\n", what, sanitize(value))
			}
		}
		row("reason", f.Reason)
		row("message", f.Message)
		row("since", sinceOf(f, now))
		if f.Count > 1 {
			row("count", fmt.Sprint(f.Count))
		}
		row("owner", f.Owner)
		row("container", f.Container)
		row("node", f.Node)
		for _, key := range slices.Sorted(maps.Keys(f.Evidence)) {
			if key != "message" && key != "reason" && key != "since" {
				row(key, f.Evidence[key])
			}
		}
		_ = lines.Flush() // into a buffer
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d critical, %d warning, %d info\n", counts["critical"], counts["warning"], counts["info"])
}

func sinceOf(f *analyze.Finding, now time.Time) string {
	if f.Since == nil {
		return "unknown"
	}
	return fmt.Sprintf("%s (%s)", f.Since.Format(time.RFC3339), duration.HumanDuration(now.Sub(*f.Since)))
}
