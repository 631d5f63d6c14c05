// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/agent/hubconn"
)

func TestProbes(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := map[string]struct {
		path   string
		status hubconn.Status
		code   int
		text   string
	}{
		"alive":       {"/healthz", hubconn.Status{State: hubconn.LockedOut}, http.StatusOK, "ok\n"},
		"connected":   {"/readyz", hubconn.Status{State: hubconn.Connected, Reason: "fine", Since: since}, http.StatusOK, "Connected since 2026-01-02T03:04:05Z: fine\n"},
		"joining":     {"/readyz", hubconn.Status{State: hubconn.Joining, Reason: "no token", Since: since}, http.StatusServiceUnavailable, "Joining since 2026-01-02T03:04:05Z: no token\n"},
		"locked out":  {"/readyz", hubconn.Status{State: hubconn.LockedOut, Reason: "revoked", Since: since}, http.StatusServiceUnavailable, "LockedOut since 2026-01-02T03:04:05Z: revoked\n"},
		"unreachable": {"/readyz", hubconn.Status{State: hubconn.HubUnreachable, Since: since}, http.StatusServiceUnavailable, "HubUnreachable since"},
		"clone":       {"/readyz", hubconn.Status{State: hubconn.Clone, Since: since}, http.StatusServiceUnavailable, "Clone since"},
		"nothing":     {"/", hubconn.Status{}, http.StatusNotFound, "404"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			probes(func() hubconn.Status { return tc.status }).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, tc.path, http.NoBody))
			if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.text) {
				t.Errorf("%d %q; want %d with %q", w.Code, w.Body, tc.code, tc.text)
			}
		})
	}
}

func TestServeStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, "f", "127.0.0.1:0", http.NotFoundHandler()) }()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestServeSaysThatTheAddressIsTaken(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = serve(t.Context(), "health-probe-bind-address", taken.Addr().String(), nil)
	if err == nil || !strings.Contains(err.Error(), "--health-probe-bind-address") {
		t.Errorf("error %v; want one that names the flag", err)
	}
}

func TestFlags(t *testing.T) {
	var config Config
	flags := flag.NewFlagSet("agent", flag.ContinueOnError)
	config.BindFlags(flags)
	if err := flags.Parse(nil); err != nil {
		t.Fatal(err)
	}
	if config.JoinDir != "/var/run/atlhyper/join" || config.Namespace != "atlhyper-system" ||
		config.HealthProbeBindAddress != ":8081" || config.StatusMinInterval != 10*time.Second {
		t.Errorf("defaults: %+v", config)
	}
	flags.VisitAll(func(f *flag.Flag) {
		if strings.Contains(f.Name, "token") {
			t.Errorf("--%s: a token must not be a flag", f.Name)
		}
	})
}

func TestRunRefusesWrongSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		want   string
	}{
		"interval":   {Config{StatusMinInterval: time.Millisecond}, "--status-min-interval"},
		"names of":   {Config{NamesOf: "ConfigMap,Pod"}, "--names-of has \"Pod\""},
		"log lines":  {Config{EvidenceLogLines: 101}, "--evidence-log-lines is 101; it may be from 0 to 100"},
		"kubeconfig": {Config{Kubeconfig: "/nowhere"}, "--kubeconfig"},
		"no cluster": {Config{}, "pass --kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			if err := Run(t.Context(), tc.config); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v; want one with %q", err, tc.want)
			}
		})
	}
}
