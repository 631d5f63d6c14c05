// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ledger_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
)

const (
	inventory = telemetry.StreamInventory
	events    = telemetry.StreamEvents
)

func write(t *testing.T, dir string, acts ...func(*ledger.Writer) error) {
	t.Helper()
	w, err := ledger.Begin(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, act := range acts {
		if err := act(w); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLivesAreOneLedger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	write(t, dir,
		func(w *ledger.Writer) error { return w.Appending(events, 5) },
		func(w *ledger.Writer) error { return w.Appended(events, 5, 100, 7) },
		func(w *ledger.Writer) error { return w.Listing() },
		func(w *ledger.Writer) error { return w.Listed(101, 1, 2) },
		func(w *ledger.Writer) error { return w.Appending(inventory, 3) },
	)
	write(t, dir,
		func(w *ledger.Writer) error { return w.Appending(events, 1) },
		func(w *ledger.Writer) error { return w.NotAppended(events, 1) },
		func(w *ledger.Writer) error { return w.Listing() },
	)
	write(t, dir)
	got, err := ledger.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := &ledger.Ledger{
		Position: ledger.Position{Next: map[telemetry.Stream]uint64{events: 6, inventory: 3}, Snapshots: 2},
		Lives:    3,
		Appends: []ledger.Append{
			{Stream: events, N: 0, Count: 5, State: ledger.Taken, Epoch: 100, Last: 7},
			{Stream: inventory, N: 0, Count: 3},
			{Stream: events, N: 5, Count: 1, State: ledger.Refused},
		},
		Snapshots: []ledger.Snapshot{
			{Number: 0, N: 0, State: ledger.Taken, Epoch: 101, First: 1, Last: 2},
			{Number: 1, N: 3},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for n, seq := range map[uint64]uint64{0: 3, 4: 7} {
		if got := got.Appends[0].Seq(n); got != seq {
			t.Errorf("record %d has number %d, want %d", n, got, seq)
		}
	}
}

// An agent that ends in the middle of a line did not begin what it says.
func TestHalfALine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	write(t, dir,
		func(w *ledger.Writer) error { return w.Appending(events, 5) },
		func(w *ledger.Writer) error { return w.Appended(events, 5, 100, 5) },
		func(w *ledger.Writer) error { return w.Appending(events, 120) },
	)
	name := filepath.Join(dir, "000001.ledger")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b[:len(b)-2], 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, func(w *ledger.Writer) error { return w.Appending(events, 2) })
	got, err := ledger.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []ledger.Append{{Stream: events, Count: 5, State: ledger.Taken, Epoch: 100, Last: 5}, {Stream: events, N: 5, Count: 2}}
	if diff := cmp.Diff(want, got.Appends); diff != "" {
		t.Error(diff)
	}
}

func TestNonsenseIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"a number that does not follow": "> 3 7 1\n",
		"an answer to nothing":          "< 3 0 1 9 9\n",
		"another answer":                "> 3 0 1\n< 3 0 2 9 9\n",
		"two answers":                   "> 3 0 1\n< 3 0 1 9 9\n! 3 0 1\n",
		"a snapshot out of order":       "S 1 0\n",
		"a line of nothing known":       "x 1\n",
		"a beginning that forgets":      "> 3 0 1\nnext 3 0\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "000001.ledger"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := ledger.Read(dir); err == nil {
				t.Error("it was read")
			}
		})
	}
}
