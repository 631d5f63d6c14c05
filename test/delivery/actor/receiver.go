// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/ingest"
)

// Receiver configures a hub under test.
type Receiver struct {
	// Ready is the file that says that it works.
	Ready string
	// DSN is where its history is.
	DSN string
	// Connections is how many it may open; 0 for the default.
	Connections int
	// CertFile and KeyFile are for TLS.
	CertFile, KeyFile string
	// Clusters that are members: their UIDs by their names. Token tells tokens.
	Clusters map[string]string
	// Maintain is the pause between two rounds of maintenance; 0 for none.
	Maintain time.Duration
	// StoreTimeout is ingest's; 0 for the default.
	StoreTimeout time.Duration
	// Generous lets an agent send as in a minute within a second.
	Generous bool
}

// Token is the token of a cluster's agent, as far as receivers are concerned.
func Token(cluster string) string {
	// A header, the claim of who it is, and a signature that nobody checks.
	return "e30." + claim(cluster) + "." + cluster
}

// Seen is what a receiver has seen.
type Seen struct {
	// Mismatches counts batches that contradict what is stored.
	Mismatches int
	// Goroutines is how many there are.
	Goroutines int
	// Unhealthy is why the history is not healthy.
	Unhealthy string
}

// receiving is a running receiver.
type receiving struct {
	Receiver
	log        logr.Logger
	store      *store.Store
	mismatches atomic.Int64
	rounds     int
}

// Member implements ingest.Members.
func (r *receiving) Member(_ context.Context, name string) (ingest.Member, error) {
	uid, ok := r.Clusters[name]
	if !ok {
		return ingest.Member{}, ingest.ErrUnknownCluster
	}
	return ingest.Member{ClusterID: uid, Accepted: true}, nil
}

// Review implements ingest.TokenReviewer.
func (r *receiving) Review(_ context.Context, token string) (string, error) {
	for name := range r.Clusters {
		if token == Token(name) {
			return "system:serviceaccount:" + v1alpha1.ClusterNamespacePrefix + name + ":" + v1alpha1.AgentServiceAccount, nil
		}
	}
	return "", nil
}

// Run opens the history, migrates it, takes batches and maintains until the context
// ends.
func (c Receiver) Run(ctx context.Context) (err error) {
	r := &receiving{Receiver: c, log: logger()}
	for r.store == nil {
		err := r.open(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, history.ErrUnavailable):
			r.log.Info("Waiting for the history", "error", err.Error())
			wait(ctx, 100*time.Millisecond)
		case err != nil:
			return err
		}
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	return r.work(ctx)
}

// open opens and migrates the history.
func (r *receiving) open(ctx context.Context) error {
	s, err := store.Open(ctx, r.DSN, store.Options{Connections: r.Connections})
	if err != nil {
		return err
	}
	if err := s.Migrate(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	r.store = s
	return nil
}

// wait waits for a while, or for the context.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (r *receiving) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control, err := listen(ctx)
	if err != nil {
		return err
	}
	taking, err := listen(ctx)
	if err != nil {
		return err
	}
	limits, timeouts := ingest.DefaultLimits(), ingest.DefaultTimeouts()
	if r.Generous {
		limits.ClusterRequests = ingest.Rate{PerSecond: 5000, Burst: 5000}
		limits.ClusterInFlight = 64
	}
	if r.StoreTimeout > 0 {
		timeouts.Store = r.StoreTimeout
	}
	timeouts.Shutdown = 5 * time.Second
	server, err := ingest.New(ingest.Config{
		Listener: taking, CertFile: r.CertFile, KeyFile: r.KeyFile, Appender: r.store, Offsets: r.store, Members: r, Reviewer: r,
		Registerer: prometheus.NewRegistry(), Log: r.log, Limits: limits, Timeouts: timeouts,
		OnMismatch: func(ingest.Mismatch) { r.mismatches.Add(1) },
	})
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	var failures [3]error
	for i, run := range []func(context.Context) error{
		server.Start, r.maintain,
		func(ctx context.Context) error { return answer(ctx, control, r.questions()) },
	} {
		running.Go(func() {
			defer cancel()
			failures[i] = run(ctx)
		})
	}
	err = announce(r.Ready, Ready{Control: control.Addr().String(), Ingest: taking.Addr().String()})
	if err != nil {
		cancel()
	}
	running.Wait()
	return errors.Join(append(failures[:], err)...)
}

// maintain runs the tasks again and again. What fails is tried again: that the
// database is away is part of the test.
func (r *receiving) maintain(ctx context.Context) error {
	if r.Maintain == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(r.Maintain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			r.log.Info("Maintenance did not end", "error", err.Error())
		}
	}
}

// past is so long ago that partitions of then have expired for samples and have not
// for what is kept longer.
const past = 60 * 24 * time.Hour

// round runs each task once. From time to time it makes partitions that have expired
// already, so that there is something to drop.
func (r *receiving) round(ctx context.Context) error {
	now := time.Now()
	r.rounds++
	if r.rounds%8 == 1 {
		if _, err := r.store.Maintain(ctx, history.TaskPartitions, now.Add(-past)); err != nil {
			return err
		}
	}
	for _, task := range history.Tasks() {
		if _, err := r.store.Maintain(ctx, task, now); err != nil {
			return fmt.Errorf("%s: %w", task, err)
		}
	}
	return nil
}

func (r *receiving) questions() map[string]func(context.Context) (any, error) {
	return map[string]func(context.Context) (any, error){
		"/status": func(ctx context.Context) (any, error) {
			seen := Seen{Mismatches: int(r.mismatches.Load()), Goroutines: runtime.NumGoroutine()}
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := r.store.Health(ctx); err != nil {
				seen.Unhealthy = err.Error()
			}
			return seen, nil
		},
	}
}
