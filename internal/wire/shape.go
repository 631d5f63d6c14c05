// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"cmp"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The coding of lists of series, "shape" in wire.proto. Series come in families: the
// same metrics, of neighbouring numbers, for each disk or interface, and CPUs are
// numbered. A block says the metrics once and then the labels that have them all.

// numberLabels is how many labels "0", "1", ... need no word.
const numberLabels = telemetry.MaxValues

// appendShape appends the shape of a list of series, which is not empty. It adds
// words to the dictionary.
func (e *encoding) appendShape(dst []byte, series []telemetry.Series) []byte {
	w := bitWriter{bytes: dst}
	w.number(uint64(len(series) - 1)) //nolint:gosec // not empty
	first := uint64(0)                // metric of the block before
	for len(series) > 0 {
		size, labels := block(series)
		w.runs(series[:size], first)
		w.number(uint64(labels - 1)) //nolint:gosec // at least 1
		for i := 0; i < labels; {
			i += e.putLabels(&w, series, size, i, labels)
		}
		first = uint64(series[0].Metric)
		series = series[size*labels:]
	}
	return w.end()
}

// block returns how many series at the head of the list have the same label, and
// how many labels in a row have just these metrics.
func block(series []telemetry.Series) (size, labels int) {
	size = 1
	for size < len(series) && series[size].Label == series[0].Label {
		size++
	}
	labels = 1
	for at := size; at+size <= len(series); at += size {
		label := series[at].Label
		for i := range size {
			if series[at+i].Metric != series[i].Metric || series[at+i].Label != label {
				return size, labels
			}
		}
		labels++
	}
	return size, labels
}

// runs appends the metrics of a block.
func (w *bitWriter) runs(series []telemetry.Series, from uint64) {
	count := 0
	for at := 0; at < len(series); at += runLength(series[at:]) {
		count++
	}
	w.number(uint64(count - 1)) //nolint:gosec // at least 1
	for at := 0; at < len(series); {
		n, metric := runLength(series[at:]), uint64(series[at].Metric)
		w.number(protowire.EncodeZigZag(int64(metric) - int64(from))) //nolint:gosec // 17 bits
		w.number(uint64(n - 1))                                       //nolint:gosec // at least 1
		from = metric + uint64(n)                                     //nolint:gosec // at least 1
		at += n
	}
}

// runLength returns how many metrics at the head have numbers in a row.
func runLength(series []telemetry.Series) int {
	n := 1
	for n < len(series) && int(series[n].Metric) == int(series[0].Metric)+n {
		n++
	}
	return n
}

// putLabels appends label i of a block, with those that are the next numbers, and
// returns how many that were.
func (e *encoding) putLabels(w *bitWriter, series []telemetry.Series, size, i, labels int) int {
	label := series[i*size].Label
	n, ok := numberOf(label)
	if !ok {
		ref := uint64(e.word(label))
		w.number(max(2*ref, 1) - 1) // 0 is no label, 1, 3, ... are words
		return 1
	}
	count := 1
	for i+count < labels {
		if next, ok := numberOf(series[(i+count)*size].Label); !ok || next != n+count {
			break
		}
		count++
	}
	w.number(uint64(2*n + 2)) //nolint:gosec // not negative
	w.number(uint64(count - 1))
	return count
}

// numberOf returns the number that a label is, if it has no word.
func numberOf(label string) (int, bool) {
	if label == "" || len(label) > 4 || label[0] == '0' && label != "0" {
		return 0, false
	}
	n := 0
	for i := range len(label) {
		if label[i] < '0' || label[i] > '9' {
			return 0, false
		}
		n = n*10 + int(label[i]-'0')
	}
	return n, n < numberLabels
}

// run is metrics with numbers in a row.
type run struct{ first, length int }

// shape reads a list of series. All of it is paid for before it is made.
func (d *decoding) shape(data string) ([]telemetry.Series, error) {
	in := input{num: 1}
	r := bitReader{rest: data}
	total := r.number() + 1
	in.check(within(LimitElements, total, telemetry.MaxValues))
	if r.short || !d.spend(&in, int(total)) { //nolint:gosec // 33 bits
		return nil, cmp.Or(in.err, r.end())
	}
	series := make([]telemetry.Series, 0, total)
	for first := 0; len(series) < cap(series); first = d.runs[0].first {
		left := cap(series) - len(series)
		size, err := d.readRuns(&r, first, left)
		if err != nil {
			return nil, err
		}
		labels := r.number() + 1
		if labels > uint64(left/size) { //nolint:gosec // not negative
			return nil, malformed("a series set has %d labels of %d metrics, %d series are left", labels, size, left)
		}
		for labels > 0 && in.err == nil {
			var n uint64
			series, n = d.readLabels(&r, &in, series, labels)
			labels -= n
		}
		if in.err != nil {
			return nil, in.err
		}
	}
	return series, r.end()
}

// readRuns reads the metrics of a block into d.runs and returns how many there are,
// at least 1 and at most left.
func (d *decoding) readRuns(r *bitReader, from, left int) (size int, err error) {
	d.runs = d.runs[:0]
	for count := r.number() + 1; count > 0; count-- {
		first := from + int(protowire.DecodeZigZag(r.number()))
		length := int(r.number()) + 1 //nolint:gosec // 33 bits
		if first < 0 || first+length-1 > int(^telemetry.MetricID(0)) {
			return 0, malformed("a series set has the metrics %d to %d", first, first+length-1)
		}
		if size += length; size > left {
			return 0, malformed("a series set has a block of %d metrics, %d series are left", size, left)
		}
		d.runs = append(d.runs, run{first, length})
		from = first + length
	}
	return size, nil
}

// readLabels reads the next labels of a block, at most the number left, appends
// their series and returns how many they were.
func (d *decoding) readLabels(r *bitReader, in *input, series []telemetry.Series, left uint64) ([]telemetry.Series, uint64) {
	kind := r.number()
	if kind == 0 || kind%2 == 1 {
		return d.appendBlock(series, d.word(in, (kind+1)/2)), 1
	}
	n, count := kind/2-1, r.number()+1
	if count > left || n+count > numberLabels {
		in.fail("a series set has %d labels from %d, %d are left", count, n, left)
		return series, left
	}
	for i := range count {
		series = d.appendBlock(series, d.numberLabel(int(n+i))) //nolint:gosec // checked
	}
	return series, count
}

func (d *decoding) appendBlock(series []telemetry.Series, label string) []telemetry.Series {
	for _, run := range d.runs {
		for i := range run.length {
			series = append(series, telemetry.Series{Metric: telemetry.MetricID(run.first + i), Label: label}) //nolint:gosec // checked
		}
	}
	return series
}

// numberLabel returns a number as text, which labels of the batch share.
func (d *decoding) numberLabel(n int) string {
	if n < 100 {
		return strconv.Itoa(n) // allocates nothing
	}
	if d.numbers == nil {
		d.numbers = make([]string, numberLabels)
	}
	if d.numbers[n] == "" {
		d.numbers[n] = strconv.Itoa(n)
	}
	return d.numbers[n]
}
