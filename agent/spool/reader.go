// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Lane is one of the two ways to the hub.
type Lane uint8

// The lanes.
const (
	// Live delivers the open epoch: what happens now.
	Live Lane = iota
	// Replay delivers closed epochs, oldest first: what happened while the hub was
	// away, or before this process started.
	Replay
)

// String returns "live" or "replay".
func (l Lane) String() string {
	if l == Live {
		return "live"
	}
	return "replay"
}

// Reader hands out the records of one stream on one lane.
type Reader struct {
	spool  *Spool
	stream telemetry.Stream
	lane   Lane
}

// Reader returns the reader of a stream that telemetry knows, on a lane. All readers
// of one stream and lane share their position.
func (s *Spool) Reader(id telemetry.Stream, lane Lane) *Reader {
	return &Reader{spool: s, stream: id, lane: lane}
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Next returns the next records of one epoch, in order and without a hole: at most
// maxRecords, and about maxBytes of their binary form but at least one. A batch
// without records says that there is nothing (use Spool.Changed). What was handed
// out is not handed out again before Rewind or Expect, so that several batches of an
// epoch may be under way; they must arrive in order.
//
// Records may come back as part of a larger gap, or in batches cut differently,
// when they are handed out again; they never come back with other content.
func (r *Reader) Next(maxBytes, maxRecords int) (telemetry.Batch, error) {
	s := r.spool
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return telemetry.Batch{}, ErrClosed
		}
		e := s.pick(r.stream, r.lane)
		if e == nil {
			s.mu.Unlock()
			return telemetry.Batch{}, nil
		}
		p := e.plan(maxBytes, maxRecords)
		e.busy = true
		s.mu.Unlock()

		err := p.read(s.codec)

		s.mu.Lock()
		e.busy = false
		if e.moved != p.moved {
			s.mu.Unlock()
			continue
		}
		if err != nil && gone(err) {
			s.unreadable(e, p.failed)
			s.mu.Unlock()
			continue
		}
		if err == nil {
			s.note(e, p)
			e.next, e.at = p.next, p.at
		}
		s.mu.Unlock()
		if err != nil {
			return telemetry.Batch{}, fmt.Errorf("reading the spool of %s: %w", r.stream, err)
		}
		return telemetry.NewBatch(r.stream, e.number, p.records), nil
	}
}

// pick returns the epoch to read from.
func (s *Spool) pick(id telemetry.Stream, lane Lane) *epoch {
	st := s.streams[id]
	if st == nil {
		return nil
	}
	for _, e := range st.epochs {
		if e.closed == (lane == Replay) && e.pending() {
			return e
		}
	}
	return nil
}

// note counts what reading found damaged, each number once.
func (s *Spool) note(e *epoch, p *plan) {
	for _, d := range p.damage {
		from := max(d.from, d.segment.noted+1)
		if d.to >= from {
			s.streams[e.stream].stats.Dropped[telemetry.GapSpoolCorrupt] += d.to - from + 1
			s.streams[e.stream].missed(e)
			d.segment.noted = d.to
		}
	}
}

// unreadable puts a gap in the place of a segment whose file is gone.
func (s *Spool) unreadable(e *epoch, g *segment) {
	i := slices.Index(e.segments, g)
	if i < 0 {
		return
	}
	g.oldest, g.newest = max(g.oldest, 1), max(g.newest, g.oldest, 1) // nothing to measure
	s.drop(s.streams[e.stream], e, i, telemetry.GapSpoolCorrupt)
}

// part is a copy of what a reader needs of a segment.
type part struct {
	segment *segment
	view    segment
	off     int64
}

// plan is one read: made and applied under the lock, done without it.
type plan struct {
	stream     telemetry.Stream
	number     telemetry.Epoch
	moved      uint64
	parts      []part
	next       uint64
	at         place
	maxBytes   int
	maxRecords int

	records []telemetry.Record
	bytes   int
	damage  []damage
	failed  *segment
}

// damage is a run of numbers whose records cannot be read.
type damage struct {
	segment  *segment
	from, to uint64
}

func (e *epoch) plan(maxBytes, maxRecords int) *plan {
	p := &plan{
		stream: e.stream, number: e.number, moved: e.moved, next: e.next, at: e.at,
		maxBytes: max(maxBytes, 1), maxRecords: min(max(maxRecords, 1), telemetry.MaxRecords),
	}
	first, _ := slices.BinarySearchFunc(e.segments, e.next, func(g *segment, seq uint64) int {
		if g.to < seq {
			return -1
		}
		return 0
	})
	planned := int64(0)
	for _, g := range e.segments[first:] {
		if planned > int64(p.maxBytes) || len(p.parts) >= 64 {
			break
		}
		it := part{segment: g, view: *g}
		it.view.buf = slices.Clone(g.buf)
		if e.at.segment == g && e.at.seq == e.next {
			it.off = e.at.off
		}
		p.parts = append(p.parts, it)
		if g.gap == 0 {
			planned += max(g.size()-it.off, 1)
		}
	}
	return p
}

