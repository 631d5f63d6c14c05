// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of the values. Sizes are in bytes unless the name says otherwise.
const (
	// MaxString bounds every string there is.
	MaxString = 32 << 10
	// MaxName bounds names of objects, namespaces, nodes, containers and rules.
	MaxName = 253
	// MaxUID bounds UIDs, boot IDs, execution IDs and fingerprints.
	MaxUID = 128
	// MaxReason bounds reasons, phases, types and other words for machines.
	MaxReason = 256
	// MaxMessage bounds text for people.
	MaxMessage = 4 << 10
	// MaxLabelKey bounds the key of a label or an attribute.
	MaxLabelKey = 320
	// MaxLabelValue bounds the value of a label or an attribute.
	MaxLabelValue = 1 << 10
	// MaxEvidenceValue bounds the value of one piece of evidence.
	MaxEvidenceValue = 8 << 10
	// MaxLabels is the largest number of labels of an object.
	MaxLabels = 64
	// MaxAttributes is the largest number of attributes of an object and of
	// pieces of evidence of a transition.
	MaxAttributes = 32
	// MaxNumbers is the largest number of numbers of an object.
	MaxNumbers = 32
	// MaxValues is the largest number of values of a node sample.
	MaxValues = 4096
	// MaxBuckets is the largest number of finite bounds of a latency histogram.
	MaxBuckets = 64
	// MaxChunk is the largest chunk of command output.
	MaxChunk = 32 << 10
	// MaxRecords is the largest number of records of a batch.
	MaxRecords = 50_000
)

// ErrInvalid is what every error of a Validate method wraps.
var ErrInvalid = errors.New("invalid telemetry")

// FieldError says which field of a value breaks which rule.
type FieldError struct {
	// Field is the path of the field, such as "owner.name".
	Field string
	// Problem is the rule and what breaks it, without the value itself: the
	// value may be large, secret or malicious.
	Problem string
}

// Error names the field and the problem.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Unwrap returns ErrInvalid.
func (*FieldError) Unwrap() error { return ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Clip makes s fit a string field: it replaces invalid UTF-8 and NUL bytes by
// U+FFFD and cuts at the last rune that ends within limit bytes.
func Clip(s string, limit int) string {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		if len(s) > limit+utf8.UTFMax {
			s = s[:limit+utf8.UTFMax]
		}
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	if len(s) <= limit {
		return s
	}
	end := max(limit, 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// Oldest and newest time that a value may carry. Databases and encoders agree on
// this range.
var (
	earliest = time.Date(1970, time.January, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
)

// checker collects the first rule that a value breaks.
type checker struct{ err error }

func (c *checker) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = invalid(field, format, args...)
	}
}

// text checks an optional string.
func (c *checker) text(field, s string, limit int) {
	switch {
	case s == "" || c.err != nil:
	case len(s) > limit:
		c.fail(field, "%d bytes, at most %d are allowed", len(s), limit)
	case strings.IndexByte(s, 0) >= 0:
		c.fail(field, "contains a NUL byte")
	case !utf8.ValidString(s):
		c.fail(field, "is not valid UTF-8")
	}
}

// within names a part of a field in the error, only when there is one: this runs
// for every record, and joining names costs.
func (c *checker) within(field string, inner *checker) {
	if e, ok := errors.AsType[*FieldError](inner.err); ok && c.err == nil {
		c.err = &FieldError{Field: field + "." + e.Field, Problem: e.Problem}
	}
}

// required checks a string that must not be empty.
func (c *checker) required(field, s string, limit int) {
	if s == "" {
		c.fail(field, "is required")
	}
	c.text(field, s, limit)
}

func (c *checker) count(field string, n, limit int) {
	if n > limit {
		c.fail(field, "%d items, at most %d are allowed", n, limit)
	}
}

// time checks an optional time.
func (c *checker) time(field string, t time.Time) {
	if !t.IsZero() && (t.Before(earliest) || t.After(latest)) {
		c.fail(field, "lies outside of the years 1970 to 9999")
	}
}

func (c *checker) requiredTime(field string, t time.Time) {
	if t.IsZero() {
		c.fail(field, "is required")
	}
	c.time(field, t)
}

func (c *checker) finite(field string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		c.fail(field, "is not a finite number")
	}
}

func (c *checker) positive(field string, v float64) {
	c.finite(field, v)
	if v < 0 {
		c.fail(field, "is negative")
	}
}

// labels checks a list that is sorted by key, each key once.
func (c *checker) labels(field string, labels []Label, limit, maxValue int) {
	c.count(field, len(labels), limit)
	for i := range labels {
		if c.err != nil {
			return
		}
		var inner checker
		inner.required("key", labels[i].Key, MaxLabelKey)
		inner.text("value", labels[i].Value, maxValue)
		c.within(field, &inner)
		if i > 0 && labels[i-1].Key >= labels[i].Key {
			c.fail(field, "is not sorted by key, each key once")
		}
	}
}

// Label is a key and a value.
type Label struct {
	// Key is not empty and at most MaxLabelKey bytes.
	Key string
	// Value may be empty. Its bound is that of the list it is in.
	Value string
}

// Labels returns a map as a list sorted by key that fits a field of at most
// limit labels with values of at most maxValue bytes. Values are clipped; labels
// with an empty key, a key that is too long, and those beyond the limit are left
// out, and dropped says how many.
func Labels(from map[string]string, limit, maxValue int) (labels []Label, dropped int) {
	if len(from) == 0 {
		return nil, 0
	}
	labels = make([]Label, 0, len(from))
	for key, value := range from {
		if key != "" && Clip(key, MaxLabelKey) == key {
			labels = append(labels, Label{Key: key, Value: Clip(value, maxValue)})
		}
	}
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Key, b.Key) })
	if len(labels) > limit {
		labels = labels[:limit:limit]
	}
	return labels, len(from) - len(labels)
}

// Value returns the value of a key in a list sorted by key.
func Value(labels []Label, key string) (string, bool) {
	i, found := slices.BinarySearchFunc(labels, key, func(l Label, k string) int { return strings.Compare(l.Key, k) })
	if !found {
		return "", false
	}
	return labels[i].Value, true
}

// ObjectRef names a Kubernetes object from afar.
type ObjectRef struct {
	// Kind is the kind without its group, such as "Deployment".
	Kind string
	// Namespace is empty for cluster-scoped objects.
	Namespace string
	// Name of the object.
	Name string
	// UID is empty when unknown.
	UID string
}

// IsZero reports whether the reference names nothing.
func (r ObjectRef) IsZero() bool { return r == ObjectRef{} }

func (c *checker) ref(field string, r ObjectRef) {
	var inner checker
	inner.text("kind", r.Kind, MaxReason)
	inner.text("namespace", r.Namespace, MaxName)
	inner.text("name", r.Name, MaxName)
	inner.text("uid", r.UID, MaxUID)
	c.within(field, &inner)
}
