// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

type offsetRow struct {
	Stream    uint8
	Epoch     int64
	LastSeq   int64
	BeganMs   int64
	UpdatedMs int64
}

func (r offsetRow) offset(cluster history.ClusterUID) history.Offset {
	return history.Offset{
		Key: key(cluster, r.Stream, r.Epoch), LastSeq: uint64(r.LastSeq), Began: moment(r.BeganMs), Updated: moment(r.UpdatedMs), //nolint:gosec // was one
	}
}

func key(cluster history.ClusterUID, stream uint8, epoch int64) telemetry.Key {
	return telemetry.Key{ClusterUID: string(cluster), Stream: telemetry.Stream(stream), Epoch: telemetry.Epoch(epoch)} //nolint:gosec // was one
}

// Offset implements history.OffsetReader.
func (s *Store) Offset(ctx context.Context, cluster history.ClusterUID, stream telemetry.Stream, epoch telemetry.Epoch) (history.Offset, error) {
	o, err := s.readOffset(ctx, cluster, stream, epoch)
	return o, wrap(s.d, "reading an offset", err)
}

func (s *Store) readOffset(ctx context.Context, cluster history.ClusterUID, stream telemetry.Stream, epoch telemetry.Epoch) (history.Offset, error) {
	id, known, err := s.knownCluster(ctx, cluster)
	if err != nil {
		return history.Offset{}, err
	}
	var rows []offsetRow
	if known && epoch <= math.MaxInt64 {
		db := s.read.WithContext(ctx).Table("ingest_offsets").Where("cluster_id = ? AND stream = ? AND epoch = ?", id, int64(stream), int64(epoch))
		if err := db.Limit(1).Find(&rows).Error; err != nil {
			return history.Offset{}, err
		}
	}
	if len(rows) == 0 {
		return history.Offset{}, fmt.Errorf("%w: the offset of %s in epoch %d", history.ErrNotFound, stream, epoch)
	}
	return rows[0].offset(cluster), nil
}

// Offsets implements history.OffsetReader.
func (s *Store) Offsets(ctx context.Context, cluster history.ClusterUID) ([]history.Offset, error) {
	offsets, err := s.readOffsets(ctx, cluster)
	return offsets, wrap(s.d, "reading offsets", err)
}

func (s *Store) readOffsets(ctx context.Context, cluster history.ClusterUID) ([]history.Offset, error) {
	id, known, err := s.knownCluster(ctx, cluster)
	if err != nil || !known {
		return nil, err
	}
	var offsets []history.Offset
	err = s.snapshot(ctx, func(db *gorm.DB) error {
		var streams []int64
		if err := db.Table("ingest_streams").Where("cluster_id = ?", id).Order("stream").Pluck("stream", &streams).Error; err != nil {
			return err
		}
		for _, stream := range streams {
			var rows []offsetRow
			newest := db.Table("ingest_offsets").Where("cluster_id = ? AND stream = ?", id, stream).Order("epoch DESC").Limit(history.MaxEpochs)
			if err := newest.Find(&rows).Error; err != nil {
				return err
			}
			for _, r := range rows {
				offsets = append(offsets, r.offset(cluster))
			}
		}
		return nil
	})
	return offsets, err
}

// Clusters implements history.OffsetReader.
func (s *Store) Clusters(ctx context.Context) ([]history.ClusterUID, error) {
	var uids []history.ClusterUID
	err := s.read.WithContext(ctx).Table("clusters").Order("uid").Pluck("uid", &uids).Error
	return uids, wrap(s.d, "reading the clusters", err)
}

// LastStored implements history.FreshnessReader.
func (s *Store) LastStored(ctx context.Context) (map[history.ClusterUID]time.Time, error) {
	var rows []struct {
		UID    history.ClusterUID
		Latest int64
	}
	err := s.read.WithContext(ctx).Table("ingest_offsets AS o").Joins("JOIN clusters AS c ON c.id = o.cluster_id").
		Select("c.uid AS uid, MAX(o.updated_ms) AS latest").Group("c.uid").Find(&rows).Error
	stored := make(map[history.ClusterUID]time.Time, len(rows))
	for _, r := range rows {
		stored[r.UID] = moment(r.Latest)
	}
	return stored, wrap(s.d, "reading when clusters were heard last", err)
}

