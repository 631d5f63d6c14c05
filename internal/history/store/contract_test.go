// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/historytest"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/testing/database"
)

// servers are started by the first test that needs them and closed by TestMain.
var servers struct {
	mu       sync.Mutex
	postgres *database.Server
	mariadb  *database.Server
}

func postgresServer(t testing.TB) *database.Server {
	t.Helper()
	servers.mu.Lock()
	defer servers.mu.Unlock()
	if servers.postgres == nil {
		s, err := database.Postgres(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		servers.postgres = s
	}
	return servers.postgres
}

func mariadbServer(t testing.TB) *database.Server {
	t.Helper()
	servers.mu.Lock()
	defer servers.mu.Unlock()
	if servers.mariadb == nil {
		s, err := database.MariaDB(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		servers.mariadb = s
	}
	return servers.mariadb
}

func TestMain(m *testing.M) {
	if dsn := os.Getenv(writerDSN); dsn != "" {
		//nolint:forbidigo // a writer of TestKill begins here
		if err := writer(context.Background(), dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // and ends here
		}
	}
	code := m.Run()
	for _, s := range []*database.Server{servers.postgres, servers.mariadb} {
		if s != nil {
			_ = s.Close()
		}
	}
	os.Exit(code) //nolint:forbidigo // TestMain is where a test program ends
}

// dsns returns a DSN for an empty database of each dialect.
var dsns = map[string]func(testing.TB) string{
	"sqlite": func(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "history.db") },
	"postgres": func(t testing.TB) string {
		t.Helper()
		dsn, err := postgresServer(t).NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return dsn
	},
	"mariadb": func(t testing.TB) string {
		t.Helper()
		dsn, err := mariadbServer(t).NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return dsn
	},
}

func open(t testing.TB, dsn string, options store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if !options.ReadOnly {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestContract(t *testing.T) {
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			historytest.Run(t, func(t *testing.T, o historytest.Options) history.Store {
				t.Helper()
				return open(t, dsn(t), store.Options{Now: o.Clock.Now, Retention: o.Retention})
			})
		})
	}
}
