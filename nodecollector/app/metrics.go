// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	metricsHeaderTimeout = 5 * time.Second
	metricsStopTimeout   = 2 * time.Second
)

// serveMetrics serves /metrics at an address until ctx ends; at "0" it does not.
func serveMetrics(ctx context.Context, address string, handler http.Handler) error {
	if address == "0" {
		return nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening at --metrics-bind-address: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", handler)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: metricsHeaderTimeout, WriteTimeout: 30 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), metricsStopTimeout)
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
	return fmt.Errorf("serving at --metrics-bind-address: %w", err)
}