type gapRow struct {
	ID      int64
	Stream  uint8
	Epoch   int64
	FromSeq int64
	ToSeq   int64
	Reason  uint8
	Dropped int64
	StartMs int64
	EndMs   int64
	NotedMs int64
}

// Gaps implements history.LedgerReader.
func (s *Store) Gaps(ctx context.Context, q history.LedgerQuery) (history.Page[history.Gap], error) {
	var page history.Page[history.Gap]
	rows, next, err := ledger(ctx, s, "gaps", q, func(r gapRow) (int64, int64) { return r.NotedMs, r.ID })
	for _, r := range rows {
		page.Items = append(page.Items, history.Gap{
			Key: key(q.Cluster, r.Stream, r.Epoch), Noted: moment(r.NotedMs),
			Gap: telemetry.Gap{
				From: uint64(r.FromSeq), To: uint64(r.ToSeq), Reason: telemetry.GapReason(r.Reason), Dropped: uint64(r.Dropped), //nolint:gosec // were such
				Start: moment(r.StartMs), End: moment(r.EndMs),
			},
		})
	}
	page.Next = next
	return page, wrap(s.d, "reading gaps", err)
}

type quarantineRow struct {
	ID      int64
	Stream  uint8
	Epoch   int64
	FromSeq int64
	ToSeq   int64
	Reason  string
	Raw     []byte
	NotedMs int64
}

// Quarantine implements history.LedgerReader.
func (s *Store) Quarantine(ctx context.Context, q history.LedgerQuery) (history.Page[history.Quarantined], error) {
	var page history.Page[history.Quarantined]
	rows, next, err := ledger(ctx, s, "quarantine", q, func(r quarantineRow) (int64, int64) { return r.NotedMs, r.ID })
	for _, r := range rows {
		page.Items = append(page.Items, history.Quarantined{
			Key: key(q.Cluster, r.Stream, r.Epoch), Noted: moment(r.NotedMs),
			Refused: history.Refused{FirstSeq: uint64(r.FromSeq), LastSeq: uint64(r.ToSeq), Reason: r.Reason, Raw: r.Raw}, //nolint:gosec // were such
		})
	}
	page.Next = next
	return page, wrap(s.d, "reading the quarantine", err)
}

// ledger reads a page of a table of the ledger, newest first.
func ledger[T any](ctx context.Context, s *Store, table string, q history.LedgerQuery, sort func(T) (int64, int64)) (rows []T, next string, err error) {
	if err := q.Range.Check(); err != nil {
		return nil, "", err
	}
	b, err := s.begin(ctx, table, q.Cluster, q.Paging)
	if err != nil || b.empty {
		return nil, "", err
	}
	db := within(b.db, "noted_ms", q.Range)
	if q.Stream != 0 {
		db = db.Where("stream = ?", int64(q.Stream))
	}
	var noted, id int64
	if more, err := decodeCursor(q.Cursor, &noted, &id); err != nil {
		return nil, "", err
	} else if more {
		db = db.Where("(noted_ms, id) < (?, ?)", noted, id)
	}
	if err := db.Order("noted_ms DESC, id DESC").Limit(b.limit + 1).Find(&rows).Error; err != nil {
		return nil, "", err
	}
	rows, next = cut(rows, b.limit, func(r T) string { return encodeCursor(sort(r)) })
	return rows, next, nil
}

type outputRow struct {
	Idx       int64
	Source    uint8
	IsLast    int64
	Truncated int64
	AtMs      int64
	Data      []byte
}

// maxOutputPage bounds a page of output to 2 MiB.
const maxOutputPage = 64

// CommandOutput implements history.CommandReader.
func (s *Store) CommandOutput(ctx context.Context, q history.OutputQuery) (history.Page[history.OutputChunk], error) {
	page, err := s.readOutput(ctx, q)
	return page, wrap(s.d, "reading the output of a command", err)
}

