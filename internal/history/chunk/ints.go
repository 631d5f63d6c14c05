// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"encoding/binary"
	"math/bits"
)

// How an int column holds its values behind the first.
const (
	intsConstant = 0 // all are the first
	intsPlain    = 1 // quotients of the differences to the first
	intsDelta    = 2 // differences of these
	intsDouble   = 3 // differences of the differences
	intsModes    = 4

	// A quotient of this many ones is an escape: 64 bits follow.
	escape = 24
	// maxRice is the largest parameter of a Rice code.
	maxRice = 40
	// Below this, differences and their differences do not overflow.
	safeInt = 1 << 60
)

// appendInts appends a column of at least one value.
func appendInts(dst []byte, values []int64, scratch *[]uint64) []byte {
	first := values[0]
	divisor := commonDivisor(values)
	if divisor == 0 {
		return binary.AppendUvarint(append(dst, intsConstant), zigzag(first))
	}
	best, bestK, bestCost := 0, uint(0), ^uint64(0)
	for mode := intsPlain; mode < intsModes; mode++ {
		codes := transform(mode, values, divisor, scratch)
		if k, cost := bestRice(codes); cost < bestCost {
			best, bestK, bestCost = mode, k, cost
		}
	}
	codes := transform(best, values, divisor, scratch)
	dst = append(dst, byte(best))
	dst = binary.AppendUvarint(dst, zigzag(first))
	dst = binary.AppendUvarint(dst, uint64(divisor)) //nolint:gosec // positive
	w := bitWriter{dst: append(dst, byte(bestK))}
	for _, u := range codes {
		w.rice(u, bestK)
	}
	return w.finish()
}

// commonDivisor returns the greatest common divisor of the differences to the
// first value: 0 when all are equal, 1 when the values are large.
func commonDivisor(values []int64) int64 {
	var divisor int64
	for _, v := range values {
		if v > safeInt || v < -safeInt {
			divisor = 1
		}
	}
	if divisor == 1 {
		for _, v := range values[1:] {
			if v != values[0] {
				return 1
			}
		}
		return 0
	}
	for _, v := range values[1:] {
		d := v - values[0]
		if d < 0 {
			d = -d
		}
		for d != 0 {
			divisor, d = d, divisor%d
		}
		if divisor == 1 {
			return 1
		}
	}
	return divisor
}

// transform returns the codes of values[1:]. Sums wrap around, so that every
// value comes back whatever it is.
func transform(mode int, values []int64, divisor int64, scratch *[]uint64) []uint64 {
	codes := (*scratch)[:0]
	var last, slope int64
	for _, v := range values[1:] {
		q := v - values[0]
		if divisor != 1 {
			q /= divisor
		}
		switch mode {
		case intsPlain:
			codes = append(codes, zigzag(q))
		case intsDelta:
			codes = append(codes, zigzag(q-last))
		default:
			codes = append(codes, zigzag(q-last-slope))
			slope = q - last
		}
		last = q
	}
	*scratch = codes
	return codes
}

// bestRice returns the parameter with which the codes take the fewest bits.
func bestRice(codes []uint64) (uint, uint64) {
	var sum uint64
	for _, u := range codes {
		sum += min(u, 1<<maxRice)
	}
	guess := uint(bits.Len64(sum / uint64(len(codes)+1)))
	best, bestCost := uint(0), ^uint64(0)
	for k := guess - min(guess, 3); k <= min(guess+1, maxRice); k++ {
		cost := uint64(0)
		for _, u := range codes {
			if q := u >> k; q < escape {
				cost += q + 1 + uint64(k)
			} else {
				cost += escape + 64
			}
		}
		if cost < bestCost {
			best, bestCost = k, cost
		}
	}
	return best, bestCost
}

func (w *bitWriter) rice(u uint64, k uint) {
	q := u >> k
	if q >= escape {
		w.write(1<<escape-1, escape)
		w.write64(u)
		return
	}
	w.write(1<<q-1, uint(q)+1)
	w.write(u, k)
}

func (r *bitReader) rice(k uint) uint64 {
	q := r.ones(escape)
	if q == escape {
		return r.read64()
	}
	return uint64(q)<<k | r.read(k)
}

// ints reads a column of n values, at least one, into dst. A column ends where
// its bits end; nothing may follow it in the same input.
func (in *input) ints(dst []int64) {
	mode := in.byte()
	first := in.varint()
	if mode == intsConstant {
		for i := range dst {
			dst[i] = first
		}
		return
	}
	divisor := in.uvarint()
	k := uint(in.byte())
	switch {
	case mode >= intsModes:
		in.fail("mode %d of an int column is unknown", mode)
	case k > maxRice || divisor == 0 || divisor > 1<<62:
		in.fail("an int column has parameters that are out of bounds")
	}
	if in.err != nil {
		return
	}
	r := bitReader{src: in.rest}
	dst[0] = first
	var last, slope int64
	for i := 1; i < len(dst); i++ {
		d := unzigzag(r.rice(k))
		switch mode {
		case intsPlain:
			last = d
		case intsDelta:
			last += d
		default:
			slope += d
			last += slope
		}
		dst[i] = first + last*int64(divisor) //nolint:gosec // at most 1<<62
	}
	if r.over {
		in.fail("an int column is cut off")
		return
	}
	in.rest = nil
}
