// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// timings are latencies until the row could be read.
type timings struct {
	// watched begin when the watch event arrived here, answered when the API server
	// had answered the request that made the change, and asked when that was sent. On
	// a busy machine the event may arrive here later than at the agent, and asked is
	// what a latency is at most.
	watched, answered, asked []time.Duration
	// judged is the part of watched before the agent had judged the change, to the
	// millisecond.
	judged []time.Duration
	// resolution is the time between two looks at history.
	resolution time.Duration
}

// add takes the row that a change made.
func (t *timings) add(ctx context.Context, l *lab, c change, r *row) error {
	event, err := l.watch.when(ctx, c.version)
	if err != nil {
		return err
	}
	t.watched = append(t.watched, r.seen.Sub(event))
	t.answered = append(t.answered, r.seen.Sub(c.answered))
	t.asked = append(t.asked, r.seen.Sub(c.begun))
	t.judged = append(t.judged, max(r.At.Sub(event), 0))
	return nil
}

// longestPause is the longest pause between two single changes. Each pause is random,
// so that no change keeps step with what the programs do in intervals.
const longestPause = 30 * time.Millisecond

// changesOfAnAgent is after how many changes an agent is replaced: so many new
// anomalies in a minute are a storm, of which later ones wait. Half of the changes
// raise one.
const changesOfAnAgent = 2 * (anomaly.StormLimit - 10)

// changeOneByOne breaks and repairs a pod again and again, each time after the row
// about the time before could be read.
func (l *lab) changeOneByOne(ctx context.Context, changes int) (t timings, err error) {
	pod, err := l.makePod(ctx, metav1.NamespaceDefault, fmt.Sprintf("single-%d", time.Now().UnixNano()), "")
	if err != nil {
		return t, err
	}
	pause := time.NewTicker(time.Hour)
	defer pause.Stop()
	l.past.polls, l.past.polling = 0, 0
	for n := range changes {
		want, do := telemetry.AnomalyRaised, l.fail
		if n%2 == 1 {
			want, do = telemetry.AnomalyCleared, l.recover
		} else if n%changesOfAnAgent == 0 {
			if err := l.freshAgent(ctx); err != nil {
				return t, err
			}
		}
		pause.Reset(1 + rand.N(longestPause))
		select {
		case <-ctx.Done():
			return t, context.Cause(ctx)
		case <-pause.C:
		}
		c, err := do(ctx, pod)
		if err != nil {
			return t, err
		}
		r, err := l.past.wait(ctx, pollOften, func(r *row) bool { return r.State == want && r.Object.Name == pod.Name })
		if err != nil {
			return t, err
		}
		if err := t.add(ctx, l, c, &r); err != nil {
			return t, err
		}
	}
	t.resolution = l.past.resolution()
	return t, nil
}
