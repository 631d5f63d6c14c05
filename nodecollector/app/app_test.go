// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// agent takes samples over TLS and passes them on.
func agent(t *testing.T, samples chan<- *telemetry.NodeSample) *httptest.Server {
	t.Helper()
	decoder, err := wire.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(decoder.Close)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("token %q, %v", r.Header.Get("Authorization"), err)
		}
		decoded, err := decoder.Decode(body)
		if err != nil || len(decoded.Poison) > 0 {
			t.Errorf("decoding: %v, %v", err, decoded.Poison)
		}
		for _, record := range decoded.Batch.Records {
			if s, ok := record.Payload.(*telemetry.NodeSample); ok {
				samples <- s
			}
		}
		_, _ = fmt.Fprintf(w, `{"accepted":%d}`, len(decoded.Batch.Records))
	}))
	t.Cleanup(server.Close)
	return server
}

// config is that of a collector of this machine.
func config(t *testing.T, server *httptest.Server) Config {
	t.Helper()
	dir := t.TempDir()
	var c Config
	flags := flag.NewFlagSet("nodecollector", flag.ContinueOnError)
	c.BindFlags(flags)
	if err := flags.Parse([]string{
		"--node-name=this-one", "--agent-url=" + server.URL, "--agent-ca-file=" + filepath.Join(dir, "ca.crt"),
		"--token-file=" + filepath.Join(dir, "token"), "--interval=1s",
	}); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{
		c.AgentCAFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		c.TokenFile:   []byte("secret"),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestThisMachineIsMeasuredAndDelivered(t *testing.T) {
	samples := make(chan *telemetry.NodeSample, 100)
	c := config(t, agent(t, samples))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.MetricsBindAddress = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, c) }()
	var last *telemetry.NodeSample
	for i := range 3 {
		select {
		case s := <-samples:
			if last != nil && (s.CollectorSeq != last.CollectorSeq+1 || s.BootID != last.BootID) {
				t.Errorf("%d of %s follows %d of %s", s.CollectorSeq, s.BootID, last.CollectorSeq, last.BootID)
			}
			last = s
		case err := <-done:
			t.Fatalf("ended: %v", err)
		case <-time.After(time.Minute):
			t.Fatalf("%d samples came", i)
		}
	}
	page := get(t, "http://"+c.MetricsBindAddress+"/metrics")
	for _, want := range []string{"\nnode_load1 ", "\natlhyper_nodecollector_collected_samples_total ", "\natlhyper_nodecollector_dropped_samples_total{reason=\"overflow\"} 0\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics has no %q:\n%s", want, page)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ending: %v", err)
	}
	if last.Node != "this-one" || last.Interval < 500*time.Millisecond {
		t.Errorf("node %q, interval %s", last.Node, last.Interval)
	}
	for _, metric := range []telemetry.MetricID{telemetry.MetricCPUUsage, telemetry.MetricMemoryTotal, telemetry.MetricUptime, telemetry.MetricCollectorDropped} {
		if _, ok := last.Value(metric, ""); !ok {
			t.Errorf("the sample has no %s", metric)
		}
	}
}

// firstOf runs a collector until its first sample.
func firstOf(t *testing.T, c Config, samples <-chan *telemetry.NodeSample) *telemetry.NodeSample {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- Run(ctx, c) }()
	select {
	case s := <-samples:
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ending: %v", err)
		}
		return s
	case err := <-done:
		t.Fatalf("ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("no sample came")
	}
	return nil
}

func TestWrongSettingsAreErrors(t *testing.T) {
	good := config(t, agent(t, nil))
	cases := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no node":       {func(c *Config) { c.NodeName = "" }, "--node-name is required"},
		"no TLS":        {func(c *Config) { c.AgentURL = "http://agent" }, "is not https://HOST"},
		"no such scope": {func(c *Config) { c.NetworkScope = "node" }, "auto, host or pod"},
		"too often":     {func(c *Config) { c.Interval = time.Millisecond }, "too short"},
		"nothing there": {func(c *Config) { c.ProcPath = filepath.Join(c.TokenFile, "proc") }, "mount the machine's /proc there"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := good
			tc.change(&c)
			if err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
