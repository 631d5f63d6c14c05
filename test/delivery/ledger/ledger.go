// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package ledger is what an agent under test writes down beside its spool: before each
// Append what it is about to append, and after it what Append returned. A line that was
// written outlives kill -9, because the kernel has it; so what the ledger promises must
// be in the hub's history in the end.
//
// Each life of the agent has a file of its own, which begins with where it goes on:
//
//	next 3 1042         the next record of stream 3 is its 1,042nd, from 0
//	snapshots 2         so many snapshots have been begun
//	> 3 1042 5          about to append five records from there on
//	< 3 1042 5 EPOCH 77 they were taken, the last one as number 77 of the epoch
//	! 3 1042 1          it was not taken, and a gap will say so
//	S 2 350             about to append a snapshot of the first 350 records' objects
//	s 2 350 EPOCH 80 99 it was taken with these numbers
package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// State is how an Append ended.
type State uint8

// The states.
const (
	// Doubtful: the agent ended before it wrote down what Append returned.
	Doubtful State = iota
	// Taken: Append returned, so the records must arrive.
	Taken
	// Refused: Append returned that it did not take them.
	Refused
)

// Append is one call of Append.
type Append struct {
	// Stream of the records, the first of which is the N-th of Count.
	Stream telemetry.Stream
	// N is from 0.
	N uint64
	// Count of the records.
	Count uint64
	// State says what else is known.
	State State
	// Epoch and Last are those of the last record when it was Taken.
	Epoch telemetry.Epoch
	// Last is its sequence number.
	Last uint64
}

// Seq returns the sequence number of a record that was taken.
func (a *Append) Seq(n uint64) uint64 { return a.Last - (a.N + a.Count - 1 - n) }

// Snapshot is one Append of a snapshot of the inventory.
type Snapshot struct {
	// Number of the snapshot, and N: of how many records it shows the objects.
	Number, N uint64
	// State says what else is known.
	State State
	// Epoch, First and Last are the numbers it was given when it was Taken.
	Epoch telemetry.Epoch
	// First and Last are sequence numbers.
	First, Last uint64
}

// Position is where an agent goes on.
type Position struct {
	// Next is the next record of each stream, from 0.
	Next map[telemetry.Stream]uint64
	// Snapshots is how many were begun.
	Snapshots uint64
}

// Ledger is what is written down about all lives of an agent.
type Ledger struct {
	// Position is behind the last thing that was begun.
	Position
	// Lives is how many files there are.
	Lives int
	// Appends in the order in which they began.
	Appends []Append
	// Snapshots in the order in which they began.
	Snapshots []Snapshot
}

// files returns the files of a ledger, the oldest first.
func files(dir string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.ledger"))
	slices.Sort(names)
	return names, err
}

// Read reads all of a ledger.
func Read(dir string) (*Ledger, error) {
	names, err := files(dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{Position: Position{Next: map[telemetry.Stream]uint64{}}}
	for _, name := range names {
		if err := l.read(name); err != nil {
			return nil, fmt.Errorf("reading the ledger %s: %w", name, err)
		}
	}
	return l, nil
}

func (l *Ledger) read(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	l.Lives++
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			return nil // it ended while it wrote
		}
		if err := l.line(strings.TrimSuffix(string(line), "\n")); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
	}
	return nil
}

var errOrder = errors.New("it does not follow from what stands before")

func (l *Ledger) line(line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	var a Append
	var s Snapshot
	switch kind {
	case "next":
		var next uint64
		if _, err := fmt.Sscanf(rest, "%d %d", &a.Stream, &next); err != nil {
			return err
		}
		if next != l.Next[a.Stream] {
			return errOrder
		}
	case "snapshots":
		if _, err := fmt.Sscanf(rest, "%d", &s.Number); err != nil {
			return err
		}
		if s.Number != l.Position.Snapshots {
			return errOrder
		}
	case ">", "<", "!":
		return l.appended(kind, rest)
	case "S", "s":
		return l.snapshot(kind, rest)
	default:
		return errors.New("no such line")
	}
	return nil
}

func (l *Ledger) appended(kind, rest string) error {
	var a Append
	want := "%d %d %d"
	into := []any{&a.Stream, &a.N, &a.Count}
	if kind == "<" {
		want, into = want+" %d %d", append(into, &a.Epoch, &a.Last)
	}
	if _, err := fmt.Sscanf(rest, want, into...); err != nil {
		return err
	}
	if kind == ">" {
		if a.N != l.Next[a.Stream] || a.Count == 0 {
			return errOrder
		}
		l.Next[a.Stream] += a.Count
		l.Appends = append(l.Appends, a)
		return nil
	}
	n := len(l.Appends)
	if n == 0 {
		return errOrder
	}
	last := &l.Appends[n-1]
	if last.Stream != a.Stream || last.N != a.N || last.Count != a.Count || last.State != Doubtful {
		return errOrder
	}
	a.State = Taken
	if kind == "!" {
		a.State = Refused
	}
	*last = a
	return nil
}

