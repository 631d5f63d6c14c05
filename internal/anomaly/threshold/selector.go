// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package threshold

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Selector picks objects by their labels, with the form and meaning of a
// Kubernetes label selector. An empty one picks all.
type Selector struct {
	// MatchLabels are labels that an object must have.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
	// MatchExpressions must all hold as well.
	MatchExpressions []Requirement `json:"matchExpressions,omitempty"`
}

// Requirement is about one label.
type Requirement struct {
	// Key of the label.
	Key string `json:"key"`
	// Operator is In, NotIn, Exists or DoesNotExist.
	Operator string `json:"operator"`
	// Values are those of In and NotIn.
	Values []string `json:"values,omitempty"`
}

// The operators of a Requirement.
const (
	selectIn           = "In"
	selectNotIn        = "NotIn"
	selectExists       = "Exists"
	selectDoesNotExist = "DoesNotExist"
)

// Matches says whether an object with labels is picked. A nil Selector picks all.
// As in Kubernetes, NotIn also picks what lacks the label.
func (s *Selector) Matches(labels map[string]string) bool {
	if s == nil {
		return true
	}
	for key, value := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		got, ok := labels[r.Key]
		var holds bool
		switch r.Operator {
		case selectIn:
			holds = ok && slices.Contains(r.Values, got)
		case selectNotIn:
			holds = !ok || !slices.Contains(r.Values, got)
		case selectExists:
			holds = ok
		case selectDoesNotExist:
			holds = !ok
		}
		if !holds {
			return false
		}
	}
	return true
}

func (s *Selector) equal(other *Selector) bool {
	if s == nil || other == nil {
		return s == other
	}
	return maps.Equal(s.MatchLabels, other.MatchLabels) && slices.EqualFunc(s.MatchExpressions, other.MatchExpressions, func(a, b Requirement) bool {
		return compare(a, b) == 0
	})
}

func compare(a, b Requirement) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Operator, b.Operator), slices.Compare(a.Values, b.Values))
}

// canonical returns nil for a Selector that picks all, and otherwise a copy in
// which nothing is there twice and everything has its place.
func (s *Selector) canonical() *Selector {
	if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return nil
	}
	c := &Selector{}
	if len(s.MatchLabels) > 0 {
		c.MatchLabels = maps.Clone(s.MatchLabels)
	}
	for _, r := range s.MatchExpressions {
		values := slices.Sorted(slices.Values(r.Values))
		c.MatchExpressions = append(c.MatchExpressions, Requirement{Key: r.Key, Operator: r.Operator, Values: slices.Compact(values)})
	}
	slices.SortFunc(c.MatchExpressions, compare)
	c.MatchExpressions = slices.CompactFunc(c.MatchExpressions, func(a, b Requirement) bool { return compare(a, b) == 0 })
	return c
}

var (
	keys   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	values = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`)
)

func (s *Selector) validate() error {
	var problems []error
	if n := len(s.MatchLabels) + len(s.MatchExpressions); n > maxRequirements {
		return fmt.Errorf("nodeSelector has %d requirements, at most %d are allowed", n, maxRequirements)
	}
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		problems = append(problems, validKey(key), validValue(s.MatchLabels[key]))
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		problems = append(problems, validKey(r.Key))
		switch r.Operator {
		case selectIn, selectNotIn:
			if len(r.Values) == 0 || len(r.Values) > maxValues {
				problems = append(problems, fmt.Errorf("nodeSelector has %d values for %s, it must be from 1 to %d", len(r.Values), r.Operator, maxValues))
				continue
			}
			for _, value := range r.Values {
				problems = append(problems, validValue(value))
			}
		case selectExists, selectDoesNotExist:
			if len(r.Values) > 0 {
				problems = append(problems, fmt.Errorf("nodeSelector has values for %s, which takes none", r.Operator))
			}
		default:
			problems = append(problems, fmt.Errorf("nodeSelector has the operator %s, which is none", quote(r.Operator)))
		}
	}
	return errors.Join(problems...)
}

func validKey(key string) error {
	if len(key) > maxKey || !keys.MatchString(key) {
		return fmt.Errorf("nodeSelector has %s, which is no key of a label", quote(key))
	}
	return nil
}

func validValue(value string) error {
	if len(value) > maxValue || !values.MatchString(value) {
		return fmt.Errorf("nodeSelector has %s, which is no value of a label", quote(value))
	}
	return nil
}