func (s *Store) readOutput(ctx context.Context, q history.OutputQuery) (page history.Page[history.OutputChunk], err error) {
	if q.CommandUID == "" || q.ExecutionID == "" {
		return page, fmt.Errorf("%w: the command and the execution are required", history.ErrInvalidQuery)
	}
	b, err := s.begin(ctx, "command_output", q.Cluster, q.Paging)
	if err != nil || b.empty {
		return page, err
	}
	after := int64(-1)
	if _, err := decodeCursor(q.Cursor, &after); err != nil {
		return page, err
	}
	limit := min(b.limit, maxOutputPage)
	var rows []outputRow
	err = b.db.Where("command_uid = ? AND execution_id = ? AND idx > ?", q.CommandUID, q.ExecutionID, after).Order("idx").Limit(limit + 1).Find(&rows).Error
	if err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, limit, func(r outputRow) string { return encodeCursor(r.Idx) })
	for _, r := range rows {
		page.Items = append(page.Items, history.OutputChunk{At: moment(r.AtMs), CommandOutput: telemetry.CommandOutput{
			CommandUID: q.CommandUID, ExecutionID: q.ExecutionID, Index: uint32(r.Idx), Source: telemetry.OutputSource(r.Source), //nolint:gosec // was one
			Last: r.IsLast != 0, Truncated: r.Truncated != 0, Data: r.Data,
		}})
	}
	return page, nil
}

type auditRow struct {
	ID      int64
	AtMs    int64
	Cluster string
	Actor   string
	Action  string
	Object  string
	Outcome string
	Detail  string
}

// Audit implements history.Auditor.
func (s *Store) Audit(ctx context.Context, entries ...history.AuditEntry) error {
	rows := make([][]any, len(entries))
	slots := make([]slot, 0, 1)
	now := s.now()
	for i, e := range entries {
		// Nothing that happened must be lost for being odd.
		if e.At.After(now.Add(time.Hour)) || e.At.Before(now.Add(-time.Hour)) {
			e.At = now
		}
		text := func(v string, limit int) string { return telemetry.Clip(v, limit) }
		rows[i] = []any{
			millis(e.At), text(string(e.Cluster), telemetry.MaxUID), text(e.Actor, 512), text(e.Action, 256),
			text(e.Object, telemetry.MaxLabelValue), text(e.Outcome, telemetry.MaxReason), text(e.Detail, telemetry.MaxString),
		}
		slots = append(slots, slotOf("audit", millis(e.At)))
	}
	_, err := s.d.ensure(ctx, s.write, slots)
	if err == nil {
		err = s.transact(ctx, func(t *txn) error {
			return t.insertMany("audit", []string{"at_ms", "cluster", "actor", "action", "object", "outcome", "detail"}, rows, "")
		})
	}
	return wrap(s.d, "writing the audit log", err)
}

// AuditLog implements history.AuditReader.
func (s *Store) AuditLog(ctx context.Context, q history.AuditQuery) (history.Page[history.AuditEntry], error) {
	page, err := s.readAuditLog(ctx, q)
	return page, wrap(s.d, "reading the audit log", err)
}

func (s *Store) readAuditLog(ctx context.Context, q history.AuditQuery) (page history.Page[history.AuditEntry], err error) {
	limit, err := q.Size()
	if err != nil {
		return page, err
	}
	if err := q.Range.Check(); err != nil {
		return page, err
	}
	if err := checkFilters(filters{"actions": len(q.Actions)}); err != nil {
		return page, err
	}
	db := within(s.read.WithContext(ctx).Table("audit"), "at_ms", q.Range)
	if q.Cluster != "" {
		db = db.Where("cluster = ?", string(q.Cluster))
	}
	if q.Actor != "" {
		db = db.Where("actor = ?", q.Actor)
	}
	db = among(db, "action", q.Actions)
	var before auditRow
	if more, err := decodeCursor(q.Cursor, &before.AtMs, &before.ID); err != nil {
		return page, err
	} else if more {
		db = db.Where("at_ms <= ? AND (at_ms, id) < (?, ?)", before.AtMs, before.AtMs, before.ID)
	}
	var rows []auditRow
	if err := db.Order("at_ms DESC, id DESC").Limit(limit + 1).Find(&rows).Error; err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, limit, func(r auditRow) string { return encodeCursor(r.AtMs, r.ID) })
	for _, r := range rows {
		page.Items = append(page.Items, history.AuditEntry{
			At: moment(r.AtMs), Cluster: history.ClusterUID(r.Cluster), Actor: r.Actor, Action: r.Action, Object: r.Object, Outcome: r.Outcome, Detail: r.Detail,
		})
	}
	return page, nil
}
