// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"sync"
	"time"
)

// Pauses of the gate after the store was unavailable.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 5 * time.Second
)

// gate keeps batches out while the store is unavailable, before their bodies are
// read. After each pause it lets one through to see whether the store is back.
type gate struct {
	mu      sync.Mutex
	pause   time.Duration // 0: open
	until   time.Time
	probing bool
}

// enter says whether a batch may go on, and otherwise for how long not. probe is
// true for the batch that finds out whether the store is back: it calls leave.
func (g *gate) enter(now time.Time) (ok, probe bool, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.pause == 0:
		return true, false, 0
	case g.probing:
		return false, false, g.pause
	case now.Before(g.until):
		return false, false, g.until.Sub(now)
	}
	g.probing = true
	return true, true, 0
}

// leave ends a probe that did not get as far as the store.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
}

// report says what came of an attempt to store. It returns true when the gate
// closes or opens by it.
func (g *gate) report(available, probe bool, now time.Time) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wasOpen := g.pause == 0
	switch {
	case available:
		g.pause = 0
	case wasOpen:
		g.pause = firstPause
	case probe:
		g.pause = min(2*g.pause, longestPause)
	}
	g.until = now.Add(g.pause)
	return wasOpen != (g.pause == 0)
}
