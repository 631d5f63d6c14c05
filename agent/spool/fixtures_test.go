// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var start = time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)

// The streams that tests use: the least valuable, one in between, the most valuable.
var streams = []telemetry.Stream{telemetry.StreamNodeMetrics, telemetry.StreamEvents, telemetry.StreamCommandOutput}

// item returns a value of the stream that carries an ID and about size bytes.
func item(stream telemetry.Stream, id uint32, size int) spool.Item {
	at := time.Now().UTC().Truncate(time.Millisecond)
	switch stream {
	case telemetry.StreamInventory:
		return delta(telemetry.OpUpsert, telemetry.KindPod, id, size)
	case telemetry.StreamEvents:
		return spool.Item{Time: at, Payload: &telemetry.Event{
			UID: "5f1c", Type: telemetry.EventWarning, Reason: "BackOff", Message: telemetry.Clip(string(filler(id, size)), telemetry.MaxMessage),
			Count: id, LastSeen: at,
		}}
	case telemetry.StreamNodeMetrics:
		sample := &telemetry.NodeSample{Node: "node-1", BootID: "b", CollectorSeq: uint64(id), Interval: 15 * time.Second}
		for i := range max(size/8, 1) {
			sample.Series = append(sample.Series, telemetry.Series{Metric: telemetry.MetricID(1 + i%40), Label: fmt.Sprint(i / 40)})
			sample.Values = append(sample.Values, float64(id)+float64(i)/7)
		}
		return spool.Item{Time: at, Payload: sample}
	default:
		return spool.Item{Time: at, Payload: &telemetry.CommandOutput{CommandUID: "c", ExecutionID: "e", Index: id, Source: telemetry.OutputStdout, Data: filler(id, size)}}
	}
}

// delta returns a delta of the inventory that carries an ID.
func delta(op telemetry.DeltaOp, kind telemetry.Kind, id uint32, size int) spool.Item {
	d := &telemetry.ObjectDelta{Op: op, Kind: kind, ResourceVersion: uint64(id)}
	if op == telemetry.OpUpsert {
		d.Name, d.UID, d.Message = fmt.Sprintf("o-%d", id), fmt.Sprintf("u-%d", id), telemetry.Clip(string(filler(id, size)), telemetry.MaxMessage)
	}
	return spool.Item{Time: time.Now().UTC().Truncate(time.Millisecond), Payload: d}
}

// filler is bytes that follow from the ID: text without repetition.
func filler(id uint32, size int) []byte {
	b := make([]byte, size)
	x := id*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = 'a' + byte(x%26)
	}
	return b
}

func idOf(p telemetry.Payload) uint32 {
	switch p := p.(type) {
	case *telemetry.ObjectDelta:
		return uint32(p.ResourceVersion) //nolint:gosec // item made it of an ID
	case *telemetry.Event:
		return p.Count
	case *telemetry.NodeSample:
		return uint32(p.CollectorSeq) //nolint:gosec // item made it of an ID
	case *telemetry.CommandOutput:
		return p.Index
	default:
		return 0
	}
}

type key struct {
	stream telemetry.Stream
	epoch  telemetry.Epoch
}

type place struct {
	key
	seq uint64
}

// hub is what a hub does with batches: one sequence per stream and epoch, rows and
// offset together, duplicates acknowledged, holes refused.
type hub struct {
	next  map[key]uint64
	rows  map[place]telemetry.Record
	gaps  map[place]*telemetry.Gap // by each number that a gap stands for
	order []key                    // epochs by first delivery
}

func newHub() *hub {
	return &hub{next: map[key]uint64{}, rows: map[place]telemetry.Record{}, gaps: map[place]*telemetry.Gap{}}
}

// take stores a batch and returns the next number that the hub expects, and
// whether the batch was refused because of a hole.
func (h *hub) take(t testing.TB, b telemetry.Batch) (expected uint64, refused bool) {
	t.Helper()
	if err := b.Validate(); err != nil {
		t.Fatalf("the spool made an invalid batch: %v", err)
	}
	k := key{b.Stream, b.Epoch}
	next, known := h.next[k]
	if !known {
		next = 1
		h.order = append(h.order, k)
	}
	if b.FirstSeq > next {
		h.next[k] = next
		return next, true
	}
	for _, r := range b.Records {
		if err := r.Validate(b.Stream); err != nil {
			t.Fatalf("the spool made an invalid record: %v", err)
		}
		if gap, ok := r.Payload.(*telemetry.Gap); ok {
			for seq := max(gap.From, next); seq <= gap.To; seq++ {
				h.gaps[place{k, seq}] = gap
			}
		} else if stored, ok := h.rows[place{k, r.Seq}]; ok && r.Seq < next {
			if diff := cmp.Diff(stored, r); diff != "" {
				t.Fatalf("%s/%d/%d came again with other content:\n%s", b.Stream, b.Epoch, r.Seq, diff)
			}
		} else if r.Seq >= next {
			h.rows[place{k, r.Seq}] = r
		}
		next = max(next, r.Seq+1)
	}
	h.next[k] = next
	return next, false
}

// drain delivers everything that the readers have, and acknowledges it.
func (h *hub) drain(t testing.TB, s *spool.Spool) {
	t.Helper()
	for stream := range telemetry.Streams() {
		// Delivery on the live lane may leave something to replay.
		for _, lane := range []spool.Lane{spool.Replay, spool.Live, spool.Replay} {
			for h.deliver(t, s, stream, lane, 64<<10, 1000) {
			}
		}
	}
}

// deliver takes one batch to the hub and the answer back.
func (h *hub) deliver(t testing.TB, s *spool.Spool, stream telemetry.Stream, lane spool.Lane, maxBytes, maxRecords int) bool {
	t.Helper()
	b, err := s.Reader(stream, lane).Next(maxBytes, maxRecords)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Records) == 0 {
		return false
	}
	expected, refused := h.take(t, b)
	if refused {
		err = s.Expect(b.Stream, b.Epoch, expected)
	} else {
		err = s.Ack(b.Stream, b.Epoch, expected-1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

func open(t testing.TB, dir string, o spool.Options) *spool.Spool {
	t.Helper()
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = -1
	}
	if o.Codec == nil {
		o.Codec = spool.Shared()
	}
	s, err := spool.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeSpool(t testing.TB, s *spool.Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func appendItems(t testing.TB, s *spool.Spool, stream telemetry.Stream, items ...spool.Item) spool.Appended {
	t.Helper()
	out, err := s.Append(stream, items...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// copyDir copies what a crash would leave: the files as they are now.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)         //nolint:gosec // both folders are the test's own
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// files returns the files below dir whose names end in suffix, in order.
func files(t testing.TB, dir, suffix string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == suffix {
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unknown reports whether a later epoch of the stream begins with a gap, which says
// that the epochs before may have held more.
func (h *hub) unknown(p place) bool {
	for at, gap := range h.gaps {
		if at.stream != p.stream || at.epoch <= p.epoch || at.seq != 1 {
			continue
		}
		switch gap.Reason {
		case telemetry.GapEpochLost, telemetry.GapSpoolCorrupt:
			return true
		case telemetry.GapSpoolFull, telemetry.GapRefused: // which took the other one with it
			return true
		default:
		}
	}
	return false
}

func number(e telemetry.Epoch) string { return fmt.Sprintf("%020d", uint64(e)) }

// quickDir is a folder in memory where there is one: for tests that make thousands of
// files and do not need a real disk.
func quickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "spool-*") //nolint:usetesting // t.TempDir is on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
