// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Every byte of a small segment, one bit at a time: the record it is in is lost and
// said to be, the others arrive.
func TestBitFlips(t *testing.T) {
	const stream = telemetry.StreamCommandOutput
	for name, which := range map[string]int{"a sealed segment": 1, "the last segment": -1} {
		t.Run(name, func(t *testing.T) {
			options := spool.NewDisk(1 << 40).On(spool.Options{SegmentBytes: 4 << 10})
			source, before := quickDir(t), newHub()
			s := open(t, source, options)
			before.drain(t, s)
			out := appendItems(t, s, stream, items(stream, 1, 60, 120)...)
			closeSpool(t, s)
			names := files(t, filepath.Join(source, stream.String(), number(out.Epoch)), ".seg")
			name := names[(which+len(names))%len(names)]
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(source, name)
			if err != nil {
				t.Fatal(err)
			}
			step := 1
			if testing.Short() {
				step = 37
			}
			target := quickDir(t)
			for at := 0; at < len(content); at += step {
				remove(t, target)
				copyDir(t, source, target)
				b := bytes.Clone(content)
				b[at] ^= 1 << (at % 8)
				if err := os.WriteFile(filepath.Join(target, rel), b, 0o600); err != nil {
					t.Fatal(err)
				}
				s, h := open(t, target, options), newHub()
				maps.Copy(h.next, before.next) // the hub knows what came before
				h.drain(t, s)
				missing := 0
				for seq := out.First; seq <= out.Last; seq++ {
					p := place{key{stream, out.Epoch}, seq}
					row, stored := h.rows[p]
					if stored && uint64(idOf(row.Payload)) != seq-out.First+1 {
						t.Fatalf("byte %d: %d has the content of %d", at, seq, idOf(row.Payload))
					}
					if !stored {
						missing++
						if _, gap := h.gaps[p]; !gap && !h.unknown(p) {
							t.Fatalf("byte %d: %d is neither stored nor in a gap", at, seq)
						}
					}
				}
				if want := min(at/32, 1); missing != want { // 32 bytes of header, which no record needs
					t.Fatalf("byte %d: %d records are missing, want %d", at, missing, want)
				}
				closeSpool(t, s)
			}
		})
	}
}

func TestFilesLostWhileRunning(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"removed":  func(t *testing.T, path string) { remove(t, path) },
		"emptied":  func(t *testing.T, path string) { spoilWith(t, os.Truncate(path, 0)) },
		"zeroed":   func(t *testing.T, path string) { spoilWith(t, os.WriteFile(path, make([]byte, 4000), 0o600)) },
		"replaced": func(t *testing.T, path string) { spoilWith(t, os.WriteFile(path, filler(3, 9000), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, h := t.TempDir(), newHub()
			s := open(t, dir, spool.Options{SegmentBytes: 4 << 10})
			const stream = telemetry.StreamEvents
			h.drain(t, s)
			out := appendItems(t, s, stream, items(stream, 1, 40, 300)...)
			names := files(t, filepath.Join(dir, stream.String()), ".seg")
			spoil(t, names[1])
			h.drain(t, s)
			stored, lost := len(h.stored(stream)), len(h.gapNumbers(stream, telemetry.GapSpoolCorrupt))
			if lost == 0 || stored+lost != 40 || h.next[key{stream, out.Epoch}] != out.Last+1 {
				t.Errorf("%d stored, %d lost, of 40", stored, lost)
			}
			if got := s.Stats().Streams[stream].Dropped[telemetry.GapSpoolCorrupt]; got != uint64(lost) {
				t.Errorf("%d are counted as lost, of %d", got, lost)
			}
			closeSpool(t, s)
		})
	}
}

func spoilWith(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := spool.NewDisk(40 << 10)
		s, h := begin(t, disk.On(spool.Options{SegmentBytes: 8 << 10, SplitBytes: 1 << 30, MemoryBytes: 32 << 10}))
		const stream = telemetry.StreamCommandOutput
		var taken, refused uint32
		for i := range uint32(300) {
			_, err := s.Append(stream, item(stream, i+1, 400))
			full, ok := errors.AsType[*spool.FullError](err)
			switch {
			case err == nil:
				taken++
			case ok && full.Dropped == 1 && errors.Is(err, spool.ErrFull) && errors.Is(err, syscall.ENOSPC):
				refused++
			default:
				t.Fatal(err)
			}
		}
		st := s.Stats()
		if refused == 0 || taken < 100 || st.MemoryBytes > 33<<10 || !errors.Is(st.Trouble, syscall.ENOSPC) {
			t.Fatalf("%d taken, %d refused, %d bytes in memory, trouble: %v", taken, refused, st.MemoryBytes, st.Trouble)
		}
		if got := st.Streams[stream].Dropped[telemetry.GapSourceOverflow]; got != uint64(refused) {
			t.Errorf("%d are counted as refused, of %d", got, refused)
		}
		// What is in memory travels as well: the hub does not wait for the disk.
		h.drain(t, s)
		if stored := len(h.stored(stream)) + len(h.gapNumbers(stream, telemetry.GapSpoolFull)); stored != int(taken) {
			t.Errorf("%d of %d arrived or are in a gap while the disk is full", stored, taken)
		}
		disk.Room.Store(1 << 30)
		<-time.After(2 * time.Second)
		if st := s.Stats(); st.Trouble != nil || st.MemoryBytes != 0 {
			t.Errorf("there is room again, but %v, %d bytes in memory", st.Trouble, st.MemoryBytes)
		}
		appendItems(t, s, stream, item(stream, 1000, 10))
		h.drain(t, s)
		overflow := uint64(0)
		for p, gap := range h.gaps {
			if p.stream == stream && gap.Reason == telemetry.GapSourceOverflow {
				overflow += gap.Dropped
			}
		}
		if ids := h.stored(stream); overflow != uint64(refused) || ids[len(ids)-1] != 1000 {
			t.Errorf("gaps tell of %d, want %d; the last record is %d", overflow, refused, ids[len(ids)-1])
		}
	})
}

