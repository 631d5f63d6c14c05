// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

// Payload returns the payload of a batch, for tests that look into it.
func (d *Decoder) Payload(batch []byte) ([]byte, error) {
	h, err := ParseHeader(batch)
	if err != nil || h.Codec == CodecIdentity {
		return batch[HeaderSize:], err
	}
	return decompress(d.zstd, make([]byte, 0, h.PayloadBytes+blockSize), batch[HeaderSize:], h.PayloadBytes)
}

// Envelope puts any body behind an envelope with right checksums. The payload
// is what the digest is taken of.
func Envelope(h Header, body, payload []byte) []byte {
	h.BodyBytes, h.Digest = len(body), digest(payload)
	if h.PayloadBytes == 0 {
		h.PayloadBytes = len(payload)
	}
	batch := append(h.appendHeader(nil), body...)
	seal(batch)
	return batch
}

// Reseal corrects the checksum of a batch that was changed.
func Reseal(batch []byte) { seal(batch) }

// Decompress is the decompressor alone.
func (d *Decoder) Decompress(body []byte, size int) ([]byte, error) {
	return decompress(d.zstd, make([]byte, 0, size+blockSize), body, size)
}
