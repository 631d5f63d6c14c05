// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// keepBuffer is the largest buffer that is kept for the next batch. Few batches are
// larger, and their memory should not stay.
const keepBuffer = 4 << 20

// Encoder turns batches into bytes. It is safe for concurrent use.
type Encoder struct {
	// compressor is made when the first payload of at least compressFrom bytes
	// needs it, for its tables are most of what an encoder takes.
	compressor   func() (*zstd.Encoder, error)
	compressFrom int
	states       sync.Pool
}

// NewEncoder returns an encoder that compresses at most concurrency batches at the
// same time, at least 1; more callers wait. Each costs a few MiB of memory.
func NewEncoder(concurrency int) (*Encoder, error) {
	z, err := newCompressor(zstd.SpeedDefault, max(concurrency, 1))
	if err != nil {
		return nil, err
	}
	return encoderWith(func() (*zstd.Encoder, error) { return z, nil }, 0), nil
}

// compressSamplesFrom is the payload from which a sample encoder compresses. Those
// of single samples are below, and nothing is to be gained.
const compressSamplesFrom = 4 << 10

// NewSampleEncoder returns an encoder for who mostly sends one node sample at a
// time and has little memory. It writes small batches as they are and compresses
// larger ones, one at a time, at the price of half a MiB from the first one on.
func NewSampleEncoder() *Encoder {
	return encoderWith(sync.OnceValues(func() (*zstd.Encoder, error) { return newCompressor(zstd.SpeedFastest, 1) }), compressSamplesFrom)
}

func encoderWith(compressor func() (*zstd.Encoder, error), from int) *Encoder {
	return &Encoder{
		compressor: compressor, compressFrom: from,
		states: sync.Pool{New: func() any { return &encoderState{encoding: newEncoding()} }},
	}
}

type encoderState struct {
	encoding *encoding
	payload  []byte
}

func (e *Encoder) put(s *encoderState) {
	s.encoding.reset()
	if cap(s.payload) <= keepBuffer && cap(s.encoding.records) <= keepBuffer {
		e.states.Put(s)
	}
}

// Append appends the batch, envelope and body, to dst. The batch must be valid. The
// error wraps telemetry.ErrInvalid when the batch as a whole is not, is a
// *RecordError when one record is not, and a *LimitError when the batch is too large
// and should be sent in two halves. On an error, dst is returned as it was.
func (e *Encoder) Append(dst []byte, b *telemetry.Batch) ([]byte, error) {
	if err := b.Validate(); err != nil {
		return dst, fmt.Errorf("encoding the batch: %w", err)
	}
	s := e.states.Get().(*encoderState)
	defer e.put(s)
	if err := s.encoding.fill(b); err != nil {
		return dst, err
	}
	s.payload = s.encoding.appendPayload(s.payload[:0])
	h := Header{
		Codec: CodecZstd, Stream: b.Stream, Epoch: b.Epoch, FirstSeq: b.FirstSeq, LastSeq: b.LastSeq,
		Records: len(b.Records), PayloadBytes: len(s.payload), Digest: digest(s.payload),
	}
	if err := within(LimitPayload, h.PayloadBytes, MaxPayload); err != nil {
		return dst, err
	}
	return e.appendBatch(dst, &h, s.payload, s.encoding.elements)
}

func (e *Encoder) appendBatch(dst []byte, h *Header, payload []byte, elements int) ([]byte, error) {
	start := len(dst)
	out := slices.Grow(dst, HeaderSize)[:start+HeaderSize]
	asIs := len(payload) < e.compressFrom
	if !asIs {
		z, err := e.compressor()
		if err != nil {
			return dst, err
		}
		out = z.EncodeAll(payload, out)
		h.BodyBytes = len(out) - start - HeaderSize
		tooSmall := len(payload) > h.BodyBytes*MaxRatio || elements > elementsFor(h.BodyBytes)
		asIs = h.BodyBytes >= len(payload) || tooSmall && len(payload) <= MaxBody
	}
	if asIs {
		h.Codec, h.BodyBytes = CodecIdentity, len(payload)
		out = append(out[:start+HeaderSize], payload...)
	}
	if err := h.checkLimits(); err != nil {
		return dst, err
	}
	if err := within(LimitElements, elements, elementsFor(h.BodyBytes)); err != nil {
		return dst, err
	}
	h.appendHeader(out[start:start])
	seal(out[start:])
	return out, nil
}

// fill encodes every record.
func (e *encoding) fill(b *telemetry.Batch) error {
	e.baseMillis = b.Records[0].Time.Unix() * 1000
	for i := range b.Records {
		if sample, ok := b.Records[i].Payload.(*telemetry.NodeSample); ok && sample != nil {
			e.samples[sample.Node]++
			e.sampleCount++
		}
	}
	for i := range b.Records {
		if err := e.fillRecord(i, &b.Records[i], b.Stream); err != nil {
			return err
		}
	}
	return within(LimitElements, e.elements, MaxElements)
}

