// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// decoding is the state of one payload that is being read: the tables, and what
// may still be spent.
type decoding struct {
	stream     telemetry.Stream
	baseMillis int64

	words     []string
	labelSets [][]telemetry.Label
	layouts   [][]float64
	series    [][]telemetry.Series
	bases     []baseEntry
	spans     []span

	elements int // how many list elements may still be allocated
	allowed  int // how many that were at first
	unknown  int // how many fields were skipped

	objects   slab[telemetry.ObjectDelta]
	anomalies slab[telemetry.AnomalyTransition]
	events    slab[telemetry.Event]
	samples   slab[telemetry.NodeSample]
	slices    slab[telemetry.SLISlice]
	outputs   slab[telemetry.CommandOutput]

	sampleParts sampleWire
	sliceParts  sliceWire
	runs        []run
	numbers     []string
}

// newDecoding returns the state for a payload that came in so many bytes.
func newDecoding(stream telemetry.Stream, bytes int) decoding {
	allowed := elementsFor(bytes)
	return decoding{stream: stream, elements: allowed, allowed: allowed}
}

type baseEntry struct {
	series []telemetry.Series
	values []float64
}

type span struct {
	record int
	width  uint64
}

// slab hands out values from arrays, which spares the garbage collector. The
// first array has one value and each has twice as many as the one before, up to
// slabSize: who decodes a single record pays for one. An array lives as long as
// any of its values.
type slab[T any] struct {
	free []T
	size int
}

const slabSize = 64

// parse gives the next value to fill. A value that could not be filled is used
// again.
func (s *slab[T]) parse(fill func(*T) error) (*T, error) {
	if len(s.free) == 0 {
		s.size = min(max(2*s.size, 1), slabSize)
		s.free = make([]T, s.size)
	}
	v := &s.free[0]
	if err := fill(v); err != nil {
		var zero T
		*v = zero
		return nil, err
	}
	s.free = s.free[1:]
	return v, nil
}

// spend takes n elements from the budget. It fails the input when there are not
// so many left.
func (d *decoding) spend(in *input, n int) bool {
	if n > d.elements {
		in.check(&LimitError{Limit: LimitElements, Max: uint64(d.allowed), Got: uint64(d.allowed - d.elements + n)}) //nolint:gosec // not negative
		return false
	}
	d.elements -= n
	return in.err == nil
}

func (d *decoding) word(in *input, ref uint64) string { return entry(in, d.words, ref) }

// maxMillis bounds times and their distance from the base, so that no sum
// overflows. It lies beyond the year 9999.
const maxMillis = 1 << 49

func (d *decoding) moment(in *input) time.Time {
	if in.typ != protowire.VarintType {
		in.fail("field %d has the wire type %d", in.num, in.typ)
	}
	return d.at(in, protowire.DecodeZigZag(in.number))
}

func (d *decoding) at(in *input, offset int64) time.Time {
	if offset > 2*maxMillis || offset < -2*maxMillis {
		in.fail("a time is out of range")
	}
	if in.err != nil {
		return time.Time{}
	}
	if offset&1 == 0 {
		return time.UnixMilli(d.baseMillis + offset/2*1000).UTC()
	}
	return time.UnixMilli(d.baseMillis + (offset-1)/2).UTC()
}

// pairs appends the words of the current field to labels.
func (d *decoding) pairs(in *input, labels []telemetry.Label) []telemetry.Label {
	count := in.count()
	if count%2 != 0 {
		in.fail("a key has no value")
		return labels
	}
	if !d.spend(in, count/2) {
		return labels
	}
	labels = slices.Grow(labels, count/2)
	isKey := false
	in.packed(func(ref uint64) error {
		s := d.word(in, ref)
		if isKey = !isKey; isKey {
			labels = append(labels, telemetry.Label{Key: s})
		} else {
			labels[len(labels)-1].Value = s
		}
		return in.err
	})
	return labels
}

// The tables. What is wrong in a table concerns an unknown number of records and
// therefore the whole batch.

func (d *decoding) addLabelSet(data string) error {
	var labels []telemetry.Label
	in := input{rest: data}
	for in.next() {
		if in.num != 1 {
			d.unknown++
			continue
		}
		labels = d.pairs(&in, labels)
	}
	d.labelSets = append(d.labelSets, labels)
	return in.err
}

