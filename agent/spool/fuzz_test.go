// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"bytes"
	"testing"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// FuzzSegment reads any bytes as a segment: nothing panics, what is accepted is a
// frame that could have been written, and every number is a record or in a gap.
func FuzzSegment(f *testing.F) {
	const stream, number = telemetry.StreamEvents, telemetry.Epoch(7)
	sample := appendSegmentHeader(nil, seed(stream, number), 1, 1000)
	for seq := uint64(1); seq <= 5; seq++ {
		sample = appendFrame(sample, seed(stream, number), seq, 1000+int64(seq), bytes.Repeat([]byte{byte(seq)}, int(seq)*7))
	}
	f.Add(sample)
	f.Add(sample[:len(sample)-3])
	f.Add(append(bytes.Clone(sample[:60]), sample[80:]...))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLayout(stream, number, 1, 1000)
		x := l.measure(data)
		if x.end > len(data) || x.records > 0 && (x.last < 1 || x.last > 1000 || x.end < segmentHeader+frameHeader) {
			t.Fatalf("%d bytes measure %+v", len(data), x)
		}
		for at := range data {
			fr, v := l.parse(data[at:])
			if v != whole {
				continue
			}
			again := appendFrame(nil, l.seed, fr.seq, fr.millis, fr.data)
			if !bytes.Equal(again, data[at:at+len(again)]) {
				t.Fatalf("the frame at %d is not what would be written", at)
			}
		}
		// A reader accounts for every number, once and in order.
		g := &segment{first: 1, from: 1, to: 1000, buf: data}
		if len(data) < segmentHeader {
			return
		}
		e := newEpoch(stream, number, "")
		e.segments, e.last = []*segment{g}, 1000
		next := uint64(1)
		for e.next <= e.last {
			p := e.plan(100, 3)
			if err := p.read(anything{}); err != nil {
				t.Fatal(err)
			}
			if len(p.records) == 0 {
				t.Fatalf("nothing was read at %d", e.next)
			}
			for i := range p.records {
				if r := &p.records[i]; r.First() != next || r.Seq < next {
					t.Fatalf("a record from %d to %d, %d was expected", r.First(), r.Seq, next)
				} else {
					next = r.Seq + 1
				}
			}
			e.next, e.at = p.next, p.at
		}
		seedless := *g
		parseGap(data, 0, &seedless)
		parseAck(data, 0)
		parseCreated(data, 0, 1)
		parseEnds(data)
	})
}

// anything decodes any bytes.
type anything struct{}

func (anything) AppendRecord(dst []byte, _ telemetry.Stream, _ *telemetry.Record) ([]byte, error) {
	return dst, nil
}

func (anything) DecodeRecord(_ telemetry.Stream, seq uint64, _ []byte) (telemetry.Record, error) {
	return telemetry.Record{Seq: seq}, nil
}
