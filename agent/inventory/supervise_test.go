// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// scriptedServer answers without a network, so that it works on fake time.
type scriptedServer struct {
	mu           sync.Mutex
	down         bool
	version      string
	versionReads int
}

func (s *scriptedServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, syscall.ECONNREFUSED
	}
	body := "ok"
	if r.URL.Path == "/version" {
		s.versionReads++
		body = `{"gitVersion":"` + s.version + `"}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func (s *scriptedServer) set(down bool, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.version = down, version
}

func (s *scriptedServer) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.versionReads
}

// supervise runs one of an Inventory's goroutines on fake time until the test ends.
func supervise(t *testing.T, server *scriptedServer, run func(*Inventory, context.Context)) *Inventory {
	t.Helper()
	i, err := New(&rest.Config{Host: "http://member", Transport: server}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); run(i, ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return i
}

// pass lets fake time go on; whatever is due in it has happened afterwards.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestVersionIsReadAtStartHourlyAndAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &scriptedServer{version: "v1.36.0"}
		i := supervise(t, server, (*Inventory).superviseHealth)
		expect := func(reads int, version string) {
			t.Helper()
			if got := i.Snapshot().Kubernetes.Version; server.reads() != reads || got != version {
				t.Errorf("after %d reads the version is %q, want %d and %q", server.reads(), got, reads, version)
			}
		}
		synctest.Wait()
		expect(1, "v1.36.0")
		pass(59 * time.Minute)
		expect(1, "v1.36.0")
		server.set(false, "v1.36.1")
		pass(2 * time.Minute)
		expect(2, "v1.36.1")

		server.set(true, "")
		pass(15 * time.Second)
		server.set(false, "v1.37.0+k3s1")
		pass(15 * time.Second)
		expect(3, "v1.37.0+k3s1")
		if got := i.Snapshot().Kubernetes.Platform; got != "K3s" {
			t.Errorf("platform %q, want K3s", got)
		}
	})
}

func TestHealthIsDampedFor20Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &scriptedServer{version: "v1.37.0"}
		i := supervise(t, server, (*Inventory).superviseHealth)
		synctest.Wait()
		if h := i.Snapshot().APIServer.Healthy; h == nil || !*h {
			t.Fatal("not healthy at first")
		}
		server.set(true, "")
		pass(29 * time.Second)
		if h := i.Snapshot().APIServer; !*h.Healthy {
			t.Fatal("unhealthy before 20 s of failures")
		}
		pass(2 * time.Second)
		want := APIServerHealth{Healthy: new(false), Since: time.Now().Add(-time.Second), Message: "/livez: connection refused"}
		if diff := cmp.Diff(want, i.Snapshot().APIServer); diff != "" {
			t.Errorf("after 31 s (-want +got):\n%s", diff)
		}
		server.set(false, "v1.37.0")
		pass(10 * time.Second)
		if !*i.Snapshot().APIServer.Healthy {
			t.Error("not healthy after the first success")
		}
	})
}

func TestStalenessComesWithoutAnotherEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := supervise(t, &scriptedServer{}, (*Inventory).superviseStaleness)
		i.note(func(now time.Time) bool { i.staleness.failed("pods", errors.New("broken"), now); return false })
		pass(19 * time.Second)
		if got := i.Snapshot().Stale; got != nil {
			t.Fatalf("stale after 19 s: %v", got)
		}
		pass(time.Second)
		if diff := cmp.Diff([]string{"pods"}, i.Snapshot().Stale); diff != "" {
			t.Errorf("after 20 s (-want +got):\n%s", diff)
		}
		select {
		case <-i.Changed():
		default:
			t.Error("no signal")
		}
		i.note(func(time.Time) bool { i.staleness.succeeded("pods"); return false })
		if got := i.Snapshot().Stale; got != nil {
			t.Errorf("stale after a success: %v", got)
		}
	})
}

func TestContextClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		clock := contextClock{ctx: ctx}
		start := time.Now()
		<-clock.After(30 * time.Second)
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("After fired after %v, want 30s", got)
		}
		after := clock.After(time.Hour)
		cancel()
		<-after
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("the end of the context took %v", got-30*time.Second)
		}
	})
}
