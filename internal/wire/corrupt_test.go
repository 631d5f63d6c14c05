// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//nolint:gosec // numbers of test data are small, or meant to overflow
package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

func TestEveryTruncationIsAnError(t *testing.T) {
	enc, dec := newCodec(t)
	for stream := range telemetry.Streams() {
		data := encode(t, enc, fixture(stream))
		for n := range data {
			if _, err := dec.Decode(data[:n:n]); !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("%s cut to %d of %d bytes: %v, want malformed", stream, n, len(data), err)
			}
			if _, _, err := wire.Read(bytes.NewReader(data[:n]), nil); !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("reading %s cut to %d of %d bytes: %v, want malformed", stream, n, len(data), err)
			}
		}
		if _, err := dec.Decode(append(slices.Clone(data), 0)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s with one byte more: %v, want malformed", stream, err)
		}
	}
}

func TestEveryBitFlipIsDetected(t *testing.T) {
	enc, dec := newCodec(t)
	for stream := range telemetry.Streams() {
		data := encode(t, enc, fixture(stream))
		for bit := range len(data) * 8 {
			data[bit/8] ^= 1 << (bit % 8)
			if got, err := dec.Decode(data); err == nil {
				t.Fatalf("%s with bit %d flipped was read as %+v", stream, bit, got.Batch)
			}
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// Somebody who can compute the checksums can say anything, but must not crash
// the decoder nor make records out of nothing.
func TestForgedPayloadsAreReadOrRefused(t *testing.T) {
	enc, dec := newCodec(t)
	for stream := range telemetry.Streams() {
		data := encode(t, enc, fixture(stream))
		header, err := wire.ParseHeader(data)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := dec.Payload(data)
		if err != nil {
			t.Fatal(err)
		}
		header.Codec = wire.CodecIdentity
		poisoned := 0
		for bit := range len(payload) * 8 {
			payload[bit/8] ^= 1 << (bit % 8)
			got, err := dec.Decode(wire.Envelope(header, payload, payload))
			if err == nil {
				poisoned += len(got.Poison)
				checkDecoded(t, &got)
			} else if !errors.Is(err, wire.ErrMalformed) && !errors.Is(err, wire.ErrTooLarge) {
				t.Fatalf("%s with bit %d flipped: %v", stream, bit, err)
			}
			payload[bit/8] ^= 1 << (bit % 8)
		}
		if poisoned == 0 {
			t.Errorf("%s: no flip made a poison record", stream)
		}
	}
}

// checkDecoded checks what holds for whatever a decoder returns.
func checkDecoded(tb testing.TB, got *wire.Decoded) {
	tb.Helper()
	if n := len(got.Batch.Records) + len(got.Poison); n != got.Header.Records {
		tb.Fatalf("%d good and bad records, %d were declared", n, got.Header.Records)
	}
	next, poison := got.Header.FirstSeq, got.Poison
	for i := 0; i <= len(got.Batch.Records); i++ {
		for len(poison) > 0 && poison[0].FirstSeq == next {
			if poison[0].Err == nil || len(poison[0].Raw) > wire.PoisonBytes {
				tb.Fatalf("poison without a reason or too large: %+v", poison[0])
			}
			next, poison = poison[0].LastSeq+1, poison[1:]
		}
		if i == len(got.Batch.Records) {
			break
		}
		r := &got.Batch.Records[i]
		if r.First() != next {
			tb.Fatalf("record %d begins at %d, want %d", i, r.First(), next)
		}
		if err := r.Validate(got.Header.Stream); err != nil {
			tb.Fatalf("an invalid record was let through: %v", err)
		}
		next = r.Seq + 1
	}
	if len(poison) > 0 || next != got.Header.LastSeq+1 {
		tb.Fatalf("the records end at %d with %d poison left, want %d", next-1, len(poison), got.Header.LastSeq)
	}
}

func header(records int) wire.Header {
	return wire.Header{
		Codec: wire.CodecZstd, Stream: telemetry.StreamEvents, Epoch: 1, FirstSeq: 1, LastSeq: uint64(records), Records: records,
	}
}

// rleFrame is a zstd frame of n blocks, each of which blows 4 bytes up to 128 KiB
// of zeros. It declares to hold size bytes, or nothing when that is 0.
func rleFrame(n int, size uint64) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd}
	if size > 0 {
		frame = append(frame, 0xc0|0x20) // eight bytes of size, single segment
		frame = binary.LittleEndian.AppendUint64(frame, size)
	} else {
		frame = append(frame, 0, 0x50) // a window of 1 MiB
	}
	for i := range n {
		block := uint32(128<<10)<<3 | 1<<1
		if i == n-1 {
			block |= 1
		}
		frame = append(frame, byte(block), byte(block>>8), byte(block>>16), 0)
	}
	return frame
}

func compress(tb testing.TB, payload []byte) []byte {
	tb.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true), zstd.WithZeroFrames(true))
	if err != nil {
		tb.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(payload, nil)
}

