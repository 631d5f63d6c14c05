// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// rule is what the pods fail by.
const rule = "PodInvalidImageName"

// storm is what happened when a crowd failed.
type storm struct {
	timings

	pods, owners int
	// written is how long the API server took to take all failures, settled how long
	// after the first of them the last row came that they make at once.
	written, settled time.Duration
	// rows are all of those, raised how many anomalies they tell, and held how many
	// the storm guard holds back.
	rows, raised, held int
	// complete is how many stand for about as many pods as they will.
	complete int
	// guard is the time from the judgement that there is a storm to the row about it.
	guard time.Duration
	// cpu is what the agent used meanwhile and hubCPU what the hub did, sent the bytes
	// that the agent sent, those about its inventory included.
	cpu, hubCPU time.Duration
	sent        float64
}

// storm has each crowd fail, and recover afterwards.
func (l *lab) storm(ctx context.Context, crowds []crowd) (storms []storm, err error) {
	for _, c := range crowds {
		if err := l.freshAgent(ctx); err != nil {
			return nil, err
		}
		s, err := l.strike(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("with %d owners: %w", c.owners, err)
		}
		storms = append(storms, s)
		if err := l.atOnce(ctx, len(c.pods), func(ctx context.Context, i int) error {
			_, err := l.recover(ctx, c.pods[i])
			return err
		}); err != nil {
			return nil, err
		}
	}
	return storms, nil
}

// strike has all pods of a crowd fail at once.
func (l *lab) strike(ctx context.Context, c crowd) (s storm, err error) {
	s = storm{pods: len(c.pods), owners: c.owners}
	before, err := l.used(ctx)
	if err != nil {
		return s, err
	}
	l.past.polls, l.past.polling = 0, 0
	changes := make(map[string]change, len(c.pods))
	written := make([]change, len(c.pods))
	var rows []row
	began := time.Now()
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := l.atOnce(inner, len(c.pods), func(ctx context.Context, i int) (err error) {
			written[i], err = l.fail(ctx, c.pods[i])
			return err
		})
		s.written = time.Since(began)
		return err
	})
	group.Go(func() (err error) {
		rows, err = l.past.gather(inner, pollStorms, func(r *row) bool { return s.take(r, c.pods[0].Namespace) })
		return err
	})
	if err := group.Wait(); err != nil {
		return s, fmt.Errorf("%d anomalies were told: %w", s.raised, err)
	}
	s.resolution = l.past.resolution()
	after, err := l.used(ctx)
	if err != nil {
		return s, err
	}
	s.cpu, s.hubCPU, s.sent = after.cpu-before.cpu, after.hubCPU-before.hubCPU, after.sent-before.sent
	for i, pod := range c.pods {
		changes[pod.Name] = written[i]
	}
	err = s.evaluate(ctx, l, changes, rows)
	return s, err
}

// take takes a row, and says whether it is the last one that the failures make at
// once. An anomaly makes a row whenever the number of what it stands for has doubled.
func (s *storm) take(r *row, namespace string) bool {
	switch {
	case r.Rule == string(anomaly.StormRule):
		s.rows++
		s.held = s.owners - s.raised
		return int(r.Count) == last(s.held)
	case r.Rule != rule || r.Object.Namespace != namespace:
		return false
	}
	s.rows++
	if r.Count == 1 {
		s.raised++
	}
	if int(r.Count) == last(s.pods/s.owners) || int(r.Count) == last(s.pods/s.owners+1) {
		s.complete++
	}
	return s.complete == s.owners
}

// last is the last number on the way to n by doubling.
func last(n int) int { return 1 << max(bits.Len(uint(max(n, 1)))-1, 0) }

// evaluate takes the times of the rows.
func (s *storm) evaluate(ctx context.Context, l *lab, changes map[string]change, rows []row) error {
	var first time.Time
	for _, c := range changes {
		event, err := l.watch.when(ctx, c.version)
		if err != nil {
			return err
		}
		if first.IsZero() || event.Before(first) {
			first = event
		}
	}
	for i := range rows {
		r := &rows[i]
		c, ours := changes[r.Object.Name]
		switch {
		case r.Rule == string(anomaly.StormRule) && s.guard == 0:
			s.guard = r.seen.Sub(r.At)
		case r.Rule == rule && ours && r.Count == 1:
			if err := s.add(ctx, l, c, r); err != nil {
				return err
			}
		}
		s.settled = max(s.settled, r.seen.Sub(first))
	}
	if len(s.watched) != s.raised {
		return fmt.Errorf("%d rows began an anomaly, %d expected", len(s.watched), s.raised)
	}
	return nil
}

// usage is what programs have used so far.
type usage struct {
	cpu, hubCPU time.Duration
	sent        float64
}

func (l *lab) used(ctx context.Context) (u usage, err error) {
	if u.cpu, err = process.CPUTime(l.agent.PID()); err != nil {
		return u, err
	}
	if u.hubCPU, err = process.CPUTime(l.replica.PID()); err != nil {
		return u, err
	}
	u.sent, err = l.metric(ctx, "atlhyper_agent_uplink_sent_bytes_total")
	return u, err
}
