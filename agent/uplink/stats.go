// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"maps"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Stats is how delivery stands.
type Stats struct {
	// Streams has every stream.
	Streams map[telemetry.Stream]StreamStats
	// Lanes has both lanes, by Lane.
	Lanes [lanes]LaneStats
}

// LaneStats is the part of a lane.
type LaneStats struct {
	// Requests counts answers by what they said, such as "stored", "busy" or "failed".
	Requests map[string]uint64
	// Bytes counts what was sent, compressed, without what HTTP and TLS add.
	Bytes uint64
	// HeldUntil is the end of a pause; zero when the lane may send.
	HeldUntil time.Time
	// Problem is why the last request did not succeed, and Since when it has been
	// so; empty and zero when it did.
	Problem string
	// Since belongs to Problem.
	Since time.Time
}

// StreamStats is the part of a stream.
type StreamStats struct {
	// Epoch and Acked are the last sequence number that the hub confirmed on the
	// live lane; 0 before the first.
	Epoch telemetry.Epoch
	// Acked belongs to Epoch.
	Acked uint64
	// AckedAt is when the hub confirmed something last; zero before the first time.
	AckedAt time.Time
	// Delivered counts records that the hub confirmed, gaps included.
	Delivered uint64
	// Quarantined counts records that the hub set aside.
	Quarantined uint64
	// Lag is how old the oldest record of the last live batch was when the hub
	// confirmed it.
	Lag time.Duration
	// BacklogRecords and BacklogBytes are not confirmed, ReplayRecords of them on
	// the replay lane.
	BacklogRecords, ReplayRecords uint64
	// BacklogBytes belongs to BacklogRecords.
	BacklogBytes int64
	// OldestAge is the age of the oldest of them; 0 when there is none.
	OldestAge time.Duration
	// Dropped counts values that were given up, by the spool or on its way.
	Dropped uint64
	// Problem is what keeps the stream's last batch from being stored, and Since
	// when it has been so; empty and zero when nothing does.
	Problem string
	// Since belongs to Problem.
	Since time.Time
}

// Stats returns the state at this moment.
func (u *Uplink) Stats() Stats {
	u.look()
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	out := Stats{Streams: maps.Clone(u.stats.Streams), Lanes: u.stats.Lanes}
	for i := range out.Lanes {
		out.Lanes[i].Requests = maps.Clone(u.stats.Lanes[i].Requests)
		out.Lanes[i].HeldUntil = u.gate.held(Lane(i))
	}
	for stream, one := range out.Streams {
		b := u.backlog[stream]
		one.BacklogRecords, one.ReplayRecords, one.BacklogBytes = b.Live+b.Replay, b.Replay, b.Bytes
		one.Dropped = b.Dropped
		if !b.Oldest.IsZero() && one.BacklogRecords > 0 {
			one.OldestAge = max(now.Sub(b.Oldest), 0)
		}
		out.Streams[stream] = one
	}
	return out
}

// tell notes an answer and logs when delivery begins to fail or works again.
func (u *Uplink) tell(s *sequence, b *telemetry.Batch, o *outcome, bytes int, pause time.Duration) {
	now := time.Now()
	u.mu.Lock()
	lane := &u.stats.Lanes[s.lane]
	if lane.Requests == nil {
		lane.Requests = map[string]uint64{}
	}
	lane.Requests[o.verdict.String()]++
	lane.Bytes += uint64(bytes) //nolint:gosec // not negative
	before, since := lane.Problem, lane.Since
	if o.verdict.aboutLane() {
		lane.Problem = o.problem
		if before == "" {
			lane.Since = now
		}
	} else {
		lane.Problem, lane.Since = "", time.Time{}
	}
	one := u.stats.Streams[s.stream]
	if o.verdict == stored {
		one.AckedAt = now
		one.Delivered += b.LastSeq - b.FirstSeq + 1
		one.Quarantined += uint64(o.quarantined) //nolint:gosec // not negative
		if s.lane == Live {
			one.Epoch, one.Acked = b.Epoch, b.LastSeq
			one.Lag = max(now.Sub(b.Records[0].Time), 0)
		}
	}
	one.setProblem(o.problem, now)
	u.stats.Streams[s.stream] = one
	u.mu.Unlock()

	switch {
	case o.verdict.aboutLane() && before == "":
		u.log.Info("Delivery to the hub fails; the spool keeps what it can", "lane", s.lane.String(), "reason", o.problem, "pause", pause.Round(time.Millisecond).String())
	case o.verdict.aboutLane():
		u.log.V(1).Info("Delivery to the hub still fails", "lane", s.lane.String(), "reason", o.problem, "pause", pause.Round(time.Millisecond).String())
	case before != "":
		u.log.Info("Delivery to the hub works again", "lane", s.lane.String(), "after", now.Sub(since).Round(time.Second).String(), "was", before)
	case o.verdict != stored:
		u.log.V(1).Info("Hub did not store a batch", "lane", s.lane.String(), "stream", s.stream.String(), "epoch", b.Epoch,
			"firstSeq", b.FirstSeq, "lastSeq", b.LastSeq, "reason", o.problem)
	}
}

// trouble notes what keeps a sequence from being sent.
func (u *Uplink) trouble(s *sequence, problem string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.stats.Streams[s.stream]
	one.setProblem(problem, time.Now())
	u.stats.Streams[s.stream] = one
}

func (s *StreamStats) setProblem(problem string, now time.Time) {
	if problem == "" {
		s.Problem, s.Since = "", time.Time{}
		return
	}
	if s.Problem == "" {
		s.Since = now
	}
	s.Problem = problem
}
