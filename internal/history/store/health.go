// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
)

// Health implements history.HealthChecker.
func (s *Store) Health(ctx context.Context) (history.Health, error) {
	h := history.Health{Dialect: s.d.name()}
	err := s.checkHealth(ctx, &h)
	return h, wrap(s.d, "checking the history", err)
}

func (s *Store) checkHealth(ctx context.Context, h *history.Health) (err error) {
	db := s.read.WithContext(ctx)
	if err := first(db, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations", nil, &h.SchemaVersion); err != nil {
		return err
	}
	if h.Version, err = s.d.version(ctx, db); err != nil {
		return err
	}
	if !s.readOnly {
		begin := time.Now()
		err := s.write.WithContext(ctx).Exec("INSERT INTO heartbeat (id, beat_ms) VALUES (1, ?)"+s.d.conflict([]string{"id"}, []string{"beat_ms"}), s.now().UnixMilli()).Error
		if err != nil {
			return err
		}
		h.Latency = time.Since(begin)
	}
	for _, p := range s.pools {
		h.Connections += p.Stats().InUse
	}
	h.Bytes, err = s.d.size(ctx, db)
	return err
}
