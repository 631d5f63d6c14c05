// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// childEnv holds the directory for a child process: this test binary again.
const (
	childEnv = "ATLHYPER_SPOOL_CHILD"
	limitEnv = "ATLHYPER_SPOOL_LIMIT"
)

func TestMain(m *testing.M) {
	os.Exit(run(m)) //nolint:forbidigo // what TestMain is for: the binary is also the child process
}

func run(m *testing.M) int {
	var err error
	switch {
	case os.Getenv(childEnv) != "":
		err = child(os.Getenv(childEnv), os.Stdout)
	case os.Getenv(limitEnv) != "":
		err = limitedChild(os.Getenv(limitEnv))
	default:
		return m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child appends without end, acknowledges some of it, and says after each call which
// number each record was given.
func child(dir string, out io.Writer) error {
	s, err := spool.Open(dir, spool.Options{SegmentBytes: 4 << 10, SplitBytes: 8 << 10, SyncInterval: 2 * time.Millisecond, MinFreeBytes: -1, MaxBytes: 16 << 20})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "open")
	id := uint32(os.Getpid()) << 10 //nolint:gosec // only has to differ
	for n := 0; ; n++ {
		stream := streams[n%len(streams)]
		id++
		got, err := s.Append(stream, item(stream, id, 100), item(stream, id+1, 300))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d %d %d %d\n", stream, got.Epoch, got.First, id)
		id++
		if n%7 == 0 { // the records before were delivered, says this hub
			if err := s.Ack(stream, got.Epoch, got.First/2); err != nil {
				return err
			}
			fmt.Fprintf(out, "ack %d %d %d\n", stream, got.Epoch, got.First/2)
		}
	}
}

// killed runs a child, kills it after a while, and returns what it said.
func killed(t *testing.T, dir string, after time.Duration) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(pipe)
	first, err := said.ReadString('\n')
	if err != nil || first != "open\n" {
		t.Fatalf("the child said %q: %v: %s", first, err, problems.String())
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	rest, err := io.ReadAll(said)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if problems.Len() > 0 {
		t.Fatalf("the child failed: %s", problems.String())
	}
	return string(rest)
}

func TestKill(t *testing.T) {
	seed := rand.Uint64()
	if *seedFlag != 0 {
		seed = *seedFlag
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	given, acked := map[place]uint32{}, map[key]uint64{}
	h := newHub()
	kills := 200
	if testing.Short() {
		kills = 20
	}
	deadline := time.Now().Add(55 * time.Second)
	done := 0
	for ; done < kills && time.Now().Before(deadline); done++ {
		said := killed(t, dir, time.Duration(rng.IntN(40_000))*time.Microsecond)
		for line := range strings.Lines(said) {
			if !strings.HasSuffix(line, "\n") {
				break // it died while it spoke
			}
			var stream telemetry.Stream
			var epoch telemetry.Epoch
			var seq uint64
			var id uint32
			if _, err := fmt.Sscanf(line, "ack %d %d %d\n", &stream, &epoch, &seq); err == nil {
				acked[key{stream, epoch}] = seq
				continue
			}
			if _, err := fmt.Sscanf(line, "%d %d %d %d\n", &stream, &epoch, &seq, &id); err != nil {
				t.Fatalf("the child said %q", line)
			}
			for i := range uint64(2) {
				p := place{key{stream, epoch}, seq + i}
				if other, ok := given[p]; ok {
					t.Fatalf("%v was given to %d and to %d; repeat with -spool.seed=%d", p, other, id, seed)
				}
				given[p] = id + uint32(i)
			}
		}
		if done%20 < 19 && done < kills-1 {
			continue
		}
		s := open(t, dir, spool.Options{SegmentBytes: 4 << 10})
		for k, seq := range acked {
			h.next[k] = max(h.next[k], seq+1) // the hub of the child has these
		}
		h.drain(t, s)
		closeSpool(t, s)
	}
	for p, id := range given {
		row, stored := h.rows[p]
		switch {
		case stored && idOf(row.Payload) != id:
			t.Errorf("%v is %d, and was %d", p, idOf(row.Payload), id)
		case !stored && p.seq > acked[p.key]:
			t.Errorf("%v is lost", p)
		}
	}
	if done < 20 || len(given) < 100 {
		t.Errorf("only %d kills and %d records: this says nothing", done, len(given))
	}
	t.Logf("%d kills, %d records, seed %d", done, len(given), seed)
	if t.Failed() {
		t.Logf("repeat with -spool.seed=%d", seed)
	}
}

// The kernel itself refuses to let a file grow, in the middle of a write.
func TestFileSizeLimit(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), limitEnv+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func limitedChild(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := spool.Open(dir, spool.Options{MemoryBytes: 64 << 10, MinFreeBytes: -1})
	if err != nil {
		return err
	}
	if err := setLimit(100_000); err != nil {
		return err
	}
	const stream = telemetry.StreamCommandOutput
	taken := 0
	for i := range uint32(1000) {
		if _, err := s.Append(stream, item(stream, i+1, 300)); err == nil {
			taken++
		}
	}
	if err := s.Stats().Trouble; taken == 1000 || err == nil {
		return fmt.Errorf("%d records were taken by a file that may not grow; trouble: %w", taken, err)
	}
	if err := setLimit(1 << 40); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); s.Stats().Trouble != nil; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the file may grow again, but %w", s.Stats().Trouble)
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = spool.Open(dir, spool.Options{}); err != nil {
		return err
	}
	defer s.Close()
	found := 0
	for {
		b, err := s.Reader(stream, spool.Replay).Next(1<<20, 1000)
		if err != nil {
			return err
		}
		if len(b.Records) == 0 {
			break
		}
		for _, r := range b.Records {
			if id := idOf(r.Payload); id > 0 {
				found++
			}
		}
	}
	if found != taken {
		return fmt.Errorf("%d records are in the spool, %d were taken", found, taken)
	}
	return nil
}

func setLimit(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(n, limit.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}
