// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"context"
	"sync"
	"time"
)

// hold is why a lane waits, or that it does not. It is a value with pure rules;
// gate guards it.
type hold struct {
	// until is the end of the pause; in the past when there is none.
	until time.Time
	// failures and refusals in a row.
	failures, refusals int
	// proven is true after the hub took a request and until it does not. Before
	// that, one request at a time finds out.
	proven bool
	// inFlight is how many requests have begun and not ended.
	inFlight int
}

// pauses are the bounds of a hold.
type pauses struct {
	retryMin, retryMax, refusedMin, refusedMax time.Duration
}

// settle notes the answer to a request that began at began, and returns how long
// the lane now pauses; 0 for not at all. As nothing begins during a pause, what
// began before its end says nothing new: requests that fail together count once, and
// one that succeeds late does not cut short what the hub asked for.
func (h *hold) settle(o outcome, began, now time.Time, p pauses, random float64) time.Duration {
	if began.Before(h.until) {
		if until := now.Add(asked(o.retryAfter, random)); o.verdict == busy && until.After(h.until) {
			h.until = until
		}
		return max(h.until.Sub(now), 0)
	}
	var pause time.Duration
	switch o.verdict {
	case unauthenticated, forbidden:
		h.refusals++
		pause = steady(h.refusals, p.refusedMin, p.refusedMax, random)
	case busy:
		h.refusals = 0
		pause = asked(o.retryAfter, random)
	case failed:
		h.refusals = 0
		h.failures++
		pause = fullJitter(h.failures, p.retryMin, p.retryMax, random)
	default:
		// The hub is there and takes us, however unhappy it is with the batch.
		*h = hold{proven: true, inFlight: h.inFlight}
		return 0
	}
	h.proven = false
	h.until = now.Add(pause)
	return pause
}

// may says whether a request may begin, and otherwise how long to wait at least;
// 0 means until another request ends.
func (h *hold) may(now time.Time) (ok bool, wait time.Duration) {
	if wait = h.until.Sub(now); wait > 0 {
		return false, wait
	}
	return h.proven || h.inFlight == 0, 0
}

// gate decides when the lanes may send.
type gate struct {
	pauses pauses
	random func() float64

	mu      sync.Mutex
	lanes   [lanes]hold
	counts  [lanes]uint64 // how often each lane was held
	changed chan struct{}
}

func newGate(p pauses, random func() float64) *gate {
	return &gate{pauses: p, random: random, changed: make(chan struct{})}
}

// enter waits until a request of the lane may begin. The caller calls leave.
func (g *gate) enter(ctx context.Context, lane Lane) error {
	for {
		g.mu.Lock()
		ok, wait := g.may(lane, time.Now())
		if ok {
			g.lanes[lane].inFlight++
			g.mu.Unlock()
			return ctx.Err()
		}
		changed := g.changed
		g.mu.Unlock()
		if err := sleep(ctx, wait, changed); err != nil {
			return err
		}
	}
}

// may is hold.may, where the replay lane also waits for a live lane that is held
// or is finding out whether the hub is back.
func (g *gate) may(lane Lane, now time.Time) (bool, time.Duration) {
	if lane == Replay {
		live := &g.lanes[Live]
		if ok, wait := live.may(now); !ok {
			return false, wait
		}
	}
	return g.lanes[lane].may(now)
}

// leave notes the answer, and returns how long the lane pauses.
func (g *gate) leave(lane Lane, o outcome, began time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := &g.lanes[lane]
	h.inFlight--
	pause := h.settle(o, began, time.Now(), g.pauses, g.random())
	if pause > 0 {
		g.counts[lane]++
	}
	if lane == Replay && h.proven && pause == 0 {
		g.lanes[Live].proven = true // what takes backlog takes what is new
	}
	g.wake()
	return pause
}

// holds returns how often a lane was held.
func (g *gate) holds(lane Lane) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[lane]
}

// abandon ends a request that was not sent after all.
func (g *gate) abandon(lane Lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lanes[lane].inFlight--
	g.wake()
}

// wake lets whoever waits look again. The caller holds the lock.
func (g *gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// held says until when a lane waits; zero when it does not.
func (g *gate) held(lane Lane) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	until := g.lanes[Live].until
	if lane == Replay && g.lanes[Replay].until.After(until) {
		until = g.lanes[Replay].until
	}
	if !until.After(time.Now()) {
		return time.Time{}
	}
	return until
}

// sleep waits for d, or for ever when d is 0, or until something is received from
// changed. The error is that of the context.
func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
	case <-changed:
	}
	return nil
}
