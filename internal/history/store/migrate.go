// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/history"
)

//go:embed migrations
var migrationFiles embed.FS

// migration is one step of the schema. What was released is never edited: its
// checksum is kept with it.
type migration struct {
	version  int
	name     string
	script   string
	checksum string
}

// migrations returns the steps of a dialect in order.
func migrations(dialect string) ([]migration, error) {
	folder := "migrations/" + dialect
	entries, err := migrationFiles.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations of %s: %w", dialect, err)
	}
	var all []migration
	for _, e := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || !ok {
			return nil, fmt.Errorf("reading the migrations of %s: %s is not named NUMBER_name.sql", dialect, e.Name())
		}
		script, err := migrationFiles.ReadFile(folder + "/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the migration %s: %w", e.Name(), err)
		}
		sum := sha256.Sum256(script)
		all = append(all, migration{version: version, name: name, script: string(script), checksum: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(all, func(a, b migration) int { return a.version - b.version })
	for i, m := range all {
		if m.version != i+1 {
			return nil, fmt.Errorf("reading the migrations of %s: number %d is missing", dialect, i+1)
		}
	}
	return all, nil
}

const createMigrations = "CREATE TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, name varchar(200) NOT NULL, checksum varchar(64) NOT NULL, applied_ms bigint NOT NULL)"

// Migrate implements history.Maintainer.
func (s *Store) Migrate(ctx context.Context) error {
	all, err := migrations(s.d.name())
	if err != nil {
		return err
	}
	if s.readOnly {
		return errors.New("migrating the history: the store is open for reading only")
	}
	err = s.applyMigrations(ctx, all)
	return wrap(s.d, "migrating the history", err)
}

func (s *Store) applyMigrations(ctx context.Context, all []migration) (err error) {
	pool, err := s.write.DB()
	if err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	unlock, err := s.d.migrationLock(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()

	if _, err := conn.ExecContext(ctx, createMigrations); err != nil {
		return err
	}
	crash.At("store.migrate.begun")
	applied, err := appliedMigrations(ctx, conn)
	if err != nil {
		return err
	}
	if len(applied) > len(all) {
		return fmt.Errorf("%w: it is at version %d, this program knows %d; run the newer version, or restore a backup from before it",
			history.ErrSchemaTooNew, len(applied), len(all))
	}
	for i, m := range all {
		if i < len(applied) {
			if applied[i] != m.checksum {
				return fmt.Errorf("migration %d (%s) was applied with another content: the database was made by a modified program", m.version, m.name)
			}
			continue
		}
		err := s.d.migrate(ctx, conn, m.script, func(tx *sql.Tx) error {
			crash.At("store.migrate.before-record")
			// The values are ours and plain, and dialects differ in placeholders.
			_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO schema_migrations (version, name, checksum, applied_ms) VALUES (%d, '%s', '%s', %d)",
				m.version, m.name, m.checksum, s.now().UnixMilli()))
			return err
		})
		if err != nil {
			return fmt.Errorf("applying migration %d (%s): %w", m.version, m.name, err)
		}
		crash.At("store.migrate.applied")
	}
	return nil
}

// appliedMigrations returns the checksums of what was applied, in order.
func appliedMigrations(ctx context.Context, conn *sql.Conn) (sums []string, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT checksum FROM schema_migrations ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var sum string
		if err := rows.Scan(&sum); err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	return sums, rows.Err()
}
