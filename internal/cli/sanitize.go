// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"strings"
	"unicode"
)

// sanitize makes text from the API fit for one line of a terminal. Agents write
// some of it, so it must not carry escape sequences or fake further lines.
func sanitize(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsGraphic(r) }), " ")
}

// sanitizeLines is sanitize for text of several lines: it keeps the line feeds
// and the indentation.
func sanitizeLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsGraphic(r) {
			return r
		}
		return -1
	}, s)
}
