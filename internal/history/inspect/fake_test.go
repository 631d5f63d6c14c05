// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// fake holds what a store returns, in the order in which it does. It keeps what the
// ports promise about clusters, ranges, pages and the filters that the tests use.
type fake struct {
	clusters    []history.ClusterUID
	objects     []history.Object
	changes     []history.ObjectChange
	events      []history.Event
	open        []history.Anomaly
	transitions []history.Anomaly
	nodes       map[history.ClusterUID][]history.Node
	series      map[string][]telemetry.Series
	points      []history.SeriesPoints
	routes      []telemetry.RouteKey
	sum         history.SLISum
	sliList     []telemetry.SLISlice
	gaps        []history.Gap
	quarantined []history.Quarantined
	offsets     []history.Offset

	err      error
	late     bool // err comes after the list of clusters
	stuck    bool // every page has the same cursor
	closed   bool
	queries  []string
	pageSize int
}

func (f *fake) Close() error {
	f.closed = true
	return nil
}

// paged returns a page of the items that keep says yes to.
func paged[T any](f *fake, items []T, p history.Paging, keep func(T) bool) (page history.Page[T], err error) {
	if f.err != nil {
		return page, f.err
	}
	size, err := p.Size()
	if err != nil {
		return page, err
	}
	if f.pageSize > 0 {
		size = min(size, f.pageSize)
	}
	var all []T
	for _, item := range items {
		if keep(item) {
			all = append(all, item)
		}
	}
	begin := 0
	if p.Cursor != "" && !f.stuck {
		if begin, err = strconv.Atoi(p.Cursor); err != nil {
			return page, fmt.Errorf("%w: the cursor %q", history.ErrInvalidQuery, p.Cursor)
		}
	}
	end := min(begin+size, len(all))
	page.Items = all[begin:end]
	if end < len(all) {
		page.Next = strconv.Itoa(end)
	}
	if f.stuck {
		page.Next = "0"
	}
	return page, nil
}

func oneOf[T comparable](wanted []T, value T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, value)
}

func (f *fake) Objects(_ context.Context, q history.ObjectQuery) (history.Page[history.Object], error) {
	f.queries = append(f.queries, fmt.Sprintf("objects %d %s", q.Limit, q.Cursor))
	return paged(f, f.objects, q.Paging, func(o history.Object) bool {
		return o.Cluster == q.Cluster && oneOf(q.Kinds, o.Kind) && oneOf(q.Namespaces, o.Namespace) && oneOf(q.Phases, o.Phase) &&
			(q.Node == "" || q.Node == o.Node) && strings.HasPrefix(o.Name, q.NamePrefix) && (q.Deleted || o.Gone.IsZero()) &&
			(q.Ready == nil || *q.Ready == o.Ready)
	})
}

func (*fake) Object(context.Context, history.ClusterUID, string) (history.Object, error) {
	return history.Object{}, history.ErrNotFound
}

func (f *fake) ObjectChanges(_ context.Context, q history.ObjectChangeQuery) (history.Page[history.ObjectChange], error) {
	return paged(f, f.changes, q.Paging, func(c history.ObjectChange) bool {
		return c.Cluster == q.Cluster && !c.At.Before(q.Range.Start) && c.At.Before(q.Range.End) && oneOf(q.Kinds, c.Kind) && oneOf(q.Namespaces, c.Namespace)
	})
}

func (f *fake) Events(_ context.Context, q history.EventQuery) (history.Page[history.Event], error) {
	f.queries = append(f.queries, fmt.Sprintf("events %d", q.Limit))
	return paged(f, f.events, q.Paging, func(e history.Event) bool {
		return e.Cluster == q.Cluster && !e.LastSeen.Before(q.Range.Start) && e.LastSeen.Before(q.Range.End) && oneOf(q.Kinds, e.Regarding.Kind) &&
			oneOf(q.Namespaces, e.Regarding.Namespace) && oneOf(q.Reasons, e.Reason) && (q.Type == 0 || q.Type == e.Type) && (q.Name == "" || q.Name == e.Regarding.Name)
	})
}

