// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// sli is the flags of "history sli".
type sli struct {
	span
	namespaces []string
	name       string
	slices     bool
}

func newSLI(p *program) *cobra.Command {
	f := &sli{}
	cmd := p.subcommand("sli", "Print how requests to routes went",
		"  hub history sli --namespace shop --since 24h\n  hub history sli --name checkout --slices -o jsonl", f.run)
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.namespaces, "namespace", "n", nil, "only routes of objects in these namespaces")
	flags.StringVar(&f.name, "name", "", "only routes of the object of this name")
	flags.BoolVar(&f.slices, "slices", false, "print every minute, oldest first, instead of sums")
	f.bind(cmd, "1h")
	return cmd
}

// route is a route of a cluster.
type route struct {
	cluster history.ClusterUID
	key     telemetry.RouteKey
}

func (f *sli) run(ctx context.Context, s *session) error {
	between, err := f.between(s, time.Hour, 0)
	if err != nil {
		return err
	}
	q := history.RouteQuery{Namespaces: namespaces(f.namespaces), Name: f.name}
	routes := inTurn(ctx, s, func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (page history.Page[route], err error) {
		q.Cluster, q.Paging = cluster, paging
		found, err := s.reader.Routes(ctx, q)
		for _, key := range found.Items {
			page.Items = append(page.Items, route{cluster: cluster, key: key})
		}
		page.Next = found.Next
		return page, err
	})
	a := answer[sliView]{
		what: "routes", columns: sliColumns(s, f.slices), rows: s.sums(ctx, routes, between),
		diagnose: func(ctx context.Context) error {
			return s.checkNames(ctx, "namespace", telemetry.KindNamespace, f.namespaces)
		},
	}
	if f.slices {
		a.what, a.rows = "SLI slices", s.slices(ctx, routes, between)
	}
	return a.write(ctx, s)
}

// sums yields the sum of each route.
func (s *session) sums(ctx context.Context, routes iter.Seq2[route, error], between history.Range) iter.Seq2[sliView, error] {
	return func(yield func(sliView, error) bool) {
		for r, err := range routes {
			var sum history.SLISum
			if err == nil {
				if sum, err = s.reader.SumSlices(ctx, history.SliceQuery{Cluster: r.cluster, Route: r.key, Range: between}); err != nil {
					err = fmt.Errorf("summing the slices of route %s: %w", sanitize(r.key.Name), err)
				}
			}
			if err != nil {
				yield(sliView{}, err)
				return
			}
			v := s.routeView(r)
			v.Slices, v.Covered, v.Total, v.Bad, v.Seconds = sum.Slices, sum.Covered, finite(sum.Total), finite(sum.Bad), finite(sum.SumSeconds)
			if !yield(v, nil) {
				return
			}
		}
	}
}

// slices yields the slices of each route.
func (s *session) slices(ctx context.Context, routes iter.Seq2[route, error], between history.Range) iter.Seq2[sliView, error] {
	return func(yield func(sliView, error) bool) {
		for r, err := range routes {
			if err != nil {
				yield(sliView{}, err)
				return
			}
			one := &feed[telemetry.SLISlice]{limit: s.pageSize(), page: func(p history.Paging) (history.Page[telemetry.SLISlice], error) {
				page, err := s.reader.Slices(ctx, history.SliceQuery{Cluster: r.cluster, Route: r.key, Range: between, Paging: p})
				if err != nil {
					err = fmt.Errorf("reading the slices of route %s: %w", sanitize(r.key.Name), err)
				}
				return page, err
			}}
			more := one.drain(func(slice telemetry.SLISlice, err error) bool {
				v := s.routeView(r)
				v.Start, v.Slices, v.Total, v.Bad, v.Seconds = slice.Start.UTC(), 1, slice.Total, slice.Bad, slice.SumSeconds
				if slice.GoodScrapes > 0 {
					v.Covered = 1
				}
				return yield(v, err)
			})
			if !more {
				return
			}
		}
	}
}

// sliView is how requests to a route went, in a range or in one slice.
type sliView struct {
	clusterView
	Controller string    `json:"controller"`
	Kind       string    `json:"kind,omitempty"`
	NS         string    `json:"namespace,omitempty"`
	Name       string    `json:"name,omitempty"`
	Route      string    `json:"route,omitempty"`
	Start      time.Time `json:"start,omitzero"`
	Slices     uint64    `json:"slices"`
	Covered    uint64    `json:"coveredSlices"`
	Total      float64   `json:"total"`
	Bad        float64   `json:"bad"`
	Seconds    float64   `json:"sumSeconds"`
}

func (s *session) routeView(r route) sliView {
	return sliView{
		clusterView: s.clusterView(r.cluster), Controller: r.key.Controller, Kind: r.key.Kind, NS: r.key.Namespace, Name: r.key.Name, Route: r.key.Route,
	}
}

// part returns a part of a whole in percent; empty when there is no whole, which is
// neither 0 % nor 100 %.
func part(some, whole float64) string {
	if whole <= 0 {
		return ""
	}
	return decimal(some/whole*100, 3) + " %"
}

func sliColumns(s *session, each bool) []column[sliView] {
	columns := clusterColumn(s, func(v sliView) history.ClusterUID { return v.Cluster })
	if each {
		columns = append(columns, column[sliView]{header: "START", cell: func(v sliView) string { return stamp(v.Start, s.location) }})
	}
	columns = slices.Concat(columns, []column[sliView]{
		{header: "CONTROLLER", cell: func(v sliView) string { return v.Controller }},
		{header: "OBJECT", cell: func(v sliView) string { return object(v.Kind, v.NS, v.Name) }},
		{header: "ROUTE", optional: true, cell: func(v sliView) string { return v.Route }},
	})
	if !each {
		columns = append(columns, column[sliView]{header: "SLICES", right: true, cell: func(v sliView) string { return strconv.FormatUint(v.Slices, 10) }})
	}
	return append(columns,
		column[sliView]{header: "COVERED", right: true, cell: func(v sliView) string { return part(float64(v.Covered), float64(v.Slices)) }},
		column[sliView]{header: "REQUESTS", right: true, cell: func(v sliView) string {
			if v.Slices == 0 {
				return ""
			}
			return decimal(v.Total, 1)
		}},
		column[sliView]{header: "BAD", right: true, cell: func(v sliView) string {
			if v.Slices == 0 {
				return ""
			}
			return decimal(v.Bad, 1)
		}},
		column[sliView]{header: "GOOD", right: true, cell: func(v sliView) string { return part(v.Total-v.Bad, v.Total) }},
		column[sliView]{header: "RATE", right: true, cell: func(v sliView) string {
			if v.Slices == 0 {
				return ""
			}
			return decimal(v.Total/(float64(v.Slices)*telemetry.SliceWidth.Seconds()), 2) + " /s"
		}},
		column[sliView]{header: "MEAN LATENCY", right: true, cell: func(v sliView) string {
			if v.Total <= 0 {
				return ""
			}
			return decimal(v.Seconds/v.Total*1000, 1) + " ms"
		}},
	)
}