func (p *plan) full() bool {
	return len(p.records) >= p.maxRecords || len(p.records) > 0 && p.bytes >= p.maxBytes
}

func (p *plan) read(codec Codec) error {
	buffer := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= 4<<20 {
			buffers.Put(buffer)
		}
	}()
	for i := range p.parts {
		if p.full() {
			return nil
		}
		it := &p.parts[i]
		if it.view.gap != 0 {
			p.gap(it.view.to, it.view.gap, &it.view)
			p.at = place{}
			continue
		}
		more, err := p.readPart(codec, it, buffer)
		if err != nil {
			if len(p.records) > 0 {
				return nil // the next call meets it again
			}
			p.failed = it.segment
			return err
		}
		if more {
			return nil
		}
	}
	return nil
}

// readPart reads records of one segment and reports whether there is more in it.
func (p *plan) readPart(codec Codec, it *part, buffer *[]byte) (bool, error) {
	g := &it.view
	l := newLayout(p.stream, p.number, g.first, g.to)
	off := max(it.off, segmentHeader)
	want := g.size() - off
	if it.off > 0 { // at the right place: no more than is asked for
		want = min(want, int64(max(p.maxBytes-p.bytes, 0)+p.stream.MaxRecordBytes()+frameHeader))
	}
	for {
		b, err := g.read(*buffer, off, want)
		if err != nil {
			return false, err
		}
		*buffer = b
		complete := off+int64(len(b)) >= g.size()
		pos, again := p.frames(codec, it, &l, b, complete)
		off += int64(pos)
		if again { // damage, and what follows it lies beyond what was read
			want = g.size() - off
			continue
		}
		if p.next <= g.to {
			p.at = place{segment: it.segment, seq: p.next, off: off}
			if !p.full() && pos == 0 {
				want = g.size() - off
				if complete {
					return true, nil
				}
				continue
			}
			return true, nil
		}
		p.at = place{}
		return false, nil
	}
}

// frames takes records from b. It returns how far it came, and whether it needs the
// rest of the segment to go on.
func (p *plan) frames(codec Codec, it *part, l *layout, b []byte, complete bool) (pos int, again bool) {
	for pos < len(b) && !p.full() {
		f, v := l.parse(b[pos:])
		if v == short && !complete {
			return pos, false
		}
		if v != whole {
			if !complete {
				return pos, true
			}
			pos++
			pos += l.find(b[pos:])
			continue
		}
		if f.seq > p.next {
			p.lost(it, f.seq-1)
			if p.full() {
				return pos, false
			}
		}
		pos += f.size()
		if f.seq < p.next {
			continue
		}
		r, err := codec.DecodeRecord(p.stream, f.seq, f.data)
		if err != nil {
			p.lost(it, f.seq)
			continue
		}
		p.records = append(p.records, r)
		p.bytes += f.size()
		p.next = f.seq + 1
	}
	if complete && pos >= len(b) && p.next <= it.view.to && !p.full() {
		p.lost(it, it.view.to)
	}
	return pos, false
}

// lost puts a gap in the place of records that cannot be read.
func (p *plan) lost(it *part, to uint64) {
	p.damage = append(p.damage, damage{it.segment, p.next, to})
	p.gap(to, telemetry.GapSpoolCorrupt, &segment{created: it.view.created})
}

// gap adds a gap from the next number up to to.
func (p *plan) gap(to uint64, reason telemetry.GapReason, g *segment) {
	at := g.created
	if n := len(p.records); at <= 0 && n > 0 {
		at = p.records[n-1].Time.UnixMilli()
	}
	gap := &telemetry.Gap{From: p.next, To: to, Reason: reason, Dropped: to - p.next + 1, Start: moment(g.oldest), End: moment(g.newest)}
	p.records = append(p.records, telemetry.Record{Seq: to, Time: time.UnixMilli(max(at, 1)).UTC(), Payload: gap})
	p.bytes += frameHeader
	p.next = to + 1
}

// moment returns a time, zero when it is not known.
func moment(millis int64) time.Time {
	if millis <= 1 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

// read returns want bytes from off on, those in memory included.
func (g *segment) read(buffer []byte, off, want int64) ([]byte, error) {
	want = max(want, 0)
	buffer = slices.Grow(buffer[:0], int(want))[:want]
	n := int64(0)
	if off < g.written {
		f, err := os.Open(g.path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		read, err := f.ReadAt(buffer[:min(want, g.written-off)], off)
		if err != nil && err != io.EOF { //nolint:errorlint // ReadAt returns it bare
			return nil, err
		}
		n = int64(read)
		if n < min(want, g.written-off) {
			// Somebody shortened the file. What is missing reads as damage.
			clear(buffer[n:min(want, g.written-off)])
			n = min(want, g.written-off)
		}
	}
	if n < want {
		copy(buffer[n:], g.buf[off+n-g.written:])
	}
	return buffer, nil
}
