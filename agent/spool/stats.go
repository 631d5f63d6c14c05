// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"maps"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Stats is what a spool holds and has lost.
type Stats struct {
	// Bytes is what it occupies on the disk, Limit what it may at the moment.
	Bytes, Limit int64
	// MemoryBytes wait in memory for the disk.
	MemoryBytes int64
	// Trouble is why the disk takes nothing; nil when it does.
	Trouble error
	// Origin is what Open found.
	Origin Origin
	// Streams has every stream.
	Streams map[telemetry.Stream]StreamStats
}

// StreamStats is the part of a stream. The counters begin with Open.
type StreamStats struct {
	// Records and Bytes are not acknowledged, of these in closed epochs: Replay.
	Records, Replay uint64
	Bytes           int64
	// Epochs is how many epochs are held, the open one included.
	Epochs int
	// Oldest is the time of the oldest record that is not acknowledged, as far as
	// it is known; zero when there is none.
	Oldest time.Time
	// Appended and Acked count sequence numbers.
	Appended, Acked uint64
	// Splits counts how often a backlog moved to the replay lane.
	Splits uint64
	// Dropped counts values by the reason for which they are missing.
	Dropped map[telemetry.GapReason]uint64
}

// Stats returns the state at this moment.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Bytes: s.used, Limit: s.limit, MemoryBytes: s.memory, Trouble: s.trouble, Origin: s.origin, Streams: map[telemetry.Stream]StreamStats{}}
	for id, st := range s.streams {
		one := st.stats
		one.Dropped = maps.Clone(st.stats.Dropped)
		one.Epochs = len(st.epochs)
		for _, e := range st.epochs {
			n := e.last - e.acked
			one.Records += n
			if e.closed {
				one.Replay += n
			}
			one.Bytes += e.backlog()
			if n > 0 && one.Oldest.IsZero() {
				one.Oldest = e.oldest()
			}
		}
		out.Streams[id] = one
	}
	return out
}

// oldest returns the time of the oldest record that is not acknowledged.
func (e *epoch) oldest() time.Time {
	for _, g := range e.segments {
		if g.gap == 0 && g.to > e.acked && max(g.oldest, g.created) > 0 {
			if g.oldest > 0 {
				return moment(g.oldest)
			}
			return moment(g.created)
		}
	}
	return time.Time{}
}
