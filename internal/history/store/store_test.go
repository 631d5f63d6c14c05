// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/historytest"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/testing/database"
)

const cluster = history.ClusterUID("6f1c2a0e-0000-4000-8000-00000000000a")

func TestDSN(t *testing.T) {
	for name, dsn := range map[string]string{
		"nothing":          "",
		"no scheme":        "history.db",
		"another database": "mongodb://u:hunter2@localhost/db",
		"relative path":    "sqlite://history.db",
		"SQLite options":   "sqlite:///tmp/x.db?password=hunter2",
		"no database":      "postgres://u:hunter2@127.0.0.1:1/",
		"odd password":     "postgres://u:hunter2%zz@127.0.0.1:1/db",
		"odd port":         "postgres://u:hunter2@127.0.0.1:port/db",
		"odd parameter":    "postgres://u:hunter2@127.0.0.1:1/db?sslmode=hunter2",
		"nobody there":     "postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable",
		"MySQL options":    "mysql://u:hunter2@127.0.0.1:1/db?x=hunter2",
		"nobody there 2":   "mysql://u:hunter2@127.0.0.1:1/db",
		"no permission":    "sqlite:///proc/history.db",
	} {
		s, err := store.Open(t.Context(), dsn, store.Options{})
		switch {
		case err == nil:
			t.Errorf("%s: it was opened", name)
			_ = s.Close()
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error shows the password: %v", name, err)
		case strings.HasPrefix(name, "nobody") != errors.Is(err, history.ErrUnavailable) && name != "no permission":
			t.Errorf("%s: %v", name, err)
		}
	}
	for dsn, want := range map[string]string{
		"postgres://u:hunter2@h:5432/db?sslmode=require": "postgres://u@h:5432/db",
		"mariadb://u:hunter2@h/db":                       "mysql://u@h/db",
		"sqlite:///var/lib/history.db":                   "sqlite:///var/lib/history.db",
		"mongodb://u:hunter2@h/db":                       "(invalid)",
	} {
		if got := store.Redact(dsn); got != want {
			t.Errorf("Redact(%q) is %q, want %q", dsn, got, want)
		}
	}
}

func TestSecondHubRefusesSQLite(t *testing.T) {
	dsn := dsns["sqlite"](t)
	first := open(t, dsn, store.Options{})
	if _, err := store.Open(t.Context(), dsn, store.Options{}); !errors.Is(err, history.ErrLocked) {
		t.Errorf("the second hub was not refused: %v", err)
	}
	send(t, first, 10)
	reader := open(t, dsn, store.Options{ReadOnly: true})
	if o, err := reader.Offset(t.Context(), cluster, telemetry.StreamEvents, 1); err != nil || o.LastSeq != 10 {
		t.Errorf("a reader beside the hub sees %+v, %v", o, err)
	}
	_, err := reader.Append(t.Context(), cluster, batch(11, 12))
	unavailable(t, "writing as a reader", err, history.UnavailableReadOnly)
	if _, err := store.Open(t.Context(), dsn+".missing", store.Options{ReadOnly: true}); !errors.Is(err, history.ErrUnavailable) {
		t.Errorf("reading a file that is not there: %v", err)
	}
}

// batch returns events with sequence numbers first to last.
func batch(first, last uint64) telemetry.Batch {
	at := time.Now().Add(-time.Hour).Truncate(time.Hour)
	var payloads []telemetry.Payload
	for seq := first; seq <= last; seq++ {
		payloads = append(payloads, historytest.Event(fmt.Sprintf("e%06d", seq), seq, 1, at))
	}
	return telemetry.NewBatch(telemetry.StreamEvents, 1, historytest.Records(first, payloads, func(int) time.Time { return at }))
}

func send(t *testing.T, s *store.Store, last uint64) {
	t.Helper()
	if _, err := s.Append(t.Context(), cluster, batch(1, last)); err != nil {
		t.Fatal(err)
	}
}

func unavailable(t *testing.T, what string, err error, reason history.UnavailableReason) {
	t.Helper()
	u, ok := errors.AsType[*history.UnavailableError](err)
	if !ok || u.Reason != reason || !errors.Is(err, history.ErrUnavailable) {
		t.Errorf("%s: got the error %v, want %s", what, err, reason)
	}
}

func TestMigrations(t *testing.T) {
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			dsn := dsn(t)
			s, err := store.Open(t.Context(), dsn, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, err = s.Append(t.Context(), cluster, batch(1, 2))
			unavailable(t, "writing before the migration", err, history.UnavailableSchema)
			if name != "sqlite" { // which has one hub only
				results := make(chan error, 4)
				for range cap(results) {
					go func() {
						other, err := store.Open(t.Context(), dsn, store.Options{})
						if err == nil {
							err = errors.Join(other.Migrate(t.Context()), other.Close())
						}
						results <- err
					}()
				}
				for range cap(results) {
					if err := <-results; err != nil {
						t.Errorf("migrating side by side: %v", err)
					}
				}
			}
			for range 2 {
				if err := s.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			send(t, s, 2)
			run(t, dsn, "INSERT INTO schema_migrations (version, name, checksum, applied_ms) VALUES (99, 'future', 'x', 0)")
			if err := s.Migrate(t.Context()); !errors.Is(err, history.ErrSchemaTooNew) {
				t.Errorf("a schema from the future: %v", err)
			}
			run(t, dsn, "DELETE FROM schema_migrations WHERE version = 99")
			run(t, dsn, "UPDATE schema_migrations SET checksum = 'x' WHERE version = 1")
			if err := s.Migrate(t.Context()); err == nil {
				t.Error("a migration with another content was accepted")
			}
		})
	}
}

