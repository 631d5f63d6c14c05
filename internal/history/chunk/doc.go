// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package chunk packs node metrics: one sample into a row, and the rows of a
// closed hour into columns of a fraction of a byte to two bytes per value. It is
// pure and lossless: what is decoded has the very bits that were encoded.
//
// # Format, version 1
//
// Numbers are varints as in encoding/binary unless said otherwise.
//
//	sample  = 1, seq, interval in ms, scope, length of boot, value...
//	value   = u with u%8 = d < 7: the integer u/8 in zigzag coding by 10^d,
//	          or u = 7 and eight bytes of IEEE 754, least first
//	block   = version 1, kind, rows, times, heads (only in samples), columns,
//	          column...
//	column  = metric, label, stat, length, presence, float column
//	label   = 0: as in the column before; else its length + 1 and its bytes
//	presence= 0: every row has a value; else the number of runs and their
//	          lengths, the first of rows with a value
//
// A float column holds the integers v*10^d for the smallest d that leads back to
// the very same v, or else the XOR of neighbours. An int column holds its first
// value, the common divisor of all differences to it, and Rice codes of the
// quotients: as they are, their differences, or the differences of these,
// whichever is shortest. Collectors round and kernels count in pages, which is why
// this beats coding the floats' bits.
package chunk
