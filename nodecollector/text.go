// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"math"
)

// nextLine cuts the first line off b, without its line feed. ok is false at the
// end and for a line that does not end: what follows it was never read.
func nextLine(b []byte) (line, rest []byte, ok bool) {
	line, rest, ok = bytes.Cut(b, []byte{'\n'})
	if !ok {
		return nil, nil, false
	}
	return line, rest, true
}

// nextField cuts the first word off a line. The word is empty at the end.
func nextField(b []byte) (field, rest []byte) {
	start := 0
	for start < len(b) && isBlank(b[start]) {
		start++
	}
	end := start
	for end < len(b) && !isBlank(b[end]) {
		end++
	}
	return b[start:end], b[end:]
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// parseUint reads a decimal number: digits and nothing else.
func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// parseHex reads a hexadecimal number without a prefix.
func parseHex(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | uint64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// parseDecimal reads a number such as 0.52 or 12098.46, without a sign or an
// exponent: the kernel writes neither.
func parseDecimal(b []byte) (float64, bool) {
	whole, fraction, pointed := bytes.Cut(b, []byte{'.'})
	n, ok := parseUint(whole)
	if !ok || !pointed {
		return float64(n), ok
	}
	f, ok := parseUint(fraction)
	if !ok || len(fraction) > 15 {
		return 0, false
	}
	return float64(n) + float64(f)/math.Pow10(len(fraction)), true
}

// parseSigned reads a decimal number that may have a minus sign.
func parseSigned(b []byte) (int64, bool) {
	digits, negative := bytes.CutPrefix(b, []byte{'-'})
	n, ok := parseUint(digits)
	if !ok || n > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

// uints reads up to len(into) numbers of a line and says how many there are
// before the line ends or something else stands in it.
func uints(line []byte, into []uint64) int {
	for i := range into {
		var field []byte
		field, line = nextField(line)
		n, ok := parseUint(field)
		if !ok {
			return i
		}
		into[i] = n
	}
	return len(into)
}
