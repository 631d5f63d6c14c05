// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

type routeRow struct {
	ID                                       int64
	Controller, Kind, Namespace, Name, Route string
}

// Routes implements history.SLIReader.
func (s *Store) Routes(ctx context.Context, q history.RouteQuery) (history.Page[telemetry.RouteKey], error) {
	page, err := s.readRoutes(ctx, q)
	return page, wrap(s.d, "reading routes", err)
}

func (s *Store) readRoutes(ctx context.Context, q history.RouteQuery) (page history.Page[telemetry.RouteKey], err error) {
	b, err := s.begin(ctx, "sli_routes", q.Cluster, q.Paging)
	if err != nil || b.empty {
		return page, err
	}
	if err := checkFilters(filters{"namespaces": len(q.Namespaces)}); err != nil {
		return page, err
	}
	db := among(b.db, "namespace", q.Namespaces)
	if q.Name != "" {
		db = db.Where("name = ?", q.Name)
	}
	var after int64
	if _, err := decodeCursor(q.Cursor, &after); err != nil {
		return page, err
	}
	var rows []routeRow
	if err := db.Where("id > ?", after).Order("id").Limit(b.limit + 1).Find(&rows).Error; err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, b.limit, func(r routeRow) string { return encodeCursor(r.ID) })
	for _, r := range rows {
		page.Items = append(page.Items, telemetry.RouteKey{Controller: r.Controller, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, Route: r.Route})
	}
	return page, nil
}

type sliceRow struct {
	StartMs int64
	Total   float64
	Bad     float64
	Data    []byte
}

// knownRoute returns the number of a route, or false when it never sent slices.
func (s *Store) knownRoute(ctx context.Context, q history.SliceQuery) (int64, bool, error) {
	if err := q.Range.Check(); err != nil {
		return 0, false, err
	}
	if q.Cluster == "" || q.Route.Controller == "" {
		return 0, false, fmt.Errorf("%w: the cluster and the route are required", history.ErrInvalidQuery)
	}
	cluster, known, err := s.knownCluster(ctx, q.Cluster)
	if err != nil || !known {
		return 0, false, err
	}
	digest := routeDigest(q.Route)
	var ids []int64
	err = s.read.WithContext(ctx).Table("sli_routes").Where("cluster_id = ? AND digest = ?", cluster, digest[:]).Pluck("id", &ids).Error
	if err != nil || len(ids) == 0 {
		return 0, false, err
	}
	return ids[0], true, nil
}

// Slices implements history.SLIReader.
func (s *Store) Slices(ctx context.Context, q history.SliceQuery) (history.Page[telemetry.SLISlice], error) {
	page, err := s.readSlices(ctx, q)
	return page, wrap(s.d, "reading SLI slices", err)
}

func (s *Store) readSlices(ctx context.Context, q history.SliceQuery) (page history.Page[telemetry.SLISlice], err error) {
	limit, err := q.Size()
	if err != nil {
		return page, err
	}
	route, known, err := s.knownRoute(ctx, q)
	if err != nil || !known {
		return page, err
	}
	after := int64(-1)
	if _, err := decodeCursor(q.Cursor, &after); err != nil {
		return page, err
	}
	var rows []sliceRow
	db := within(s.read.WithContext(ctx).Table("sli_slices").Where("route_id = ?", route), "start_ms", q.Range)
	if err := db.Where("start_ms > ?", after).Order("start_ms").Limit(limit + 1).Find(&rows).Error; err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, limit, func(r sliceRow) string { return encodeCursor(r.StartMs) })
	for _, r := range rows {
		row, err := unpackSLI(r.Total, r.Bad, r.Data)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, telemetry.SLISlice{
			Route: q.Route, Start: moment(r.StartMs), Total: row.total, Bad: row.bad, Classes: row.classes, Latency: row.latency,
			SumSeconds: row.sum, ExpectedScrapes: uint32(row.expected), GoodScrapes: uint32(row.good), //nolint:gosec // were such
		})
	}
	return page, nil
}

// SumSlices implements history.SLIReader.
func (s *Store) SumSlices(ctx context.Context, q history.SliceQuery) (history.SLISum, error) {
	sum, err := s.readSum(ctx, q)
	return sum, wrap(s.d, "summing SLI slices", err)
}

func (s *Store) readSum(ctx context.Context, q history.SliceQuery) (history.SLISum, error) {
	route, known, err := s.knownRoute(ctx, q)
	if err != nil || !known {
		return history.SLISum{}, err
	}
	var total sliRow
	// One snapshot, so that no hour is summed while it is being counted.
	err = s.snapshot(ctx, func(tx *gorm.DB) error {
		parts, err := sumParts(tx, route, q.Range)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if err := addRows(tx, p, route, &total); err != nil {
				return err
			}
		}
		return nil
	})
	return history.SLISum{
		Slices: total.slices, Covered: total.covered, Total: total.total, Bad: total.bad, SumSeconds: total.sum, Classes: total.classes,
		Latency: total.latency, Mixed: total.mixed, ExpectedScrapes: total.expected, GoodScrapes: total.good,
	}, err
}

// part is a span of time that is read from one table.
type part struct {
	table string
	span  history.Range
}

// sumParts splits a range: whole hours that have been summed up are read as such,
// the others, and the ends, slice by slice.
func sumParts(tx *gorm.DB, route int64, r history.Range) ([]part, error) {
	begin, end := ceilMillis(r.Start), ceilMillis(r.End)
	var dirty []int64
	err := tx.Table("sli_dirty").Where("route_id = ? AND start_ms >= ? AND start_ms < ?", route, begin-begin%hourMS, end).
		Order("start_ms").Limit(sumDirtyMost).Pluck("start_ms", &dirty).Error
	if err != nil {
		return nil, err
	}
	isDirty := make(map[int64]bool, len(dirty))
	for _, d := range dirty {
		isDirty[d] = true
	}
	var parts []part
	add := func(table string, from, to int64) {
		if n := len(parts); n > 0 && parts[n-1].table == table && parts[n-1].span.End.UnixMilli() == from {
			parts[n-1].span.End = moment(to)
			return
		}
		parts = append(parts, part{table, history.Range{Start: time.UnixMilli(from), End: time.UnixMilli(to)}})
	}
	for at := begin; at < end; { // at most MaxRange of hours
		next := min(at-at%hourMS+hourMS, end)
		table := "sli_hours"
		if at%hourMS != 0 || next%hourMS != 0 || isDirty[at] {
			table = "sli_slices"
		}
		add(table, at, next)
		at = next
	}
	return parts, nil
}

// sumDirtyMost is more hours than MaxRange has.
const sumDirtyMost = 24 * 402

func addRows(tx *gorm.DB, p part, route int64, total *sliRow) error {
	var rows []sliceRow
	err := within(tx.Table(p.table).Where("route_id = ?", route), "start_ms", p.span).Order("start_ms").Find(&rows).Error
	if err != nil {
		return err
	}
	for _, r := range rows {
		row, err := unpackSLI(r.Total, r.Bad, r.Data)
		if err != nil {
			return err
		}
		total.add(&row)
	}
	return nil
}
