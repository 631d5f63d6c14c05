// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// epoch is one sequence of a stream, numbered from 1 without a hole. Its segments
// cover every number from acked+1 to last, and some below.
type epoch struct {
	stream telemetry.Stream
	number telemetry.Epoch
	dir    string
	seed   uint32
	// closed epochs take no more records and are delivered on the replay lane.
	closed bool
	// own epochs are of this process.
	own bool
	// snapshots are the kinds whose snapshot has begun and not ended in the epoch.
	snapshots []telemetry.Kind

	// acked is the highest number that the hub confirmed, next the one to hand
	// out next, last the highest that was given to a record.
	acked, next, last uint64
	segments          []*segment
	active            *segment
	// at remembers where next is.
	at place

	// busy while a reader reads; moved counts what invalidates its result.
	busy  bool
	moved uint64

	ackFile            file
	ackCount, ackSaved uint64
	// bare until the directory exists; dirty while its entries are not synced.
	bare, dirty bool
}

// place is the offset of a frame in a segment.
type place struct {
	segment *segment
	seq     uint64
	off     int64
}

func newEpoch(stream telemetry.Stream, number telemetry.Epoch, dir string) *epoch {
	return &epoch{stream: stream, number: number, dir: dir, seed: seed(stream, number), next: 1}
}

// pending reports whether there is something to hand out.
func (e *epoch) pending() bool { return !e.busy && e.next <= e.last }

// done reports whether nothing of the epoch is needed any more.
func (e *epoch) done() bool { return e.closed && e.acked >= e.last }

// observe takes note of a value that was appended.
func (e *epoch) observe(payload telemetry.Payload) {
	delta, ok := payload.(*telemetry.ObjectDelta)
	if !ok || delta == nil {
		return
	}
	if delta.Op == telemetry.OpSnapshotBegin || delta.Op == telemetry.OpSnapshotEnd {
		e.snapshots = slices.DeleteFunc(e.snapshots, func(k telemetry.Kind) bool { return k == delta.Kind })
	}
	if delta.Op == telemetry.OpSnapshotBegin {
		e.snapshots = append(e.snapshots, delta.Kind)
	}
}

// abandoned is how many times the allowed backlog a snapshot may hold up.
const abandoned = 8

// excess says whether an epoch has more backlog than a live one may have, and
// whether splitting it would tear a snapshot apart.
func (e *epoch) excess(allowed int64) (split, torn bool) {
	backlog := e.backlog()
	if e.closed || backlog <= allowed {
		return false, false
	}
	if len(e.snapshots) == 0 {
		return true, false
	}
	split = backlog/abandoned > allowed
	return split, split
}

// seek makes seq the next number to hand out.
func (e *epoch) seek(seq uint64) {
	e.next = seq
	e.moved++
}

// backlog is how many bytes the hub has not confirmed.
func (e *epoch) backlog() int64 {
	total := int64(0)
	for _, g := range slices.Backward(e.segments) {
		if g.to <= e.acked {
			break
		}
		if g.gap == 0 {
			total += g.share(e.acked)
		}
	}
	return total
}

// acknowledge moves acked up to seq and returns how many numbers that confirmed.
func (e *epoch) acknowledge(seq uint64) uint64 {
	if seq <= e.acked {
		return 0
	}
	n := seq - e.acked
	e.acked = seq
	if e.next <= seq {
		e.seek(seq + 1)
	}
	return n
}

// rewind makes expected the next number, below what the hub had confirmed before.
// It returns the gap for the numbers that are not held any more, or nil.
func (e *epoch) rewind(expected uint64) *segment {
	e.acked = expected - 1
	e.seek(expected)
	held := e.last + 1
	if len(e.segments) > 0 {
		held = e.segments[0].from
	}
	if held <= expected {
		return nil
	}
	g := e.gap(expected, held-1, telemetry.GapRefused)
	e.segments = slices.Insert(e.segments, 0, g)
	return g
}

// gap returns a segment that stands for numbers that are gone.
func (e *epoch) gap(from, to uint64, reason telemetry.GapReason) *segment {
	g := &segment{first: from, from: from, to: to, gap: reason, created: time.Now().UnixMilli(), path: numbered(e.dir, from, gapSuffix)}
	g.inside = e.divides(from)
	return g
}

// divides reports whether what begins at seq lies within a segment of records.
func (e *epoch) divides(seq uint64) bool {
	return slices.ContainsFunc(e.segments, func(g *segment) bool { return g.gap == 0 && g.first < seq && g.to >= seq })
}

// takeDelivered removes the segments that the hub confirmed whole and returns
// them. The active one stays: it is still being written.
func (e *epoch) takeDelivered() []*segment {
	n := 0
	for n < len(e.segments) && e.segments[n].to <= e.acked && e.segments[n] != e.active {
		n++
	}
	out := slices.Clone(e.segments[:n])
	e.segments = slices.Delete(e.segments, 0, n)
	return out
}
