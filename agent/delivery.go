// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/atlhyper/atlhyper/agent/hubconn"
	"github.com/atlhyper/atlhyper/agent/nodes"
	"github.com/atlhyper/atlhyper/agent/report"
	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/agent/uplink"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	spoolRetryFirst = time.Second
	spoolRetryMax   = 30 * time.Second
)

var (
	errSpoolNotOpen = errors.New("the spool is not open yet")
	errNoIngest     = errors.New("the hub takes no telemetry: it runs without --ingest-url or without a history")
)

// ingestHub is what a delivery needs of the connection to the hub.
type ingestHub interface {
	// Ingest returns where the hub takes telemetry, whether that is known, and
	// what is closed when it changes.
	Ingest() (endpoints []hubconn.Endpoint, known bool, changed <-chan struct{})
	// Token returns a token for an audience, and not the one that was refused.
	Token(ctx context.Context, audience, refused string) (string, error)
}

// A delivery takes telemetry from those who see something, keeps it in the spool
// and brings it to the hub. It outlives a spool that cannot be opened: until then
// it refuses what it is given, and those who gave it try again.
type delivery struct {
	dir     string
	options spool.Options
	hub     ingestHub
	version string
	log     logr.Logger
	// registry has the metrics of the process, and of the delivery once it runs.
	registry *prometheus.Registry
	spool    atomic.Pointer[spool.Spool]
	uplink   atomic.Pointer[uplink.Uplink]
}

// Append implements inventory.Sink. While the hub is known to take no telemetry,
// nothing is taken here either, so that the spool does not fill for nobody.
func (d *delivery) Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error {
	s := d.spool.Load()
	if s == nil {
		return errSpoolNotOpen
	}
	if endpoints, known, _ := d.hub.Ingest(); known && len(endpoints) == 0 {
		return errNoIngest
	}
	items := make([]spool.Item, len(values))
	for i, value := range values {
		items[i] = spool.Item{Time: at, Payload: value}
	}
	_, err := s.Append(stream, items...)
	if refused, ok := errors.AsType[*spool.RecordError](err); ok {
		// The others were taken, and trying again would change nothing.
		d.log.Error(refused, "Leaving out a value that the spool does not take", "stream", stream)
		return nil
	}
	return err
}

// nodeSink takes what node collectors send.
type nodeSink struct{ *delivery }

// Append implements nodes.Sink.
func (s nodeSink) Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error {
	err := s.delivery.Append(stream, at, values...)
	if errors.Is(err, errNoIngest) {
		return fmt.Errorf("%w: %w", nodes.ErrUnwanted, err)
	}
	return err
}

// run delivers until ctx ends.
func (d *delivery) run(ctx context.Context) (err error) {
	s := d.open(ctx)
	if s == nil {
		return nil
	}
	defer func() {
		if closed := s.Close(); closed != nil {
			err = errors.Join(err, fmt.Errorf("closing the spool: %w", closed))
		}
	}()
	up, err := uplink.New(uplink.Options{
		Spool: uplink.FromDisk(s), Hub: d, Version: d.version, Logger: d.log,
	})
	if err != nil {
		return fmt.Errorf("preparing the delivery of telemetry: %w", err)
	}
	if err := errors.Join(d.registry.Register(spool.NewCollector(s.Stats)), d.registry.Register(uplink.NewCollector(up.Stats))); err != nil {
		return fmt.Errorf("registering the metrics of the delivery: %w", err)
	}
	d.uplink.Store(up)
	d.spool.Store(s)
	// Without a place to go to, the uplink would only learn to wait ever longer.
	for {
		endpoints, _, changed := d.hub.Ingest()
		if len(endpoints) > 0 {
			return up.Run(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// metrics serves /metrics.
func (d *delivery) metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{}))
	return mux
}

// open returns nil when ctx ended first.
func (d *delivery) open(ctx context.Context) *spool.Spool {
	for wait := spoolRetryFirst; ; wait = min(2*wait, spoolRetryMax) {
		s, err := spool.Open(d.dir, d.options)
		if err == nil {
			return s
		}
		d.log.Error(err, "Cannot open the spool of --spool-dir, telemetry waits", "dir", d.dir, "retryAfter", wait.String())
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// state implements report.Options.Delivery.
func (d *delivery) state() report.Delivery {
	up := d.uplink.Load()
	if up == nil {
		return report.Delivery{}
	}
	var out report.Delivery
	failing := func(since time.Time, problem string) {
		if problem != "" && (out.FailingSince.IsZero() || since.Before(out.FailingSince)) {
			out.FailingSince, out.Problem = since, problem
		}
	}
	stats := up.Stats()
	failing(stats.Lanes[uplink.Live].Since, stats.Lanes[uplink.Live].Problem)
	for _, stream := range stats.Streams {
		failing(stream.Since, stream.Problem)
		out.Oldest = max(out.Oldest, stream.OldestAge)
		out.Dropped += stream.Dropped
	}
	return out
}

// Endpoint implements uplink.Hub.
func (d *delivery) Endpoint(context.Context) (uplink.Endpoint, error) {
	endpoints, known, _ := d.hub.Ingest()
	switch {
	case len(endpoints) > 0:
		return uplink.Endpoint{URL: endpoints[0].URL, CA: endpoints[0].CA}, nil
	case known:
		return uplink.Endpoint{}, errNoIngest
	default:
		return uplink.Endpoint{}, errors.New("the hub has not said yet where it takes telemetry")
	}
}

// Token implements uplink.Hub.
func (d *delivery) Token(ctx context.Context, refused string) (string, error) {
	return d.hub.Token(ctx, v1alpha1.IngestAudience, refused)
}
