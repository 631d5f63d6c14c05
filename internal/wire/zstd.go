// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// newCompressor returns a compressor for at most concurrency callers at a time. It
// takes its memory when it is used first.
// The frame's own checksum is left out, since the envelope has one.
func newCompressor(level zstd.EncoderLevel, concurrency int) (*zstd.Encoder, error) {
	z, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(concurrency),
		zstd.WithEncoderLevel(level),
		zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true),
		zstd.WithLowerEncoderMem(true),
	)
	if err != nil {
		return nil, fmt.Errorf("creating the compressor: %w", err)
	}
	return z, nil
}

// newDecompressor returns a decompressor that never writes beyond the capacity it
// is given.
func newDecompressor(concurrency int) (*zstd.Decoder, error) {
	z, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(concurrency),
		zstd.WithDecoderMaxMemory(MaxPayload),
		zstd.WithDecoderMaxWindow(MaxPayload),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderLowmem(true),
	)
	if err != nil {
		return nil, fmt.Errorf("creating the decompressor: %w", err)
	}
	return z, nil
}

// decompress appends the payload of one zstd frame to dst, which has room for
// size+blockSize bytes more than it holds: a frame that lies about its size is
// found out one block late, and must not make dst grow until then. It fails unless
// the body is one frame, nothing else, that declares and has this size.
func decompress(z *zstd.Decoder, dst, body []byte, size int) ([]byte, error) {
	if err := checkFrame(body, size); err != nil {
		return dst, err
	}
	start := len(dst)
	out, err := z.DecodeAll(body, dst)
	if err != nil {
		return dst, malformed("decompressing the body: %v", err)
	}
	if len(out)-start != size {
		return dst, malformed("the body has %d bytes of payload, %d were declared", len(out)-start, size)
	}
	return out, nil
}

// Lengths and types in zstd frames (RFC 8878, section 3.1.1).
const (
	blockHeader   = 3
	blockSize     = 128 << 10 // the most that a block holds
	blockRLE      = 1
	blockReserved = 3
	frameChecksum = 4
)

// checkFrame walks over the blocks of a frame without decompressing them.
func checkFrame(body []byte, size int) error {
	var h zstd.Header
	if err := h.Decode(body); err != nil {
		return malformed("reading the header of the zstd frame: %v", err)
	}
	switch {
	case h.Skippable:
		return malformed("the body is a skippable zstd frame")
	case h.DictionaryID != 0:
		return malformed("the zstd frame asks for dictionary %d", h.DictionaryID)
	case !h.HasFCS || h.FrameContentSize != uint64(size): //nolint:gosec // not negative
		return malformed("the zstd frame does not declare %d bytes of payload", size)
	}
	if h.WindowSize > MaxPayload {
		return &LimitError{Limit: LimitPayload, Max: MaxPayload, Got: h.WindowSize}
	}
	rest := body[h.HeaderSize:]
	for last := false; !last; {
		if len(rest) < blockHeader {
			return malformed("the zstd frame ends too early")
		}
		header := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		last = header&1 != 0
		length := header >> 3
		switch header >> 1 & 3 {
		case blockRLE:
			length = 1
		case blockReserved:
			return malformed("the zstd frame has a block of a reserved type")
		}
		if len(rest)-blockHeader < length {
			return malformed("the zstd frame ends too early")
		}
		rest = rest[blockHeader+length:]
	}
	want := 0
	if h.HasCheckSum {
		want = frameChecksum
	}
	if len(rest) != want {
		return malformed("%d bytes follow the zstd frame", len(rest)-want)
	}
	return nil
}