func (d *decoding) addLayout(data string) error {
	var bounds []float64
	in := input{rest: data}
	for in.next() {
		switch {
		case in.num != 1:
			d.unknown++
		case in.typ == protowire.Fixed64Type:
			if d.spend(&in, 1) {
				bounds = append(bounds, math.Float64frombits(in.number))
			}
		default:
			packed := input{rest: in.bytes()}
			if len(packed.rest)%8 != 0 || !d.spend(&in, len(packed.rest)/8) {
				in.fail("bounds have %d bytes", len(packed.rest))
				continue
			}
			bounds = slices.Grow(bounds, len(packed.rest)/8)
			for packed.rest != "" {
				bounds = append(bounds, math.Float64frombits(packed.fixed(8)))
			}
		}
	}
	d.layouts = append(d.layouts, bounds)
	return in.err
}

func (d *decoding) addSeriesSet(data string) error {
	var series []telemetry.Series
	in := input{rest: data}
	for in.next() {
		if in.num != 1 {
			d.unknown++
			continue
		}
		shape, err := d.shape(in.bytes())
		in.check(err)
		series = shape
	}
	d.series = append(d.series, series)
	return in.err
}

func (d *decoding) addBase(data string) error {
	var b baseEntry
	values := ""
	in := input{rest: data}
	for in.next() {
		switch in.num {
		case 1:
			b.series = entry(&in, d.series, in.uint(maxUint32))
		case 2:
			values = in.bytes()
		default:
			d.unknown++
		}
	}
	if in.err == nil && (len(b.series) == 0 || len(values) < len(b.series)) {
		return malformed("a base has %d bytes for %d values", len(values), len(b.series))
	}
	if !d.spend(&in, len(b.series)) {
		return in.err
	}
	b.values = make([]float64, len(b.series))
	d.bases = append(d.bases, b)
	return parseValues(b.values, values, nil)
}

func (d *decoding) addSpan(data string) error {
	var s span
	in := input{rest: data}
	for in.next() {
		switch in.num {
		case 1:
			s.record = int(in.uint(MaxRecords)) //nolint:gosec // at most MaxRecords
		case 2:
			s.width = in.uint(math.MaxUint64)
		default:
			d.unknown++
		}
	}
	if in.err == nil && (s.width < 2 || len(d.spans) > 0 && d.spans[len(d.spans)-1].record >= s.record) {
		return malformed("the spans are not ascending or stand for one number")
	}
	d.spans = append(d.spans, s)
	return in.err
}

// record reads one record. Its sequence numbers are known from its place.
func (d *decoding) record(data string, seq, width uint64) (telemetry.Record, error) {
	r := telemetry.Record{Seq: seq}
	in := input{rest: data}
	at := int64(0)
	for in.next() {
		switch {
		case in.num == recordTime && in.typ == protowire.VarintType:
			at = protowire.DecodeZigZag(in.number)
		case in.num > recordTime && in.num <= recordGap:
			if r.Payload != nil {
				in.fail("it has two payloads")
				continue
			}
			payload, err := d.payload(in.num, in.bytes(), seq, width)
			in.check(err)
			r.Payload = payload
		default:
			d.unknown++
		}
	}
	r.Time = d.at(&in, at)
	if in.err != nil {
		return r, in.err
	}
	if r.Payload == nil {
		return r, malformed("it has no payload that this version knows")
	}
	if _, isGap := r.Payload.(*telemetry.Gap); width > 1 && !isGap {
		return r, malformed("it stands for %d sequence numbers and is no gap", width)
	}
	err := r.Validate(d.stream)
	return r, err
}

func (d *decoding) payload(num protowire.Number, data string, seq, width uint64) (telemetry.Payload, error) {
	switch num {
	case recordObject:
		return d.objects.parse(func(v *telemetry.ObjectDelta) error { return objectSchema.parse(d, data, v) })
	case recordAnomaly:
		return d.anomalies.parse(func(v *telemetry.AnomalyTransition) error { return anomalySchema.parse(d, data, v) })
	case recordEvent:
		return d.events.parse(func(v *telemetry.Event) error { return eventSchema.parse(d, data, v) })
	case recordSample:
		return d.samples.parse(func(v *telemetry.NodeSample) error { return d.sample(data, v) })
	case recordSlice:
		return d.slices.parse(func(v *telemetry.SLISlice) error { return d.slice(data, v) })
	case recordOutput:
		return d.outputs.parse(func(v *telemetry.CommandOutput) error { return outputSchema.parse(d, data, v) })
	default:
		g := &telemetry.Gap{From: seq - width + 1, To: seq}
		return g, gapSchema.parse(d, data, g)
	}
}
