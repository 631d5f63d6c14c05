// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

// Read reads what the history shows of a cluster. Nobody may be writing, and the
// maintenance must have nothing left to do.
func Read(ctx context.Context, from history.Reader, cluster history.ClusterUID, agents []Agent, now time.Time) (*Stored, error) {
	base := now
	for _, a := range agents {
		if a.Source.Base.Before(base) {
			base = a.Source.Base
		}
	}
	r := &reading{
		from: from, cluster: cluster, agents: agents, Stored: Stored{Offsets: map[Place]uint64{}},
		span: history.Range{Start: base.Add(-time.Hour), End: now.Add(time.Hour)},
	}
	for _, read := range []func(context.Context) error{r.inventory, r.anomalies, r.events, r.nodes, r.routes, r.commands, r.ledger} {
		if err := read(ctx); err != nil {
			return nil, fmt.Errorf("reading what is stored: %w", err)
		}
	}
	return &r.Stored, nil
}

type reading struct {
	Stored
	from    history.Reader
	cluster history.ClusterUID
	agents  []Agent
	span    history.Range
}

var errEndless = errors.New("the pages do not end")

// pages reads all pages of a query.
func pages[T any](read func(history.Paging) (history.Page[T], error), use func(*T)) error {
	paging := history.Paging{Limit: history.MaxLimit}
	for range 10_000 {
		page, err := read(paging)
		if err != nil {
			return err
		}
		for i := range page.Items {
			use(&page.Items[i])
		}
		if page.Next == "" {
			return nil
		}
		paging.Cursor = page.Next
	}
	return errEndless
}

// identify finds out whose record something is.
func (r *reading) identify(find func(*source.Source) (uint64, bool)) (ID, bool) {
	for i, a := range r.agents {
		if n, ok := find(a.Source); ok {
			return ID{i, n}, true
		}
	}
	return ID{}, false
}

func (r *reading) strange(format string, args ...any) {
	r.Strange = append(r.Strange, fmt.Sprintf(format, args...))
}

func (r *reading) inventory(ctx context.Context) error {
	const stream = telemetry.StreamInventory
	err := pages(func(p history.Paging) (history.Page[history.ObjectChange], error) {
		return r.from.ObjectChanges(ctx, history.ObjectChangeQuery{Cluster: r.cluster, Range: r.span, Paging: p})
	}, func(c *history.ObjectChange) {
		place := Place{stream, c.Epoch, c.Seq}
		id, ok := r.identify(func(s *source.Source) (uint64, bool) { return s.ObjectOf(&c.ObjectDelta) })
		_, ours := r.identify(func(s *source.Source) (uint64, bool) { return 0, s.Owns(c.UID) })
		switch {
		case ok:
			r.Rows = append(r.Rows, Row{id, place})
		case ours && c.Op == telemetry.OpDelete && c.ResourceVersion == 0:
			r.Implied = append(r.Implied, Implied{place, c.UID})
		default:
			r.strange("the change %s of %s", place, c.UID)
		}
	})
	if err != nil {
		return err
	}
	return pages(func(p history.Paging) (history.Page[history.Object], error) {
		return r.from.Objects(ctx, history.ObjectQuery{Cluster: r.cluster, Paging: p})
	}, func(o *history.Object) {
		id, ok := r.identify(func(s *source.Source) (uint64, bool) { return s.ObjectOf(&o.ObjectDelta) })
		if !ok || o.Op == telemetry.OpDelete || !o.Gone.IsZero() {
			r.strange("the object %s", o.UID)
			return
		}
		r.Objects = append(r.Objects, Row{id, Place{Stream: stream}})
	})
}

func (r *reading) anomalies(ctx context.Context) error {
	row := func(a *history.Anomaly) (Row, bool) {
		id, ok := r.identify(func(s *source.Source) (uint64, bool) { return s.AnomalyOf(&a.AnomalyTransition) })
		if !ok {
			r.strange("the transition %d/%d of %s", a.Epoch, a.Seq, a.Fingerprint)
		}
		return Row{id, Place{telemetry.StreamAnomalies, a.Epoch, a.Seq}}, ok
	}
	query := history.AnomalyQuery{Cluster: r.cluster, Range: r.span}
	err := pages(func(p history.Paging) (history.Page[history.Anomaly], error) {
		query.Paging = p
		return r.from.AnomalyTransitions(ctx, query)
	}, func(a *history.Anomaly) {
		if found, ok := row(a); ok {
			r.Rows = append(r.Rows, found)
		}
	})
	if err != nil {
		return err
	}
	return pages(func(p history.Paging) (history.Page[history.Anomaly], error) {
		query.Paging = p
		return r.from.OpenAnomalies(ctx, query)
	}, func(a *history.Anomaly) {
		if found, ok := row(a); ok {
			r.Open = append(r.Open, found)
		}
	})
}

