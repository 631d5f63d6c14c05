// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package inspect is the command "history", which prints what a store holds:
// objects, events, node metrics, anomalies, SLI slices, and where telemetry is
// missing. It reads through the ports of package history, page by page and never
// more than a bound, and knows no database: whoever adds the command says how a
// store is opened.
//
// Most text in a store was written by agents and by users of member clusters. It is
// stripped of everything that is not printable before it reaches a terminal.
package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
)

// DSNVariable is the environment variable that says which store to read when
// --dsn does not.
const DSNVariable = "ATLHYPER_DSN"

// Reader is what the command needs of a store.
type Reader interface {
	history.TelemetryReader
	history.OffsetReader
	history.LedgerReader
}

// Opener opens the store that a DSN names, for reading. The command closes it. What
// its errors say is printed without the DSN and the password in it.
type Opener func(ctx context.Context, dsn string) (Reader, io.Closer, error)

// Names returns the names of clusters by UID, such as those of the ManagedClusters.
type Names func(ctx context.Context) (map[history.ClusterUID]string, error)

// Streams are where the command writes.
type Streams struct {
	// Out is for what was asked for.
	Out io.Writer
	// ErrOut is for remarks to people.
	ErrOut io.Writer
}

// Option changes how the command works.
type Option func(*program)

// WithNames lets people select clusters by name, and shows the names. Without it
// the command knows UIDs only, since that is what a store knows.
func WithNames(names Names) Option { return func(p *program) { p.names = names } }

// WithDefaultDSN names the store to read when neither --dsn nor DSNVariable does.
func WithDefaultDSN(dsn string) Option { return func(p *program) { p.fallback = dsn } }

// WithClock replaces the clock and the local time zone.
func WithClock(now func() time.Time, local *time.Location) Option {
	return func(p *program) { p.now, p.local = now, local }
}

// program is the command with what it was given and its flags.
type program struct {
	open    Opener
	names   Names
	streams Streams
	now     func() time.Time
	local   *time.Location

	dsn      string
	fallback string
	output   string
	utc      bool
	limit    int
	clusters []string
}

// New returns the command "history" with its subcommands.
func New(open Opener, streams Streams, options ...Option) *cobra.Command {
	p := &program{open: open, streams: streams, now: time.Now, local: time.Local}
	for _, o := range options {
		o(p)
	}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Print what the history store holds",
		Long: "Print what the history store holds, as a table or as JSON.\n\n" +
			"The store is the one that --dsn or " + DSNVariable + " names. Prefer the variable when the\n" +
			"DSN has a password: arguments are visible to every process of the machine.",
		Args:          noSubcommand,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := cmd.PersistentFlags()
	// The variable is read when the command runs: a default would be shown by --help.
	flags.StringVar(&p.dsn, "dsn", "", "the store, such as sqlite:///path, postgres://... or mysql://... (default: what "+DSNVariable+" says)")
	flags.StringVarP(&p.output, "output", "o", formatTable, "how to print: "+strings.Join(formats, ", "))
	flags.BoolVar(&p.utc, "utc", false, "print times in UTC instead of local time; JSON is always in UTC")
	flags.IntVar(&p.limit, "limit", 100, fmt.Sprintf("print at most this many rows, from 1 to %d", MaxRows))
	flags.StringSliceVar(&p.clusters, "cluster", nil, "only these clusters, each by name, UID, or beginning of the UID (default: all)")
	cmd.AddCommand(
		newInventory(p), newEvents(p), newMetrics(p), newAnomalies(p), newSLI(p), newGaps(p), newQuarantine(p), newOffsets(p),
	)
	return cmd
}

// plainWord is an argument that may be repeated in an error: it is no DSN.
var plainWord = regexp.MustCompile(`^[a-z-]{1,20}$`)

func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	names := make([]string, 0, len(cmd.Commands()))
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.RunE != nil { // cobra's own commands, such as completion, are none of ours
			names = append(names, c.Name())
		}
	}
	what := "the argument"
	if plainWord.MatchString(args[0]) {
		what = fmt.Sprintf("%q", args[0])
	}
	return fmt.Errorf("%s is no subcommand of history; there are: %s", what, strings.Join(names, ", "))
}

// noArguments does not repeat the argument, which may be a DSN that lacks its flag.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("history %s takes flags and no arguments; see --help", cmd.Name())
	}
	return nil
}

// subcommand returns a command that runs do on an open store.
func (p *program) subcommand(name, short, example string, do func(context.Context, *session) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Example: example, Args: noArguments, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dsn := p.dsn
			if dsn == "" {
				dsn = cmp.Or(os.Getenv(DSNVariable), p.fallback)
			}
			return redact(p.run(cmd.Context(), dsn, do), dsn)
		},
	}
}

func (p *program) run(ctx context.Context, dsn string, do func(context.Context, *session) error) (err error) {
	switch {
	case !slices.Contains(formats, p.output):
		return missing("output", []string{p.output}, formats)
	case p.limit < 1 || p.limit > MaxRows:
		return fmt.Errorf("--limit is %d, it has to be from 1 to %d", p.limit, MaxRows)
	case dsn == "":
		return fmt.Errorf("no store was named: set %s or --dsn, such as sqlite:///var/lib/atlhyper/history.db", DSNVariable)
	}
	reader, closer, err := p.open(ctx, dsn)
	if err != nil {
		return err // says already that it is about opening
	}
	defer func() { err = errors.Join(err, closeStore(closer)) }()

	s := &session{reader: reader, streams: p.streams, format: p.output, limit: p.limit, now: p.now(), location: p.local}
	if p.utc {
		s.location = time.UTC
	}
	if err := s.selectClusters(ctx, p.clusters, p.names); err != nil {
		return err
	}
	return do(ctx, s)
}

func closeStore(closer io.Closer) error {
	if closer == nil {
		return nil
	}
	if err := closer.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}