// TestAuditIsAppendOnly tries what somebody with the hub's own credentials might.
func TestAuditIsAppendOnly(t *testing.T) {
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			dsn := dsn(t)
			s := open(t, dsn, store.Options{})
			if err := s.Audit(t.Context(), history.AuditEntry{At: time.Now(), Actor: "mallory", Action: "x"}); err != nil {
				t.Fatal(err)
			}
			statements := []string{"UPDATE audit SET actor = 'alice'", "DELETE FROM audit"}
			if name == "postgres" {
				statements = append(statements, "TRUNCATE audit")
			}
			for _, statement := range statements {
				if err := tryExec(t.Context(), dsn, statement); err == nil {
					t.Errorf("%s was let through", statement)
				}
			}
			now := time.Now()
			page, err := s.AuditLog(t.Context(), history.AuditQuery{Range: history.Range{Start: now.Add(-time.Hour), End: now.Add(time.Hour)}})
			if err != nil || len(page.Items) != 1 || page.Items[0].Actor != "mallory" {
				t.Errorf("the entry is now %+v, %v", page.Items, err)
			}
		})
	}
}

func run(t *testing.T, dsn, statement string) {
	t.Helper()
	if err := tryExec(t.Context(), dsn, statement); err != nil {
		t.Fatal(err)
	}
}

// tryExec runs a statement behind the store's back.
func tryExec(ctx context.Context, dsn, statement string) error {
	scheme, rest, _ := strings.Cut(dsn, "://")
	switch scheme {
	case "postgres":
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, statement)
		return errors.Join(err, conn.Close(ctx))
	case "mysql":
		credentials, address, _ := strings.Cut(rest, "@")
		host, name, _ := strings.Cut(address, "/")
		rest = credentials + "@tcp(" + host + ")/" + name
	}
	db, err := sql.Open(scheme, rest)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

// TestDatabaseFailures checks that what a database cannot do now is told apart
// from what is wrong, and that the store goes on when it can again.
func TestDatabaseFailures(t *testing.T) {
	server, err := database.Postgres(t.Context(), "max_connections=8", "superuser_reserved_connections=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	dsn, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dsn, store.Options{Connections: 2})
	send(t, s, 10)

	run(t, dsn, "ALTER SYSTEM SET default_transaction_read_only = on")
	run(t, dsn, "SELECT pg_reload_conf()")
	eventually(t, "it becomes read-only", func() bool {
		_, err := s.Append(t.Context(), cluster, batch(11, 20))
		u, _ := errors.AsType[*history.UnavailableError](err)
		return u != nil && u.Reason == history.UnavailableReadOnly
	})
	_, err = s.Health(t.Context())
	unavailable(t, "health while read-only", err, history.UnavailableReadOnly)
	run(t, dsn, "ALTER SYSTEM RESET default_transaction_read_only")
	run(t, dsn, "SELECT pg_reload_conf()")

	server.Crash()
	_, err = s.Append(t.Context(), cluster, batch(11, 20))
	unavailable(t, "a dead server", err, history.UnavailableConnection)
	_, err = s.Events(t.Context(), history.EventQuery{Cluster: cluster, Range: history.Last(time.Hour, time.Now())})
	unavailable(t, "reading from a dead server", err, history.UnavailableConnection)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it works again", func() bool {
		ack, err := s.Append(t.Context(), cluster, batch(11, 20))
		return err == nil && ack.LastSeq == 20
	})

	var conns []*pgx.Conn
	for range 20 {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			break
		}
		conns = append(conns, conn)
	}
	_, err = store.Open(t.Context(), dsn, store.Options{})
	unavailable(t, "no connection left", err, history.UnavailableTooMany)
	for _, conn := range conns {
		_ = conn.Close(t.Context())
	}

	blocker, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blocker.Close(context.WithoutCancel(t.Context())) })
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE ingest_streams"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Append(t.Context(), cluster, batch(21, 30))
	unavailable(t, "a lock that nobody releases", err, history.UnavailableBusy)
}

// TestSQLiteFailures covers a full disk and a damaged file.
func TestSQLiteFailures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, "sqlite://"+path, store.Options{})
	send(t, s, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	if err := os.WriteFile(damaged, append([]byte("not a database, "), data[16:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), "sqlite://"+damaged, store.Options{})
	unavailable(t, "a damaged file", err, history.UnavailableDamaged)
}

// eventually polls, for changes that a server makes in its own time.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 1200 {
		if done() {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s: not within a minute", what)
}
