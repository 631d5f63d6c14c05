// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package connections_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/connections"
)

// entry is a listener at which pipes arrive, with what happened at it.
type entry struct {
	net.Listener // what arrives
	t            *testing.T
	arrivals     chan net.Conn
	limited      net.Listener

	mu     sync.Mutex
	events map[connections.Event]int
}

func enter(t *testing.T, l connections.Limits) *entry {
	e := &entry{t: t, arrivals: make(chan net.Conn, 1), events: map[connections.Event]int{}}
	e.limited = connections.Listen(e, l, func(event connections.Event) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.events[event]++
	})
	return e
}

// Accept implements net.Listener.
func (e *entry) Accept() (net.Conn, error) {
	select {
	case c := <-e.arrivals:
		return c, nil
	default:
		return nil, net.ErrClosed
	}
}

// arrive returns the context of requests on a new connection, and both its ends.
// Without a place, the server's end is nil.
func (e *entry) arrive() (ctx context.Context, server, client net.Conn) {
	e.t.Helper()
	inner, client := net.Pipe()
	e.arrivals <- inner
	server, err := e.limited.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		e.t.Fatal(err)
	}
	return connections.Context(e.t.Context(), server), server, client
}

func (e *entry) expect(opened, closed, turnedAway, strangers int) {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	want := map[connections.Event]int{
		connections.Opened: opened, connections.Closed: closed, connections.TurnedAway: turnedAway, connections.Stranger: strangers,
	}
	for event := range want {
		e.events[event] += 0
	}
	if diff := cmp.Diff(want, e.events); diff != "" {
		e.t.Errorf("events (-want +got):\n%s", diff)
	}
}

// gone waits until the other end has closed.
func gone(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("reading: %v", err)
	}
}

func TestPlaces(t *testing.T) {
	e := enter(t, connections.Limits{Total: 1, PerOwner: 1, Patience: time.Hour})
	for i := range 3 {
		ctx, server, client := e.arrive()
		if server == nil || !connections.Claim(ctx, "a") {
			t.Fatalf("connection %d: the one before still has a place or counts for its owner", i)
		}
		_, none, away := e.arrive()
		if none != nil {
			t.Error("there are more connections than places")
		}
		gone(t, away)
		_ = server.Close()
		_ = server.Close() // gives no other place back
		gone(t, client)
		if !connections.Claim(ctx, "b") {
			t.Error("a request that is too late was refused")
		}
		e.expect(i+1, i+1, i+1, 0)
	}
}

func TestStrangersAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enter(t, connections.Limits{Total: 2, PerOwner: 2, Patience: time.Minute})
		_, _, stranger := e.arrive()
		ctx, owned, _ := e.arrive()
		<-time.After(59 * time.Second)
		e.expect(2, 0, 0, 0)
		if !connections.Claim(ctx, "a") {
			t.Error("an owner was refused")
		}
		<-time.After(time.Minute)
		gone(t, stranger)
		e.expect(2, 1, 0, 1)
		_ = owned.Close()
		<-time.After(time.Hour)
		e.expect(2, 2, 0, 1)
	})
}

func TestClaim(t *testing.T) {
	type claim struct {
		connection int
		owner      string
		want       bool
	}
	cases := map[string]struct {
		shared bool
		claims []claim
	}{
		"too many of one owner": {false, []claim{{0, "a", true}, {1, "a", true}, {2, "a", false}, {0, "a", true}, {2, "b", true}, {2, "a", false}}},
		"another's":             {false, []claim{{0, "a", true}, {0, "b", false}, {1, "b", true}, {0, "a", true}}},
		"shared":                {true, []claim{{0, "a", true}, {0, "b", true}, {1, "a", true}, {2, "a", false}, {0, "c", true}, {1, "a", true}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := enter(t, connections.Limits{Total: 3, PerOwner: 2, Patience: time.Hour, Shared: tc.shared})
			_, encrypted, _ := e.arrive()
			second, server2, _ := e.arrive()
			third, server3, _ := e.arrive()
			defer func() { _ = errors.Join(encrypted.Close(), server2.Close(), server3.Close()) }()
			first := connections.Context(t.Context(), tls.Server(encrypted, &tls.Config{MinVersion: tls.VersionTLS13}))
			for i, c := range tc.claims {
				if got := connections.Claim([]context.Context{first, second, third}[c.connection], c.owner); got != c.want {
					t.Errorf("claim %d: got %t", i, got)
				}
			}
		})
	}
	if !connections.Claim(t.Context(), "a") {
		t.Error("a request without a connection was refused")
	}
}
