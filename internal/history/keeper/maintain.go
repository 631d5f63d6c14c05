// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/history"
)

// maxSteps bounds how often one round runs a task that has more to do.
const maxSteps = 200

// Maintain runs all tasks of the maintenance in rounds, the first as soon as the
// store is open, until ctx ends. One replica is enough, usually the leader.
func (k *Keeper) Maintain(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-k.opened:
	}
	failing := map[history.Task]bool{}
	for {
		pause := jitter(k.options.Every)
		if k.State().Available {
			k.round(ctx, failing)
		} else {
			pause = k.options.Retry
		}
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// sleep waits for d and says whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// round runs each task once, or as often as it has more to do. A task that fails
// does not keep the others from running.
func (k *Keeper) round(ctx context.Context, failing map[history.Task]bool) {
	for _, task := range history.Tasks() {
		err := k.task(ctx, task)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			k.metrics.maintained.WithLabelValues(string(task)).Set(float64(k.options.Now().Unix()))
		default:
			k.metrics.failed.WithLabelValues(string(task)).Inc()
			if !failing[task] {
				k.log.Error(err, "Maintenance of the history failed and is tried again", "task", task)
			}
		}
		failing[task] = err != nil
	}
}

func (k *Keeper) task(ctx context.Context, task history.Task) error {
	store, err := k.use()
	if err != nil {
		return err
	}
	for range maxSteps {
		report, err := store.Maintain(ctx, task, k.options.Now())
		if err != nil {
			return fmt.Errorf("running the task %s: %w", task, k.noticed(err))
		}
		if report.Done > 0 || report.Rows > 0 {
			k.log.V(1).Info("Maintained the history", "task", task, "done", report.Done, "rows", report.Rows)
		}
		if !report.More {
			return nil
		}
	}
	return nil
}

// metrics are those of a Keeper.
type metrics struct {
	available  prometheus.Gauge
	bytes      prometheus.Gauge
	latency    prometheus.Gauge
	maintained *prometheus.GaugeVec
	failed     *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		available: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atlhyper_history_available", Help: "Whether the last check of the history's database succeeded: 1 or 0.",
		}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atlhyper_history_size_bytes", Help: "Size of the history's database; 0 when unknown.",
		}),
		latency: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atlhyper_history_check_duration_seconds", Help: "What a small write to the history took at the last check.",
		}),
		maintained: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "atlhyper_history_maintenance_last_success_timestamp_seconds", Help: "When a task of the maintenance succeeded last.",
		}, []string{"task"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atlhyper_history_maintenance_failures_total", Help: "Tasks of the maintenance that failed.",
		}, []string{"task"}),
	}
	if err := errors.Join(
		registerer.Register(m.available), registerer.Register(m.bytes), registerer.Register(m.latency),
		registerer.Register(m.maintained), registerer.Register(m.failed),
	); err != nil {
		return nil, fmt.Errorf("registering the metrics of the history: %w", err)
	}
	return m, nil
}

func (m *metrics) observe(h history.Health) {
	m.bytes.Set(float64(h.Bytes))
	m.latency.Set(h.Latency.Seconds())
}

func (m *metrics) setAvailable(available bool) {
	if available {
		m.available.Set(1)
	} else {
		m.available.Set(0)
	}
}
