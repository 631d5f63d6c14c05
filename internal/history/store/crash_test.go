// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/testing/database"
)

const (
	writerDSN = "ATLHYPER_TEST_WRITER_DSN"
	batchSize = 40
)

// writer is a hub that stores batches until somebody kills it, and says which
// ones it would have acknowledged.
func writer(ctx context.Context, dsn string) error {
	s, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	next := uint64(1)
	if o, err := s.Offset(ctx, cluster, telemetry.StreamEvents, 1); err == nil {
		next = o.LastSeq + 1
	} else if !errors.Is(err, history.ErrNotFound) {
		return err
	}
	for {
		ack, err := s.Append(ctx, cluster, batch(next, next+batchSize-1))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(os.Stdout, "%d\n", ack.LastSeq); err != nil {
			return err
		}
		next = ack.LastSeq + 1
	}
}

// TestKill kills writers at any moment and counts what is there afterwards:
// everything that was acknowledged, nothing twice, and no half of a batch.
func TestKill(t *testing.T) {
	kills := 12
	if testing.Short() {
		kills = 3
	}
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			dsn := dsn(t)
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 1))
			for range kills {
				acked := killWriter(t, dsn, random)
				s := open(t, dsn, store.Options{})
				check(t, s, acked)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// killWriter runs a writer, kills it some time after its first batch, and returns
// the last sequence number that it acknowledged.
func killWriter(t *testing.T, dsn string, random *rand.Rand) uint64 {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), writerDSN+"="+dsn)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked uint64
	lines := bufio.NewScanner(out)
	var timer *time.Timer
	for lines.Scan() {
		n, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			break // the line was cut
		}
		acked = n
		if timer == nil {
			timer = time.AfterFunc(time.Duration(random.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // it was killed
	if timer == nil {
		t.Fatalf("the writer stored nothing:\n%s", stderr.String())
	}
	return acked
}

func check(t *testing.T, s *store.Store, acked uint64) {
	t.Helper()
	o, err := s.Offset(t.Context(), cluster, telemetry.StreamEvents, 1)
	if err != nil {
		t.Fatal(err)
	}
	if o.LastSeq < acked || o.LastSeq > acked+batchSize || o.LastSeq%batchSize != 0 {
		t.Fatalf("the offset is %d, %d was acknowledged", o.LastSeq, acked)
	}
	seen := map[string]bool{}
	cursor := ""
	for {
		page, err := s.Events(t.Context(), history.EventQuery{
			Cluster: cluster, Range: history.Last(24*time.Hour, time.Now()), Paging: history.Paging{Limit: history.MaxLimit, Cursor: cursor},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			if seen[e.UID] {
				t.Errorf("%s is there twice", e.UID)
			}
			seen[e.UID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for seq := uint64(1); seq <= o.LastSeq; seq++ {
		if !seen[fmt.Sprintf("e%06d", seq)] {
			t.Fatalf("the offset is %d, event %d is lost", o.LastSeq, seq)
		}
	}
	if uint64(len(seen)) != o.LastSeq {
		t.Errorf("%d events, the offset is %d", len(seen), o.LastSeq)
	}
}

// TestServerCrash kills Postgres itself under a writer.
func TestServerCrash(t *testing.T) {
	server, err := database.Postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	dsn, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dsn, store.Options{})
	acked, last := uint64(0), uint64(batchSize*30)
	for round := range 5 {
		done := make(chan struct{})
		timer := time.AfterFunc(time.Duration(5+round*7)*time.Millisecond, func() { server.Crash(); close(done) })
		for acked < last {
			ack, err := s.Append(t.Context(), cluster, batch(acked+1, acked+batchSize))
			if err != nil {
				unavailable(t, "the server died", err, history.UnavailableConnection)
				break
			}
			acked = ack.LastSeq
		}
		if timer.Stop() {
			break // it had stored everything before
		}
		<-done
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the server is back", func() bool {
			_, err := s.Offset(t.Context(), cluster, telemetry.StreamEvents, 1)
			return err == nil || errors.Is(err, history.ErrNotFound)
		})
		if acked > 0 {
			check(t, s, acked)
		}
	}
}
