// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/atlhyper/atlhyper/internal/testing/database"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "what the walks follow from; 0 for a new one each time")
	durationFlag = flag.Duration("duration", 30*time.Second, "how long each walk takes")
)

// newSeed returns the seed of a test and tells it.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	t.Logf("seed %d; repeat with -run '%s' -seed=%d", seed, t.Name(), seed)
	return seed
}

// resources are what the tests of this package share.
var resources struct {
	mu       sync.Mutex
	dir      string
	program  string
	postgres *database.Server
}

// program builds the program whose processes are killed, once.
func program(t *testing.T) string {
	t.Helper()
	resources.mu.Lock()
	defer resources.mu.Unlock()
	if resources.program == "" {
		path := filepath.Join(resources.dir, "program")
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "crashsites", "-ldflags", "-s -w", "-o", path, "./program")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building the program: %v\n%s", err, out)
		}
		resources.program = path
	}
	return resources.program
}

// postgresServer is for tests that do not harm it.
func postgresServer(t *testing.T) *database.Server {
	t.Helper()
	resources.mu.Lock()
	defer resources.mu.Unlock()
	if resources.postgres == nil {
		server, err := database.Postgres(t.Context(), "max_connections=100")
		if err != nil {
			t.Fatal(err)
		}
		resources.postgres = server
	}
	return resources.postgres
}

// dsns returns the address of an empty database of each dialect.
var dsns = map[string]func(t *testing.T) string{
	"sqlite": func(t *testing.T) string {
		t.Helper()
		return "sqlite://" + filepath.Join(t.ArtifactDir(), "history.db")
	},
	"postgres": func(t *testing.T) string {
		t.Helper()
		dsn, err := postgresServer(t).NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return dsn
	},
}

func TestMain(m *testing.M) {
	os.Exit(run(m)) //nolint:forbidigo // what TestMain is for
}

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "atlhyper-delivery-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	resources.dir = dir
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy's
	defer func() {
		err := os.RemoveAll(dir)
		if resources.postgres != nil {
			err = errors.Join(err, resources.postgres.Close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// eventually waits until a condition holds, at most for a while.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited for %s, in vain: %s", within, what)
		case <-tick.C:
		}
	}
}
