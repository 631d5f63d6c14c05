// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package importrules

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// MaxLines is how long a Go file may be without a reason.
const MaxLines = 400

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// TooLong reports whether a hand-written Go file has more than MaxLines lines
// although the doc.go of its package, empty when there is none, does not name it
// to say why.
func TooLong(name string, content, doc []byte) bool {
	lines := bytes.Count(content, []byte("\n"))
	return lines > MaxLines && !generated.Match(content) && !bytes.Contains(doc, []byte(path.Base(name)))
}

// Meaningless reports whether a package has a name that says nothing about what
// it provides, either in its import path or in its package clause.
func Meaningless(importPath, name string) bool {
	words := []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared"}
	return slices.Contains(words, path.Base(importPath)) || slices.Contains(words, strings.TrimSuffix(name, "_test"))
}
