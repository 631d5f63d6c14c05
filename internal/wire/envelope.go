// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// Version is the version of the format that this package writes and reads.
	Version = 1
	// HeaderSize is the length of the envelope before the body, in bytes.
	HeaderSize = 56
	// ContentType names the format in HTTP.
	ContentType = "application/vnd.atlhyper.batch.v1"

	magic = "ATLH"

	crcAt    = 44
	digestAt = 48
)

// Codec says how the body holds the payload.
type Codec uint8

// The codecs.
const (
	// CodecIdentity: the body is the payload. Encoders use it where zstd would
	// gain nothing or exceed MaxRatio.
	CodecIdentity Codec = 0
	// CodecZstd: the body is exactly one zstd frame that declares its size.
	CodecZstd Codec = 1
)

// Header is what the envelope says about a batch. It is enough to tell a duplicate
// or a gap before anything is decompressed.
type Header struct {
	// Codec of the body.
	Codec Codec
	// Stream of the records.
	Stream telemetry.Stream
	// Epoch of the records, not 0.
	Epoch telemetry.Epoch
	// FirstSeq and LastSeq are the sequence numbers that the batch accounts for,
	// from 1, inclusive.
	FirstSeq, LastSeq uint64
	// Records is how many records there are, from 1 to MaxRecords.
	Records int
	// PayloadBytes is the length of the payload.
	PayloadBytes int
	// BodyBytes is the length of the body, which follows the header.
	BodyBytes int
	// Digest is the XXH64 of the payload: the same records, batched the same
	// way by the same version, have the same digest.
	Digest uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ParseHeader reads the first HeaderSize bytes of a batch and checks everything
// that can be checked without the body, in particular the limits. It does not
// verify the checksums; Decode does.
func ParseHeader(data []byte) (Header, error) {
	if len(data) < HeaderSize {
		return Header{}, malformed("%d bytes are less than an envelope", len(data))
	}
	if string(data[:4]) != magic {
		return Header{}, malformed("it does not begin with %q", magic)
	}
	if data[4] != Version {
		return Header{}, &VersionError{Got: data[4]}
	}
	le := binary.LittleEndian
	h := Header{
		Codec:        Codec(data[5]),
		Stream:       telemetry.Stream(data[6]),
		Epoch:        telemetry.Epoch(le.Uint64(data[8:])),
		FirstSeq:     le.Uint64(data[16:]),
		LastSeq:      le.Uint64(data[24:]),
		Records:      int(le.Uint32(data[32:])),
		PayloadBytes: int(le.Uint32(data[36:])),
		BodyBytes:    int(le.Uint32(data[40:])),
		Digest:       le.Uint64(data[digestAt:]),
	}
	if data[7] != 0 {
		return Header{}, malformed("the reserved byte is %d", data[7])
	}
	err := h.check()
	return h, err
}

func (h *Header) check() error {
	if err := h.checkLimits(); err != nil {
		return err
	}
	switch {
	case h.Codec > CodecZstd:
		return malformed("codec %d is unknown", h.Codec)
	case h.Codec == CodecIdentity && h.BodyBytes != h.PayloadBytes:
		return malformed("a body of %d bytes cannot be a payload of %d", h.BodyBytes, h.PayloadBytes)
	case !h.Stream.Known():
		return malformed("%s is unknown", h.Stream)
	case h.Epoch == 0:
		return malformed("the epoch is 0")
	case h.Records == 0:
		return malformed("it has no records")
	case h.FirstSeq == 0 || h.LastSeq < h.FirstSeq || h.LastSeq-h.FirstSeq < uint64(h.Records-1): //nolint:gosec // at least 1
		return malformed("sequence numbers %d to %d do not fit %d records", h.FirstSeq, h.LastSeq, h.Records)
	}
	return nil
}

func (h *Header) checkLimits() error {
	err := within(LimitRecords, h.Records, MaxRecords)
	if err == nil {
		err = within(LimitPayload, h.PayloadBytes, MaxPayload)
	}
	if err == nil {
		err = within(LimitBody, h.BodyBytes, MaxBody)
	}
	if err == nil && h.PayloadBytes > h.BodyBytes*MaxRatio {
		ratio := (h.PayloadBytes + h.BodyBytes - 1) / max(h.BodyBytes, 1)
		err = &LimitError{Limit: LimitRatio, Max: MaxRatio, Got: uint64(ratio)} //nolint:gosec // not negative
	}
	return err
}

// Read reads one batch from r: the envelope first, and the body only when the
// envelope keeps the limits, into no more memory than it declares. It appends to
// dst, and returns the whole batch for Decode. What follows in r is left there. The
// error is r's own, or one that Decode would return.
func Read(r io.Reader, dst []byte) ([]byte, Header, error) {
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	if _, err := io.ReadFull(r, dst[start:]); err != nil {
		return dst[:start], Header{}, readError(err)
	}
	h, err := ParseHeader(dst[start:])
	if err != nil {
		return dst[:start], Header{}, err
	}
	dst = append(dst, make([]byte, h.BodyBytes)...)
	if _, err := io.ReadFull(r, dst[start+HeaderSize:]); err != nil {
		return dst[:start], Header{}, readError(err)
	}
	return dst, h, nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("it ends too early")
	}
	return fmt.Errorf("reading the batch: %w", err)
}

// appendHeader appends the envelope with both checksums still 0.
func (h *Header) appendHeader(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, magic...)
	dst = append(dst, Version, byte(h.Codec), byte(h.Stream), 0)
	dst = le.AppendUint64(dst, uint64(h.Epoch))
	dst = le.AppendUint64(dst, h.FirstSeq)
	dst = le.AppendUint64(dst, h.LastSeq)
	dst = le.AppendUint32(dst, uint32(h.Records))      //nolint:gosec // at most MaxRecords
	dst = le.AppendUint32(dst, uint32(h.PayloadBytes)) //nolint:gosec // at most MaxPayload
	dst = le.AppendUint32(dst, uint32(h.BodyBytes))    //nolint:gosec // at most MaxBody
	dst = le.AppendUint32(dst, 0)
	return le.AppendUint64(dst, h.Digest)
}

// crc returns the checksum of a whole batch.
func crc(batch []byte) uint32 {
	sum := crc32.Update(0, castagnoli, batch[:crcAt])
	return crc32.Update(sum, castagnoli, batch[digestAt:])
}

func seal(batch []byte) { binary.LittleEndian.PutUint32(batch[crcAt:], crc(batch)) }

func sealed(batch []byte) bool { return binary.LittleEndian.Uint32(batch[crcAt:]) == crc(batch) }

func digest(payload []byte) uint64 { return xxhash.Sum64(payload) }
