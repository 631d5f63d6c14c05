// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"encoding/binary"
	"errors"

	"github.com/atlhyper/atlhyper/internal/history"
)

// What was stored lately is remembered, so that a batch that comes again can be
// compared. The memory is a ring of the last batches of a stream, each with a sum
// for every record, up to a bound: who sends something else much later is not
// found out, and it is not stored either.
const (
	ringSlots = 32
	ringSums  = 8192
)

// packSums packs, for each entry, how many numbers it stands for less one, and its
// sum.
func packSums(entries []entry) []byte {
	entries = entries[:min(len(entries), ringSums)]
	packed := make([]byte, 0, 5*len(entries))
	for _, e := range entries {
		packed = binary.AppendUvarint(packed, e.last-e.first)
		packed = binary.LittleEndian.AppendUint32(packed, e.sum)
	}
	return packed
}

// unpackSums adds the sums of a batch that begins at first to sums.
func unpackSums(packed []byte, first uint64, sums map[uint64]uint32) error {
	for len(packed) > 0 {
		width, n := binary.Uvarint(packed)
		if n <= 0 || len(packed) < n+4 {
			return errors.New("reading the sums of a stored batch: they are cut off")
		}
		if sum := binary.LittleEndian.Uint32(packed[n:]); sum != 0 {
			sums[first+width] = sum
		}
		first += width + 1
		packed = packed[n+4:]
	}
	return nil
}

// compare returns history.ErrContentMismatch when an entry up to last has another
// sum than the stored one. Entries without a sum are not compared.
func (p *plan) compare(stored map[uint64]uint32, last uint64) error {
	for _, e := range p.entries {
		if e.last > last {
			break
		}
		if sum, ok := stored[e.last]; ok && e.sum != 0 && e.sum != sum {
			return &mismatchError{seq: e.last}
		}
	}
	return nil
}

type mismatchError struct{ seq uint64 }

func (e *mismatchError) Error() string {
	return history.ErrContentMismatch.Error() + ": " + formatSeq(e.seq)
}

func (*mismatchError) Unwrap() error { return history.ErrContentMismatch }
