// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/atlhyper/atlhyper/agent/hubconn"
)

const (
	probeHeaderTimeout = 5 * time.Second
	probeStopTimeout   = 3 * time.Second
)

// serveProbes serves /healthz and /readyz until ctx ends.
func serveProbes(ctx context.Context, address string, status func() hubconn.Status) error {
	if address == "0" {
		return nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serving the probes at --health-probe-bind-address: %w", err)
	}
	server := &http.Server{
		Handler:           probes(status),
		ReadHeaderTimeout: probeHeaderTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeStopTimeout)
		defer cancel()
		stopped <- server.Shutdown(bounded)
	})
	err = server.Serve(listener)
	if !stop() {
		return <-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the probes: %w", err)
}

// probes answers /healthz while the process runs, and /readyz with how the
// connection to the hub is: 200 when it is Connected, else 503.
func probes(status func() hubconn.Status) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		now := status()
		code := http.StatusServiceUnavailable
		if now.State == hubconn.Connected {
			code = http.StatusOK
		}
		answer(w, code, fmt.Sprintf("%s since %s: %s\n", now.State, now.Since.UTC().Format(time.RFC3339), now.Reason))
	})
	return mux
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	// The other side has gone if this fails.
	_, _ = w.Write([]byte(text))
}
