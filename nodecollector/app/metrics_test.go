// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/nodecollector"
	"github.com/atlhyper/atlhyper/nodecollector/exposition"
)

func TestServesMetrics(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	// The address is taken: that is said with the name of the flag.
	if err := serveMetrics(t.Context(), address, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "--metrics-bind-address") {
		t.Errorf("a taken address: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	collector, err := nodecollector.New(nodecollector.Options{Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveMetrics(ctx, address, exposition.Handler(collector)) }()
	deadline, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for body := ""; !strings.Contains(body, "node_cpu_seconds_total"); body = get(t, "http://"+address+"/metrics") {
		select {
		case <-deadline:
			t.Fatalf("no metrics of the processors: %.200s", body)
		case <-tick.C:
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
