// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package exposition shows a node to Prometheus, under the names of node_exporter
// where the meaning is the same. It is what a collector may serve on /metrics so
// that the queries, rules and dashboards of a cluster with Prometheus keep working.
//
// What node_exporter shows and the collector does not read is not here. What the
// collector leaves out (pods' interfaces, partitions, bind mounts) is left out here
// too, and a pod's network is not shown as a node's.
//
// Beside the node it can show the delivery of the collector's samples: how many were
// collected, sent and dropped, how many wait, and for how long.
package exposition

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/nodecollector"
)

// contentType is that of Prometheus' text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Source is what is shown; *nodecollector.Collector is one.
type Source interface {
	// Scrape reads everything and hands it to use, which must not keep it.
	Scrape(ctx context.Context, now time.Time, use func(*nodecollector.Counters)) error
}

// Handler answers GET and HEAD with everything that source has at that moment, in
// Prometheus' text format. Requests follow one another.
func Handler(source Source) http.Handler { return &handler{source: source} }

// HandlerWith is Handler with what became of the collector's own samples, under
// names that begin with atlhyper_nodecollector.
func HandlerWith(source Source, delivery Delivery) http.Handler {
	return &handler{source: source, delivery: delivery}
}

type handler struct {
	source Source
	// delivery is nil when nothing is to be said of it.
	delivery Delivery

	mu   sync.Mutex
	page page
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "metrics are read with GET", http.StatusMethodNotAllowed)
		return
	}
	body, err := h.render(r.Context())
	if err != nil {
		http.Error(w, "the node could not be measured", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // whoever asked has gone
	}
}

// render returns the page, as a copy: a slow reader must not keep others waiting.
func (h *handler) render(ctx context.Context) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	err := h.source.Scrape(ctx, now, func(c *nodecollector.Counters) { h.page.write(now, c) })
	if h.delivery != nil {
		stats := h.delivery.Stats()
		h.page.delivery(now, &stats)
	}
	return append([]byte(nil), h.page.bytes...), err
}
