// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// input walks over the fields of one protobuf message. It reads from a string, so
// that the strings of a record are parts of one piece of memory.
type input struct {
	rest string
	err  error

	// The current field.
	num    protowire.Number
	typ    protowire.Type
	number uint64 // of a varint or a fixed number
	data   string // of a length-delimited field
}

// next moves to the next field. It returns false at the end and on an error.
// Groups are malformed: nothing of ours ever had one, and they nest.
func (in *input) next() bool {
	if in.err != nil || in.rest == "" {
		return false
	}
	tag := in.varint()
	num, typ := protowire.DecodeTag(tag)
	if in.err == nil && num < protowire.MinValidNumber {
		in.err = malformed("a field has an invalid number")
	}
	if in.err != nil {
		return false
	}
	in.num, in.typ, in.number, in.data = num, typ, 0, ""
	switch typ {
	case protowire.VarintType:
		in.number = in.varint()
	case protowire.Fixed64Type:
		in.number = in.fixed(8)
	case protowire.Fixed32Type:
		in.number = in.fixed(4)
	case protowire.BytesType:
		in.data = in.take(in.varint())
	default:
		in.err = malformed("field %d has the wire type %d", num, typ)
	}
	return in.err == nil
}

// varint consumes one varint of at most 64 bits.
func (in *input) varint() uint64 {
	var value uint64
	for i := range min(len(in.rest), 10) {
		c := in.rest[i]
		value |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i == 9 && c > 1 {
				break
			}
			in.rest = in.rest[i+1:]
			return value
		}
	}
	in.fail("a number is cut off or too long")
	return 0
}

func (in *input) fixed(size uint64) uint64 {
	var value uint64
	for i, c := range []byte(in.take(size)) {
		value |= uint64(c) << (8 * i)
	}
	return value
}

func (in *input) take(n uint64) string {
	if in.err != nil || n > uint64(len(in.rest)) {
		in.fail("a field is longer than what is left")
		return ""
	}
	data := in.rest[:n]
	in.rest = in.rest[n:]
	return data
}

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = malformed(format, args...)
	}
	in.rest = ""
}

// uint returns the current field, which must be a varint of at most limit.
func (in *input) uint(limit uint64) uint64 {
	if in.typ != protowire.VarintType {
		in.fail("field %d has the wire type %d", in.num, in.typ)
		return 0
	}
	if in.number > limit {
		in.fail("field %d is %d, at most %d is allowed", in.num, in.number, limit)
		return 0
	}
	return in.number
}

// bytes returns the current field, which must be length-delimited.
func (in *input) bytes() string {
	if in.typ != protowire.BytesType {
		in.fail("field %d has the wire type %d", in.num, in.typ)
		return ""
	}
	return in.data
}

// packed calls yield for each varint of the current field, packed or not, until
// yield fails.
func (in *input) packed(yield func(uint64) error) {
	if in.typ == protowire.VarintType {
		in.check(yield(in.number))
		return
	}
	numbers := input{rest: in.bytes()}
	for numbers.rest != "" && in.err == nil {
		value := numbers.varint()
		if numbers.err != nil {
			in.check(numbers.err)
			return
		}
		in.check(yield(value))
	}
}

func (in *input) check(err error) {
	if err != nil && in.err == nil {
		in.err = err
		in.rest = ""
	}
}

// count returns how many varints a packed field has at most.
func (in *input) count() int {
	if in.typ == protowire.VarintType {
		return 1
	}
	n := 0
	for i := range len(in.data) {
		if in.data[i] < 0x80 {
			n++
		}
	}
	return n
}

const maxUint32 = math.MaxUint32
