// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// server is a model hub behind real TLS and HTTP/2.
type server struct {
	hub   *modelHub
	http  *httptest.Server
	token atomic.Value
	// fault takes a request in the hub's place when it returns true.
	fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]

	connections, requests, refused atomic.Int64
	proto                          atomic.Value
}

func newServer(t testing.TB, hub *modelHub) *server {
	s := &server{hub: hub}
	s.token.Store("token-1")
	s.http = s.listen(t, nil)
	return s
}

func (s *server) listen(t testing.TB, listener net.Listener) *httptest.Server {
	h := httptest.NewUnstartedServer(s)
	if listener != nil {
		_ = h.Listener.Close()
		h.Listener = listener
	}
	h.EnableHTTP2 = true
	h.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	h.Config.ErrorLog = nil
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	s.proto.Store(r.Proto)
	if f := s.fault.Load(); f != nil && (*f)(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+s.token.Load().(string) {
		s.refused.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.HeaderSize+wire.MaxBody+1))
	if err != nil {
		w.WriteHeader(http.StatusRequestTimeout)
		return
	}
	status, _, out := s.hub.offsets(r.URL.Query())
	if r.Method == http.MethodPost {
		if got := r.Header.Get("Content-Type"); got != wire.ContentType {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		var stream string
		_, _ = fmt.Sscanf(r.URL.Path, "/hub/v1/streams/%s", &stream)
		status, _, out = s.hub.take(stream[:max(0, len(stream)-len("/batches"))], body)
	}
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

func (s *server) endpoint() Endpoint {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	return Endpoint{URL: s.http.URL + "/hub/", CA: string(ca)}
}

// whereabouts is a Hub that can change.
type whereabouts struct {
	mu       sync.Mutex
	endpoint Endpoint
	token    string
	renewed  func() string
	forced   int
}

func (w *whereabouts) Endpoint(context.Context) (Endpoint, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.endpoint, nil
}

func (w *whereabouts) Token(_ context.Context, refused string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if refused != "" {
		w.forced++
		if w.renewed != nil {
			w.token = w.renewed()
		}
	}
	return w.token, nil
}

func (w *whereabouts) move(e Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endpoint = e
}

// rig is an uplink on a spool on disk, to a server.
type rig struct {
	*bench
	server *server
	hub    *whereabouts
}

func newRig(t testing.TB, options Options) *rig {
	s := newServer(t, newModelHub(t))
	dir := t.TempDir()
	on, err := spool.Open(dir, spool.Options{SyncInterval: time.Hour, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	return startRig(t, &rig{server: s, hub: &whereabouts{endpoint: s.endpoint(), token: "token-1"}}, on, dir, options)
}

// startRig runs an uplink from a spool, which it closes, to the rig's server.
func startRig(t testing.TB, r *rig, on *spool.Spool, dir string, options Options) *rig {
	r.bench = &bench{t: t, dir: dir, spool: on, hub: r.server.hub, sent: map[telemetry.Stream][]string{}}
	if options.RetryMin == 0 {
		options.RetryMin, options.RetryMax, options.RefusedMin, options.RefusedMax = time.Millisecond, 20*time.Millisecond, 20*time.Millisecond, 40*time.Millisecond
	}
	options.Spool, options.Hub, options.Version = FromDisk(on), r.hub, "test"
	var err error
	if r.uplink, err = New(options); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.uplink.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the uplink ended with %v", err)
		}
		if err := on.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// until waits for something to become true.
func (r *rig) until(what string, f func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain until %s: %+v", what, r.uplink.Stats())
		}
		_ = sleep(r.t.Context(), 2*time.Millisecond, nil)
	}
}

func (r *rig) delivered() {
	r.t.Helper()
	r.until("all is delivered", func() bool {
		for _, s := range r.uplink.Stats().Streams {
			if s.BacklogRecords > 0 {
				return false
			}
		}
		return true
	})
	r.lossless()
}

func (r *rig) broken(f func(w http.ResponseWriter, r *http.Request) bool) { r.server.fault.Store(&f) }

func (r *rig) repaired() { r.server.fault.Store(nil) }

func TestEverythingGoesOverOneHTTP2Connection(t *testing.T) {
	r := newRig(t, Options{})
	for range 20 {
		r.put(telemetry.StreamEvents, 500)
		r.put(telemetry.StreamAnomalies, 5)
		_ = sleep(t.Context(), 20*time.Millisecond, nil)
	}
	r.until("events and anomalies are delivered", func() bool {
		s := r.uplink.Stats().Streams
		return s[telemetry.StreamEvents].BacklogRecords+s[telemetry.StreamAnomalies].BacklogRecords == 0
	})
	r.lossless()
	if n := r.server.connections.Load(); n != 1 || r.server.proto.Load() != "HTTP/2.0" {
		t.Errorf("%d connections, %s", n, r.server.proto.Load())
	}
}

func TestEveryFaultOfAServerIsOutlived(t *testing.T) {
	answers := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"500": answers(500, ""), "502": answers(502, "<html>"), "503": answers(503, "{}"), "429": answers(429, ""), "403": answers(403, `{"reason":"NotAccepted"}`),
		"401": answers(401, ""), "404": answers(404, ""), "408": answers(408, ""), "415": answers(415, ""), "redirect": answers(307, ""), "portal": answers(200, "<html>"),
		"checksum": answers(400, `{"reason":"Checksum"}`), "conflict": answers(409, `{}`),
		"reset": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, //nolint:forbidigo // how a handler resets the stream
		"reset after": func(_ http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler) //nolint:forbidigo // how a handler resets the stream
		},
		"endless headers": answers(200, string(make([]byte, 1<<20))),
		"trickle": func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusOK)
			for sleep(r.Context(), 5*time.Millisecond, nil) == nil {
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush() //nolint:forcetypeassert // net/http's own
			}
			return true
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{RequestTimeout: 100 * time.Millisecond, Linger: map[telemetry.Stream]Linger{telemetry.StreamNodeMetrics: {Time: 1}, telemetry.StreamSLI: {Time: 1}}})
			r.put(telemetry.StreamEvents, 50)
			r.delivered()
			r.broken(fault)
			before := r.server.requests.Load()
			r.put(telemetry.StreamEvents, 50)
			r.until("the fault was met twice", func() bool { return r.server.requests.Load() >= before+2 })
			if s := r.uplink.Stats().Streams[telemetry.StreamEvents]; s.BacklogRecords != 50 {
				t.Errorf("%d of 50 records are left behind a server that takes none", s.BacklogRecords)
			}
			r.until("the problem is told", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].Problem != "" })
			r.repaired()
			r.delivered()
		})
	}
}

