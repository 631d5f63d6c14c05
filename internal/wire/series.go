// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// sampleWire and sliceWire are the messages NodeSample and SLISlice before their
// references are followed, which needs several fields together.
type sampleWire struct {
	telemetry.NodeSample

	intervalMillis uint64
	series, base   uint32
	bootWord       string
	bootUUID       string
	values, packed []byte
	parsed         string
	parsedPacked   string
}

type sliceWire struct {
	telemetry.SLISlice

	counts, buckets             []byte
	parsedCounts, parsedBuckets string
	layout                      uint32
}

// blob is a run of bytes that the encoder has ready and the decoder leaves as it
// is.
func blob[T any](from func(*T) []byte, to func(*T) *string) field[T] {
	return field[T]{
		put: func(_ *encoding, b []byte, num protowire.Number, v *T) []byte { return appendText(b, num, from(v)) },
		get: func(_ *decoding, in *input, v *T) { *to(v) = in.bytes() },
	}
}

var sampleSchema = schema[sampleWire]{
	1: word(func(v *sampleWire) *string { return &v.Node }),
	2: word(func(v *sampleWire) *string { return &v.bootWord }),
	3: number(func(v *sampleWire) *uint64 { return &v.CollectorSeq }),
	4: number(func(v *sampleWire) *uint64 { return &v.intervalMillis }),
	5: number(func(v *sampleWire) *telemetry.NetworkScope { return &v.Scope }),
	6: number(func(v *sampleWire) *uint32 { return &v.series }),
	7: number(func(v *sampleWire) *uint32 { return &v.base }),
	8: blob(func(v *sampleWire) []byte { return v.values }, func(v *sampleWire) *string { return &v.parsed }),
	9: blob(func(v *sampleWire) []byte { return v.packed }, func(v *sampleWire) *string { return &v.parsedPacked }),
	// The word where samples of a boot share it, the bytes where one is alone.
	10: uuid(func(v *sampleWire) *string { return &v.bootUUID }),
}

// packSamples is the largest number of samples in a batch that are packed. A
// compressor finds what many have in common, but not in packed ones.
const packSamples = 4

func (e *encoding) appendSample(b []byte, v *telemetry.NodeSample) []byte {
	w := &e.sample
	*w = sampleWire{NodeSample: *v, intervalMillis: uint64(v.Interval.Milliseconds()), series: e.seriesSet(v.Series)} //nolint:gosec // not negative
	shared := e.samples[v.Node] > 1
	w.bootWord = v.BootID
	if !shared {
		if _, ok := packUUID(v.BootID); ok {
			w.bootWord, w.bootUUID = "", v.BootID
		}
	}
	var base []float64
	if w.series != 0 && shared {
		w.base, base = e.base(v.Node, w.series, v.Values)
		w.series = 0
	}
	if w.base == 0 && e.sampleCount <= packSamples {
		w.packed = appendPacked(e.scratch[:0], v.Values)
		e.scratch = w.packed
	} else {
		w.values = appendValues(e.scratch[:0], v.Values, base)
		e.scratch = w.values
	}
	return sampleSchema.append(e, b, w)
}

