// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// rewrite decodes a batch after edit has changed the payload's fields, which are
// tag and content in order, the records with number 8.
func rewrite(t *testing.T, b *telemetry.Batch, edit func(num protowire.Number, index int, data []byte) []byte) (wire.Decoded, error) {
	t.Helper()
	enc, dec := newCodec(t)
	data := encode(t, enc, b)
	h, err := wire.ParseHeader(data)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := dec.Payload(data)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	index := map[protowire.Number]int{}
	for len(payload) > 0 {
		num, typ, tag := protowire.ConsumeTag(payload)
		if typ != protowire.BytesType {
			n := protowire.ConsumeFieldValue(num, typ, payload[tag:])
			out, payload = append(out, payload[:tag+n]...), payload[tag+n:]
			continue
		}
		content, n := protowire.ConsumeBytes(payload[tag:])
		out = protowire.AppendBytes(append(out, payload[:tag]...), edit(num, index[num], slices.Clone(content)))
		index[num]++
		payload = payload[tag+n:]
	}
	h.Codec, h.PayloadBytes = wire.CodecIdentity, 0
	return dec.Decode(wire.Envelope(h, out, out))
}

func sub(num protowire.Number, content ...byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), content)
}

// nibbles puts together what has four bits each, such as the groups of a number.
func nibbles(all ...byte) []byte {
	out := make([]byte, (len(all)+1)/2)
	for i, n := range all {
		out[i/2] |= n << (i % 2 * 4)
	}
	return out
}

