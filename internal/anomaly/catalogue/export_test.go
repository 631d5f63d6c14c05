// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package catalogue

// ParseForTest is parse.
func ParseForTest(content []byte) error {
	_, err := parse(content)
	return err
}
