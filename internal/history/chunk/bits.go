// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// ErrMalformed is what every decoding error wraps.
var ErrMalformed = errors.New("malformed chunk")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// bitWriter appends bits, the least significant of each byte first.
type bitWriter struct {
	dst   []byte
	acc   uint64
	count uint // bits in acc, below 8 between calls
}

// write appends the n lowest bits of v; n is at most 56.
func (w *bitWriter) write(v uint64, n uint) {
	w.acc |= (v & (1<<n - 1)) << w.count
	w.count += n
	for w.count >= 8 {
		w.dst = append(w.dst, byte(w.acc)) //nolint:gosec // the lowest bits
		w.acc >>= 8
		w.count -= 8
	}
}

func (w *bitWriter) write64(v uint64) {
	w.write(v, 32)
	w.write(v>>32, 32)
}

// finish fills the last byte with zeros.
func (w *bitWriter) finish() []byte {
	if w.count > 0 {
		w.dst = append(w.dst, byte(w.acc)) //nolint:gosec // the lowest bits
		w.acc, w.count = 0, 0
	}
	return w.dst
}

// bitReader reads what bitWriter wrote. Behind the end it reads zeros and
// remembers that it did.
type bitReader struct {
	src   []byte
	acc   uint64
	count uint
	over  bool
}

// fill makes at least 56 bits available.
func (r *bitReader) fill() {
	for r.count <= 56 {
		if len(r.src) == 0 {
			return
		}
		r.acc |= uint64(r.src[0]) << r.count
		r.src = r.src[1:]
		r.count += 8
	}
}

// read returns the next n bits; n is at most 56.
func (r *bitReader) read(n uint) uint64 {
	if r.count < n {
		r.fill()
		if r.count < n {
			r.over = true
			r.count = n
		}
	}
	v := r.acc & (1<<n - 1)
	r.acc >>= n
	r.count -= n
	return v
}

func (r *bitReader) read64() uint64 {
	low := r.read(32)
	return low | r.read(32)<<32
}

// ones counts and takes the ones before the next zero, and that zero. At limit
// ones it stops and takes no zero.
func (r *bitReader) ones(limit uint) uint {
	r.fill()
	n := min(uint(bits.TrailingZeros64(^r.acc)), limit)
	if n == limit {
		r.read(n)
		return n
	}
	r.read(n + 1)
	return n
}

// input reads bytes and remembers the first error.
type input struct {
	rest []byte
	err  error
}

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = malformed(format, args...)
		in.rest = nil
	}
}

func (in *input) uvarint() uint64 {
	v, n := binary.Uvarint(in.rest)
	if n <= 0 {
		in.fail("a number is cut off")
		return 0
	}
	in.rest = in.rest[n:]
	return v
}

func (in *input) varint() int64 { return unzigzag(in.uvarint()) }

// count reads a number of things of which there are at most limit.
func (in *input) count(what string, limit int) int {
	v := in.uvarint()
	if v > uint64(limit) { //nolint:gosec // a positive constant
		in.fail("%d %s, at most %d are allowed", v, what, limit)
		return 0
	}
	return int(v) //nolint:gosec // at most limit
}

func (in *input) bytes(n int) []byte {
	if n > len(in.rest) {
		in.fail("%d bytes are missing", n-len(in.rest))
		return nil
	}
	b := in.rest[:n]
	in.rest = in.rest[n:]
	return b
}

func (in *input) byte() byte {
	if b := in.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) } //nolint:gosec // a bit pattern

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
