// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	maxDecimals = 6
	modeXOR     = 7
	maxScaled   = 1 << 53 // integers up to here have an exact float64
)

var powers = [maxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

// scaled returns v*10^decimals if that is an integer that leads back to the very
// same bits.
func scaled(v float64, decimals int) (int64, bool) {
	x := v * powers[decimals]
	if !(math.Abs(x) < maxScaled) { // also for NaN
		return 0, false
	}
	i := int64(math.Round(x))
	return i, math.Float64bits(float64(i)/powers[decimals]) == math.Float64bits(v)
}

// decimalsOf returns how many digits a metric is expected to keep.
func decimalsOf(metric telemetry.MetricID) int {
	if m, ok := metric.Lookup(); ok && m.Decimals <= maxDecimals {
		return m.Decimals
	}
	return 0
}

// integers returns the values times 10^d for the smallest d that is exact for
// all of them, or false when there is none.
func integers(values []float64, dst []int64) ([]int64, int, bool) {
	for d := 0; d <= maxDecimals; {
		dst = dst[:0]
		next := d
		for _, v := range values {
			i, ok := scaled(v, d)
			for !ok && next < maxDecimals {
				next++
				_, ok = scaled(v, next)
				if ok {
					break
				}
			}
			if !ok {
				return nil, 0, false
			}
			if next != d {
				break
			}
			dst = append(dst, i)
		}
		if next == d {
			return dst, d, true
		}
		d = next
	}
	return nil, 0, false
}

// appendFloats appends a column of at least one value.
func appendFloats(dst []byte, values []float64, s *scratch) []byte {
	if ints, d, ok := integers(values, s.ints); ok {
		s.ints = ints
		return appendInts(append(dst, byte(d)), ints, &s.codes) //nolint:gosec // at most maxDecimals
	}
	return appendXOR(append(dst, modeXOR), values)
}

// appendXOR appends each value as the XOR with the one before: a zero bit when
// that is zero, else a one, six bits for the leading zeros, six for the number of
// bits that matter less one, and those.
func appendXOR(dst []byte, values []float64) []byte {
	last := math.Float64bits(values[0])
	w := bitWriter{dst: binary.LittleEndian.AppendUint64(dst, last)}
	for _, v := range values[1:] {
		b := math.Float64bits(v)
		x := b ^ last
		last = b
		if x == 0 {
			w.write(0, 1)
			continue
		}
		leading := uint(bits.LeadingZeros64(x))
		trailing := uint(bits.TrailingZeros64(x))
		width := 64 - leading - trailing
		w.write(1|uint64(leading)<<1|uint64(width-1)<<7, 13)
		x >>= trailing
		if width > 32 {
			w.write(x, 32)
			w.write(x>>32, width-32)
		} else {
			w.write(x, width)
		}
	}
	return w.finish()
}

// floats reads a column of len(dst) values, at least one, that fills the input.
func (in *input) floats(dst []float64, s *scratch) {
	mode := in.byte()
	switch {
	case in.err != nil:
	case mode <= maxDecimals:
		s.ints = resize(s.ints, len(dst))
		in.ints(s.ints)
		for i, v := range s.ints {
			dst[i] = float64(v) / powers[mode]
		}
	case mode == modeXOR:
		in.xor(dst)
	default:
		in.fail("mode %d of a float column is unknown", mode)
	}
}

func (in *input) xor(dst []float64) {
	first := in.bytes(8)
	if in.err != nil {
		return
	}
	last := binary.LittleEndian.Uint64(first)
	dst[0] = math.Float64frombits(last)
	r := bitReader{src: in.rest}
	for i := 1; i < len(dst); i++ {
		if r.read(1) == 1 {
			leading, width := uint(r.read(6)), uint(r.read(6))+1
			if leading+width > 64 {
				in.fail("a float column has a value of more than 64 bits")
				return
			}
			x := r.read(min(width, 32))
			if width > 32 {
				x |= r.read(width-32) << 32
			}
			last ^= x << (64 - leading - width)
		}
		dst[i] = math.Float64frombits(last)
	}
	if r.over {
		in.fail("a float column is cut off")
	}
	in.rest = nil
}

// scratch is memory that columns share.
type scratch struct {
	ints   []int64
	codes  []uint64
	column []byte
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