func (e *encoding) fillRecord(i int, r *telemetry.Record, stream telemetry.Stream) error {
	if err := r.Validate(stream); err != nil {
		return &RecordError{Index: i, Err: err}
	}
	before := len(e.records)
	e.record(r)
	if err := within(LimitRecord, len(e.records)-before, stream.MaxRecordBytes()); err != nil {
		return &RecordError{Index: i, Err: err}
	}
	if width := r.Seq - r.First() + 1; width > 1 {
		e.span(i, width)
	}
	if err := within(LimitTable, len(e.words), MaxTable); err != nil {
		return err
	}
	return within(LimitPayload, e.size(), MaxPayload)
}

// AppendRecord appends one record alone, uncompressed and without an envelope, for
// a spool that keeps records one by one. The sequence number is not in it, and
// neither is a checksum. Equal records give equal bytes.
func (e *Encoder) AppendRecord(dst []byte, stream telemetry.Stream, r *telemetry.Record) ([]byte, error) {
	b := telemetry.Batch{Stream: stream, Records: []telemetry.Record{*r}}
	s := e.states.Get().(*encoderState)
	defer e.put(s)
	if err := s.encoding.fill(&b); err != nil {
		return dst, err
	}
	return s.encoding.appendPayload(dst), nil
}

// Decoder turns bytes into batches. It is safe for concurrent use. What it returns
// shares no memory with its input or with other batches; records of one batch
// share memory with each other and must not be changed in place.
type Decoder struct {
	zstd    *zstd.Decoder
	buffers sync.Pool
}

// NewDecoder returns a decoder that decompresses at most concurrency batches at the
// same time, at least 1; more callers wait.
func NewDecoder(concurrency int) (*Decoder, error) {
	z, err := newDecompressor(max(concurrency, 1))
	if err != nil {
		return nil, err
	}
	return &Decoder{zstd: z, buffers: sync.Pool{New: func() any { return new([]byte) }}}, nil
}

// Close ends the decompressor's goroutines. The decoder must not be used after.
func (d *Decoder) Close() { d.zstd.Close() }

// Decode reads one batch, which must fill data exactly. An error concerns the batch
// as a whole and leaves nothing to use: it is a *LimitError, a *VersionError, or
// wraps ErrMalformed or ErrChecksum. Single records that are refused are no error;
// they end in Decoded.Poison.
func (d *Decoder) Decode(data []byte) (Decoded, error) {
	h, err := ParseHeader(data)
	if err != nil {
		return Decoded{}, err
	}
	body := data[HeaderSize:]
	if len(body) != h.BodyBytes {
		return Decoded{}, malformed("the body has %d bytes, %d were declared", len(body), h.BodyBytes)
	}
	if !sealed(data) {
		return Decoded{}, ErrChecksum
	}
	payload := body
	if h.Codec == CodecZstd {
		buffer := d.buffers.Get().(*[]byte)
		defer d.release(buffer)
		room := h.PayloadBytes + blockSize
		if cap(*buffer) < room {
			*buffer = make([]byte, 0, room)
		}
		payload, err = decompress(d.zstd, (*buffer)[:0:room], body, h.PayloadBytes)
		if err != nil {
			return Decoded{}, err
		}
	}
	if digest(payload) != h.Digest {
		return Decoded{}, ErrChecksum
	}
	out := Decoded{Header: h, Batch: telemetry.Batch{Stream: h.Stream, Epoch: h.Epoch, FirstSeq: h.FirstSeq, LastSeq: h.LastSeq}}
	state := newDecoding(h.Stream, len(body))
	if err := state.read(&out, payload); err != nil {
		return Decoded{}, err
	}
	return out, nil
}

func (d *Decoder) release(buffer *[]byte) {
	if cap(*buffer) <= keepBuffer {
		d.buffers.Put(buffer)
	}
}

// DecodeRecord reads one record that AppendRecord wrote. The sequence number is
// the caller's, who kept it. The error wraps ErrMalformed or telemetry.ErrInvalid, or
// is a *LimitError.
func (*Decoder) DecodeRecord(stream telemetry.Stream, seq uint64, data []byte) (telemetry.Record, error) {
	width, err := recordWidth(data)
	if err != nil {
		return telemetry.Record{}, err
	}
	if width > seq {
		return telemetry.Record{}, malformed("sequence number %d is too low for a gap of %d", seq, width)
	}
	out := Decoded{Header: Header{Stream: stream, FirstSeq: seq - width + 1, LastSeq: seq, Records: 1}}
	state := newDecoding(stream, len(data))
	if err := state.read(&out, data); err != nil {
		return telemetry.Record{}, err
	}
	if len(out.Poison) > 0 {
		return telemetry.Record{}, out.Poison[0].Err
	}
	return out.Batch.Records[0], nil
}
