// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"encoding/binary"
	"math"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
)

// The coding of numbers that are relative to nothing, "packed" in wire.proto. Half
// of what a node measures is 0, neighbours mostly have the same scale, and what is
// left is an integer of few bits.
const (
	scaleBits  = 3
	scaleOther = 1<<scaleBits - 1 // the number has none of the scales

	scalePages = 0 // multiples of 4096
	scaleOne   = 1
	scaleFirst = 3 // before the first number

	pageSize = 4096

	// Widths are told in four bits: the first classes say where the highest bit is,
	// the others have one width for all.
	classBits    = 4
	exactClasses = 12
)

// classWidths are the widths of the classes from exactClasses on.
var classWidths = [1<<classBits - exactClasses]uint{15, 20, 28, 53}

// scaleDecimals is what a scale above scalePages has after the point.
var scaleDecimals = [scaleOther]int{scaleOne: 0, 2: 1, scaleFirst: 2, 4: 3, 5: 4, 6: 6}

// switchGain is how many bits another scale must save: saying so takes three, and
// often so does saying that the next number is not of it.
const switchGain = 4

// appendPacked appends values.
func appendPacked(dst []byte, values []float64) []byte {
	w := bitWriter{bytes: dst}
	scale := scaleFirst
	for _, v := range values {
		if math.Float64bits(v) == 0 {
			w.put(0, 1)
			continue
		}
		m, next := pack(v, scale)
		switch next {
		case scale:
			w.put(1, 2)
			w.magnitude(m)
		case scaleOther:
			w.put(3|scaleOther<<2, 2+scaleBits)
			w.other(v)
		default:
			w.put(3|uint64(next)<<2, 2+scaleBits) //nolint:gosec // below 8
			w.magnitude(m)
			scale = next
		}
	}
	return w.end()
}

// pack returns the integer that a number other than 0 is at a scale, preferably
// that of the number before. scaleOther is for numbers that no scale fits.
func pack(v float64, scale int) (uint64, int) {
	m, ok := atScale(v, scale)
	for next := scalePages; !ok && next < scaleOther; next++ {
		if m, ok = atScale(v, next); ok {
			return m, next
		}
	}
	if !ok {
		return 0, scaleOther
	}
	if scale == scalePages || m < 1<<switchGain {
		return m, scale
	}
	// It may have fewer digits than there is room for.
	less, next := m, scale
	for next > scaleOne && less%10 == 0 {
		step := scaleDecimals[next] - scaleDecimals[next-1]
		if step > 1 && less%100 != 0 {
			break
		}
		for range step {
			less /= 10
		}
		next--
	}
	if next == scaleOne && less%pageSize == 0 {
		less, next = less/pageSize, scalePages
	}
	if bits.Len64(m)-bits.Len64(less) >= switchGain {
		return less, next
	}
	return m, scale
}

// atScale returns the integer that v is at a scale, if it leads back to the very
// same v.
func atScale(v float64, scale int) (uint64, bool) {
	if scale == scalePages {
		// The division is exact: it changes the exponent alone.
		m := v / pageSize
		if !(m >= 1 && m < maxScaled) || m != math.Trunc(m) {
			return 0, false
		}
		return uint64(m), true
	}
	m, ok := scaled(v, scaleDecimals[scale])
	return uint64(m), ok && m > 0 && m < maxScaled //nolint:gosec // checked
}

// magnitude appends an integer from 1 to 2^53-1.
func (w *bitWriter) magnitude(m uint64) {
	width := uint(bits.Len64(m))
	if width <= exactClasses {
		class := width - 1
		w.put(uint64(class)|(m&^(1<<class))<<classBits, classBits+class)
		return
	}
	for i, most := range classWidths {
		if width <= most {
			w.put(uint64(exactClasses+i), classBits)
			w.wide(m, most)
			return
		}
	}
}

func (r *bitReader) magnitude() uint64 {
	class := uint(r.get(classBits))
	if class < exactClasses {
		return r.get(class) | 1<<class
	}
	return r.wide(classWidths[class-exactClasses])
}

// other appends a number in the form that appendValue gives it.
func (w *bitWriter) other(v float64) {
	var form [binary.MaxVarintLen64 + 8]byte
	for _, b := range appendValue(form[:0], v, 0, false) {
		w.put(uint64(b), 8)
	}
}

// other reads a number that has the form of appendValue. It fails in.
func (r *bitReader) other(in *input) float64 {
	var form [binary.MaxVarintLen64 + 8]byte
	n := 0
	for more := true; more && n < binary.MaxVarintLen64; n++ {
		form[n] = byte(r.get(8) & 0xff)
		more = form[n] >= 0x80
	}
	if u, _ := protowire.ConsumeVarint(form[:n]); u == rawMode {
		for range 8 {
			form[n] = byte(r.get(8) & 0xff)
			n++
		}
	}
	in.rest = string(form[:n])
	return in.value(0, false)
}

// parsePacked reads exactly len(dst) numbers from data into dst.
func parsePacked(dst []float64, data string) error {
	r := bitReader{rest: data}
	scale := scaleFirst
	for i := range dst {
		if r.get(1) == 0 {
			dst[i] = 0
			continue
		}
		if r.get(1) == 1 {
			next := int(r.get(scaleBits)) //nolint:gosec // below 8
			if next == scaleOther {
				var in input
				if dst[i] = r.other(&in); in.err != nil {
					return in.err
				}
				continue
			}
			scale = next
		}
		m := r.magnitude()
		if scale == scalePages {
			dst[i] = float64(m) * pageSize
		} else {
			dst[i] = float64(m) / powers[scaleDecimals[scale]]
		}
	}
	return r.end()
}
