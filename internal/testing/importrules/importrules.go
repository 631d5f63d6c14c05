// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package importrules keeps the architecture: which package may know which,
// through every package in between. docs/architecture.md has the table in prose,
// .golangci.yml the part of it that can be seen from one file, and rules.go what
// the test of this package enforces over the whole module.
package importrules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Graph is what `go list -deps` says: packages by import path.
type Graph map[string]Package

// Package is a node of a Graph.
type Package struct {
	// Imports are the import paths of the non-test files.
	Imports []string
	// Standard is true for a package of the standard library. What such a
	// package imports itself is not ours to judge and is not followed.
	Standard bool
}

// Rule forbids some packages to know others. Patterns are import paths in which
// a leading "./" stands for the module, an element "*" for any one element, and
// an ending "/..." for everything below as well.
type Rule struct {
	// Name is unique and short.
	Name string
	// Why is the reason, printed with each violation.
	Why string
	// From are the packages that are bound, without those in Except.
	From, Except []string
	// Deny are the packages they must not import, without those in Allow.
	Deny, Allow []string
	// Direct limits the rule to the imports that a file spells out. Otherwise
	// what the imported packages import counts as well.
	Direct bool
}

// Violation is a broken Rule.
type Violation struct {
	Rule Rule
	// Path leads from the offender to the forbidden package, both included.
	Path []string
}

// String names the offender, the way to what it must not know, and the reason.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s\n\t%s", v.Rule.Name, v.Rule.Why, strings.Join(v.Path, "\n\t  imports "))
}

// Check returns the violations of rules by the packages of module, ordered by
// rule and offender, with the shortest path for each forbidden package. Where one
// bound package reaches a forbidden one only through another bound package, the
// latter alone is reported.
func Check(module string, graph Graph, rules []Rule) []Violation {
	var violations []Violation
	ours := slices.DeleteFunc(slices.Sorted(maps.Keys(graph)), func(path string) bool {
		return path != module && !strings.HasPrefix(path, module+"/")
	})
	for _, rule := range rules {
		for _, path := range ours {
			if rule.binds(module, path) {
				violations = append(violations, rule.follow(module, graph, path)...)
			}
		}
	}
	return violations
}

func (r Rule) binds(module, path string) bool {
	return matchAny(module, r.From, path) && !matchAny(module, r.Except, path)
}

func (r Rule) denies(module, path string) bool {
	return matchAny(module, r.Deny, path) && !matchAny(module, r.Allow, path)
}

// follow searches breadth first, so that the first path found is a shortest one.
func (r Rule) follow(module string, graph Graph, offender string) []Violation {
	var violations []Violation
	seen := map[string]bool{offender: true}
	queue := [][]string{{offender}}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		for _, next := range slices.Sorted(slices.Values(graph[path[len(path)-1]].Imports)) {
			if seen[next] {
				continue
			}
			seen[next] = true
			way := append(slices.Clone(path), next)
			switch {
			case r.denies(module, next):
				violations = append(violations, Violation{Rule: r, Path: way})
			case r.Direct, graph[next].Standard, r.binds(module, next):
			default:
				queue = append(queue, way)
			}
		}
	}
	return violations
}

func matchAny(module string, patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if rest, ok := strings.CutPrefix(pattern, "./"); ok {
			pattern = module + "/" + rest
		}
		return match(strings.Split(pattern, "/"), strings.Split(path, "/"))
	})
}

func match(pattern, path []string) bool {
	for i, element := range pattern {
		if element == "..." {
			return true
		}
		if i >= len(path) || element != "*" && element != path[i] {
			return false
		}
	}
	return len(pattern) == len(path)
}
