// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// census is a Receiver whose watch runs, without a network.
func census(t *testing.T) *Receiver {
	t.Helper()
	r, err := New(&rest.Config{Host: "https://127.0.0.1:1"}, Options{Address: "unused", Sink: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watch(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		r.decoder.Close()
	})
	return r
}

// sends lets a node's collector send samples every interval for a time.
func sends(t *testing.T, r *Receiver, name string, seq uint64, interval, d time.Duration, cpu float64) uint64 {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		s := measured(cpu, 4)
		s.Node, s.BootID, s.CollectorSeq, s.Interval = name, "boot", seq, interval
		n, a := r.enter(name, time.Now())
		if a.reason != "" {
			t.Fatalf("entering: %s", a.reason)
		}
		decoded := &wire.Decoded{Batch: telemetry.Batch{Epoch: 1, Records: []telemetry.Record{{Seq: seq, Time: time.Now(), Payload: s}}}}
		if _, err := r.take(n, decoded, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.leave(n)
		seq++
		<-time.After(interval)
	}
	synctest.Wait()
	return seq
}

func changed(r *Receiver) bool {
	select {
	case <-r.Changed():
		return true
	default:
		return false
	}
}

func TestANodeBecomesSilentAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := census(t)
		if s := r.Snapshot(); s.Nodes != 0 || s.Used != nil {
			t.Errorf("before anything came: %+v", s)
		}
		seq := sends(t, r, "node-1", 1, 15*time.Second, time.Minute, 25)
		s := r.Snapshot()
		if !changed(r) || s.Nodes != 1 || s.Fresh != 1 || s.Silent != nil || s.Used == nil || s.Used.CPUMillis != 1000 || s.Used.MemoryBytes != 4*gib {
			t.Fatalf("one node: %+v", s)
		}
		if changed(r) {
			t.Error("no news is news")
		}
		<-time.After(31 * time.Second) // the last sample is 46 s old
		synctest.Wait()
		s = r.Snapshot()
		if !changed(r) || s.Nodes != 1 || s.Fresh != 0 || !slices.Equal(s.Silent, []string{"node-1"}) || s.Used != nil {
			t.Errorf("a silent node: %+v", s)
		}
		if l, ok := r.Latest("node-1"); !ok || !l.Silent || l.Sample.CollectorSeq != 4 {
			t.Errorf("its latest sample: %+v, %t", l, ok)
		}
		sends(t, r, "node-1", seq, 15*time.Second, time.Minute, 25)
		if s = r.Snapshot(); !changed(r) || s.Fresh != 1 || s.Used == nil {
			t.Errorf("it is back: %+v", s)
		}
	})
}

func TestANodeThatSendsSlowlyIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := census(t)
		sends(t, r, "node-1", 1, 5*time.Minute, time.Hour, 25)
		<-time.After(9 * time.Minute)
		synctest.Wait()
		if s := r.Snapshot(); s.Fresh != 1 {
			t.Errorf("snapshot: %+v", s)
		}
	})
}

func TestANodeThatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := census(t)
		sends(t, r, "node-1", 1, 15*time.Second, time.Minute, 25)
		sends(t, r, "node-2", 1, 15*time.Second, 2*time.Hour, 50)
		if s := r.Snapshot(); s.Nodes != 1 || s.Fresh != 1 || s.Silent != nil || s.Used.CPUMillis != 2000 {
			t.Errorf("an hour later: %+v", s)
		}
		if _, ok := r.All()["node-1"]; !ok || len(r.All()) != 2 {
			t.Errorf("its last sample is forgotten too early: %v", r.All())
		}
		sends(t, r, "node-2", 10_000, 15*time.Second, 24*time.Hour, 50)
		if len(r.nodes) != 1 {
			t.Errorf("%d nodes are remembered", len(r.nodes))
		}
	})
}

func TestAnAgentWithoutCollectorsDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := census(t)
		sends(t, r, "node-1", 1, 15*time.Second, time.Minute, 25)
		<-time.After(3 * time.Hour)
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.idle || r.totals.nodes != 0 {
			t.Errorf("idle: %t, %+v", r.idle, r.totals)
		}
	})
}

func TestNodesAreBounded(t *testing.T) {
	r, err := New(&rest.Config{Host: "https://127.0.0.1:1"}, Options{Address: "unused", Sink: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.decoder.Close)
	r.limits.nodes = 3
	for i, name := range []string{"a", "b", "c", "d"} {
		n, a := r.enter(name, noon.Add(time.Duration(i)*time.Second))
		if a.reason != "" {
			t.Fatalf("%s: %s", name, a.reason)
		}
		if name != "a" {
			r.leave(n)
		}
	}
	if r.nodes["a"] == nil || r.nodes["b"] != nil || r.nodes["d"] == nil || len(r.nodes) != 3 {
		t.Errorf("%d nodes are remembered; b was the oldest that was not in use", len(r.nodes))
	}
}
