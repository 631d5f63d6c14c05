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

// serve serves a handler at the address that a flag gives, until ctx ends; at "0" it
// does not.
func serve(ctx context.Context, flag, address string, handler http.Handler) error {
	if address == "0" {
		return nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening at --%s: %w", flag, err)
	}
	server := &http.Server{
		Handler:           handler,
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
	return fmt.Errorf("serving at --%s: %w", flag, err)
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
