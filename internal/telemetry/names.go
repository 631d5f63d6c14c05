// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import (
	"fmt"
	"slices"
	"strconv"
)

// names maps the numbers of an enumeration to words; index 0 is its zero value.
type names []string

func (n names) name(value uint8) string {
	if int(value) < len(n) && (value == 0 || n[value] != "") {
		return n[value]
	}
	return strconv.Itoa(int(value))
}

func (n names) parse(text string) (uint8, error) {
	if i := slices.Index(n, text); i >= 0 {
		return uint8(i), nil //nolint:gosec // the tables are short
	}
	value, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("parsing an enumeration: %q is no known name and no number", text)
	}
	return uint8(value), nil
}
