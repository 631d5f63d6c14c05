// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// BenchmarkAppend writes samples of a node in groups of 20, synced every 10 ms.
// BenchmarkFile encodes the same and writes it to a plain file that is synced as
// often: what is left of the difference is the spool.
func BenchmarkAppend(b *testing.B) {
	s, err := spool.Open(b.TempDir(), spool.Options{SyncInterval: 10 * time.Millisecond, MaxBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	group := benchItems()
	b.SetBytes(benchBytes(b, group))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Append(telemetry.StreamNodeMetrics, group...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(group))/b.Elapsed().Seconds(), "records/s")
	closeSpool(b, s)
}

func BenchmarkFile(b *testing.B) {
	encoder, err := wire.NewEncoder(1)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	group := benchItems()
	b.SetBytes(benchBytes(b, group))
	b.ReportAllocs()
	var buffer []byte
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				_ = f.Sync()
			}
		}
	}()
	size := int64(0)
	for b.Loop() {
		buffer = buffer[:0]
		for i := range group {
			r := telemetry.Record{Seq: 1, Time: group[i].Time, Payload: group[i].Payload}
			if buffer, err = encoder.AppendRecord(buffer, telemetry.StreamNodeMetrics, &r); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := f.WriteAt(buffer, size%(64<<20)); err != nil {
			b.Fatal(err)
		}
		size += int64(len(buffer))
	}
	b.ReportMetric(float64(b.N*len(group))/b.Elapsed().Seconds(), "records/s")
	close(stop)
	<-stopped
}

func benchItems() []spool.Item { return items(telemetry.StreamNodeMetrics, 1, 20, 320) }

func benchBytes(b *testing.B, group []spool.Item) int64 {
	b.Helper()
	encoder, err := wire.NewEncoder(1)
	if err != nil {
		b.Fatal(err)
	}
	var buffer []byte
	for i := range group {
		if buffer, err = encoder.AppendRecord(buffer, telemetry.StreamNodeMetrics, &telemetry.Record{Seq: 1, Time: group[i].Time, Payload: group[i].Payload}); err != nil {
			b.Fatal(err)
		}
	}
	return int64(len(buffer))
}

// fill makes a spool of about size bytes.
func fill(b *testing.B, dir string, size int64) {
	b.Helper()
	s, err := spool.Open(dir, spool.NewDisk(1<<40).On(spool.Options{MaxBytes: 2 * size, SyncInterval: time.Second}))
	if err != nil {
		b.Fatal(err)
	}
	group := items(telemetry.StreamCommandOutput, 1, 32, 30<<10)
	for s.Stats().Bytes < size {
		if _, err := s.Append(telemetry.StreamCommandOutput, group...); err != nil {
			b.Fatal(err)
		}
	}
	closeSpool(b, s)
}

// BenchmarkOpen500MiB opens a spool of 500 MiB and reports the memory that it holds.
func BenchmarkOpen500MiB(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, 500<<20)
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		s, err := spool.Open(dir, spool.Options{MaxBytes: 1 << 30})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		closeSpool(b, s)
		b.StartTimer()
	}
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/1024, "KiB-held")
}

// BenchmarkReplay reads a backlog of 128 MiB in batches of 1 MiB and acknowledges it.
func BenchmarkReplay(b *testing.B) {
	source := b.TempDir()
	fill(b, source, 128<<20)
	b.SetBytes(128 << 20)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		copyDir(b, source, dir)
		s, err := spool.Open(dir, spool.Options{MaxBytes: 1 << 30})
		if err != nil {
			b.Fatal(err)
		}
		reader := s.Reader(telemetry.StreamCommandOutput, spool.Replay)
		b.StartTimer()
		for {
			batch, err := reader.Next(1<<20, 10_000)
			if err != nil {
				b.Fatal(err)
			}
			if len(batch.Records) == 0 {
				break
			}
			if err := s.Ack(batch.Stream, batch.Epoch, batch.LastSeq); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		closeSpool(b, s)
		b.StartTimer()
	}
}
