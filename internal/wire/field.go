// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"encoding/hex"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// field writes and reads one field of T. Both directions stand side by side, so
// that they cannot drift apart.
type field[T any] struct {
	// put appends the field with its tag, or nothing for the zero value.
	put func(e *encoding, b []byte, num protowire.Number, v *T) []byte
	// get reads the current field of in.
	get func(d *decoding, in *input, v *T)
}

// schema is a message: its fields by number. Index 0 is empty.
type schema[T any] []field[T]

func (s schema[T]) append(e *encoding, b []byte, v *T) []byte {
	for num := 1; num < len(s); num++ {
		b = s[num].put(e, b, protowire.Number(num), v)
	}
	return b
}

func (s schema[T]) parse(d *decoding, data string, v *T) error {
	in := input{rest: data}
	for in.next() {
		if int(in.num) >= len(s) {
			d.unknown++
			continue
		}
		s[in.num].get(d, &in, v)
	}
	return in.err
}

// open begins a length-delimited field whose length is not known yet; finish
// ends it.
func open(b []byte, num protowire.Number) (out []byte, mark int) {
	b = append(protowire.AppendTag(b, num, protowire.BytesType), 0)
	return b, len(b)
}

func finish(b []byte, mark int) []byte {
	n := len(b) - mark
	extra := protowire.SizeVarint(uint64(n)) - 1 //nolint:gosec // not negative
	if extra > 0 {
		b = append(b, make([]byte, extra)...)
		copy(b[mark+extra:], b[mark:mark+n])
	}
	protowire.AppendVarint(b[:mark-1], uint64(n)) //nolint:gosec // not negative
	return b
}

func appendUint(b []byte, num protowire.Number, value uint64) []byte {
	if value == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), value)
}

func appendText[S ~string | ~[]byte](b []byte, num protowire.Number, s S) []byte {
	if len(s) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(len(s)))
	return append(b, s...)
}

// word is a string in the dictionary.
func word[T any](at func(*T) *string) field[T] {
	return field[T]{
		put: func(e *encoding, b []byte, num protowire.Number, v *T) []byte {
			return appendUint(b, num, uint64(e.word(*at(v))))
		},
		get: func(d *decoding, in *input, v *T) { *at(v) = d.word(in, in.uint(maxUint32)) },
	}
}

// text is a string in place.
func text[T any](at func(*T) *string) field[T] {
	return field[T]{
		put: func(_ *encoding, b []byte, num protowire.Number, v *T) []byte { return appendText(b, num, *at(v)) },
		get: func(_ *decoding, in *input, v *T) { *at(v) = in.bytes() },
	}
}

// number is an unsigned integer of any size.
func number[T any, N ~uint8 | ~uint16 | ~uint32 | ~uint64](at func(*T) *N) field[T] {
	return field[T]{
		put: func(_ *encoding, b []byte, num protowire.Number, v *T) []byte {
			return appendUint(b, num, uint64(*at(v)))
		},
		get: func(_ *decoding, in *input, v *T) { *at(v) = N(in.uint(uint64(^N(0)))) },
	}
}

// natural is a signed integer that is never negative. What is negative is written
// as 0; telemetry's checks let none through.
func natural[T any, N ~int32 | ~int64](at func(*T) *N) field[T] {
	limit := uint64(math.MaxInt64)
	if N(math.MaxInt32)+1 < 0 {
		limit = math.MaxInt32
	}
	return field[T]{
		put: func(_ *encoding, b []byte, num protowire.Number, v *T) []byte {
			return appendUint(b, num, uint64(max(*at(v), 0)))
		},
		get: func(_ *decoding, in *input, v *T) { *at(v) = N(in.uint(limit)) },
	}
}

func boolean[T any](at func(*T) *bool) field[T] {
	return field[T]{
		put: func(_ *encoding, b []byte, num protowire.Number, v *T) []byte {
			return appendUint(b, num, protowire.EncodeBool(*at(v)))
		},
		get: func(_ *decoding, in *input, v *T) { *at(v) = in.uint(1) == 1 },
	}
}

