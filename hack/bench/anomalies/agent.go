// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// freshAgent runs an agent that knows nothing of the past, whose storm guard has
// counted nothing, and waits until the hub has all that it told of what it found.
func (l *lab) freshAgent(ctx context.Context) (err error) {
	if err := l.stopAgent(); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(l.member.Dir, "spool")); err != nil {
		return fmt.Errorf("emptying the agent's folder: %w", err)
	}
	if l.agent, err = l.member.StartAgent(ctx, l.joinFolder, "--metrics-bind-address="+l.metrics); err != nil {
		return err
	}
	_, err = l.past.wait(ctx, pollOften, func(r *row) bool { return r.Object.Name == l.marker && r.State == telemetry.AnomalyRaised })
	if err != nil {
		return fmt.Errorf("waiting for an agent: %w: %s", err, l.agent.Tail())
	}
	return until(ctx, 100*time.Millisecond, func() (bool, error) {
		waiting, err := l.metric(ctx, "atlhyper_agent_uplink_backlog_records")
		return waiting == 0, err
	})
}

func (l *lab) stopAgent() error {
	if l.agent == nil {
		return nil
	}
	err := l.agent.Stop(grace)
	l.agent = nil
	return err
}

// metric is the sum of the series of one of the agent's metrics.
func (l *lab) metric(ctx context.Context, name string) (sum float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.metrics+"/metrics", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("reading the agent's metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("reading the agent's metrics: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, fmt.Errorf("reading the agent's metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("parsing the agent's metrics: %w", err)
	}
	family, ok := families[name]
	if !ok {
		return 0, fmt.Errorf("the agent has no metric %s", name)
	}
	for _, metric := range family.GetMetric() {
		sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
	}
	return sum, nil
}
