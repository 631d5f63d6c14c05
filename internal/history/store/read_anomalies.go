// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

type anomalyRow struct {
	AtMs        int64
	Epoch       int64
	Seq         int64
	Rule        string
	Fingerprint string
	Severity    uint8
	Detail      string
}

func (r anomalyRow) anomaly(cluster history.ClusterUID) (history.Anomaly, error) {
	t, err := unpackAnomaly(r.Detail, r.Rule, r.Severity)
	return history.Anomaly{Cluster: cluster, At: moment(r.AtMs), Epoch: telemetry.Epoch(r.Epoch), Seq: uint64(r.Seq), AnomalyTransition: t}, err //nolint:gosec // were such
}

// OpenAnomalies implements history.AnomalyReader.
func (s *Store) OpenAnomalies(ctx context.Context, q history.AnomalyQuery) (history.Page[history.Anomaly], error) {
	page, err := s.readOpenAnomalies(ctx, q)
	return page, wrap(s.d, "reading open anomalies", err)
}

func (s *Store) readOpenAnomalies(ctx context.Context, q history.AnomalyQuery) (page history.Page[history.Anomaly], err error) {
	b, err := s.begin(ctx, "anomalies_open", q.Cluster, q.Paging)
	if err != nil || b.empty {
		return page, err
	}
	db, err := anomalyFilters(b.db, q)
	if err != nil {
		return page, err
	}
	var severity int64
	var after anomalyRow
	if more, err := decodeCursor(q.Cursor, &severity, &after.Rule, &after.Fingerprint); err != nil {
		return page, err
	} else if more {
		db = db.Where("(severity < ? OR (severity = ? AND (rule, fingerprint) > (?, ?)))", severity, severity, after.Rule, after.Fingerprint)
	}
	var rows []anomalyRow
	if err := db.Order("severity DESC, rule, fingerprint").Limit(b.limit + 1).Find(&rows).Error; err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, b.limit, func(r anomalyRow) string { return encodeCursor(r.Severity, r.Rule, r.Fingerprint) })
	page.Items, err = anomalies(rows, q.Cluster)
	return page, err
}

// AnomalyTransitions implements history.AnomalyReader.
func (s *Store) AnomalyTransitions(ctx context.Context, q history.AnomalyQuery) (history.Page[history.Anomaly], error) {
	page, err := s.readTransitions(ctx, q)
	return page, wrap(s.d, "reading transitions of anomalies", err)
}

func (s *Store) readTransitions(ctx context.Context, q history.AnomalyQuery) (page history.Page[history.Anomaly], err error) {
	if err := q.Range.Check(); err != nil {
		return page, err
	}
	b, err := s.begin(ctx, "anomaly_transitions", q.Cluster, q.Paging)
	if err != nil || b.empty {
		return page, err
	}
	db, err := anomalyFilters(within(b.db, "at_ms", q.Range), q)
	if err != nil {
		return page, err
	}
	var before anomalyRow
	if more, err := decodeCursor(q.Cursor, &before.AtMs, &before.Epoch, &before.Seq); err != nil {
		return page, err
	} else if more {
		db = db.Where("at_ms <= ? AND (at_ms, epoch, seq) < (?, ?, ?)", before.AtMs, before.AtMs, before.Epoch, before.Seq)
	}
	var rows []anomalyRow
	if err := db.Order("at_ms DESC, epoch DESC, seq DESC").Limit(b.limit + 1).Find(&rows).Error; err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, b.limit, func(r anomalyRow) string { return encodeCursor(r.AtMs, r.Epoch, r.Seq) })
	page.Items, err = anomalies(rows, q.Cluster)
	return page, err
}

func anomalyFilters(db *gorm.DB, q history.AnomalyQuery) (*gorm.DB, error) {
	if err := checkFilters(filters{"namespaces": len(q.Namespaces), "rules": len(q.Rules)}); err != nil {
		return nil, err
	}
	db = among(among(db, "namespace", q.Namespaces), "rule", q.Rules)
	if q.MinSeverity > 0 {
		db = db.Where("severity >= ?", int64(q.MinSeverity))
	}
	return db, nil
}

func anomalies(rows []anomalyRow, cluster history.ClusterUID) ([]history.Anomaly, error) {
	items := make([]history.Anomaly, 0, len(rows))
	for _, r := range rows {
		a, err := r.anomaly(cluster)
		if err != nil {
			return nil, err
		}
		items = append(items, a)
	}
	return items, nil
}