// moment is a time relative to the batch.
func moment[T any](at func(*T) *time.Time) field[T] {
	return field[T]{
		put: func(e *encoding, b []byte, num protowire.Number, v *T) []byte {
			if at(v).IsZero() {
				return b
			}
			b = protowire.AppendTag(b, num, protowire.VarintType)
			return protowire.AppendVarint(b, protowire.EncodeZigZag(e.offset(*at(v))))
		},
		get: func(d *decoding, in *input, v *T) { *at(v) = d.moment(in) },
	}
}

// uuid is a UID in the usual form, as 16 bytes; rawUID is any other. A message
// has one of the two fields.
func uuid[T any](at func(*T) *string) field[T] {
	return field[T]{
		put: func(_ *encoding, b []byte, num protowire.Number, v *T) []byte {
			packed, ok := packUUID(*at(v))
			if !ok {
				return b
			}
			return appendText(b, num, packed[:])
		},
		get: func(_ *decoding, in *input, v *T) { *at(v) = in.uuid() },
	}
}

func rawUID[T any](at func(*T) *string) field[T] {
	plain := text(at)
	return field[T]{
		put: func(e *encoding, b []byte, num protowire.Number, v *T) []byte {
			if _, ok := packUUID(*at(v)); ok {
				return b
			}
			return plain.put(e, b, num, v)
		},
		get: plain.get,
	}
}

// Where the groups of a UUID begin and end in its usual form.
var uuidGroups = [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}}

// packUUID packs the lower-case form with dashes, and no other.
func packUUID(s string) (packed [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return packed, false
	}
	n := 0
	for _, group := range uuidGroups {
		for i := group[0]; i < group[1]; i += 2 {
			high, low := digit(s[i]), digit(s[i+1])
			if high|low > 15 {
				return packed, false
			}
			packed[n] = high<<4 | low
			n++
		}
	}
	return packed, true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	default:
		return 255
	}
}

func (in *input) uuid() string {
	packed := in.bytes()
	if in.err != nil || len(packed) != 16 {
		in.fail("a UUID has %d bytes", len(packed))
		return ""
	}
	var s [36]byte
	for i := range s {
		s[i] = '-'
	}
	n := 0
	for _, group := range uuidGroups {
		size := (group[1] - group[0]) / 2
		hex.Encode(s[group[0]:group[1]], []byte(packed[n:n+size]))
		n += size
	}
	return string(s[:])
}

// message is a message in a message; nothing stands for the zero value.
func message[T any, M comparable](s schema[M], at func(*T) *M) field[T] {
	return field[T]{
		put: func(e *encoding, b []byte, num protowire.Number, v *T) []byte {
			var zero M
			if *at(v) == zero {
				return b
			}
			b, mark := open(b, num)
			return finish(s.append(e, b, at(v)), mark)
		},
		get: func(d *decoding, in *input, v *T) { in.check(s.parse(d, in.bytes(), at(v))) },
	}
}

// labelSet is a list of labels that many records share.
func labelSet[T any](at func(*T) *[]telemetry.Label) field[T] {
	return field[T]{
		put: func(e *encoding, b []byte, num protowire.Number, v *T) []byte {
			return appendUint(b, num, uint64(e.labelSet(*at(v))))
		},
		get: func(d *decoding, in *input, v *T) { *at(v) = entry(in, d.labelSets, in.uint(maxUint32)) },
	}
}

// attributes is a list of labels in place, as words.
func attributes[T any](at func(*T) *[]telemetry.Label) field[T] {
	return field[T]{
		put: func(e *encoding, b []byte, num protowire.Number, v *T) []byte {
			if len(*at(v)) == 0 {
				return b
			}
			b, mark := open(b, num)
			return finish(e.appendPairs(b, *at(v)), mark)
		},
		get: func(d *decoding, in *input, v *T) { *at(v) = d.pairs(in, *at(v)) },
	}
}

// entry returns entry ref-1 of a table, or the zero value for 0.
func entry[E any](in *input, table []E, ref uint64) E {
	var none E
	if in.err != nil || ref == 0 {
		return none
	}
	if ref > uint64(len(table)) {
		in.fail("field %d refers to entry %d of %d", in.num, ref, len(table))
		return none
	}
	return table[ref-1]
}
