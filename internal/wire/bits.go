// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

// bitWriter appends numbers of any width to bytes, the least bit first. What an
// ordinary node measures fits so closely this way that a compressor finds nothing
// left, and a collector needs none.
type bitWriter struct {
	bytes []byte
	bits  uint64 // the last held bits, not yet in bytes
	held  uint   // below 8 between calls
}

// put appends the lower width bits of v, at most 32; the others are 0.
func (w *bitWriter) put(v uint64, width uint) {
	w.bits |= v << w.held
	w.held += width
	for w.held >= 8 {
		w.bytes = append(w.bytes, byte(w.bits&0xff))
		w.bits >>= 8
		w.held -= 8
	}
}

// wide appends the lower width bits of v, at most 64.
func (w *bitWriter) wide(v uint64, width uint) {
	if width > 32 {
		w.put(v&(1<<32-1), 32)
		v, width = v>>32, width-32
	}
	w.put(v, width)
}

// number appends a number of any size, in groups of three bits, the least first,
// with a fourth that says whether another group follows.
func (w *bitWriter) number(v uint64) {
	for ; v > 7; v >>= 3 {
		w.put(v&7|8, 4)
	}
	w.put(v, 4)
}

// end fills the last byte with zeros and returns everything.
func (w *bitWriter) end() []byte {
	if w.held > 0 {
		w.bytes = append(w.bytes, byte(w.bits&0xff))
	}
	w.bits, w.held = 0, 0
	return w.bytes
}

// bitReader reads what a bitWriter wrote. Beyond the end there are zeros, and short
// is set.
type bitReader struct {
	rest  string
	bits  uint64
	held  uint
	short bool
}

// get reads width bits, at most 32.
func (r *bitReader) get(width uint) uint64 {
	for r.held < width {
		if r.rest == "" {
			r.short = true
			r.held += 32
			break
		}
		if len(r.rest) >= 4 {
			r.bits |= (uint64(r.rest[0]) | uint64(r.rest[1])<<8 | uint64(r.rest[2])<<16 | uint64(r.rest[3])<<24) << r.held
			r.rest, r.held = r.rest[4:], r.held+32
			continue
		}
		r.bits |= uint64(r.rest[0]) << r.held
		r.rest, r.held = r.rest[1:], r.held+8
	}
	v := r.bits & (1<<width - 1)
	r.bits >>= width
	r.held -= width
	return v
}

// wide reads width bits, at most 64.
func (r *bitReader) wide(width uint) uint64 {
	if width <= 32 {
		return r.get(width)
	}
	v := r.get(32)
	return v | r.get(width-32)<<32
}

// number reads what number wrote, of at most 32 bits; short is set for more.
func (r *bitReader) number() uint64 {
	var v uint64
	for shift := uint(0); shift < 33; shift += 3 {
		group := r.get(4)
		v |= group & 7 << shift
		if group < 8 {
			return v
		}
	}
	r.short = true
	return 0
}

// end checks that everything was read, and nothing more.
func (r *bitReader) end() error {
	switch {
	case r.short:
		return malformed("a run of bits ends too early or has a number that is too long")
	case r.rest != "" || r.held > 7 || r.bits != 0:
		return malformed("bits follow a run of bits")
	}
	return nil
}