func (d *decoding) sample(data string, v *telemetry.NodeSample) error {
	w := &d.sampleParts
	*w = sampleWire{}
	if err := sampleSchema.parse(d, data, w); err != nil {
		return err
	}
	if w.intervalMillis > math.MaxInt64/uint64(time.Millisecond) {
		return malformed("an interval of %d ms", w.intervalMillis)
	}
	*v = w.NodeSample
	if w.parsedPacked != "" && (w.base != 0 || w.parsed != "") {
		return malformed("it has packed values and others")
	}
	if w.bootWord != "" && w.bootUUID != "" {
		return malformed("it has the ID of its boot twice")
	}
	v.BootID = w.bootWord + w.bootUUID
	v.Interval = time.Duration(w.intervalMillis) * time.Millisecond
	var in input
	base := entry(&in, d.bases, uint64(w.base))
	if w.base != 0 {
		v.Series = base.series
	} else {
		v.Series = entry(&in, d.series, uint64(w.series))
	}
	if in.err != nil {
		return in.err
	}
	if len(w.parsed)+8*len(w.parsedPacked) < len(v.Series) {
		return malformed("%d bytes are no %d values", len(w.parsed)+len(w.parsedPacked), len(v.Series))
	}
	if !d.spend(&in, len(v.Series)) {
		return in.err
	}
	if len(v.Series) > 0 {
		v.Values = make([]float64, len(v.Series))
	}
	if w.parsedPacked != "" {
		return parsePacked(v.Values, w.parsedPacked)
	}
	return parseValues(v.Values, w.parsed, base.values)
}

var sliceSchema = schema[sliceWire]{
	1:  word(func(v *sliceWire) *string { return &v.Route.Controller }),
	2:  word(func(v *sliceWire) *string { return &v.Route.Kind }),
	3:  word(func(v *sliceWire) *string { return &v.Route.Namespace }),
	4:  word(func(v *sliceWire) *string { return &v.Route.Name }),
	5:  word(func(v *sliceWire) *string { return &v.Route.Route }),
	6:  moment(func(v *sliceWire) *time.Time { return &v.Start }),
	7:  blob(func(v *sliceWire) []byte { return v.counts }, func(v *sliceWire) *string { return &v.parsedCounts }),
	8:  number(func(v *sliceWire) *uint32 { return &v.layout }),
	9:  blob(func(v *sliceWire) []byte { return v.buckets }, func(v *sliceWire) *string { return &v.parsedBuckets }),
	10: number(func(v *sliceWire) *uint32 { return &v.ExpectedScrapes }),
	11: number(func(v *sliceWire) *uint32 { return &v.GoodScrapes }),
}

// sliceCounts is how many values the field counts has.
const sliceCounts = 3 + int(telemetry.StatusClasses)

func (e *encoding) appendSlice(b []byte, v *telemetry.SLISlice) []byte {
	counts := [sliceCounts]float64{0: v.Total, 1: v.Bad, sliceCounts - 1: v.SumSeconds}
	copy(counts[2:], v.Classes[:])
	w := &e.slice
	*w = sliceWire{SLISlice: *v, layout: e.layout(v.Latency.Bounds)}
	e.scratch = appendValues(e.scratch[:0], counts[:], nil)
	end := len(e.scratch)
	e.scratch = appendValues(e.scratch, v.Latency.Counts, nil)
	w.counts, w.buckets = e.scratch[:end], e.scratch[end:]
	return sliceSchema.append(e, b, w)
}

func (d *decoding) slice(data string, v *telemetry.SLISlice) error {
	w := &d.sliceParts
	*w = sliceWire{}
	if err := sliceSchema.parse(d, data, w); err != nil {
		return err
	}
	*v = w.SLISlice
	var counts [sliceCounts]float64
	if err := parseValues(counts[:], w.parsedCounts, nil); err != nil {
		return err
	}
	v.Total, v.Bad, v.SumSeconds = counts[0], counts[1], counts[sliceCounts-1]
	copy(v.Classes[:], counts[2:])
	var in input
	v.Latency.Bounds = entry(&in, d.layouts, uint64(w.layout))
	if in.err != nil {
		return in.err
	}
	buckets := 0
	if w.layout != 0 {
		buckets = len(v.Latency.Bounds) + 1
	}
	if len(w.parsedBuckets) < buckets {
		return malformed("%d bytes are no %d buckets", len(w.parsedBuckets), buckets)
	}
	if !d.spend(&in, buckets) {
		return in.err
	}
	if buckets > 0 {
		v.Latency.Counts = make([]float64, buckets)
	}
	return parseValues(v.Latency.Counts, w.parsedBuckets, nil)
}
