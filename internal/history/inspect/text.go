// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// sequence is an escape sequence of a terminal: CSI, the strings OSC, DCS, SOS, PM
// and APC, or a short one. A string that does not end takes the rest with it, as
// it would on a terminal.
var sequence = regexp.MustCompile(`(?s)(?:\x1b\[|\x{9b})[0-?]*[\x20-\x2f]*[\x40-\x7e]?` +
	`|(?:\x1b[\]PX^_]|[\x{9d}\x{90}\x{98}\x{9e}\x{9f}]).*?(?:\x07|\x1b\\|\x{9c}|$)` +
	`|\x1b[\x20-\x2f]*[\x30-\x7e]?`)

// sanitize makes text from clusters fit for one line of a terminal: without escape
// sequences, and with a space for every run of control characters, line feeds,
// invisible characters and characters that change the direction of writing.
func sanitize(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.ContainsAny(s, "\x1b\u009b\u009d\u0090\u0098\u009e\u009f") {
		s = sequence.ReplaceAllString(s, "")
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsGraphic(r) }), " ")
}

// escape replaces what encoding/json leaves as it is and a terminal might act on.
// Outside of strings JSON has no such characters, so nothing is lost.
func escape(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == 0x7f || r >= 0x80 && r <= 0x9f || unicode.Is(unicode.Cf, r) {
			if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
				out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
		} else {
			out = append(out, data[:n]...)
		}
		data = data[n:]
	}
	return out
}

// cut shortens text to a number of runes and marks that it did.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// quantity returns a value with its unit. decimals is how many digits the values
// of the metric have after the point.
func quantity(v float64, unit telemetry.Unit, decimals int) string {
	switch unit {
	case telemetry.UnitPercent:
		return decimal(v, min(decimals, 2)) + " %"
	case telemetry.UnitBytes:
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB")
	case telemetry.UnitBytesPerSecond:
		return scaled(v, 1024, "B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s")
	case telemetry.UnitBitsPerSecond:
		return scaled(v, 1000, "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s")
	case telemetry.UnitPerSecond:
		return decimal(v, 2) + " /s"
	case telemetry.UnitSeconds:
		return decimal(v, max(decimals, 1)) + " s"
	case telemetry.UnitMilliseconds:
		return decimal(v, max(decimals, 1)) + " ms"
	case telemetry.UnitCelsius:
		return decimal(v, 1) + " °C"
	case telemetry.UnitBool:
		switch v {
		case 0:
			return "no"
		case 1:
			return "yes"
		}
		return decimal(v, 2)
	case telemetry.UnitCount, telemetry.UnitCode:
	}
	return decimal(v, max(decimals, 2))
}

// hugeNumber is where digits stop to be readable.
const hugeNumber = 1e15

// decimal returns a number with at most so many digits after the point.
func decimal(v float64, digits int) string {
	if math.Abs(v) >= hugeNumber {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// finite returns a sum as JSON takes it: agents may send numbers whose sum is
// beyond the largest.
func finite(v float64) float64 { return max(-math.MaxFloat64, min(v, math.MaxFloat64)) }

// scaled returns a number in the largest unit in which it is at least 1.
func scaled(v, step float64, units ...string) string {
	i := 0
	for math.Abs(v) >= step && i < len(units)-1 {
		v /= step
		i++
	}
	return decimal(v, 1) + " " + units[i]
}

// optional returns a number, and nothing for 0.
func optional[T int32 | uint32 | uint64](v T) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprint(v)
}

// object returns what people call an object: Kind namespace/name.
func object(kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return strings.TrimSpace(kind + " " + name)
}