func bombs(tb testing.TB) map[string]struct {
	data []byte
	want error
} {
	tb.Helper()
	const tenGiB = 10 << 30
	declare := func(h wire.Header, payloadBytes int) wire.Header {
		h.PayloadBytes = payloadBytes
		return h
	}
	small := []byte("a payload that is no payload")
	one := compress(tb, small)
	zeros := compress(tb, make([]byte, 1<<20))
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, "skip"...)
	withDictionary := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x21, 9, byte(len(small))}, one[len(one)-7:]...)
	huge := []byte{2<<3 | 2, 0} // an empty word
	identity := header(1)
	identity.Codec = wire.CodecIdentity
	zeroBlocks := tenGiB / (128 << 10)
	random := make([]byte, wire.MaxString)
	rng := rand.New(rand.NewPCG(1, 1))
	var elements []byte // random words to stay below the ratio, then label sets of one key each
	for range 20 {
		for i := range random {
			random[i] = byte(rng.Uint32())
		}
		elements = append(elements, sub(2, random...)...)
	}
	elements = append(elements, bytes.Repeat(sub(3, sub(1, bytes.Repeat([]byte{1}, 60_000)...)...), 100)...)
	elements = append(elements, sub(8)...)
	// The table of a set that is as long as it may be, in a few bytes.
	manySets := bytes.Repeat(sub(5, sub(1, nibbles(15, 15, 15, 7, 0, 2, 0, 15, 15, 15, 7, 2, 15, 15, 15, 7)...)...), 5000)
	sets := slices.Concat(elements[:20*(wire.MaxString+4)], manySets, sub(8))
	fewSets := slices.Concat(manySets[:500*len(manySets)/5000], sub(8))
	type bomb = struct {
		data []byte
		want error
	}
	return map[string]bomb{
		"ten GiB, honest frame":             {wire.Envelope(declare(header(1), 30<<20), rleFrame(zeroBlocks, tenGiB), nil), wire.ErrMalformed},
		"ten GiB, lying frame":              {wire.Envelope(declare(header(1), 30<<20), rleFrame(zeroBlocks, 30<<20), nil), wire.ErrMalformed},
		"ten GiB, silent frame":             {wire.Envelope(declare(header(1), 30<<20), rleFrame(zeroBlocks, 0), nil), wire.ErrMalformed},
		"more than the payload limit":       {wire.Envelope(declare(header(1), 32<<20+1), make([]byte, 4<<20), nil), wire.ErrTooLarge},
		"four GiB declared":                 {wire.Envelope(declare(header(1), 1<<32-1), make([]byte, 4<<20), nil), wire.ErrTooLarge},
		"more than the body limit":          {wire.Envelope(declare(header(1), 32<<20), make([]byte, 4<<20+1), nil), wire.ErrTooLarge},
		"ratio":                             {wire.Envelope(declare(header(1), 1<<20), zeros, nil), wire.ErrTooLarge},
		"ratio of 100.1":                    {wire.Envelope(declare(header(1), 100_100), make([]byte, 1000), nil), wire.ErrTooLarge},
		"nothing makes something":           {wire.Envelope(declare(header(1), 1), nil, nil), wire.ErrTooLarge},
		"too many records":                  {wire.Envelope(header(50_001), one, small), wire.ErrTooLarge},
		"two frames":                        {wire.Envelope(header(1), slices.Concat(one, one), slices.Concat(small, small)), wire.ErrMalformed},
		"an empty second frame":             {wire.Envelope(header(1), slices.Concat(one, compress(tb, nil)), small), wire.ErrMalformed},
		"a frame and a skippable one":       {wire.Envelope(header(1), slices.Concat(one, skippable), small), wire.ErrMalformed},
		"a skippable frame first":           {wire.Envelope(header(1), slices.Concat(skippable, one), small), wire.ErrMalformed},
		"a frame and a byte":                {wire.Envelope(header(1), slices.Concat(one, []byte{0}), small), wire.ErrMalformed},
		"a frame with a dictionary":         {wire.Envelope(header(1), withDictionary, small), wire.ErrMalformed},
		"a frame in a frame":                {wire.Envelope(header(1), compress(tb, one), one), wire.ErrMalformed},
		"a frame declared as identity":      {wire.Envelope(declare(identity, len(small)), one, small), wire.ErrMalformed},
		"no frame":                          {wire.Envelope(header(1), small, small), wire.ErrMalformed},
		"other bytes than the digest's":     {wire.Envelope(header(1), one, []byte("a payload that is no pay-lo.")), wire.ErrChecksum},
		"millions of empty words":           {wire.Envelope(identity, bytes.Repeat(huge, 1<<21), bytes.Repeat(huge, 1<<21)), wire.ErrTooLarge},
		"millions of labels":                {wire.Envelope(header(1), compress(tb, elements), elements), wire.ErrTooLarge},
		"millions of series, no zstd":       {wire.Envelope(identity, fewSets, fewSets), wire.ErrTooLarge},
		"millions of series":                {wire.Envelope(header(1), compress(tb, sets), sets), wire.ErrTooLarge},
		"more records than declared":        {wire.Envelope(identity, []byte{8<<3 | 2, 0, 8<<3 | 2, 0}, []byte{8<<3 | 2, 0, 8<<3 | 2, 0}), wire.ErrMalformed},
		"millions of records, one declared": {wire.Envelope(identity, bytes.Repeat([]byte{8<<3 | 2, 0}, 1<<21), bytes.Repeat([]byte{8<<3 | 2, 0}, 1<<21)), wire.ErrTooLarge},
	}
}

