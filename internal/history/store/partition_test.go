// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
)

// TestInterruptedDetachment leaves a partition half detached, as a hub does that is
// killed while it waits for readers. Postgres then detaches no other partition of the
// table, so whichever of them comes first, that one has to be finished.
func TestInterruptedDetachment(t *testing.T) {
	dsn := dsns["postgres"](t)
	s := open(t, dsn, store.Options{})
	now := time.Now()
	old := now.Add(-60 * 24 * time.Hour)
	if _, err := s.Maintain(t.Context(), history.TaskPartitions, old); err != nil {
		t.Fatal(err)
	}
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	partitions := func() (names []string) {
		conn := connect()
		rows, err := conn.Query(t.Context(), "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'node\\_samples\\_p%' AND relname < $1 ORDER BY 1",
			"node_samples_p"+old.Add(10*24*time.Hour).UTC().Format("20060102"))
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err = errors.Join(err, conn.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		return names
	}
	names := partitions()
	if len(names) < 3 {
		t.Fatalf("there are %v", names)
	}
	for _, which := range []int{len(names) - 1, 0} { // the last and then the first of them
		reader, detacher := connect(), connect()
		if _, err := reader.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM node_samples"); err != nil {
			t.Fatal(err)
		}
		if _, err := detacher.Exec(t.Context(), "SET statement_timeout = '300ms'"); err != nil {
			t.Fatal(err)
		}
		_, err := detacher.Exec(t.Context(), "ALTER TABLE node_samples DETACH PARTITION "+names[which]+" CONCURRENTLY")
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "57014" {
			t.Fatalf("the detachment was not interrupted: %v", err)
		}
		if err := errors.Join(reader.Close(t.Context()), detacher.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Maintain(t.Context(), history.TaskRetention, now); err != nil {
			t.Error(err)
		}
		if left := partitions(); len(left) > 0 {
			t.Errorf("%s was half detached: %v are left", names[which], left)
		}
		if _, err := s.Maintain(t.Context(), history.TaskPartitions, old); err != nil {
			t.Fatal(err)
		}
	}
}