func (f *fake) Nodes(_ context.Context, cluster history.ClusterUID) ([]history.Node, error) {
	return f.nodes[cluster], f.err
}

func (f *fake) NodeSeries(_ context.Context, _ history.ClusterUID, node string) ([]telemetry.Series, error) {
	if f.series[node] == nil {
		return nil, history.ErrNotFound
	}
	return f.series[node], nil
}

func (f *fake) NodePoints(_ context.Context, q history.PointsQuery) (history.Points, error) {
	f.queries = append(f.queries, fmt.Sprintf("points %s %s %s", q.Node, q.Metric, q.Range.Duration()))
	points := history.Points{Step: history.FineStep}
	for _, s := range f.points {
		if s.Series.Metric == q.Metric && oneOf(q.Labels, s.Series.Label) {
			points.Series = append(points.Series, s)
		}
	}
	return points, f.err
}

func anomalyKept(q history.AnomalyQuery) func(history.Anomaly) bool {
	return func(a history.Anomaly) bool {
		return a.Cluster == q.Cluster && oneOf(q.Namespaces, a.Object.Namespace) && oneOf(q.Rules, a.Rule) && a.Severity >= q.MinSeverity
	}
}

func (f *fake) OpenAnomalies(_ context.Context, q history.AnomalyQuery) (history.Page[history.Anomaly], error) {
	f.queries = append(f.queries, fmt.Sprintf("open %d", q.Limit))
	return paged(f, f.open, q.Paging, anomalyKept(q))
}

func (f *fake) AnomalyTransitions(_ context.Context, q history.AnomalyQuery) (history.Page[history.Anomaly], error) {
	if err := q.Range.Check(); err != nil {
		return history.Page[history.Anomaly]{}, err
	}
	return paged(f, f.transitions, q.Paging, anomalyKept(q))
}

func (f *fake) Routes(_ context.Context, q history.RouteQuery) (history.Page[telemetry.RouteKey], error) {
	return paged(f, f.routes, q.Paging, func(r telemetry.RouteKey) bool {
		return oneOf(q.Namespaces, r.Namespace) && (q.Name == "" || q.Name == r.Name)
	})
}

func (f *fake) Slices(_ context.Context, q history.SliceQuery) (history.Page[telemetry.SLISlice], error) {
	return paged(f, f.sliList, q.Paging, func(s telemetry.SLISlice) bool { return s.Route == q.Route })
}

func (f *fake) SumSlices(_ context.Context, q history.SliceQuery) (history.SLISum, error) {
	if len(f.routes) == 0 || q.Route != f.routes[0] {
		return history.SLISum{}, f.err
	}
	return f.sum, f.err
}

func (*fake) Offset(context.Context, history.ClusterUID, telemetry.Stream, telemetry.Epoch) (history.Offset, error) {
	return history.Offset{}, history.ErrNotFound
}

func (f *fake) Offsets(_ context.Context, cluster history.ClusterUID) (found []history.Offset, err error) {
	for _, o := range f.offsets {
		if o.Key.ClusterUID == string(cluster) {
			found = append(found, o)
		}
	}
	return found, f.err
}

func (f *fake) Clusters(context.Context) ([]history.ClusterUID, error) {
	if f.late {
		return f.clusters, nil
	}
	return f.clusters, f.err
}

func ledgerKept(k telemetry.Key, q history.LedgerQuery) bool {
	return k.ClusterUID == string(q.Cluster) && (q.Stream == 0 || q.Stream == k.Stream)
}

func (f *fake) Gaps(_ context.Context, q history.LedgerQuery) (history.Page[history.Gap], error) {
	return paged(f, f.gaps, q.Paging, func(g history.Gap) bool { return ledgerKept(g.Key, q) })
}

func (f *fake) Quarantine(_ context.Context, q history.LedgerQuery) (history.Page[history.Quarantined], error) {
	return paged(f, f.quarantined, q.Paging, func(r history.Quarantined) bool { return ledgerKept(r.Key, q) })
}
