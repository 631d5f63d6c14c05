// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// Item is a value to be spooled. For a *telemetry.Gap, the spool sets From and To.
type Item struct {
	// Time is when the agent saw what the payload says.
	Time time.Time
	// Payload is what the stream carries, or a *telemetry.Gap.
	Payload telemetry.Payload
}

// Appended says which numbers records were given.
type Appended struct {
	// Epoch of the records.
	Epoch telemetry.Epoch
	// First and Last are the sequence numbers, inclusive. Both are 0 when
	// no record was taken. First may be that of a gap that was due before.
	First, Last uint64
}

// Spool is the agent's queue on disk. It is safe for concurrent use.
type Spool struct {
	dir     string
	options Options
	codec   Codec
	release func()
	lock    *os.File
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
	// losses wakes the goroutine that calls Options.Lost, and told is closed when
	// it has ended.
	losses chan struct{}
	told   chan struct{}

	// syncing is held while files are synced, before mu.
	syncing sync.Mutex

	mu      sync.Mutex
	streams map[telemetry.Stream]*stream
	used    int64 // bytes on the disk
	limit   int64 // what used may be
	memory  int64 // bytes that the disk did not take yet
	trouble error // what the disk said last; nil when all is well
	changed chan struct{}
	closed  bool
	relief  time.Time // of the last attempt to make room
	origin  Origin
}

// stream is the state of one telemetry stream.
type stream struct {
	id     telemetry.Stream
	epochs []*epoch // ascending; the last one may be open
	// lost is what the next record must be preceded by.
	lost []loss
	// owed is true when a call of Options.Lost is, and due when the hub has said
	// something since.
	owed, due bool
	stats     StreamStats
	scratch   []byte
}

// loss is telemetry that never had numbers, or whose numbers are unknown.
type loss struct {
	reason     telemetry.GapReason
	dropped    uint64
	start, end time.Time
}

