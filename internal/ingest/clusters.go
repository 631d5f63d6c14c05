// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"maps"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/bucket"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Activity is what this replica has seen of a cluster. Replicas do not know what
// the others have seen; history's offsets are true for all of them.
type Activity struct {
	// LastAccepted is when records were stored last; zero when never.
	LastAccepted time.Time
	// LastRefused is when a batch was refused last for a reason that lies with
	// the cluster; zero when never.
	LastRefused time.Time
	// LastRefusal is that reason.
	LastRefusal Reason
	// LastQuarantined is when records were set aside last; zero when never.
	LastQuarantined time.Time
	// Quarantined counts the records that were set aside.
	Quarantined map[QuarantineReason]int
	// Skew is what is known about the cluster's clock; zero when nothing is.
	Skew Skew
}

// logRate is how often a cluster's misbehaviour is worth a line in the log.
var logRate = Rate{PerSecond: 1.0 / 30, Burst: 3}

// clusterState is what is remembered of a cluster that is a member.
type clusterState struct {
	name   string
	limits *Limits

	mu       sync.Mutex
	used     time.Time
	requests bucket.Bucket
	bytes    bucket.Bucket
	logs     bucket.Bucket
	skew     skewEstimator
	activity Activity
	streams  map[telemetry.Stream]time.Time

	names sync.Mutex // held while the names of a batch are counted
	known census
}

// clusters remembers clusters, at most so many.
type clusters struct {
	limits    Limits
	forgotten func(name string)

	mu     sync.Mutex
	states map[string]*clusterState
}

func newClusters(limits Limits, forgotten func(name string)) *clusters {
	return &clusters{limits: limits, forgotten: forgotten, states: map[string]*clusterState{}}
}

// of returns the state of a member, and forgets the one that was idle longest when
// there are too many.
func (c *clusters) of(name string, now time.Time) *clusterState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.states[name]
	if s == nil {
		if len(c.states) >= c.limits.Clusters {
			c.forgetOldest()
		}
		s = &clusterState{name: name, limits: &c.limits, streams: map[telemetry.Stream]time.Time{}}
		c.states[name] = s
	}
	s.mu.Lock()
	s.used = now
	s.mu.Unlock()
	return s
}

func (c *clusters) forgetOldest() {
	var oldest *clusterState
	var used time.Time
	for _, s := range c.states {
		s.mu.Lock()
		if oldest == nil || s.used.Before(used) {
			oldest, used = s, s.used
		}
		s.mu.Unlock()
	}
	if oldest != nil {
		delete(c.states, oldest.name)
		c.forgotten(oldest.name)
	}
}

func (c *clusters) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.states, name)
	c.forgotten(name)
}

func (c *clusters) find(name string) *clusterState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states[name]
}

func (s *clusterState) takeRequest(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests.Take(s.limits.ClusterRequests, 1, now)
}

func (s *clusterState) takeBytes(n int, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes.Take(s.limits.ClusterBytes, float64(n), now)
}

func (s *clusterState) mayLog(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.Take(logRate, 1, now) == 0
}

func (s *clusterState) giveBytes(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes.Give(float64(n))
}

func (s *clusterState) observeClock(newest, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew.observe(newest, now)
}

func (s *clusterState) accepted(stream telemetry.Stream, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.activity.LastAccepted = now
	s.streams[stream] = now
}

func (s *clusterState) refused(reason Reason, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.activity.LastRefused, s.activity.LastRefusal = now, reason
}

func (s *clusterState) quarantined(counts map[QuarantineReason]int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.activity.Quarantined == nil {
		s.activity.Quarantined = map[QuarantineReason]int{}
	}
	for reason, n := range counts {
		s.activity.Quarantined[reason] += n
		s.activity.LastQuarantined = now
	}
}

func (s *clusterState) report(now time.Time) Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.activity
	a.Quarantined = maps.Clone(s.activity.Quarantined)
	a.Skew, _ = s.skew.estimate(now)
	return a
}