func (l *Ledger) snapshot(kind, rest string) error {
	var s Snapshot
	want := "%d %d"
	into := []any{&s.Number, &s.N}
	if kind == "s" {
		want, into = want+" %d %d %d", append(into, &s.Epoch, &s.First, &s.Last)
	}
	if _, err := fmt.Sscanf(rest, want, into...); err != nil {
		return err
	}
	n := len(l.Snapshots)
	switch {
	case kind == "S" && s.Number == l.Position.Snapshots && s.N == l.Next[telemetry.StreamInventory]:
		l.Position.Snapshots++
		l.Snapshots = append(l.Snapshots, s)
	case kind == "s" && n > 0 && l.Snapshots[n-1].Number == s.Number && l.Snapshots[n-1].State == Doubtful:
		s.State = Taken
		l.Snapshots[n-1] = s
	default:
		return errOrder
	}
	return nil
}

// Writer writes one life of an agent down. Its methods must be called in the order in
// which things happen.
type Writer struct {
	file *os.File
	at   Position
}

// Begin begins a new life in a ledger's folder, which it makes when it is not there.
func Begin(dir string) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("beginning a ledger: %w", err)
	}
	names, err := files(dir)
	if err != nil {
		return nil, fmt.Errorf("beginning a ledger: %w", err)
	}
	at := Position{Next: map[telemetry.Stream]uint64{}}
	if n := len(names); n > 0 {
		if at, err = end(names[n-1]); err != nil {
			return nil, fmt.Errorf("continuing a ledger: %w", err)
		}
	}
	name := filepath.Join(dir, fmt.Sprintf("%06d.ledger", len(names)+1))
	var b bytes.Buffer
	for stream := range telemetry.Streams() {
		fmt.Fprintf(&b, "next %d %d\n", stream, at.Next[stream])
	}
	fmt.Fprintf(&b, "snapshots %d\n", at.Snapshots)
	// A file that is there is whole up to here.
	if err := os.WriteFile(name+".tmp", b.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("beginning a ledger: %w", err)
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return nil, fmt.Errorf("beginning a ledger: %w", err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("beginning a ledger: %w", err)
	}
	return &Writer{file: f, at: at}, nil
}

// end returns where the life in a file ended.
func end(name string) (Position, error) {
	at := Position{Next: map[telemetry.Stream]uint64{}}
	f, err := os.Open(name)
	if err != nil {
		return at, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return at, nil // what is not a whole line was not begun
		}
		if err != nil {
			return at, err
		}
		var stream telemetry.Stream
		var n, count uint64
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "next":
			_, err = fmt.Sscanf(rest, "%d %d", &stream, &n)
			at.Next[stream] = n
		case "snapshots":
			_, err = fmt.Sscanf(rest, "%d", &at.Snapshots)
		case ">":
			_, err = fmt.Sscanf(rest, "%d %d %d", &stream, &n, &count)
			at.Next[stream] = n + count
		case "S":
			at.Snapshots++
		}
		if err != nil {
			return at, fmt.Errorf("reading %q of %s: %w", line, name, err)
		}
	}
}

// Position is where the agent goes on.
func (w *Writer) Position() Position { return w.at }

func (w *Writer) write(format string, args ...any) error {
	if _, err := fmt.Fprintf(w.file, format+"\n", args...); err != nil {
		return fmt.Errorf("writing to the ledger: %w", err)
	}
	return nil
}

// Appending says that the next records of a stream are about to be appended.
func (w *Writer) Appending(stream telemetry.Stream, count uint64) error {
	n := w.at.Next[stream]
	w.at.Next[stream] += count
	return w.write("> %d %d %d", stream, n, count)
}

// Appended says that what was last begun was taken.
func (w *Writer) Appended(stream telemetry.Stream, count uint64, epoch telemetry.Epoch, last uint64) error {
	return w.write("< %d %d %d %d %d", stream, w.at.Next[stream]-count, count, epoch, last)
}

// NotAppended says that what was last begun was not taken.
func (w *Writer) NotAppended(stream telemetry.Stream, count uint64) error {
	return w.write("! %d %d %d", stream, w.at.Next[stream]-count, count)
}

// Listing says that a snapshot is about to be appended.
func (w *Writer) Listing() error {
	w.at.Snapshots++
	return w.write("S %d %d", w.at.Snapshots-1, w.at.Next[telemetry.StreamInventory])
}

// Listed says that the snapshot that was last begun was taken.
func (w *Writer) Listed(epoch telemetry.Epoch, first, last uint64) error {
	return w.write("s %d %d %d %d %d", w.at.Snapshots-1, w.at.Next[telemetry.StreamInventory], epoch, first, last)
}

// Close ends the life.
func (w *Writer) Close() error { return w.file.Close() }