// Append numbers the items and writes them. When it returns, they outlive the end
// of this process; SyncInterval later, or after Sync, the loss of power too.
// Items that the stream cannot carry are left out, the others taken, and the
// error is a *RecordError; one that is too large leaves a gap. A *FullError says
// that items were dropped because the disk has no room.
func (s *Spool) Append(id telemetry.Stream, items ...Item) (Appended, error) {
	if !id.Known() {
		return Appended{}, fmt.Errorf("spooling: %s is unknown", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Appended{}, ErrClosed
	}
	st := s.streams[id]
	var out Appended
	var problems []error
	before := st.stats.Dropped[telemetry.GapSourceOverflow]
	for i := range items {
		if err := s.appendItem(st, &items[i], &out); err != nil {
			problems = append(problems, &RecordError{Index: i, Err: err})
		}
	}
	s.settle(st)
	if n := st.stats.Dropped[telemetry.GapSourceOverflow] - before; n > 0 {
		problems = append(problems, &FullError{Stream: id, Dropped: int(n), Err: s.trouble}) //nolint:gosec // at most the items of one call
	}
	s.enforce()
	s.announce()
	return out, errors.Join(problems...)
}

func (s *Spool) appendItem(st *stream, item *Item, out *Appended) error {
	if s.trouble != nil && s.memory >= s.options.MemoryBytes && !s.relieve(st) {
		st.overflow(item.Time)
		return nil
	}
	if err := s.admit(st, out); err != nil {
		return err
	}
	err := s.number(st, item.Time, item.Payload, out)
	if errors.Is(err, wire.ErrTooLarge) {
		st.stats.Dropped[telemetry.GapTooLarge]++
		err = errors.Join(err, s.number(st, item.Time, &telemetry.Gap{Reason: telemetry.GapTooLarge, Dropped: 1, Start: item.Time, End: item.Time}, out))
		st.missed(s.open(st))
	}
	return err
}

// admit writes the gaps that are due before the stream's next record.
func (s *Spool) admit(st *stream, out *Appended) error {
	for len(st.lost) > 0 {
		l := st.lost[0]
		if err := s.number(st, l.end, &telemetry.Gap{Reason: l.reason, Dropped: l.dropped, Start: l.start, End: l.end}, out); err != nil {
			return err
		}
		st.lost = st.lost[1:]
		st.missed(s.open(st))
	}
	return nil
}

// number gives a value the next number and adds it to the active segment's buffer.
func (s *Spool) number(st *stream, at time.Time, payload telemetry.Payload, out *Appended) error {
	e := s.open(st)
	r := telemetry.Record{Seq: e.last + 1, Time: at, Payload: payload}
	if gap, ok := payload.(*telemetry.Gap); ok && gap != nil {
		own := *gap
		own.From, own.To = r.Seq, r.Seq
		r.Payload = &own
	}
	data, err := s.codec.AppendRecord(st.scratch[:0], st.id, &r)
	if err != nil {
		return err
	}
	st.scratch = data
	if most := maxData(st.id); len(data) > most {
		return fmt.Errorf("the record and its words have %d bytes, at most %d are allowed: %w", len(data), most, wire.ErrTooLarge)
	}
	g := s.activeSegment(e)
	before := len(g.buf)
	millis := at.UnixMilli()
	g.buf = appendFrame(g.buf, e.seed, r.Seq, millis, data)
	s.memory += int64(len(g.buf) - before)
	e.last, g.to = r.Seq, r.Seq
	e.observe(payload)
	if g.oldest == 0 || millis < g.oldest {
		g.oldest = millis
	}
	g.newest = max(g.newest, millis)
	st.stats.Appended++
	if out.First == 0 {
		out.Epoch, out.First = e.number, r.Seq
	}
	out.Last = r.Seq
	if g.size() >= s.options.SegmentBytes || len(g.buf) >= writeBytes {
		s.settle(st)
	}
	return nil
}

// writeBytes is how much is collected for one write within one Append.
const writeBytes = 256 << 10

// overflow counts a record that there is no room for.
func (st *stream) overflow(at time.Time) {
	st.stats.Dropped[telemetry.GapSourceOverflow]++
	if n := len(st.lost); n == 0 || st.lost[n-1].reason != telemetry.GapSourceOverflow {
		st.lost = append(st.lost, loss{reason: telemetry.GapSourceOverflow, start: at, end: at})
	}
	l := &st.lost[len(st.lost)-1]
	l.dropped++
	if at.Before(l.start) {
		l.start = at
	}
	if at.After(l.end) {
		l.end = at
	}
}

// open returns the stream's epoch for new records, a new one when there is none.
func (s *Spool) open(st *stream) *epoch {
	last := telemetry.Epoch(0)
	if n := len(st.epochs); n > 0 {
		if e := st.epochs[n-1]; !e.closed {
			return e
		}
		last = st.epochs[n-1].number
	}
	number := max(telemetry.Epoch(max(time.Now().UnixMilli(), 1)), last+1)
	e := newEpoch(st.id, number, filepath.Join(s.dir, st.id.String(), fmt.Sprintf("%020d", uint64(number))))
	e.own, e.bare = true, true
	st.epochs = append(st.epochs, e)
	return e
}

// activeSegment returns the segment for the next record. A full one, and one that
// spans too much time to be dropped in one piece, is sealed, unless the disk
// refuses it: what is in memory belongs to it.
func (s *Spool) activeSegment(e *epoch) *segment {
	now := time.Now().UnixMilli()
	if g := e.active; g != nil {
		old := now-g.created > s.options.MaxAge.Milliseconds()/8
		if len(g.buf) > 0 || g.size() < s.options.SegmentBytes && !old {
			return g
		}
		e.active = nil
		crash.At("spool.segment.sealed")
	}
	g := &segment{first: e.last + 1, from: e.last + 1, to: e.last, created: now, path: numbered(e.dir, e.last+1, segmentSuffix)}
	g.buf = appendSegmentHeader(nil, e.seed, g.first, now)
	s.memory += int64(len(g.buf))
	e.segments = append(e.segments, g)
	e.active = g
	return g
}

// split closes an epoch: what is left of it is for the replay lane, and the next
// record begins a new epoch on the live lane.
func (e *epoch) split() {
	e.closed, e.active = true, nil
}

// find returns an epoch.
func (s *Spool) find(id telemetry.Stream, number telemetry.Epoch) (*stream, *epoch, error) {
	if s.closed {
		return nil, nil, ErrClosed
	}
	st := s.streams[id]
	if st == nil {
		return nil, nil, fmt.Errorf("looking up epoch %d of %s: %w", number, id, ErrUnknownEpoch)
	}
	i := slices.IndexFunc(st.epochs, func(e *epoch) bool { return e.number == number })
	if i < 0 {
		return nil, nil, fmt.Errorf("looking up epoch %d of %s: %w", number, id, ErrUnknownEpoch)
	}
	return st, st.epochs[i], nil
}

// Changed returns a channel that is closed when there may be something new to read.
// Take the channel first, then try the readers, then wait.
func (s *Spool) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
		if s.closed {
			close(s.changed)
		}
	}
	return s.changed
}

// announce wakes whoever waits for Changed.
func (s *Spool) announce() {
	if s.changed != nil && !s.closed {
		close(s.changed)
		s.changed = nil
	}
}