func TestBombs(t *testing.T) {
	_, dec := newCodec(t)
	for name, bomb := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := dec.Decode(bomb.data)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, bomb.want) {
				t.Errorf("%v (%d records), want %v", err, len(got.Batch.Records), bomb.want)
			}
			// Two buffers of the largest payload, for the pool may be empty, and what the
			// elements that are allowed take.
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 2*40<<20+32*wire.MaxElements {
				t.Errorf("%d MiB were allocated", spent>>20)
			}
		})
	}
}

func TestLimitErrorsSayWhichLimit(t *testing.T) {
	_, dec := newCodec(t)
	all := bombs(t)
	for name, want := range map[string]wire.LimitError{
		"more than the payload limit": {Limit: wire.LimitPayload, Max: 32 << 20, Got: 32<<20 + 1},
		"more than the body limit":    {Limit: wire.LimitBody, Max: 4 << 20, Got: 4<<20 + 1},
		"ratio of 100.1":              {Limit: wire.LimitRatio, Max: 100, Got: 101},
		"too many records":            {Limit: wire.LimitRecords, Max: 50_000, Got: 50_001},
		"millions of labels":          {Limit: wire.LimitElements, Max: wire.MaxElements, Got: 70 * 30_000},
		"millions of empty words":     {Limit: wire.LimitTable, Max: wire.MaxTable, Got: wire.MaxTable + 1},
	} {
		_, err := dec.Decode(all[name].data)
		if got, ok := errors.AsType[*wire.LimitError](err); !ok || *got != want {
			t.Errorf("%s: %v, want %v", name, err, &want)
		}
	}
}

// endless counts what is read from it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestReadStopsAtTheEnvelopeOfABomb(t *testing.T) {
	for name, bomb := range bombs(t) {
		if !errors.Is(bomb.want, wire.ErrTooLarge) || strings.HasPrefix(name, "millions") {
			continue
		}
		var rest endless
		_, _, err := wire.Read(io.MultiReader(bytes.NewReader(bomb.data[:wire.HeaderSize]), &rest), nil)
		if !errors.Is(err, wire.ErrTooLarge) || rest.read > 0 {
			t.Errorf("%s: %v after %d bytes more, want a limit and none", name, err, rest.read)
		}
	}
}

func TestReadLeavesWhatFollows(t *testing.T) {
	enc, dec := newCodec(t)
	first, second := encode(t, enc, fixture(telemetry.StreamSLI)), encode(t, enc, fixture(telemetry.StreamEvents))
	r := bytes.NewReader(slices.Concat(first, second))
	for _, want := range [][]byte{first, second} {
		got, h, err := wire.Read(r, nil)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, want %d: %v", len(got), len(want), err)
		}
		if decoded, err := dec.Decode(got); err != nil || decoded.Header != h {
			t.Errorf("decoding gave %+v, want %+v: %v", decoded.Header, h, err)
		}
	}
	broken := errors.New("broken pipe")
	if _, _, err := wire.Read(io.MultiReader(bytes.NewReader(first[:60]), errReader{broken}), nil); !errors.Is(err, broken) {
		t.Errorf("%v, want the reader's own error", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestHeadersThatCannotBe(t *testing.T) {
	enc, dec := newCodec(t)
	for name, test := range map[string]struct {
		at   int
		put  []byte
		want error
	}{
		"other magic":       {0, []byte("ATLX"), wire.ErrMalformed},
		"newer version":     {4, []byte{2}, wire.ErrVersion},
		"unknown codec":     {5, []byte{2}, wire.ErrMalformed},
		"unknown stream":    {6, []byte{7}, wire.ErrMalformed},
		"stream 0":          {6, []byte{0}, wire.ErrMalformed},
		"reserved byte":     {7, []byte{1}, wire.ErrMalformed},
		"epoch 0":           {8, make([]byte, 8), wire.ErrMalformed},
		"first 0":           {16, make([]byte, 8), wire.ErrMalformed},
		"last before first": {24, make([]byte, 8), wire.ErrMalformed},
		"too few numbers":   {24, []byte{4, 0, 0, 0, 0, 0, 0, 0}, wire.ErrMalformed},
		"too many numbers":  {24, bytes.Repeat([]byte{255}, 8), wire.ErrMalformed},
		"no records":        {32, make([]byte, 4), wire.ErrMalformed},
		"other digest":      {48, make([]byte, 8), wire.ErrChecksum},
	} {
		data := encode(t, enc, fixture(telemetry.StreamSLI))
		copy(data[test.at:], test.put)
		wire.Reseal(data)
		if _, err := dec.Decode(data); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
