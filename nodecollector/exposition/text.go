// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package exposition

import (
	"strconv"
	"strings"
)

// The types of families.
const (
	counter = "counter"
	gauge   = "gauge"
	untyped = "untyped"
)

// text is a page in Prometheus' text format. It is used again for the next one.
type text struct{ bytes []byte }

// family begins a family of series.
func (t *text) family(name, kind, help string) {
	for _, word := range [...]string{"# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"} {
		t.bytes = append(t.bytes, word...)
	}
}

// sample adds a series. labels are keys and values in turn.
func (t *text) sample(name string, v float64, labels ...string) {
	t.bytes = append(t.bytes, name...)
	for i := 0; i+1 < len(labels); i += 2 {
		if i == 0 {
			t.bytes = append(t.bytes, '{')
		} else {
			t.bytes = append(t.bytes, ',')
		}
		t.bytes = append(t.bytes, labels[i]...)
		t.bytes = append(t.bytes, '=', '"')
		t.bytes = appendEscaped(t.bytes, labels[i+1])
		t.bytes = append(t.bytes, '"')
	}
	if len(labels) > 1 {
		t.bytes = append(t.bytes, '}')
	}
	t.bytes = append(t.bytes, ' ')
	t.bytes = strconv.AppendFloat(t.bytes, v, 'g', -1, 64)
	t.bytes = append(t.bytes, '\n')
}

func appendEscaped(b []byte, s string) []byte {
	if !strings.ContainsAny(s, "\\\"\n") {
		return append(b, s...)
	}
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, c)
		}
	}
	return b
}

// one adds a family of a single series, when there is one.
func (t *text) one(name, kind, help string, v float64, ok bool) {
	if ok {
		t.family(name, kind, help)
		t.sample(name, v)
	}
}