func (r *reading) events(ctx context.Context) error {
	return pages(func(p history.Paging) (history.Page[history.Event], error) {
		return r.from.Events(ctx, history.EventQuery{Cluster: r.cluster, Range: r.span, Paging: p})
	}, func(e *history.Event) {
		id, ok := r.identify(func(s *source.Source) (uint64, bool) { return s.EventOf(&e.Event) })
		if !ok {
			r.strange("the event %s as of %d", e.UID, e.ResourceVersion)
			return
		}
		r.Rows = append(r.Rows, Row{id, Place{Stream: telemetry.StreamEvents}})
	})
}

func (r *reading) routes(ctx context.Context) error {
	known := map[telemetry.RouteKey]bool{}
	for i, a := range r.agents {
		for k := range uint64(a.Source.Routes) { //nolint:gosec // a small number
			route := a.Source.Route(k)
			known[route] = true
			query := history.SliceQuery{Cluster: r.cluster, Route: route, Range: r.span}
			err := pages(func(p history.Paging) (history.Page[telemetry.SLISlice], error) {
				query.Paging = p
				return r.from.Slices(ctx, query)
			}, func(s *telemetry.SLISlice) {
				n, ok := a.Source.SliceOf(s)
				if !ok {
					r.strange("the slice of %s at %s", s.Route.Name, s.Start)
					return
				}
				r.Rows = append(r.Rows, Row{ID{i, n}, Place{Stream: telemetry.StreamSLI}})
			})
			if err != nil {
				return err
			}
			query.Paging = history.Paging{}
			sum, err := r.from.SumSlices(ctx, query)
			if err != nil {
				return err
			}
			r.Sums = append(r.Sums, RouteSum{Agent: i, Route: k, Slices: sum.Slices, Total: sum.Total})
		}
	}
	return pages(func(p history.Paging) (history.Page[telemetry.RouteKey], error) {
		return r.from.Routes(ctx, history.RouteQuery{Cluster: r.cluster, Paging: p})
	}, func(route *telemetry.RouteKey) {
		if !known[*route] {
			r.strange("the route %s", route.Name)
		}
	})
}

func (r *reading) commands(ctx context.Context) error {
	for i, a := range r.agents {
		for k := range (a.Ledger.Next[telemetry.StreamCommandOutput] + source.Chunks - 1) / source.Chunks {
			uid, execution := a.Source.CommandOf(k)
			query := history.OutputQuery{Cluster: r.cluster, CommandUID: uid, ExecutionID: execution}
			err := pages(func(p history.Paging) (history.Page[history.OutputChunk], error) {
				p.Limit = 64
				query.Paging = p
				return r.from.CommandOutput(ctx, query)
			}, func(o *history.OutputChunk) {
				n, ok := a.Source.OutputOf(&o.CommandOutput)
				if !ok {
					r.strange("the chunk %d of %s", o.Index, o.CommandUID)
					return
				}
				r.Rows = append(r.Rows, Row{ID{i, n}, Place{Stream: telemetry.StreamCommandOutput}})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// ledger reads the hub's own notes.
func (r *reading) ledger(ctx context.Context) error {
	query := history.LedgerQuery{Cluster: r.cluster, Range: r.span}
	err := pages(func(p history.Paging) (history.Page[history.Gap], error) {
		query.Paging = p
		return r.from.Gaps(ctx, query)
	}, func(g *history.Gap) { r.Gaps = append(r.Gaps, *g) })
	if err != nil {
		return err
	}
	err = pages(func(p history.Paging) (history.Page[history.Quarantined], error) {
		query.Paging = p
		return r.from.Quarantine(ctx, query)
	}, func(q *history.Quarantined) {
		r.Quarantined = append(r.Quarantined, fmt.Sprintf("%s %d/%d to %d: %s", q.Key.Stream, q.Key.Epoch, q.FirstSeq, q.LastSeq, q.Reason))
	})
	if err != nil {
		return err
	}
	return r.offsets(ctx)
}

// offsets asks for each epoch that an agent wrote down.
func (r *reading) offsets(ctx context.Context) error {
	for _, a := range r.agents {
		for i := range a.Ledger.Appends {
			one := &a.Ledger.Appends[i]
			key := Place{Stream: one.Stream, Epoch: one.Epoch}
			if _, known := r.Offsets[key]; known || one.Epoch == 0 {
				continue
			}
			offset, err := r.from.Offset(ctx, r.cluster, one.Stream, one.Epoch)
			if err != nil && !errors.Is(err, history.ErrNotFound) {
				return err
			}
			r.Offsets[key] = offset.LastSeq
		}
	}
	return nil
}
