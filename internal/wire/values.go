// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The coding of runs of numbers, "values" in wire.proto. Most of what is measured
// has few digits after the point (collectors round) or is a whole number, and
// then the difference to an earlier value of the same series is a small integer.
const (
	maxDecimals = 6
	rawMode     = 7       // eight bytes follow
	sameMode    = 8 | 7   // the same bits as the base
	maxScaled   = 1 << 53 // integers up to here have an exact float64
)

var powers = [maxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

// scaled returns v*10^decimals if that is an integer that leads back to the very
// same v.
func scaled(v float64, decimals int) (int64, bool) {
	x := math.Round(v * powers[decimals])
	if !(math.Abs(x) <= maxScaled) { // also false for NaN
		return 0, false
	}
	i := int64(x)
	return i, math.Float64bits(float64(i)/powers[decimals]) == math.Float64bits(v)
}

// appendValues appends values, relative to base unless that is nil.
func appendValues(dst []byte, values, base []float64) []byte {
	for i, v := range values {
		reference, related := 0.0, base != nil
		if related {
			reference = base[i]
		}
		dst = appendValue(dst, v, reference, related)
	}
	return dst
}

func appendValue(dst []byte, v, reference float64, related bool) []byte {
	for d := range maxDecimals + 1 {
		if i, ok := scaled(v, d); ok {
			b, exact := scaled(reference, d)
			if !exact {
				b = 0
			}
			return protowire.AppendVarint(dst, protowire.EncodeZigZag(i-b)<<3|uint64(d))
		}
	}
	if related && math.Float64bits(v) == math.Float64bits(reference) {
		return append(dst, sameMode)
	}
	return binary.LittleEndian.AppendUint64(append(dst, rawMode), math.Float64bits(v))
}

// parseValues reads exactly len(dst) values from data into dst.
func parseValues(dst []float64, data string, base []float64) error {
	in := input{rest: data}
	for i := range dst {
		if in.rest == "" {
			return malformed("%d values, %d are needed", i, len(dst))
		}
		reference := 0.0
		if base != nil {
			reference = base[i]
		}
		dst[i] = in.value(reference, base != nil)
		if in.err != nil {
			return in.err
		}
	}
	if in.rest != "" {
		return malformed("more than %d values", len(dst))
	}
	return nil
}

func (in *input) value(reference float64, related bool) float64 {
	u := in.varint()
	switch {
	case in.err != nil:
		return 0
	case u == rawMode:
		return math.Float64frombits(in.fixed(8))
	case u == sameMode && related:
		return reference
	case u&7 == rawMode:
		in.fail("a value has the unknown mode %d", u)
		return 0
	}
	d := int(u & 7)
	b, exact := scaled(reference, d)
	if !exact {
		b = 0
	}
	i := protowire.DecodeZigZag(u>>3) + b // below 2^61 + 2^53
	if i > maxScaled || i < -maxScaled {
		in.fail("a value has more than 53 bits")
		return 0
	}
	return float64(i) / powers[d]
}
