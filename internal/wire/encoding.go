// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"encoding/binary"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Field numbers of Payload and of the messages of its tables.
const (
	payloadBaseTime   = 1
	payloadDictionary = 2
	payloadLabelSets  = 3
	payloadLayouts    = 4
	payloadSeriesSets = 5
	payloadBases      = 6
	payloadSpans      = 7
	payloadRecords    = 8

	recordTime    = 1
	recordObject  = 2
	recordAnomaly = 3
	recordEvent   = 4
	recordSample  = 5
	recordSlice   = 6
	recordOutput  = 7
	recordGap     = 8
)

// encoding is the state of one payload that is being written: the tables, which
// grow as records refer to them, and the records.
type encoding struct {
	baseMillis int64

	words      map[string]uint32
	dictionary []byte
	elements   int

	labelSets, layouts, series table
	labelsAt                   map[*telemetry.Label]sliceRef
	seriesAt                   map[*telemetry.Series]sliceRef

	samples     map[string]int // by node
	sampleCount int
	bases       map[baseKey]int
	baseList    [][]float64
	baseBytes   []byte

	spans, records, scratch, keys []byte

	// The parts of the record at hand, here to save an allocation each.
	sample sampleWire
	slice  sliceWire
}

// table is a list of entries, each once.
type table struct {
	index map[string]uint32
	bytes []byte
}

// sliceRef remembers the entry of a slice that was seen: records that share a
// slice need not look it up by its content again.
type sliceRef struct {
	length int
	ref    uint32
}

type baseKey struct {
	node   string
	series uint32
}

func newEncoding() *encoding {
	return &encoding{
		words:     map[string]uint32{},
		labelSets: table{index: map[string]uint32{}},
		layouts:   table{index: map[string]uint32{}},
		series:    table{index: map[string]uint32{}},
		labelsAt:  map[*telemetry.Label]sliceRef{},
		seriesAt:  map[*telemetry.Series]sliceRef{},
		samples:   map[string]int{},
		bases:     map[baseKey]int{},
	}
}

// reset forgets every record, so that nothing of them stays in memory, and keeps
// the buffers.
func (e *encoding) reset() {
	clear(e.words)
	for _, t := range []*table{&e.labelSets, &e.layouts, &e.series} {
		clear(t.index)
		t.bytes = t.bytes[:0]
	}
	clear(e.labelsAt)
	clear(e.seriesAt)
	clear(e.samples)
	clear(e.bases)
	clear(e.baseList)
	e.baseList, e.baseBytes, e.dictionary = e.baseList[:0], e.baseBytes[:0], e.dictionary[:0]
	e.spans, e.records, e.scratch, e.keys = e.spans[:0], e.records[:0], e.scratch[:0], e.keys[:0]
	e.elements, e.sampleCount, e.baseMillis = 0, 0, 0
	e.sample, e.slice = sampleWire{}, sliceWire{}
}

// size is an estimate from below of the payload's length.
func (e *encoding) size() int {
	return len(e.records) + len(e.dictionary) + len(e.labelSets.bytes) + len(e.layouts.bytes) + len(e.series.bytes) + len(e.baseBytes) + len(e.spans)
}

// appendPayload appends the whole message.
func (e *encoding) appendPayload(dst []byte) []byte {
	if e.baseMillis != 0 {
		dst = protowire.AppendTag(dst, payloadBaseTime, protowire.VarintType)
		dst = protowire.AppendVarint(dst, protowire.EncodeZigZag(e.baseMillis))
	}
	for _, part := range [][]byte{e.dictionary, e.labelSets.bytes, e.layouts.bytes, e.series.bytes, e.baseBytes, e.spans, e.records} {
		dst = append(dst, part...)
	}
	return dst
}

// word returns the reference to a word of the dictionary.
func (e *encoding) word(s string) uint32 {
	if s == "" {
		return 0
	}
	ref, ok := e.words[s]
	if !ok {
		ref = uint32(len(e.words) + 1) //nolint:gosec // at most MaxTable
		e.words[s] = ref
		e.dictionary = appendText(e.dictionary, payloadDictionary, s)
	}
	return ref
}

func (e *encoding) appendPairs(b []byte, labels []telemetry.Label) []byte {
	e.elements += len(labels)
	for i := range labels {
		b = protowire.AppendVarint(b, uint64(e.word(labels[i].Key)))
		b = protowire.AppendVarint(b, uint64(e.word(labels[i].Value)))
	}
	return b
}

// add returns the reference to an entry of the table. It copies the content, which
// is that of the message's field.
func (t *table) add(num protowire.Number, content []byte) uint32 {
	ref, ok := t.index[string(content)]
	if !ok {
		ref = uint32(len(t.index) + 1) //nolint:gosec // at most MaxTable
		t.index[string(content)] = ref
		t.bytes = appendText(t.bytes, num, content)
	}
	return ref
}

