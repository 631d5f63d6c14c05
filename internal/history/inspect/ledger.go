// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// ledger is the flags of "history gaps" and "history quarantine".
type ledger struct {
	span
	stream string
	raw    bool
}

func (f *ledger) bindStream(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.stream, "stream", "", "only this stream: "+strings.Join(streamNames(), ", "))
	f.bind(cmd, "7d")
}

func streamNames() []string {
	var names []string
	for stream := range telemetry.Streams() {
		names = append(names, stream.String())
	}
	return names
}

func (f *ledger) query(s *session) (q history.LedgerQuery, err error) {
	if f.stream != "" {
		if q.Stream, err = telemetry.ParseStream(f.stream); err != nil {
			return q, missing("stream", []string{f.stream}, streamNames())
		}
	}
	q.Range, err = f.between(s, 7*day, history.MaxAhead)
	return q, err
}

func newGaps(p *program) *cobra.Command {
	f := &ledger{}
	cmd := p.subcommand("gaps", "Print where telemetry is missing, newest first", "  hub history gaps --stream events --since 24h", f.gaps)
	f.bindStream(cmd)
	return cmd
}

func (f *ledger) gaps(ctx context.Context, s *session) error {
	q, err := f.query(s)
	if err != nil {
		return err
	}
	read := func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (history.Page[history.Gap], error) {
		q.Cluster, q.Paging = cluster, paging
		return s.reader.Gaps(ctx, q)
	}
	rows := merged(ctx, s, read, func(a, b history.Gap) int { return b.Noted.Compare(a.Noted) })
	return answer[gapView]{what: "gaps", columns: gapColumns(s), rows: mapped(rows, s.gapView)}.write(ctx, s)
}

// gapView is a gap as it is printed.
type gapView struct {
	keyView
	From   uint64    `json:"from"`
	To     uint64    `json:"to"`
	Reason string    `json:"reason"`
	Noted  time.Time `json:"noted"`
	// Dropped is absent when nobody knows how many values are missing.
	Dropped uint64    `json:"dropped,omitempty"`
	Start   time.Time `json:"start,omitzero"`
	End     time.Time `json:"end,omitzero"`
}

func (s *session) gapView(g history.Gap) gapView {
	return gapView{
		keyView: s.keyView(g.Key), From: g.From, To: g.To, Reason: g.Reason.String(),
		Noted: g.Noted.UTC(), Dropped: g.Dropped, Start: g.Start.UTC(), End: g.End.UTC(),
	}
}

func gapColumns(s *session) []column[gapView] {
	return slices.Concat(keyColumns(s, func(v gapView) (keyView, time.Time) { return v.keyView, v.Noted }), []column[gapView]{
		{header: "SEQ", cell: func(v gapView) string { return between(v.From, v.To) }},
		{header: "REASON", cell: func(v gapView) string { return v.Reason }},
		{header: "DROPPED", right: true, cell: func(v gapView) string {
			if v.Dropped == 0 {
				return "unknown"
			}
			return strconv.FormatUint(v.Dropped, 10)
		}},
		{header: "START", optional: true, cell: func(v gapView) string { return stamp(v.Start, s.location) }},
		{header: "END", optional: true, cell: func(v gapView) string { return stamp(v.End, s.location) }},
		{header: "LENGTH", optional: true, cell: func(v gapView) string {
			if v.Start.IsZero() || v.End.IsZero() {
				return ""
			}
			return lengthOf(v.End.Sub(v.Start))
		}},
	})
}

