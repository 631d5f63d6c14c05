// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/testing/nodeexporter"
	"github.com/atlhyper/atlhyper/internal/testing/process"
	"github.com/atlhyper/atlhyper/internal/wire"
)

const (
	patience = 30 * time.Second
	grace    = 10 * time.Second
)

// exporter is node_exporter, scraped at every tick.
type exporter struct {
	server *nodeexporter.Server
	ticker *time.Ticker
	plain  int
}

func startExporter(ctx context.Context, dir string, every time.Duration) (*exporter, error) {
	server, err := nodeexporter.Start(ctx, dir, nodeexporter.Collectors()...)
	if err != nil {
		return nil, err
	}
	plain, err := server.Fetch(ctx, false)
	if err != nil {
		return nil, err
	}
	return &exporter{server: server, ticker: time.NewTicker(every), plain: len(plain)}, nil
}

func (e *exporter) pid() int { return e.server.PID() }

func (e *exporter) cycle(ctx context.Context) (sent, plain int, err error) {
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-e.ticker.C:
	}
	body, err := e.server.Fetch(ctx, true)
	return len(body), e.plain, err
}

func (e *exporter) stop() error {
	e.ticker.Stop()
	return e.server.Stop()
}

// collector is the node collector, with the agent that it delivers to.
type collector struct {
	process *process.Process
	agent   *httptest.Server
	bodies  chan int

	mu      sync.Mutex
	decoder *wire.Decoder
	inside  float64
	samples int
}

// startCollector builds the program, with the settings of its manifest.
func startCollector(ctx context.Context, dir string, every time.Duration) (*collector, error) {
	program := filepath.Join(dir, "nodecollector")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd/nodecollector")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the node collector: %w: %s", err, out)
	}
	decoder, err := wire.NewDecoder(1)
	if err != nil {
		return nil, fmt.Errorf("making a decoder: %w", err)
	}
	c := &collector{bodies: make(chan int, 1000), decoder: decoder}
	c.agent = httptest.NewTLSServer(http.HandlerFunc(c.receive))
	ca, token := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.agent.Certificate().Raw})
	for path, data := range map[string][]byte{ca: certificate, token: []byte("token")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, fmt.Errorf("writing what the collector needs: %w", err)
		}
	}
	c.process, err = process.Start(process.Spec{
		Path: program,
		Args: []string{
			"--node-name=this-one", "--agent-url=" + c.agent.URL, "--agent-ca-file=" + ca, "--token-file=" + token, "--interval=" + every.String(),
		},
		Env: append(os.Environ(), "GOMAXPROCS=1", "GOMEMLIMIT=48MiB"),
		Log: filepath.Join(dir, "nodecollector.log"),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the node collector: %w", err)
	}
	return c, nil
}

// receive plays the agent.
func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the collector has gone
	}
	c.mu.Lock()
	decoded, err := c.decoder.Decode(body)
	if err != nil {
		c.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for i := range decoded.Batch.Records {
		if s, ok := decoded.Batch.Records[i].Payload.(*telemetry.NodeSample); ok {
			if v, ok := s.Value(telemetry.MetricCollectorCPU, ""); ok {
				c.inside += v
				c.samples++
			}
		}
	}
	c.mu.Unlock()
	fmt.Fprintf(w, `{"accepted":%d}`, len(decoded.Batch.Records))
	c.bodies <- len(body)
}

func (c *collector) pid() int { return c.process.PID() }

func (c *collector) cycle(ctx context.Context) (sent, plain int, err error) {
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-c.process.Done():
		return 0, 0, fmt.Errorf("the node collector ended: %w: %s", c.process.Err(), c.process.Tail())
	case <-time.After(patience):
		return 0, 0, fmt.Errorf("no sample in %s: %s", patience, c.process.Tail())
	case n := <-c.bodies:
		return n, n, nil
	}
}

// insideCPU is what the collector says that a sample costs, on average.
func (c *collector) insideCPU() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.inside / float64(max(c.samples, 1)) * float64(time.Millisecond))
}

func (c *collector) stop() error {
	err := c.process.Stop(grace)
	c.agent.Close()
	c.decoder.Close()
	return err
}