func (e *encoding) labelSet(labels []telemetry.Label) uint32 {
	if len(labels) == 0 {
		return 0
	}
	if seen := e.labelsAt[&labels[0]]; seen.length == len(labels) {
		return seen.ref
	}
	content, mark := open(e.keys[:0], 1)
	e.keys = finish(e.appendPairs(content, labels), mark)
	ref := e.labelSets.add(payloadLabelSets, e.keys)
	e.labelsAt[&labels[0]] = sliceRef{length: len(labels), ref: ref}
	return ref
}

func (e *encoding) layout(bounds []float64) uint32 {
	if len(bounds) == 0 {
		return 0
	}
	e.elements += 2*len(bounds) + 1
	content, mark := open(e.keys[:0], 1)
	for _, bound := range bounds {
		content = binary.LittleEndian.AppendUint64(content, math.Float64bits(bound))
	}
	e.keys = finish(content, mark)
	return e.layouts.add(payloadLayouts, e.keys)
}

func (e *encoding) seriesSet(series []telemetry.Series) uint32 {
	if len(series) == 0 {
		return 0
	}
	e.elements += len(series)
	if seen := e.seriesAt[&series[0]]; seen.length == len(series) {
		return seen.ref
	}
	content, mark := open(e.keys[:0], 1)
	e.keys = finish(e.appendShape(content, series), mark)
	e.elements += len(series)
	ref := e.series.add(payloadSeriesSets, e.keys)
	e.seriesAt[&series[0]] = sliceRef{length: len(series), ref: ref}
	return ref
}

// base returns the values that samples of a node with these series are relative
// to: the first ones.
func (e *encoding) base(node string, series uint32, values []float64) (uint32, []float64) {
	key := baseKey{node: node, series: series}
	at, ok := e.bases[key]
	if !ok {
		at = len(e.baseList)
		e.bases[key] = at
		e.baseList = append(e.baseList, values)
		e.elements += len(values)
		var outer, inner int
		e.baseBytes, outer = open(e.baseBytes, payloadBases)
		e.baseBytes, inner = open(appendUint(e.baseBytes, 1, uint64(series)), 2)
		e.baseBytes = finish(finish(appendValues(e.baseBytes, values, nil), inner), outer)
	}
	return uint32(at + 1), e.baseList[at] //nolint:gosec // at most MaxTable
}

// offset returns a time in the form of wire.proto. Below milliseconds it is cut.
func (e *encoding) offset(t time.Time) int64 {
	millis := t.UnixMilli() - e.baseMillis
	if millis%1000 == 0 {
		return millis / 1000 * 2
	}
	return millis*2 + 1
}

// record appends one record. The caller has validated it.
func (e *encoding) record(r *telemetry.Record) {
	e.records = e.appendRecord(e.records, r)
}

func (e *encoding) appendRecord(b []byte, r *telemetry.Record) []byte {
	b, outer := open(b, payloadRecords)
	if at := e.offset(r.Time); at != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, recordTime, protowire.VarintType), protowire.EncodeZigZag(at))
	}
	var mark int
	switch p := r.Payload.(type) {
	case *telemetry.ObjectDelta:
		e.elements += len(p.Numbers)
		b, mark = open(b, recordObject)
		b = objectSchema.append(e, b, p)
	case *telemetry.AnomalyTransition:
		e.elements += len(p.Evidence)
		b, mark = open(b, recordAnomaly)
		b = anomalySchema.append(e, b, p)
	case *telemetry.Event:
		b, mark = open(b, recordEvent)
		b = eventSchema.append(e, b, p)
	case *telemetry.NodeSample:
		b, mark = open(b, recordSample)
		b = e.appendSample(b, p)
	case *telemetry.SLISlice:
		b, mark = open(b, recordSlice)
		b = e.appendSlice(b, p)
	case *telemetry.CommandOutput:
		b, mark = open(b, recordOutput)
		b = outputSchema.append(e, b, p)
	case *telemetry.Gap:
		b, mark = open(b, recordGap)
		b = gapSchema.append(e, b, p)
	default:
		return b
	}
	return finish(finish(b, mark), outer)
}

// span notes that the record with an index stands for several numbers.
func (e *encoding) span(index int, width uint64) {
	var mark int
	e.spans, mark = open(e.spans, payloadSpans)
	e.spans = appendUint(appendUint(e.spans, 1, uint64(index)), 2, width) //nolint:gosec // not negative
	e.spans = finish(e.spans, mark)
}