func between(from, to uint64) string {
	if from == to {
		return strconv.FormatUint(from, 10)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

// keyColumns are the columns that all of the ledger begins with.
func keyColumns[V any](s *session, of func(V) (keyView, time.Time)) []column[V] {
	noted := func(v V) time.Time { _, t := of(v); return t }
	key := func(v V) keyView { k, _ := of(v); return k }
	return slices.Concat(
		[]column[V]{
			{header: "NOTED", cell: func(v V) string { return stamp(noted(v), s.location) }},
			{header: "AGE", cell: func(v V) string { return age(noted(v), s.now) }},
		},
		clusterColumn(s, func(v V) history.ClusterUID { return key(v).Cluster }),
		[]column[V]{
			{header: "STREAM", cell: func(v V) string { return key(v).Stream }},
			{header: "EPOCH", right: true, cell: func(v V) string { return strconv.FormatUint(key(v).Epoch, 10) }},
		},
	)
}

func newQuarantine(p *program) *cobra.Command {
	f := &ledger{}
	cmd := p.subcommand("quarantine", "Print records that were set aside, newest first",
		"  hub history quarantine --stream node-metrics\n  hub history quarantine --raw -o json", f.quarantine)
	cmd.Flags().BoolVar(&f.raw, "raw", false, "with JSON: also the records as they came, in base64; nobody has looked at what is in them")
	f.bindStream(cmd)
	return cmd
}

func (f *ledger) quarantine(ctx context.Context, s *session) error {
	q, err := f.query(s)
	if err != nil {
		return err
	}
	read := func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (history.Page[history.Quarantined], error) {
		q.Cluster, q.Paging = cluster, paging
		return s.reader.Quarantine(ctx, q)
	}
	rows := mapped(merged(ctx, s, read, func(a, b history.Quarantined) int { return b.Noted.Compare(a.Noted) }),
		func(r history.Quarantined) quarantineView {
			v := quarantineView{keyView: s.keyView(r.Key), From: r.FirstSeq, To: r.LastSeq, Reason: r.Reason, Noted: r.Noted.UTC(), Bytes: len(r.Raw)}
			if f.raw {
				v.Raw = r.Raw
			}
			return v
		})
	columns := slices.Concat(keyColumns(s, func(v quarantineView) (keyView, time.Time) { return v.keyView, v.Noted }), []column[quarantineView]{
		{header: "SEQ", cell: func(v quarantineView) string { return between(v.From, v.To) }},
		{header: "BYTES", right: true, cell: func(v quarantineView) string { return strconv.Itoa(v.Bytes) }},
		{header: "REASON", prose: true, cell: func(v quarantineView) string { return v.Reason }},
	})
	return answer[quarantineView]{what: "quarantined records", columns: columns, rows: rows}.write(ctx, s)
}

// quarantineView is a record that was set aside, as it is printed.
type quarantineView struct {
	keyView
	From   uint64    `json:"from"`
	To     uint64    `json:"to"`
	Reason string    `json:"reason"`
	Noted  time.Time `json:"noted"`
	// Bytes is how much of the record is kept.
	Bytes int    `json:"bytes"`
	Raw   []byte `json:"raw,omitempty"`
}

func newOffsets(p *program) *cobra.Command {
	return p.subcommand("offsets", "Print how far the newest epochs of the streams have come", "  hub history offsets --cluster prod-eu", offsets)
}

func offsets(ctx context.Context, s *session) error {
	rows := func(yield func(offsetView, error) bool) {
		for _, c := range s.clusters {
			all, err := s.reader.Offsets(ctx, c.uid)
			if err != nil {
				yield(offsetView{}, fmt.Errorf("reading cluster %s: %w", c.title(), err))
				return
			}
			for _, o := range all {
				if !yield(offsetView{keyView: s.keyView(o.Key), LastSeq: o.LastSeq, Began: o.Began.UTC(), Updated: o.Updated.UTC()}, nil) {
					return
				}
			}
		}
	}
	columns := slices.Concat(clusterColumn(s, func(v offsetView) history.ClusterUID { return v.Cluster }), []column[offsetView]{
		{header: "STREAM", cell: func(v offsetView) string { return v.Stream }},
		{header: "EPOCH", right: true, cell: func(v offsetView) string { return strconv.FormatUint(v.Epoch, 10) }},
		{header: "LAST SEQ", right: true, cell: func(v offsetView) string { return strconv.FormatUint(v.LastSeq, 10) }},
		{header: "BEGAN", cell: func(v offsetView) string { return stamp(v.Began, s.location) }},
		{header: "UPDATED", cell: func(v offsetView) string { return stamp(v.Updated, s.location) }},
		{header: "AGE", cell: func(v offsetView) string { return age(v.Updated, s.now) }},
	})
	return answer[offsetView]{what: "streams", columns: columns, rows: iter.Seq2[offsetView, error](rows)}.write(ctx, s)
}

// offsetView is how far an epoch has come, as it is printed.
type offsetView struct {
	keyView
	LastSeq uint64 `json:"lastSeq"`
	// Began is when the epoch's first batch was stored.
	Began   time.Time `json:"began"`
	Updated time.Time `json:"updated"`
}
