// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	// maxBackoff is the longest time between two attempts to read a node that fails.
	maxBackoff = 10 * time.Minute
	// refusedPause is the time between two attempts while the agent has no right.
	refusedPause = 5 * time.Minute
)

// node is one to read.
type node struct {
	name  string
	watch *watch
	// due is when to read it next.
	due time.Time
	// lost is true while the control plane does not hear from the node either. It is
	// not asked then: whoever asks a dead node waits in vain, and others with him.
	lost bool
	// failures is how often in a row nothing of it could be read, and failing whether
	// something could not last time.
	failures int
	failing  bool
}

// schedule decides which node to read when. It is a pure state machine.
type schedule struct {
	interval time.Duration
	nodes    map[string]*node
	// phase is where in the interval the next new node goes, from 0 to 1.
	phase float64
}

func newSchedule(interval time.Duration) *schedule {
	return &schedule{interval: interval, nodes: map[string]*node{}, phase: rand.Float64()} //nolint:gosec // it only spreads load
}

// add takes a node, new or as it is now. However many there are, multiples of the
// golden ratio put each where the gap between the others is widest, so that reading
// them is spread evenly.
func (s *schedule) add(name string, lost bool, now time.Time) {
	n := s.nodes[name]
	if n == nil {
		_, s.phase = math.Modf(s.phase + math.Phi - 1)
		n = &node{name: name, watch: newWatch(s.interval), due: now.Add(time.Duration(s.phase * float64(s.interval)))}
		s.nodes[name] = n
	}
	if n.lost && !lost {
		n.failures, n.failing = 0, false
		n.due = s.after(n.due, s.interval, now)
	}
	n.lost = lost
}

// remove takes a node away and returns it; nil when there is none of the name.
func (s *schedule) remove(name string) *node {
	n := s.nodes[name]
	delete(s.nodes, name)
	return n
}

// next returns the node to read first; nil when there is none.
func (s *schedule) next() *node {
	var first *node
	for _, n := range s.nodes {
		if !n.lost && (first == nil || n.due.Before(first.due) || n.due.Equal(first.due) && n.name < first.name) {
			first = n
		}
	}
	return first
}

// refused plans the next attempt to read any node.
func (s *schedule) refused(now time.Time) {
	for _, n := range s.nodes {
		n.due = s.after(n.due, refusedPause, now)
	}
}

// count returns how many nodes there are, how many of them the control plane has lost,
// and how many of the others could not be read completely last time.
func (s *schedule) count() (all, lost, failing int) {
	for _, n := range s.nodes {
		switch {
		case n.lost:
			lost++
		case n.failing:
			failing++
		}
	}
	return len(s.nodes), lost, failing
}

// succeeded plans the next reading of a node. It keeps its place in the interval.
func (s *schedule) succeeded(n *node, now time.Time) {
	n.failures = 0
	n.due = s.after(n.due, s.interval, now)
}

// failed plans the next attempt: in time after one failure, then later and later.
func (s *schedule) failed(n *node, now time.Time) {
	pause := s.interval << min(n.failures, 10)
	n.failures++
	n.due = s.after(n.due, min(pause, max(maxBackoff, s.interval)), now)
}

// after returns a moment a pause later, or where that has passed, the first one after
// now that keeps the place in the interval.
func (s *schedule) after(due time.Time, pause time.Duration, now time.Time) time.Time {
	due = due.Add(pause)
	if late := now.Sub(due); late >= 0 {
		due = due.Add(late - late%s.interval + s.interval)
	}
	return due
}
