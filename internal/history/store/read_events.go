// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// ceilMillis returns the first millisecond that is not before t.
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

type eventRow struct {
	UID            string
	RV             int64 `gorm:"column:rv"`
	LastMs         int64
	FirstMs        int64
	Occurrences    uint32
	Type           uint8
	Namespace      string
	Name           string
	Reason         string
	Message        string
	AboutKind      string
	AboutNamespace string
	AboutName      string
	AboutUID       string `gorm:"column:about_uid"`
	FieldPath      string
	Controller     string
	Host           string
}

// Events implements history.EventReader.
func (s *Store) Events(ctx context.Context, q history.EventQuery) (history.Page[history.Event], error) {
	page, err := s.readEvents(ctx, q)
	return page, wrap(s.d, "reading events", err)
}

func (s *Store) readEvents(ctx context.Context, q history.EventQuery) (page history.Page[history.Event], err error) {
	if err := q.Range.Check(); err != nil {
		return page, err
	}
	b, err := s.begin(ctx, "events", q.Cluster, q.Paging)
	if err != nil || b.empty {
		return page, err
	}
	if err := checkFilters(filters{"namespaces": len(q.Namespaces), "kinds": len(q.Kinds), "reasons": len(q.Reasons)}); err != nil {
		return page, err
	}
	db := within(b.db, "last_ms", q.Range)
	db = among(db, "about_namespace", q.Namespaces)
	db = among(db, "about_kind", q.Kinds)
	db = among(db, "reason", q.Reasons)
	if q.Name != "" {
		db = db.Where("about_name = ?", q.Name)
	}
	if q.UID != "" {
		db = db.Where("about_uid = ?", q.UID)
	}
	if q.Type != 0 {
		db = db.Where("type = ?", int64(q.Type))
	}
	var before eventRow
	if more, err := decodeCursor(q.Cursor, &before.LastMs, &before.UID); err != nil {
		return page, err
	} else if more {
		db = db.Where("(last_ms, uid) < (?, ?)", before.LastMs, before.UID)
	}
	var rows []eventRow
	if err := db.Order("last_ms DESC, uid DESC").Limit(b.limit + 1).Find(&rows).Error; err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, b.limit, func(r eventRow) string { return encodeCursor(r.LastMs, r.UID) })
	for _, r := range rows {
		page.Items = append(page.Items, history.Event{Cluster: q.Cluster, Event: telemetry.Event{
			UID: r.UID, ResourceVersion: uint64(r.RV), Namespace: r.Namespace, Name: r.Name, Type: telemetry.EventType(r.Type), //nolint:gosec // was one
			Reason: r.Reason, Message: r.Message,
			Regarding: telemetry.ObjectRef{Kind: r.AboutKind, Namespace: r.AboutNamespace, Name: r.AboutName, UID: r.AboutUID},
			FieldPath: r.FieldPath, Controller: r.Controller, Host: r.Host, Count: r.Occurrences, FirstSeen: moment(r.FirstMs), LastSeen: moment(r.LastMs),
		}})
	}
	return page, nil
}
