// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

func newTestInventory(t testing.TB, host string, options Options) *Inventory {
	t.Helper()
	i, err := New(&rest.Config{Host: host}, options)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestDamper(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	ok := checkOutcome{verdict: new(true), answered: true}
	refused := checkOutcome{answered: true, message: "/livez: HTTP 403"}
	bad := func(message string) checkOutcome { return checkOutcome{verdict: new(false), message: message} }
	type step struct {
		second  int
		outcome checkOutcome
		changed bool
		want    APIServerHealth
	}
	none := APIServerHealth{}
	healthy := func(since int) APIServerHealth { return APIServerHealth{Healthy: new(true), Since: at(since)} }
	unhealthy := func(since int, message string) APIServerHealth {
		return APIServerHealth{Healthy: new(false), Since: at(since), Message: message}
	}
	for name, steps := range map[string][]step{
		"good news counts at once": {
			{0, ok, true, healthy(0)}, {10, ok, false, healthy(0)},
		},
		"bad news counts after 20 s": {
			{0, ok, true, healthy(0)},
			{10, bad("a"), false, healthy(0)},
			{20, bad("a"), false, healthy(0)},
			{30, bad("a"), true, unhealthy(30, "a")},
			{40, bad("a"), false, unhealthy(30, "a")},
			{50, ok, true, healthy(50)},
		},
		"a success in between starts anew": {
			{0, bad("a"), false, none},
			{10, bad("a"), false, none},
			{15, ok, true, healthy(15)},
			{20, bad("a"), false, healthy(15)},
			{39, bad("a"), false, healthy(15)},
			{40, bad("a"), true, unhealthy(40, "a")},
		},
		"no verdict before the first 20 s are over": {
			{0, bad("a"), false, none}, {19, bad("a"), false, none}, {20, bad("a"), true, unhealthy(20, "a")},
		},
		"another cause is news, but not a new verdict": {
			{0, bad("a"), false, none},
			{20, bad("a"), true, unhealthy(20, "a")},
			{30, bad("b"), true, unhealthy(20, "b")},
		},
		"not being allowed to look is no verdict": {
			{0, ok, true, healthy(0)},
			{10, refused, false, healthy(0)},
			{30, refused, true, APIServerHealth{Since: at(30), Message: "/livez: HTTP 403"}},
			{40, ok, true, healthy(40)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &damper{after: 20 * time.Second}
			for _, s := range steps {
				if got := d.observe(s.outcome, at(s.second)); got != s.changed {
					t.Errorf("at %d s changed is %t, want %t", s.second, got, s.changed)
				}
				if diff := cmp.Diff(s.want, d.state); diff != "" {
					t.Errorf("at %d s (-want +got):\n%s", s.second, diff)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	const readyz = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac failed: reason withheld\nreadyz check failed\n"
	for name, tt := range map[string]struct {
		livez, readyz int
		body          string
		want          checkOutcome
	}{
		"healthy":      {200, 200, "ok", checkOutcome{verdict: new(true), answered: true}},
		"not live":     {500, 200, "", checkOutcome{verdict: new(false), answered: true, message: "/livez: HTTP 500"}},
		"overloaded":   {429, 200, "", checkOutcome{verdict: new(false), answered: true, message: "/livez: HTTP 429"}},
		"no backend":   {503, 200, "<html>", checkOutcome{verdict: new(false), answered: true, message: "/livez: HTTP 503"}},
		"unauthorized": {401, 200, "", checkOutcome{answered: true, message: "/livez: HTTP 401"}},
		"forbidden":    {200, 403, "", checkOutcome{answered: true, message: "/readyz: HTTP 403"}},
		"not ready": {200, 500, readyz, checkOutcome{
			verdict: new(false), answered: true, message: "/readyz: HTTP 500, failed: etcd, poststarthook/rbac",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(map[string]int{"/livez": tt.livez, "/readyz": tt.readyz}[r.URL.Path])
				fmt.Fprint(w, tt.body)
			}))
			defer server.Close()
			i := newTestInventory(t, server.URL, Options{})
			got := check(t.Context(), i.clients.raw, time.Second)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(checkOutcome{})); diff != "" {
				t.Errorf("check() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckWithoutAnswer(t *testing.T) {
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hang.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	for name, tt := range map[string]struct {
		host    string
		timeout time.Duration
		want    string
	}{
		"hanging":           {hang.URL, 200 * time.Millisecond, "/livez: no answer in time"},
		"gone":              {gone.URL, time.Minute, "/livez: connection refused"},
		"wrong certificate": {untrusted.URL, time.Minute, "/livez: certificate signed by an unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newTestInventory(t, tt.host, Options{})
			got := check(t.Context(), i.clients.raw, tt.timeout)
			want := checkOutcome{verdict: new(false), message: tt.want}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(checkOutcome{})); diff != "" {
				t.Errorf("check() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNetworkFault(t *testing.T) {
	wrap := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://user:secret@10.0.0.1:6443/livez", Err: err}
	}
	addr := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 40123}
	operation := func(err error) error {
		return wrap(&net.OpError{Op: "read", Net: "tcp", Source: addr, Addr: addr, Err: err})
	}
	certificate := func(err error) error { return wrap(&tls.CertificateVerificationError{Err: err}) }
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"refused":       {operation(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused"},
		"reset":         {operation(os.NewSyscallError("read", syscall.ECONNRESET)), "connection closed by the other side"},
		"end":           {wrap(io.EOF), "connection closed by the other side"},
		"no route":      {operation(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route to the API server"},
		"deadline":      {wrap(context.DeadlineExceeded), "no answer in time"},
		"timeout":       {operation(os.ErrDeadlineExceeded), "no answer in time"},
		"name":          {wrap(&net.DNSError{Err: "no such host", Name: "kube.example", Server: "10.0.0.9:53"}), "looking up kube.example: no such host"},
		"authority":     {certificate(x509.UnknownAuthorityError{}), "certificate signed by an unknown authority"},
		"expired":       {certificate(x509.CertificateInvalidError{Reason: x509.Expired}), "certificate expired or not yet valid"},
		"other":         {operation(errors.New("broken pipe")), "broken pipe"},
		"anything else": {wrap(errors.New("malformed HTTP response")), "malformed HTTP response"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := networkFault(tt.err); got != tt.want {
				t.Errorf("networkFault() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	for name, s := range map[string]string{
		"ASCII":      strings.Repeat("a", 1000),
		"multi-byte": strings.Repeat("日本語", 200),
		"shifted":    "a" + strings.Repeat("日本語", 200),
	} {
		t.Run(name, func(t *testing.T) {
			got := truncate(s)
			if len(got) > healthMessageMax || len(got) < healthMessageMax-3 || !utf8.ValidString(got) || !strings.HasSuffix(got, "...") {
				t.Errorf("truncate() has %d bytes, valid %t: %q", len(got), utf8.ValidString(got), got)
			}
		})
	}
	if got := truncate("short"); got != "short" {
		t.Errorf("truncate(short) = %q", got)
	}
}
