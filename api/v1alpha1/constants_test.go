// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The patterns of metav1.Condition, as the API server has them.
var (
	conditionType   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`)
	conditionReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)
	// Ours are words in upper camel case, as the API conventions want them.
	upperCamel = regexp.MustCompile(`^[A-Z][A-Za-z0-9]+$`)
)

// constant is a string constant of the package.
type constant struct {
	name, value string
	typed       bool
	documented  bool
}

// constants reads every string constant of the package from its source, so that a
// new one cannot be forgotten here.
func constants(t *testing.T) []constant {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var found []constant
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				found = append(found, constantsOf(t, group, spec.(*ast.ValueSpec))...)
			}
		}
	}
	return found
}

func constantsOf(t *testing.T, group *ast.GenDecl, spec *ast.ValueSpec) []constant {
	t.Helper()
	var found []constant
	for i, name := range spec.Names {
		if i >= len(spec.Values) {
			continue
		}
		literal, ok := spec.Values[i].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, constant{
			name:       name.Name,
			value:      value,
			typed:      spec.Type != nil,
			documented: spec.Doc != nil || (len(group.Specs) == 1 && group.Doc != nil),
		})
	}
	return found
}

func TestConditionsAndReasonsAreWhatTheAPIServerAccepts(t *testing.T) {
	var conditions, reasons int
	for _, c := range constants(t) {
		if c.typed {
			continue
		}
		switch {
		case strings.Contains(c.name, "Condition"):
			conditions++
			if !conditionType.MatchString(c.value) || len(c.value) > 316 {
				t.Errorf("%s: the API server refuses %q as a condition type", c.name, c.value)
			}
		case strings.Contains(c.name, "Reason"):
			reasons++
			if !conditionReason.MatchString(c.value) || len(c.value) > 1024 {
				t.Errorf("%s: the API server refuses %q as a reason", c.name, c.value)
			}
		default:
			continue
		}
		if !upperCamel.MatchString(c.value) {
			t.Errorf("%s: %q is not in upper camel case", c.name, c.value)
		}
		if !c.documented {
			t.Errorf("%s has no comment of its own", c.name)
		}
	}
	if conditions < 25 || reasons < 80 {
		t.Errorf("found only %d conditions and %d reasons: does this test still read the source?", conditions, reasons)
	}
}

func TestConditionsAndReasonsAreUniquePerKind(t *testing.T) {
	prefix := regexp.MustCompile(`^[A-Za-z]*?(Condition|Reason)`)
	seen := map[string]string{}
	for _, c := range constants(t) {
		kind := prefix.FindString(c.name)
		if c.typed || kind == "" {
			continue
		}
		if other, ok := seen[kind+"/"+c.value]; ok {
			t.Errorf("%s and %s are both %q", other, c.name, c.value)
		}
		seen[kind+"/"+c.value] = c.name
	}
}
