// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// FuzzDecode feeds the decoder bytes as they are, and the same bytes as a payload
// behind an envelope with right checksums, which is how an attacker would.
func FuzzDecode(f *testing.F) {
	enc, dec := newCodec(f)
	for stream := range telemetry.Streams() {
		golden, err := os.ReadFile(goldenPath(stream))
		if err != nil {
			f.Fatal(err)
		}
		payload, err := dec.Payload(golden)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(golden, byte(stream), uint16(5), uint64(41), uint64(51))
		f.Add(payload, byte(stream), uint16(5), uint64(1), uint64(51))
	}
	if alone, err := dec.Payload(encode(f, enc, newWorld(1).batch(telemetry.StreamNodeMetrics, 1))); err == nil {
		f.Add(alone, byte(telemetry.StreamNodeMetrics), uint16(1), uint64(1), uint64(1))
	}
	for _, bomb := range bombs(f) {
		if len(bomb.data) < 1<<10 {
			f.Add(bomb.data, byte(3), uint16(1), uint64(1), uint64(1))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, stream byte, records uint16, first, last uint64) {
		if got, err := dec.Decode(data); err == nil {
			checkFuzzed(t, enc, dec, &got)
		}
		forged := wire.Envelope(wire.Header{
			Codec: wire.CodecIdentity, Stream: telemetry.Stream(stream), Epoch: 1, FirstSeq: first, LastSeq: last, Records: int(records),
		}, data, data)
		if got, err := dec.Decode(forged); err == nil {
			checkFuzzed(t, enc, dec, &got)
		}
		if record, err := dec.DecodeRecord(telemetry.Stream(stream), last, data); err == nil {
			if err := record.Validate(telemetry.Stream(stream)); err != nil {
				t.Fatalf("an invalid record was let through: %v", err)
			}
		}
	})
}

// checkFuzzed checks a batch that was accepted: it is consistent, and without
// poison it survives another trip.
func checkFuzzed(t *testing.T, enc *wire.Encoder, dec *wire.Decoder, got *wire.Decoded) {
	t.Helper()
	checkDecoded(t, got)
	if len(got.Poison) > 0 {
		return
	}
	data, err := enc.Append(nil, &got.Batch)
	if err != nil {
		t.Fatalf("a decoded batch cannot be encoded: %v", err)
	}
	again, err := dec.Decode(data)
	if err != nil {
		t.Fatalf("a batch cannot be decoded again: %v", err)
	}
	if diff := cmp.Diff(got.Batch, again.Batch, same); diff != "" {
		t.Fatalf("the batch changed:\n%s", diff)
	}
}

// FuzzDecompress feeds the decompressor alone, and compares with the library
// without our limits.
func FuzzDecompress(f *testing.F) {
	_, dec := newCodec(f)
	f.Add(compress(f, []byte("what repeats is what repeats")), uint32(28))
	f.Add(compress(f, make([]byte, 300_000)), uint32(300_000))
	f.Add(compress(f, nil), uint32(0))
	f.Add(rleFrame(8, 8*128<<10), uint32(8*128<<10))
	f.Add(rleFrame(9, 8*128<<10), uint32(8*128<<10))
	f.Add(rleFrame(8, 0), uint32(8*128<<10))
	reference, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(reference.Close)
	f.Fuzz(func(t *testing.T, body []byte, size uint32) {
		limit := min(int(size), 4<<20, len(body)*wire.MaxRatio)
		got, err := dec.Decompress(body, limit)
		if err != nil {
			return
		}
		if len(got) != limit {
			t.Fatalf("%d bytes, %d were declared", len(got), limit)
		}
		want, err := reference.DecodeAll(body, nil)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, the library reads %d (%v)", len(got), len(want), err)
		}
	})
}

// FuzzRoundTrip lets the fuzzer make the random choices that build a batch.
func FuzzRoundTrip(f *testing.F) {
	enc, dec := newCodec(f)
	for stream := range telemetry.Streams() {
		f.Add([]byte{}, byte(stream))
		f.Add([]byte("some choices that are not random at all, but will do"), byte(stream))
	}
	f.Fuzz(func(t *testing.T, choices []byte, stream byte) {
		s := telemetry.Stream(1 + stream%6)
		b := chaos{rand.New(&chooser{rest: choices, then: rand.NewPCG(uint64(len(choices)), 1)})}.batch(s)
		roundTrip(t, enc, dec, b)
	})
}

// chooser is a source of "random" numbers that the fuzzer writes.
type chooser struct {
	rest []byte
	then rand.Source
}

func (c *chooser) Uint64() uint64 {
	if len(c.rest) < 8 {
		return c.then.Uint64()
	}
	v := binary.LittleEndian.Uint64(c.rest)
	c.rest = c.rest[8:]
	return v
}
