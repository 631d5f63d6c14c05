// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// fan tells changes to those who listen in this process, and collects them for
// those who listen in others.
type fan struct {
	mu        sync.Mutex
	listeners map[chan history.Change]struct{}
	pending   map[history.Change]struct{}
	wake      chan struct{}
	remote    bool // others tell us what we tell them
	closed    bool
}

func newFan() *fan {
	return &fan{listeners: map[chan history.Change]struct{}{}, pending: map[history.Change]struct{}{}, wake: make(chan struct{}, 1)}
}

// changed takes note of a change. It never waits.
func (f *fan) changed(c history.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.remote {
		for l := range f.listeners {
			offer(l, c)
		}
		return
	}
	f.pending[c] = struct{}{}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func offer(l chan history.Change, c history.Change) {
	select {
	case l <- c:
	default: // the listener is slow and looks from time to time anyway
	}
}

func (f *fan) take() map[history.Change]struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.pending
	f.pending = map[history.Change]struct{}{}
	return taken
}

func (f *fan) listen() chan history.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := make(chan history.Change, 1024)
	if f.closed {
		close(l)
		return l
	}
	f.listeners[l] = struct{}{}
	return l
}

func (f *fan) leave(l chan history.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.listeners[l]; ok {
		delete(f.listeners, l)
		close(l)
	}
}

func (f *fan) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for l := range f.listeners {
		delete(f.listeners, l)
		close(l)
	}
}

const (
	channel = "atlhyper_history"
	// Changes that follow each other within this time are told together: a
	// notification costs a lock that all commits of the database take turns on.
	gather = 10 * time.Millisecond
	// Postgres takes payloads of less than 8000 bytes.
	maxPayload = 7000
)

// Changes implements history.ChangeNotifier. With Postgres the changes of all
// replicas are told, with the others those of this process.
func (s *Store) Changes(ctx context.Context) (<-chan history.Change, error) {
	d, ok := s.d.(*pgDialect)
	if !ok {
		l := s.fan.listen()
		context.AfterFunc(ctx, func() { s.fan.leave(l) })
		return l, nil
	}
	conn, err := pgx.ConnectConfig(ctx, d.listenConfig())
	if err == nil {
		_, err = conn.Exec(ctx, "LISTEN "+channel)
	}
	if err != nil {
		return nil, wrap(s.d, "listening for changes", err)
	}
	out := make(chan history.Change, 1024)
	go func() {
		defer close(out)
		defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing can be done about it
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return // the listener sees the end of the channel and asks again
			}
			for _, c := range parseChanges(n.Payload) {
				offer(out, c)
			}
		}
	}()
	return out, nil
}

// listenConfig is for a connection that waits: no statement of it takes time, and
// a dead server is noticed by keep-alive.
func (d *pgDialect) listenConfig() *pgx.ConnConfig {
	config := d.config.Copy()
	delete(config.RuntimeParams, "statement_timeout")
	config.RuntimeParams["tcp_keepalives_idle"] = "30"
	return config
}

// startTelling tells the changes of this replica to all, until the context ends.
func (s *Store) startTelling(ctx context.Context) {
	if s.d.name() != dialectPostgres {
		return
	}
	s.fan.remote = true
	go func() {
		timer := time.NewTimer(gather)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.fan.wake:
			}
			for _, payload := range formatChanges(s.fan.take()) {
				// Best effort: who listens looks from time to time too.
				_ = s.write.WithContext(ctx).Exec("SELECT pg_notify(?, ?)", channel, payload).Error
			}
			timer.Reset(gather)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
	}()
}

// formatChanges packs changes into payloads: stream and cluster, one per line.
func formatChanges(changes map[history.Change]struct{}) []string {
	var payloads []string
	var b strings.Builder
	for c := range changes {
		line := fmt.Sprintf("%d %s\n", c.Stream, c.Cluster)
		if b.Len()+len(line) > maxPayload {
			payloads = append(payloads, b.String())
			b.Reset()
		}
		b.WriteString(line)
	}
	if b.Len() > 0 {
		payloads = append(payloads, b.String())
	}
	return payloads
}

func parseChanges(payload string) []history.Change {
	var changes []history.Change
	for line := range strings.Lines(payload) {
		var stream uint8
		number, cluster, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if _, err := fmt.Sscanf(number, "%d", &stream); err != nil || !ok {
			continue
		}
		changes = append(changes, history.Change{Cluster: history.ClusterUID(cluster), Stream: telemetry.Stream(stream)})
	}
	return changes
}