func TestOnePoisonRecordLeavesTheOthers(t *testing.T) {
	nan := []byte{7}
	nan = append(nan, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)
	name := func(s string) func([]byte) []byte {
		return func([]byte) []byte {
			return sub(2, slices.Concat([]byte{1 << 3, 1, 2 << 3, 1}, sub(4, []byte(s)...), sub(6, 'u'))...)
		}
	}
	for test, c := range map[string]struct {
		stream telemetry.Stream
		edit   func([]byte) []byte
		want   error
		says   string
	}{
		"empty":                 {telemetry.StreamEvents, func([]byte) []byte { return nil }, wire.ErrMalformed, "no payload"},
		"cut off":               {telemetry.StreamEvents, func(b []byte) []byte { return b[:len(b)-1] }, wire.ErrMalformed, ""},
		"garbage":               {telemetry.StreamEvents, func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 40) }, wire.ErrMalformed, ""},
		"groups, deeply nested": {telemetry.StreamEvents, func([]byte) []byte { return bytes.Repeat([]byte{1<<3 | 3}, 30_000) }, wire.ErrMalformed, "wire type 3"},
		"messages, nested":      {telemetry.StreamEvents, func(b []byte) []byte { return sub(4, sub(9, sub(9, sub(9, b...)...)...)...) }, telemetry.ErrInvalid, ""},
		"payload of the future": {telemetry.StreamEvents, func([]byte) []byte { return sub(77, 1, 2, 3) }, wire.ErrMalformed, "no payload"},
		"payload of another":    {telemetry.StreamEvents, func([]byte) []byte { return sub(7, 3<<3, 1) }, telemetry.ErrInvalid, "does not carry"},
		"two payloads":          {telemetry.StreamEvents, func(b []byte) []byte { return slices.Concat(b, sub(8, 1<<3, 1)) }, wire.ErrMalformed, "two payloads"},
		"too large":             {telemetry.StreamEvents, func(b []byte) []byte { return slices.Concat(b, sub(99, make([]byte, 40_000)...)) }, wire.ErrTooLarge, "record is"},
		"word out of range":     {telemetry.StreamEvents, func([]byte) []byte { return sub(4, 7<<3, 0xff, 0xff, 3) }, wire.ErrMalformed, "entry 65535"},
		"wrong type":            {telemetry.StreamEvents, func([]byte) []byte { return sub(4, 8<<3, 1) }, wire.ErrMalformed, "wire type 0"},
		"number too large":      {telemetry.StreamEvents, func([]byte) []byte { return sub(4, 6<<3, 0x80, 2) }, wire.ErrMalformed, "at most 255"},
		"overlong number":       {telemetry.StreamEvents, func([]byte) []byte { return sub(4, append([]byte{6 << 3}, bytes.Repeat([]byte{0x80}, 11)...)...) }, wire.ErrMalformed, "too long"},
		"field number 0":        {telemetry.StreamEvents, func([]byte) []byte { return []byte{0, 0} }, wire.ErrMalformed, "invalid number"},
		"short UUID":            {telemetry.StreamEvents, func([]byte) []byte { return sub(4, sub(1, 1, 2, 3)...) }, wire.ErrMalformed, "UUID"},
		"time out of range": {telemetry.StreamEvents, func(b []byte) []byte {
			return slices.Concat(b, []byte{1 << 3}, protowire.AppendVarint(nil, math.MaxUint64))
		}, wire.ErrMalformed, "out of range"},
		"missing fields":        {telemetry.StreamEvents, func([]byte) []byte { return sub(4, 6<<3, 1) }, telemetry.ErrInvalid, "uid: is required"},
		"NUL":                   {telemetry.StreamInventory, name("a\x00b"), telemetry.ErrInvalid, "NUL"},
		"invalid UTF-8":         {telemetry.StreamInventory, name("a\xffb"), telemetry.ErrInvalid, "UTF-8"},
		"surrogate":             {telemetry.StreamInventory, name("a\xed\xa0\x80b"), telemetry.ErrInvalid, "UTF-8"},
		"name too long":         {telemetry.StreamInventory, name(strings.Repeat("a", 254)), telemetry.ErrInvalid, "at most 253"},
		"key without value":     {telemetry.StreamInventory, func([]byte) []byte { return sub(2, sub(22, 1)...) }, wire.ErrMalformed, "no value"},
		"labels of nowhere":     {telemetry.StreamInventory, func([]byte) []byte { return sub(2, 20<<1<<2&0x7f|0x80, 1, 99) }, wire.ErrMalformed, ""},
		"too many elements":     {telemetry.StreamInventory, func([]byte) []byte { return sub(2, sub(21, make([]byte, 60_000)...)...) }, telemetry.ErrInvalid, ""},
		"NaN":                   {telemetry.StreamSLI, func([]byte) []byte { return sub(6, sub(7, slices.Concat(nan, make([]byte, 8))...)...) }, telemetry.ErrInvalid, ""},
		"too few values":        {telemetry.StreamSLI, func([]byte) []byte { return sub(6, sub(7, 1, 1)...) }, wire.ErrMalformed, "values"},
		"series without values": {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, 6<<3, 1) }, wire.ErrMalformed, "no 1"},
		"packed, cut off": {telemetry.StreamNodeMetrics, func([]byte) []byte {
			return sub(5, slices.Concat([]byte{6 << 3, 1}, sub(9, bytes.Repeat([]byte{0x7d}, 20)...))...)
		}, wire.ErrMalformed, "ends too early"},
		"packed, and more":    {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, slices.Concat([]byte{6 << 3, 1}, sub(9, make([]byte, 30)...))...) }, wire.ErrMalformed, "bits follow"},
		"packed, too few":     {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, slices.Concat([]byte{6 << 3, 1}, sub(9, 0))...) }, wire.ErrMalformed, "1 bytes are no 1"},
		"packed, and others":  {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, slices.Concat([]byte{6 << 3, 1}, sub(8, 0), sub(9, 0))...) }, wire.ErrMalformed, "packed values and others"},
		"packed, with a base": {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, slices.Concat([]byte{7 << 3, 1}, sub(9, 0))...) }, wire.ErrMalformed, "packed values and others"},
		"packed, of nothing":  {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, sub(9, 1)...) }, wire.ErrMalformed, "bits follow"},
		"packed, long form": {telemetry.StreamNodeMetrics, func([]byte) []byte {
			return sub(5, slices.Concat([]byte{6 << 3, 1}, sub(9, bytes.Repeat([]byte{0xff}, 40)...))...)
		}, wire.ErrMalformed, "too long"},
		"two boots":          {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, slices.Concat([]byte{2 << 3, 1}, sub(10, make([]byte, 16)...))...) }, wire.ErrMalformed, "boot twice"},
		"base of nowhere":    {telemetry.StreamNodeMetrics, func([]byte) []byte { return sub(5, 7<<3, 9) }, wire.ErrMalformed, "entry 9"},
		"evidence in masses": {telemetry.StreamAnomalies, func([]byte) []byte { return sub(3, bytes.Repeat(sub(14), 40)...) }, wire.ErrMalformed, "more than 32"},
	} {
		t.Run(test, func(t *testing.T) {
			b := newWorld(5).batch(c.stream, 6)
			got, err := rewrite(t, b, func(num protowire.Number, index int, data []byte) []byte {
				if num == 8 && index == 2 {
					return c.edit(data)
				}
				return data
			})
			if err != nil {
				t.Fatal(err)
			}
			checkDecoded(t, &got)
			if len(got.Poison) != 1 {
				t.Fatalf("%d poison records, want 1", len(got.Poison))
			}
			p := got.Poison[0]
			if p.Index != 2 || p.FirstSeq != 3 || p.LastSeq != 3 || !errors.Is(p.Err, c.want) || !strings.Contains(p.Err.Error(), c.says) {
				t.Errorf("poison %+v, want record 2 and %v with %q", p, c.want, c.says)
			}
			good := slices.Delete(slices.Clone(b.Records), 2, 3)
			if diff := cmp.Diff(good, got.Batch.Records, same); diff != "" {
				t.Errorf("the other records changed:\n%s", diff)
			}
		})
	}
}

