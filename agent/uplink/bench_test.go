// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// forgetful decodes batches, counts records and keeps nothing. It says how old the
// records of the live lane were.
type forgetful struct {
	decoder *wire.Decoder
	replay  atomic.Int64
	live    atomic.Int64

	mu    sync.Mutex
	worst time.Duration
}

func (f *forgetful) serve(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	decoded, err := f.decoder.Decode(body)
	if err != nil {
		return false
	}
	if n := int64(len(decoded.Batch.Records)); r.Header.Get(laneHeader) == Replay.String() {
		f.replay.Add(n)
	} else {
		f.live.Add(n)
		if decoded.Batch.Stream == telemetry.StreamAnomalies && decoded.Batch.FirstSeq > 1 {
			f.mu.Lock()
			f.worst = max(f.worst, time.Since(decoded.Batch.Records[0].Time))
			f.mu.Unlock()
		}
	}
	status, _, out := answer(http.StatusOK, reply{Acked: &decoded.Batch.LastSeq})
	w.WriteHeader(status)
	_, _ = w.Write(out)
	return true
}

func benchRig(b *testing.B, options Options) (*rig, *forgetful) {
	r := newRig(b, options)
	f := &forgetful{decoder: r.server.hub.decoder}
	r.broken(f.serve)
	return r, f
}

// BenchmarkEndToEnd measures records from the spool on disk over TLS to a hub in
// this process that decodes and forgets them.
func BenchmarkEndToEnd(b *testing.B) {
	r, f := benchRig(b, Options{})
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= 1000 {
		r.put(telemetry.StreamEvents, min(left, 1000))
	}
	r.until("all is delivered", func() bool { return f.live.Load()+f.replay.Load() >= int64(b.N) })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkReplay measures how fast backlog goes without a limit, and how old live
// anomalies get meanwhile, at one each 10 ms.
func BenchmarkReplay(b *testing.B) {
	before := newModelHub(b)
	prepared := &bench{t: b, dir: b.TempDir(), hub: before, sent: map[telemetry.Stream][]string{}}
	prepared.open()
	for left := b.N; left > 0; left -= 1000 {
		prepared.put(telemetry.StreamEvents, min(left, 1000))
	}
	if err := prepared.spool.Close(); err != nil {
		b.Fatal(err)
	}
	backlog, err := spool.Open(prepared.dir, spool.Options{SyncInterval: time.Hour, MinFreeBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	r, f := benchRigOn(b, backlog, prepared.dir)
	b.ResetTimer()
	r.until("the backlog is delivered", func() bool {
		r.put(telemetry.StreamAnomalies, 1)
		_ = sleep(b.Context(), 10*time.Millisecond, nil)
		return f.replay.Load() >= int64(b.N)
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	f.mu.Lock()
	defer f.mu.Unlock()
	b.ReportMetric(float64(f.worst.Milliseconds()), "worst-live-ms")
}

// benchRigOn is benchRig on a spool that is there already.
func benchRigOn(b *testing.B, s *spool.Spool, dir string) (*rig, *forgetful) {
	hub := newModelHub(b)
	f := &forgetful{decoder: hub.decoder}
	served := newServer(b, hub)
	fault := f.serve
	served.fault.Store(&fault)
	r := startRig(b, &rig{server: served, hub: &whereabouts{endpoint: served.endpoint(), token: "token-1"}}, s, dir, Options{ReplayBytesPerSecond: -1})
	return r, f
}
