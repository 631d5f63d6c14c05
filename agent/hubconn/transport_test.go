// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// tlsServer is a server with HTTP/2 and a certificate of its own.
func tlsServer(t *testing.T, handler http.HandlerFunc) Endpoint {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return Endpoint{URL: server.URL + "/prefix", CA: string(ca)}
}

func get(ctx context.Context, t *testing.T, rt http.RoundTripper) error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+placeholderHost+"/api/v1/x?watch=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := rt.RoundTrip(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	return err
}

func linkTo(t *testing.T, endpoint Endpoint, token string) *link {
	t.Helper()
	c := &Connection{dial: newTransport}
	l, err := c.newLink(Credentials{Cluster: "one", Endpoint: endpoint, Token: token}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.rt.CloseIdleConnections)
	return l
}

func TestSwitchSendsToTheHubOfTheMoment(t *testing.T) {
	var seen, connections atomic.Value
	endpoint := tlsServer(t, func(_ http.ResponseWriter, r *http.Request) {
		seen.Store(r.Proto + " " + r.RequestURI + " " + r.Header.Get("Authorization"))
		if before := connections.Swap(r.RemoteAddr); before != nil && before != r.RemoteAddr {
			t.Errorf("a second connection from %s after %s", r.RemoteAddr, before)
		}
	})
	s := newSwitchTransport()
	if err := get(t.Context(), t, s); !errors.Is(err, ErrNoCredentials) {
		t.Fatalf("without a link: %v; want ErrNoCredentials", err)
	}
	l := linkTo(t, endpoint, "token-1")
	s.use(l)
	for _, token := range []string{"token-1", "token-2"} {
		s.use(l.withToken(token))
		if err := get(t.Context(), t, s); err != nil {
			t.Fatal(err)
		}
		if got, want := seen.Load(), "HTTP/2.0 /prefix/api/v1/x?watch=1 Bearer "+token; got != want {
			t.Errorf("the hub saw %q; want %q", got, want)
		}
	}
	s.use(nil)
	if err := get(t.Context(), t, s); !errors.Is(err, ErrNoCredentials) {
		t.Fatalf("after the session: %v; want ErrNoCredentials", err)
	}
}

func TestSwitchSignalsRefusals(t *testing.T) {
	s := newSwitchTransport()
	code := http.StatusUnauthorized
	var old *link
	endpoint := tlsServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if old != nil {
			// The token is replaced while the request is on its way.
			s.use(old.withToken("token-2"))
		}
		w.WriteHeader(code)
	})
	signalled := func() bool {
		select {
		case <-s.refused:
			return true
		default:
			return false
		}
	}
	l := linkTo(t, endpoint, "token-1")
	for name, tc := range map[string]struct {
		code     int
		replaced bool
		want     bool
	}{
		"refused":             {http.StatusUnauthorized, false, true},
		"refused and renewed": {http.StatusUnauthorized, true, false},
		"forbidden":           {http.StatusForbidden, false, false},
		"busy":                {http.StatusTooManyRequests, false, false},
		"fine":                {http.StatusOK, false, false},
	} {
		s.use(l)
		code, old = tc.code, nil
		if tc.replaced {
			old = l
		}
		if err := get(t.Context(), t, s); err != nil {
			t.Fatal(err)
		}
		if got := signalled(); got != tc.want {
			t.Errorf("%s: signalled %t; want %t", name, got, tc.want)
		}
	}
}

func TestLinkVerifiesTheHub(t *testing.T) {
	var asked atomic.Bool
	endpoint := tlsServer(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	for name, ca := range map[string]string{"another CA": certificate(t), "the system's": ""} {
		err := get(t.Context(), t, linkRoundTripper{linkTo(t, Endpoint{URL: endpoint.URL, CA: ca}, "s3cret")})
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: error %v; want one about the certificate", name, err)
		}
	}
	if asked.Load() {
		t.Error("a request with the token reached a server that was not verified")
	}
}
