// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/history"
)

// Maintain implements history.Maintainer.
func (s *Store) Maintain(ctx context.Context, task history.Task, now time.Time) (history.TaskReport, error) {
	var report history.TaskReport
	var err error
	switch task {
	case history.TaskPartitions:
		report, err = s.makeAhead(ctx, now)
	case history.TaskCompact:
		report, err = s.compact(ctx, now)
	case history.TaskSums:
		report, err = s.sumHours(ctx, now)
	case history.TaskRetention:
		report, err = s.expire(ctx, now)
	default:
		return report, fmt.Errorf("maintaining the history: the task %q is unknown", task)
	}
	return report, wrap(s.d, "maintaining the history: "+string(task), err)
}

// daysAhead is for how many days partitions are made ahead: a hub that nobody
// maintains for so long has them made by the data itself.
const daysAhead = 3

func (s *Store) makeAhead(ctx context.Context, now time.Time) (history.TaskReport, error) {
	var slots []slot
	for _, table := range slices.Sorted(maps.Keys(spans)) {
		for day := range int64(daysAhead + 1) {
			if next := slotOf(table, now.UnixMilli()+day*dayMS); !slices.Contains(slots, next) {
				slots = append(slots, next)
			}
		}
	}
	made, err := s.d.ensure(ctx, s.write, slots)
	return history.TaskReport{Done: made}, err
}

// expiries is what has expired at a moment.
func (s *Store) expiries(now time.Time) []expiry {
	r := s.retention
	ms := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	return []expiry{
		{table: "node_samples", column: "at_ms", before: ms(r.Samples)},
		{table: "node_chunks", column: "start_ms", before: ms(r.Samples + time.Hour)},
		{table: "node_fine", column: "start_ms", before: ms(r.Fine + time.Hour)},
		{table: "node_coarse", column: "start_ms", before: ms(r.Coarse + 24*time.Hour)},
		{table: "inventory_changes", column: "at_ms", before: ms(r.Changes)},
		{table: "inventory", column: "gone_ms", before: ms(r.Changes), where: "gone_ms > 0"},
		{table: "events", column: "last_ms", before: ms(r.Events)},
		{table: "sli_slices", column: "start_ms", before: ms(r.SLI)},
		{table: "sli_hours", column: "start_ms", before: ms(r.SLI + time.Hour)},
		{table: "anomaly_transitions", column: "at_ms", before: ms(r.Anomalies)},
		{table: "anomalies_cleared", column: "at_ms", before: ms(r.Anomalies)},
		{table: "ingest_offsets", column: "updated_ms", before: ms(r.Epochs()), where: "epoch < (" +
			"SELECT s.epoch FROM ingest_streams s WHERE s.cluster_id = ingest_offsets.cluster_id AND s.stream = ingest_offsets.stream)"},
		{table: "command_output", column: "at_ms", before: ms(r.Output)},
		{table: "gaps", column: "noted_ms", before: ms(r.Ledger)},
		{table: "quarantine", column: "noted_ms", before: ms(r.Ledger)},
		{table: "audit", column: "at_ms", before: ms(r.Audit)},
		// A sample refers to its list of series until it is compacted or expires.
		{table: "series_sets", column: "used_day", before: ms(r.Samples)/dayMS - 2},
	}
}

func (s *Store) expire(ctx context.Context, now time.Time) (history.TaskReport, error) {
	var report history.TaskReport
	for _, e := range s.expiries(now) {
		crash.At("store.expire.between-tables")
		out, err := s.d.expire(ctx, s.write.WithContext(ctx), e)
		report.Done += out.partitions
		report.Rows += out.rows
		report.More = report.More || out.more
		if err != nil && judge(s.d, err).retry {
			report.More = true // it collided with somebody; the next run goes on
			continue
		}
		if err != nil {
			return report, fmt.Errorf("expiring %s: %w", e.table, err)
		}
	}
	return report, nil
}

// Bounds of one run.
const (
	compactMost = 2000 // hours of nodes
	sumMost     = 5000 // hours of routes
)

// closedBefore is the end of the last hour that is closed.
func closedBefore(now time.Time) int64 {
	return now.Add(-history.CloseDelay).Truncate(time.Hour).UnixMilli()
}

// sumHours sums the slices of closed hours that are marked.
func (s *Store) sumHours(ctx context.Context, now time.Time) (history.TaskReport, error) {
	type mark struct {
		RouteID int64
		StartMs int64
	}
	var marks []mark
	var report history.TaskReport
	db := s.read.WithContext(ctx).Table("sli_dirty").Where("start_ms < ?", closedBefore(now))
	if err := db.Order("start_ms, route_id").Limit(sumMost + 1).Find(&marks).Error; err != nil {
		return report, err
	}
	if len(marks) > sumMost {
		marks, report.More = marks[:sumMost], true
	}
	oldest := now.Add(-s.retention.SLI).UnixMilli()
	for _, m := range marks {
		if m.StartMs >= oldest {
			if _, err := s.d.ensure(ctx, s.write, []slot{slotOf("sli_hours", m.StartMs)}); err != nil {
				return report, err
			}
		}
		var rows int64
		err := s.transact(ctx, func(t *txn) (err error) {
			rows, err = sumHour(t, m.RouteID, m.StartMs, m.StartMs >= oldest)
			return err
		})
		if err != nil {
			return report, err
		}
		report.Done++
		report.Rows += rows
	}
	return report, nil
}

func sumHour(t *txn, route, hour int64, keep bool) (int64, error) {
	// Waits for a batch that brings more, and makes the next one wait.
	var one int
	err := first(t.db, "SELECT 1 FROM sli_dirty WHERE route_id = ? AND start_ms = ?"+t.d.lockClause(), []any{route, hour}, &one)
	if errors.Is(err, errNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var total sliRow
	if keep {
		span := history.Range{Start: time.UnixMilli(hour), End: time.UnixMilli(hour + hourMS)}
		if err := addRows(t.db, part{"sli_slices", span}, route, &total); err != nil {
			return 0, err
		}
	}
	if total.slices > 0 {
		columns := []string{"route_id", "start_ms", "total", "bad", "data"}
		err := t.upsert("sli_hours", columns, columns[:2], columns[2:], [][]any{{route, hour, total.total, total.bad, total.pack()}})
		if err != nil {
			return 0, err
		}
	}
	crash.At("store.sums.before-unmark")
	return int64(total.slices), t.exec("DELETE FROM sli_dirty WHERE route_id = ? AND start_ms = ?", route, hour) //nolint:gosec // at most 60
}

// openHours returns the oldest hour with samples that are not compacted, for up
// to limit nodes.
func openHours(db *gorm.DB, before int64, limit int) (hours map[int64]int64, err error) {
	hours = map[int64]int64{}
	err = each(db, "SELECT node_id, MIN(at_ms) FROM node_samples WHERE at_ms < ? GROUP BY node_id LIMIT ?", []any{before, limit}, func(r *sql.Rows) error {
		var node, at int64
		err := r.Scan(&node, &at)
		hours[node] = at - at%hourMS
		return err
	})
	return hours, err
}
