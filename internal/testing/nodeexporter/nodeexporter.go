// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package nodeexporter runs node_exporter on this machine, for tests that compare
// the node collector with it and benchmarks that measure it. hack/nodeexporter
// builds it from its module.
package nodeexporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/atlhyper/atlhyper/internal/testing/process"
)

const (
	startTimeout = time.Minute
	stopGrace    = 5 * time.Second
)

// Collectors returns the flags that turn on those of node_exporter's collectors
// that read what the node collector reads, and no others.
func Collectors() []string {
	names := []string{
		"disable-defaults",
		"conntrack", "cpu", "diskstats", "filefd", "filesystem", "hwmon", "loadavg", "meminfo", "netclass", "netdev",
		"pressure", "stat", "thermal_zone", "time", "timex", "vmstat",
	}
	for i := range names {
		names[i] = "--collector." + names[i]
	}
	return names
}

// Server is a running node_exporter.
type Server struct {
	// URL is that of its metrics, on loopback.
	URL string

	process *process.Process
	client  *http.Client
}

var listening = regexp.MustCompile(`msg="Listening on" address=(127\.0\.0\.1:\d+)`)

// Start builds node_exporter when it is not there and starts it with the given
// flags; its log goes to a file in dir. Stop it.
func Start(ctx context.Context, dir string, flags ...string) (*Server, error) {
	path, err := build(ctx)
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "node_exporter.log")
	args := append([]string{"--web.listen-address=127.0.0.1:0"}, flags...)
	p, err := process.Start(process.Spec{Path: path, Args: args, Log: log})
	if err != nil {
		return nil, fmt.Errorf("starting node_exporter: %w", err)
	}
	s := &Server{process: p, client: &http.Client{Timeout: startTimeout}}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if text, err := os.ReadFile(log); err == nil {
			if found := listening.FindSubmatch(text); found != nil {
				s.URL = "http://" + string(found[1]) + "/metrics"
				return s, nil
			}
		}
		select {
		case <-tick.C:
		case <-p.Done():
			return nil, fmt.Errorf("starting node_exporter: it ended: %s", p.Tail())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("starting node_exporter: %w: %s", ctx.Err(), p.Tail()), s.Stop())
		}
	}
}

// build runs hack/nodeexporter/ensure.sh, which prints the path of the program.
func build(ctx context.Context) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	script := filepath.Join("hack", "nodeexporter", "ensure.sh")
	for {
		if _, err := os.Stat(filepath.Join(dir, script)); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("finding %s: start inside the repository", script)
		}
		dir = parent
	}
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, filepath.Join(dir, script))
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("building node_exporter: %w: %s", err, stderr.String())
	}
	return string(bytes.TrimSpace(out)), nil
}

// PID is the process id.
func (s *Server) PID() int { return s.process.PID() }

// Stop ends it.
func (s *Server) Stop() error {
	s.client.CloseIdleConnections()
	return s.process.Stop(stopGrace)
}

// Fetch reads the metrics as they are sent; gzip asks for them compressed and
// returns them so.
func (s *Server) Fetch(ctx context.Context, gzip bool) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking node_exporter: %w", err)
	}
	// Set by hand, else the client asks for gzip and undoes it by itself.
	request.Header.Set("Accept-Encoding", "identity")
	if gzip {
		request.Header.Set("Accept-Encoding", "gzip")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking node_exporter: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking node_exporter: status %d: %w", response.StatusCode, err)
	}
	return body, nil
}

// Scrape returns what it measures, by series as they are written: a name, and
// labels sorted by their keys.
func (s *Server) Scrape(ctx context.Context) (map[string]float64, error) {
	body, err := s.Fetch(ctx, false)
	if err != nil {
		return nil, err
	}
	return Parse(body)
}

// Parse reads Prometheus' text format into values by series, as Scrape returns
// them.
func Parse(body []byte) (map[string]float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			values[series(name, m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return values, nil
}

func series(name string, m *dto.Metric) string {
	set := model.LabelSet{}
	for _, l := range m.GetLabel() {
		set[model.LabelName(l.GetName())] = model.LabelValue(l.GetValue())
	}
	if len(set) == 0 {
		return name
	}
	return name + set.String()
}
