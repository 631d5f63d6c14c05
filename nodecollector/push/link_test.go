// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// server is a TLS server that counts connections and requests.
type server struct {
	*httptest.Server
	connections, requests atomic.Int64
}

func serve(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		handler(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func accept(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"accepted":1}`)) }

func (s *server) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// connect returns a link to a server, and the path of the file of certificates,
// which does not exist yet.
func connect(t *testing.T, url string) (l *link, tokenFile, caFile string) {
	t.Helper()
	tokenFile, caFile = files(t, "secret")
	o := Options{URL: url, CAFile: caFile, TokenFile: tokenFile}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	l, err := newLink(&o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	return l, tokenFile, caFile
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, l *link, want verdict, problem string) {
	t.Helper()
	o := l.post(t.Context(), "key", []byte("body"))
	if o.verdict != want || !strings.Contains(o.problem, problem) || problem == "" && o.problem != "" {
		t.Errorf("got %+v, want verdict %d and %q", o, want, problem)
	}
}

func TestCertificatesAreReadForEachConnection(t *testing.T) {
	s := serve(t, accept)
	l, _, caFile := connect(t, s.URL)
	expect(t, l, failed, "does not exist; the agent publishes them")
	write(t, caFile, []byte("nothing"))
	expect(t, l, failed, "holds no certificate in PEM")
	other := serve(t, accept)
	write(t, caFile, otherCA(t))
	expect(t, l, failed, "certificate signed by unknown authority")
	if n := s.requests.Load() + other.requests.Load(); n != 0 {
		t.Fatalf("%d requests reached a server that was not verified", n)
	}
	write(t, caFile, s.ca())
	expect(t, l, stored, "")
}

func TestOneConnectionIsKept(t *testing.T) {
	s := serve(t, accept)
	l, _, caFile := connect(t, s.URL)
	write(t, caFile, s.ca())
	for range 5 {
		expect(t, l, stored, "")
	}
	if n := s.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	s.CloseClientConnections() // the agent was restarted, or was tired of waiting
	expect(t, l, stored, "")
	if n := s.requests.Load(); n != 6 {
		t.Errorf("%d requests", n)
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	other := serve(t, accept)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	l, _, caFile := connect(t, s.URL)
	write(t, caFile, s.ca())
	expect(t, l, failed, "the agent answered 307")
	if n := other.requests.Load(); n != 0 {
		t.Errorf("%d requests were sent elsewhere", n)
	}
}

func TestAnotherHostIsRefused(t *testing.T) {
	s := serve(t, accept)
	l, _, caFile := connect(t, strings.Replace(s.URL, "127.0.0.1", "localhost", 1))
	write(t, caFile, s.ca())
	expect(t, l, failed, "not localhost")
	if n := s.requests.Load(); n != 0 {
		t.Errorf("%d requests reached a server of another name", n)
	}
}

func TestTokenFile(t *testing.T) {
	var token atomic.Value
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		token.Store(r.Header.Get("Authorization"))
		accept(w, r)
	})
	l, tokenFile, caFile := connect(t, s.URL)
	write(t, caFile, s.ca())
	for name, tc := range map[string]struct{ content, problem string }{
		"renewed":   {"renewed\n", ""},
		"empty":     {" \n", "does not hold one line of printable characters"},
		"two lines": {"to\r\nken", "does not hold one line of printable characters"},
		"huge":      {strings.Repeat("x", maxFile+1), "is larger than"},
	} {
		write(t, tokenFile, []byte(tc.content))
		if tc.problem != "" {
			expect(t, l, failed, tc.problem)
			continue
		}
		expect(t, l, stored, "")
		if got := token.Load(); got != "Bearer "+strings.TrimSpace(tc.content) {
			t.Errorf("%s: sent %q", name, got)
		}
	}
	if err := os.Remove(tokenFile); err != nil {
		t.Fatal(err)
	}
	expect(t, l, failed, "no such file")
}