func TestATokenIsRenewedOnceAndThenWaitedFor(t *testing.T) {
	r := newRig(t, Options{})
	r.hub.renewed = func() string { return r.server.token.Load().(string) }
	r.put(telemetry.StreamEvents, 5)
	r.until("the first are delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	r.server.token.Store("token-2")
	r.put(telemetry.StreamEvents, 5)
	r.until("those after the rotation are delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	r.lossless()
	if n := r.server.refused.Load(); n != 1 || r.hub.forced != 1 {
		t.Errorf("%d requests were refused and %d tokens forced, want 1 of each", n, r.hub.forced)
	}
	if problem := r.uplink.Stats().Lanes[Live].Problem; problem != "" {
		t.Errorf("a rotation is told as a problem: %s", problem)
	}

	r.hub.mu.Lock()
	r.hub.renewed = nil
	r.hub.mu.Unlock()
	r.server.token.Store("of somebody else")
	before := r.server.refused.Load()
	r.put(telemetry.StreamEvents, 5)
	r.until("the hub refuses several times", func() bool { return r.server.refused.Load() >= before+4 })
	if r.hub.forced != 2 {
		t.Errorf("a new token was forced %d times while the hub refuses, want once", r.hub.forced-1)
	}
	r.server.token.Store("token-2")
	r.until("all is delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	r.lossless()
}

// TestTheHubMayMoveAndChangeItsCertificate moves to a server whose certificate the
// agent learns of only later.
func TestTheHubMayMoveAndChangeItsCertificate(t *testing.T) {
	r := newRig(t, Options{})
	r.put(telemetry.StreamEvents, 5)
	r.until("the first are delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	first := r.hub.endpoint
	other := newServer(t, r.bench.hub)
	second := other.endpoint()
	r.hub.move(Endpoint{URL: second.URL, CA: wrongCA})
	r.put(telemetry.StreamEvents, 5)
	r.until("the certificate is refused", func() bool { return r.uplink.Stats().Lanes[Live].Problem != "" })
	if n := other.requests.Load(); n != 0 {
		t.Errorf("%d requests, and with them a token, went to a server that nobody vouched for", n)
	}
	r.hub.move(second)
	r.until("the next are delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	if other.requests.Load() == 0 {
		t.Error("they went elsewhere")
	}
	r.hub.move(Endpoint{URL: "http://" + first.URL[len("https://"):], CA: first.CA})
	r.put(telemetry.StreamEvents, 5)
	r.until("plain HTTP is refused", func() bool { return r.uplink.Stats().Lanes[Live].Problem != "" })
	r.hub.move(first)
	r.until("the last are delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	r.lossless()
}

func TestARestartOfTheServerIsOutlived(t *testing.T) {
	r := newRig(t, Options{})
	for range 5 {
		r.put(telemetry.StreamEvents, 50)
		_ = sleep(t.Context(), 120*time.Millisecond, nil)
		address := r.server.http.Listener.Addr().String()
		r.server.http.CloseClientConnections()
		r.server.http.Close()
		r.put(telemetry.StreamEvents, 50)
		_ = sleep(t.Context(), 120*time.Millisecond, nil)
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		r.server.http = r.server.listen(t, listener)
	}
	r.until("all is delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	r.lossless()
}

// TestAHalfOpenConnectionIsReplaced goes through a relay that swallows what comes
// over its first connection after a while, as a firewall does that forgot it.
func TestAHalfOpenConnectionIsReplaced(t *testing.T) {
	var swallow atomic.Bool
	relay, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var relays sync.WaitGroup
	t.Cleanup(relays.Wait)
	t.Cleanup(func() { _ = relay.Close() })
	r := newRig(t, Options{RequestTimeout: 300 * time.Millisecond})
	target := r.server.http.Listener.Addr().String()
	relays.Go(func() {
		for first := true; ; first = false {
			in, err := relay.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			forgets := first
			relays.Go(func() { pipe(out, in, func() bool { return forgets && swallow.Load() }) })
			relays.Go(func() { pipe(in, out, func() bool { return forgets && swallow.Load() }) })
		}
	})
	endpoint := r.hub.endpoint
	endpoint.URL = "https://" + relay.Addr().String() + "/hub"
	r.hub.move(endpoint)
	r.put(telemetry.StreamEvents, 5)
	r.until("the first are delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	swallow.Store(true)
	start := time.Now()
	r.put(telemetry.StreamEvents, 5)
	r.until("the others are delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	t.Logf("replaced after %s", time.Since(start))
	r.lossless()
}
