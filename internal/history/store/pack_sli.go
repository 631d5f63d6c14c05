// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// sliRow is an SLI slice, or the sum of those of an hour, as it is stored: Total
// and Bad as columns, the rest packed.
type sliRow struct {
	slices, covered uint64
	total, bad      float64
	sum             float64
	classes         [telemetry.StatusClasses]float64
	latency         telemetry.Histogram
	mixed           float64
	expected, good  uint64
}

func sliRowOf(s *telemetry.SLISlice) sliRow {
	row := sliRow{
		slices: 1, total: s.Total, bad: s.Bad, sum: s.SumSeconds, classes: s.Classes, latency: s.Latency,
		expected: uint64(s.ExpectedScrapes), good: uint64(s.GoodScrapes),
	}
	if s.GoodScrapes > 0 {
		row.covered = 1
	}
	return row
}

// pack packs what has no column: version, counts of slices and scrapes, then
// numbers, each as a varint when it is a whole one.
func (r *sliRow) pack() []byte {
	b := []byte{1}
	for _, n := range []uint64{r.slices, r.covered, r.expected, r.good} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendNumber(appendNumber(b, r.sum), r.mixed)
	for _, n := range r.classes {
		b = appendNumber(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(r.latency.Bounds)))
	for _, n := range r.latency.Bounds {
		b = appendNumber(b, n)
	}
	for _, n := range r.latency.Counts {
		b = appendNumber(b, n)
	}
	return b
}

// appendNumber appends twice a whole number, or 1 and the bits of another one.
func appendNumber(b []byte, v float64) []byte {
	if v >= 0 && v < 1<<53 && v == math.Trunc(v) && !math.Signbit(v) {
		return binary.AppendUvarint(b, uint64(v)<<1)
	}
	return binary.LittleEndian.AppendUint64(append(b, 1), math.Float64bits(v))
}

type sliReader struct {
	rest []byte
	bad  bool
}

func (r *sliReader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *sliReader) number() float64 {
	u := r.uint()
	if u&1 == 0 {
		return float64(u >> 1)
	}
	if len(r.rest) < 8 {
		r.bad, r.rest = true, nil
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.rest))
	r.rest = r.rest[8:]
	return v
}

func unpackSLI(total, bad float64, data []byte) (sliRow, error) {
	r := sliReader{rest: data}
	version := r.uint()
	row := sliRow{total: total, bad: bad}
	row.slices, row.covered, row.expected, row.good = r.uint(), r.uint(), r.uint(), r.uint()
	row.sum, row.mixed = r.number(), r.number()
	for i := range row.classes {
		row.classes[i] = r.number()
	}
	if n := r.uint(); n > 0 && n <= telemetry.MaxBuckets {
		row.latency.Bounds = make([]float64, n)
		for i := range row.latency.Bounds {
			row.latency.Bounds[i] = r.number()
		}
		row.latency.Counts = make([]float64, n+1)
		for i := range row.latency.Counts {
			row.latency.Counts[i] = r.number()
		}
	}
	if r.bad || version != 1 || len(r.rest) > 0 {
		return row, errors.New("reading a stored SLI slice: it is damaged")
	}
	return row, nil
}

// add adds a row that is newer. Where the bounds of the histograms differ, the
// newer ones win and the older counts become mixed.
func (r *sliRow) add(o *sliRow) {
	r.slices += o.slices
	r.covered += o.covered
	r.total += o.total
	r.bad += o.bad
	r.sum += o.sum
	r.mixed += o.mixed
	r.expected += o.expected
	r.good += o.good
	for i := range r.classes {
		r.classes[i] += o.classes[i]
	}
	switch {
	case len(o.latency.Bounds) == 0:
	case equalBounds(r.latency.Bounds, o.latency.Bounds):
		counts := make([]float64, len(r.latency.Counts))
		for i := range counts {
			counts[i] = r.latency.Counts[i] + o.latency.Counts[i]
		}
		r.latency.Counts = counts
	default:
		for _, n := range r.latency.Counts {
			r.mixed += n
		}
		r.latency = o.latency
	}
}

func equalBounds(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}