func TestPoisonGapKeepsItsNumbers(t *testing.T) {
	got, err := rewrite(t, fixture(telemetry.StreamSLI), func(num protowire.Number, index int, data []byte) []byte {
		if num == 8 && index == 2 {
			return sub(8) // a gap without a reason
		}
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
	checkDecoded(t, &got)
	if len(got.Poison) != 1 || got.Poison[0].FirstSeq != 43 || got.Poison[0].LastSeq != 49 {
		t.Errorf("poison %+v, want one for 43 to 49", got.Poison)
	}
}

func TestSpansMustFitTheEnvelope(t *testing.T) {
	for name, edit := range map[string][]byte{
		"wider":            {1 << 3, 2, 2 << 3, 8},
		"narrower":         {1 << 3, 2, 2 << 3, 6},
		"one wide":         {1 << 3, 2, 2 << 3, 1},
		"beyond the last":  {1 << 3, 5, 2 << 3, 7},
		"of the one again": {2 << 3, 7},
	} {
		_, err := rewrite(t, fixture(telemetry.StreamSLI), func(num protowire.Number, index int, data []byte) []byte {
			if num == 7 && index == 1 {
				return edit
			}
			return data
		})
		if !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v, want malformed", name, err)
		}
	}
	got, err := rewrite(t, fixture(telemetry.StreamSLI), func(num protowire.Number, index int, data []byte) []byte {
		if num == 7 && index == 1 {
			return []byte{1 << 3, 3, 2 << 3, 7} // of a record that is no gap
		}
		return data
	})
	if err != nil || len(got.Poison) != 1 || !strings.Contains(got.Poison[0].Err.Error(), "no gap") {
		t.Errorf("%+v, %v, want one poison record that is no gap", got.Poison, err)
	}
}

func TestUnknownFieldsAreSkippedAndCounted(t *testing.T) {
	unknown := slices.Concat(sub(1000, 'x'), []byte{100<<3&0x7f | 0x80, 6, 5})
	b := newWorld(5).batch(telemetry.StreamInventory, 4)
	got, err := rewrite(t, b, func(num protowire.Number, _ int, data []byte) []byte {
		if num == 8 {
			// One level up, in the record, and one down, in the object.
			inner, n := protowire.ConsumeBytes(data[bytes.IndexByte(data, 2<<3|2)+1:])
			_ = n
			at := bytes.IndexByte(data, 2<<3|2)
			return slices.Concat(data[:at], sub(2, slices.Concat(inner, unknown)...), unknown)
		}
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Poison) > 0 || got.UnknownFields != 4*4 {
		t.Errorf("poison %v, %d unknown fields, want none and 16", got.Poison, got.UnknownFields)
	}
	if diff := cmp.Diff(b.Records, got.Batch.Records, same); diff != "" {
		t.Errorf("the records changed:\n%s", diff)
	}
}

func TestBrokenTablesRefuseTheBatch(t *testing.T) {
	for name, c := range map[string]struct {
		stream telemetry.Stream
		table  protowire.Number
		put    []byte
		want   error
	}{
		"long word":        {telemetry.StreamEvents, 2, make([]byte, wire.MaxString+1), wire.ErrTooLarge},
		"label of nowhere": {telemetry.StreamInventory, 3, sub(1, 0xff, 1, 1), wire.ErrMalformed},
		"odd label set":    {telemetry.StreamInventory, 3, sub(1, 1, 1, 1), wire.ErrMalformed},
		"broken bounds":    {telemetry.StreamSLI, 4, sub(1, 1, 1, 1), wire.ErrMalformed},
		"no shape":         {telemetry.StreamNodeMetrics, 5, sub(1), wire.ErrMalformed},
		"unlabelled":       {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(0, 0, 2, 0)...), wire.ErrMalformed},
		"bits behind":      {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(0, 0, 2, 0, 0, 0, 0, 1)...), wire.ErrMalformed},
		"one too few":      {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(1, 0, 2, 0, 0, 0)...), wire.ErrMalformed},
		"endless number":   {telemetry.StreamNodeMetrics, 5, sub(1, bytes.Repeat([]byte{0xff}, 40)...), wire.ErrMalformed},
		"word of nowhere":  {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(0, 0, 2, 0, 0, 15, 15, 7)...), wire.ErrMalformed},
		"huge metric":      {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(0, 0, 14, 15, 15, 15, 15, 7, 0, 0, 0)...), wire.ErrMalformed},
		"negative metric":  {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(0, 0, 1, 0, 0, 0)...), wire.ErrMalformed},
		"beyond the last":  {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(1, 0, 14, 15, 15, 15, 15, 3, 1, 0, 0)...), wire.ErrMalformed},
		"number too high":  {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(0, 0, 2, 0, 0, 10, 8, 8, 8, 2, 0)...), wire.ErrMalformed},
		"numbers too high": {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(1, 0, 2, 0, 1, 8, 8, 8, 8, 2, 1)...), wire.ErrMalformed},
		"too many numbers": {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(1, 0, 2, 0, 1, 2, 2)...), wire.ErrMalformed},
		"too many metrics": {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(1, 0, 2, 2, 0, 0)...), wire.ErrMalformed},
		"too many runs":    {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(1, 2, 2, 0, 2, 0, 2, 0, 0, 0)...), wire.ErrMalformed},
		"too many labels":  {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(1, 0, 2, 0, 2, 0, 0, 0)...), wire.ErrMalformed},
		"many series":      {telemetry.StreamNodeMetrics, 5, sub(1, nibbles(8, 8, 8, 8, 1, 0, 2, 8, 8, 8, 8, 1, 0, 0)...), wire.ErrTooLarge},
		"base of nothing":  {telemetry.StreamNodeMetrics, 6, sub(2, 1), wire.ErrMalformed},
	} {
		b := fixture(c.stream)
		_, err := rewrite(t, b, func(num protowire.Number, index int, data []byte) []byte {
			if num == c.table && index == 0 {
				return c.put
			}
			return data
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestEncoderRefuses(t *testing.T) {
	enc, _ := newCodec(t)
	for name, c := range map[string]struct {
		spoil func(*telemetry.Batch)
		index int // of the record, -1 for the batch
	}{
		"epoch 0":      {func(b *telemetry.Batch) { b.Epoch = 0 }, -1},
		"hole":         {func(b *telemetry.Batch) { b.Records[2].Seq++ }, -1},
		"bad record":   {func(b *telemetry.Batch) { b.Records[2].Payload.(*telemetry.Event).Reason = "a\x00" }, 2},
		"no payload":   {func(b *telemetry.Batch) { b.Records[3].Payload = nil }, 3},
		"nil payload":  {func(b *telemetry.Batch) { b.Records[3].Payload = (*telemetry.Event)(nil) }, 3},
		"other stream": {func(b *telemetry.Batch) { b.Records[0].Payload = new(telemetry.SLISlice) }, 0},
	} {
		b := newWorld(5).batch(telemetry.StreamEvents, 5)
		c.spoil(b)
		out, err := enc.Append([]byte("kept"), b)
		if string(out) != "kept" || !errors.Is(err, telemetry.ErrInvalid) {
			t.Errorf("%s: %d bytes and %v, want nothing and invalid", name, len(out), err)
		}
		record, ok := errors.AsType[*wire.RecordError](err)
		if ok != (c.index >= 0) || ok && record.Index != c.index {
			t.Errorf("%s: %v, want record %d", name, err, c.index)
		}
	}
}

func TestEncoderKeepsTheRatioAndTheLimits(t *testing.T) {
	enc, dec := newCodec(t)
	outputs := func(n int) *telemetry.Batch {
		records := make([]telemetry.Record, n)
		for i := range records {
			records[i] = telemetry.Record{Seq: uint64(i + 1), Time: newWorld(1).start, Payload: &telemetry.CommandOutput{
				CommandUID: "c", ExecutionID: "e", Index: uint32(i), Data: make([]byte, telemetry.MaxChunk),
			}}
		}
		return new(telemetry.NewBatch(telemetry.StreamCommandOutput, 1, records))
	}
	roundTrip(t, enc, dec, outputs(100)) // zstd alone would exceed the ratio
	_, err := enc.Append(nil, outputs(200))
	if limit, ok := errors.AsType[*wire.LimitError](err); !ok || limit.Limit != wire.LimitRatio {
		t.Errorf("%v, want the ratio", err)
	}
	_, err = enc.Append(nil, outputs(1100))
	if limit, ok := errors.AsType[*wire.LimitError](err); !ok || limit.Limit != wire.LimitPayload {
		t.Errorf("%v, want the payload", err)
	}
	roundTrip(t, enc, dec, newWorld(1).batch(telemetry.StreamEvents, wire.MaxRecords/5))
}