// When the disk is full of what is worth less, that goes.
func TestDiskFullMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := spool.NewDisk(1 << 30)
		s, h := begin(t, disk.On(spool.Options{SegmentBytes: 8 << 10, MemoryBytes: 16 << 10}))
		appendItems(t, s, streams[0], items(streams[0], 1, 100, 400)...)
		disk.Room.Store(0)
		appendItems(t, s, streams[2], items(streams[2], 1, 10, 400)...)
		if got := s.Stats().Streams[streams[0]].Dropped[telemetry.GapSpoolFull]; got == 0 {
			t.Error("nothing of the least valuable stream was dropped")
		}
		disk.Room.Store(1 << 30)
		<-time.After(2 * time.Second)
		h.drain(t, s)
		if stored, gone := len(h.stored(streams[0])), len(h.gapNumbers(streams[0], telemetry.GapSpoolFull)); stored+gone != 100 || gone == 0 {
			t.Errorf("%d stored, %d in gaps, of 100", stored, gone)
		}
		if got := len(h.stored(streams[2])); got != 10 {
			t.Errorf("%d of the most valuable stream arrived, of 10", got)
		}
	})
}

// A gap that could not be written and an agent that died then: still no silent loss.
func TestCrashWhileTheDiskIsFull(t *testing.T) {
	disk := spool.NewDisk(1 << 30)
	dir, h := t.TempDir(), newHub()
	options := disk.On(spool.Options{SegmentBytes: 4 << 10, MinFreeBytes: -1, MaxBytes: 64 << 10})
	s := open(t, dir, options)
	h.drain(t, s)
	given := map[place]bool{}
	for i := range uint32(40) {
		if i == 20 {
			disk.Room.Store(0)
		}
		out, err := s.Append(streams[0], items(streams[0], 10*i+1, 10, 200)...)
		if err != nil && !errors.Is(err, spool.ErrFull) {
			t.Fatal(err)
		}
		for seq := out.First; seq <= out.Last && seq > 0; seq++ {
			given[place{key{streams[0], out.Epoch}, seq}] = true
		}
		if _, err := s.Append(streams[2], items(streams[2], 10*i+1, 10, 200)...); err != nil && !errors.Is(err, spool.ErrFull) {
			t.Fatal(err)
		}
	}
	next := t.TempDir()
	copyDir(t, dir, next)
	disk.Room.Store(1 << 30)
	closeSpool(t, s)
	s = open(t, next, options)
	h.drain(t, s)
	for p := range given {
		_, stored := h.rows[p]
		if _, gap := h.gaps[p]; !stored && !gap && !h.unknown(p) {
			t.Errorf("%v is neither stored nor in a gap", p)
		}
	}
	closeSpool(t, s)
}

// TestAGapThatGrewAfterHalfOfItWasConfirmed has an answer that comes late: the hub
// stored the gap when it was shorter.
func TestAGapThatGrewAfterHalfOfItWasConfirmed(t *testing.T) {
	const stream = telemetry.StreamEvents
	dir, h := t.TempDir(), newHub()
	options := spool.Options{SegmentBytes: 4 << 10, MaxBytes: 32 << 10, SplitBytes: 1 << 30}
	s := open(t, dir, options)
	h.drain(t, s)
	out := appendItems(t, s, stream, items(stream, 1, 30, 300)...)
	for i := range uint32(100) {
		if s.Stats().Streams[stream].Dropped[telemetry.GapSpoolFull] > 0 {
			break
		}
		appendItems(t, s, telemetry.StreamCommandOutput, item(telemetry.StreamCommandOutput, i+1, 300))
	}
	k := key{stream, out.Epoch}
	h.next[k] = out.First + 2
	if err := s.Ack(stream, out.Epoch, out.First+1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		closeSpool(t, s)
		s = open(t, dir, options)
		if torn := s.Stats().Origin.TornBytes; torn != 0 {
			t.Errorf("%d bytes are told to be torn", torn)
		}
		appendItems(t, s, telemetry.StreamCommandOutput, items(telemetry.StreamCommandOutput, 1000, 60, 300)...)
	}
	h.drain(t, s)
	for seq := out.First + 2; seq <= out.Last; seq++ {
		gap := h.gaps[place{k, seq}]
		if gap == nil || gap.Reason != telemetry.GapSpoolFull {
			t.Errorf("%d: %+v, want a gap for a full spool", seq, gap)
		}
	}
	closeSpool(t, s)
}
