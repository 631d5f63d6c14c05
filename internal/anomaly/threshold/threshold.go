// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package threshold holds the metric thresholds of AlertRules as they travel: the
// hub compiles them into one document per cluster with Marshal, the agent reads it
// with Parse, and internal/anomaly makes anomalies of what exceeds them.
//
// A bad threshold never takes a good one down: both ends take every good one and
// say what is wrong with each of the others.
package threshold

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Bounds. Sizes are in bytes.
const (
	// MaxThresholds is how many one cluster may have.
	MaxThresholds = 1000
	// MaxDocument is the largest document. A ConfigMap holds 1 MiB, in which there
	// are other keys.
	MaxDocument = 768 << 10
	// MaxSeconds is the longest ForSeconds and KeepFiringForSeconds.
	MaxSeconds = 86400
	// maxRule leaves room for Prefix in the name of a rule as it travels.
	maxRule = telemetry.MaxName - len(Prefix)
	// maxLabels and maxLabelValue bound Metric.Labels.
	maxLabels, maxLabelValue = 16, telemetry.MaxLabelValue
	// maxRequirements, maxValues, maxKey and maxValue bound a Selector.
	maxRequirements, maxValues = 64, 128
	maxKey, maxValue           = 317, 63
)

// Prefix begins the name of the anomaly rule of a threshold: what follows is Rule.
const Prefix = "metric:"

// The scopes.
const (
	// ScopeNode compares each node's value, and each device's where the metric has
	// several.
	ScopeNode = "Node"
	// ScopeCluster compares one value of the cluster.
	ScopeCluster = "Cluster"
)

// The operators, in the words of the API.
const (
	GreaterThan        = "GreaterThan"
	GreaterThanOrEqual = "GreaterThanOrEqual"
	LessThan           = "LessThan"
	LessThanOrEqual    = "LessThanOrEqual"
)

// Threshold is one AlertRule's metric source with what belongs to it.
type Threshold struct {
	// Rule is the namespace and name of the AlertRule, with a slash between. It is
	// what identifies the threshold.
	Rule string `json:"rule"`
	// Metric is spec.source.metric.
	Metric Metric `json:"metric"`
	// ForSeconds is how long it has to hold without a break, from 0 to MaxSeconds.
	ForSeconds int32 `json:"forSeconds,omitempty"`
	// KeepFiringForSeconds is how long it must not hold, without a break, before
	// it clears, from 0 to MaxSeconds.
	KeepFiringForSeconds int32 `json:"keepFiringForSeconds,omitempty"`
	// Severity of the anomaly.
	Severity telemetry.Severity `json:"severity"`
}

// Metric says what is compared with what, in the words of the API.
type Metric struct {
	// Scope is ScopeNode or ScopeCluster.
	Scope string `json:"scope"`
	// Name of a metric that Lookup knows.
	Name string `json:"name"`
	// Operator is one of the operators.
	Operator string `json:"operator"`
	// Threshold is a decimal number in the metric's unit, such as "90" or "0.25".
	Threshold string `json:"threshold"`
	// Labels are what a series must have. The only label of a metric is the one
	// that Lookup tells.
	Labels map[string]string `json:"labels,omitempty"`
	// NodeSelector picks nodes by their labels; nil for all of them.
	NodeSelector *Selector `json:"nodeSelector,omitempty"`
}

// For is how long it has to hold without a break.
func (t *Threshold) For() time.Duration { return time.Duration(t.ForSeconds) * time.Second }

// KeepFiringFor is how long it must not hold before it clears.
func (t *Threshold) KeepFiringFor() time.Duration {
	return time.Duration(t.KeepFiringForSeconds) * time.Second
}

// SameCondition says whether two compare the same with the same, whatever they are
// restricted to and however long it takes. Both are canonical.
func (t *Threshold) SameCondition(other *Threshold) bool {
	a, b := &t.Metric, &other.Metric
	return a.Scope == b.Scope && a.Name == b.Name && a.Operator == b.Operator && a.Threshold == b.Threshold
}

// Equal says whether two are the same. Both are canonical.
func (t *Threshold) Equal(other *Threshold) bool {
	return t.Rule == other.Rule && t.SameCondition(other) && t.ForSeconds == other.ForSeconds &&
		t.KeepFiringForSeconds == other.KeepFiringForSeconds && t.Severity == other.Severity &&
		maps.Equal(t.Metric.Labels, other.Metric.Labels) && t.Metric.NodeSelector.equal(other.Metric.NodeSelector)
}

// Exceeds compares a value with the threshold by an operator.
func Exceeds(operator string, value, threshold float64) bool {
	switch operator {
	case GreaterThan:
		return value > threshold
	case GreaterThanOrEqual:
		return value >= threshold
	case LessThan:
		return value < threshold
	case LessThanOrEqual:
		return value <= threshold
	}
	return false
}

// Limit returns the threshold as a number. It is the nearest to the decimal number
// that there is, as the values of metrics are: a collector that measures 90.1
// reaches a threshold of "90.1".
func (m *Metric) Limit() (float64, error) {
	if !decimals.MatchString(m.Threshold) {
		return 0, fmt.Errorf("threshold %s is no decimal number of up to 15 digits before and 6 after the point", quote(m.Threshold))
	}
	return strconv.ParseFloat(m.Threshold, 64)
}

var (
	decimals  = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,6})?$`)
	ruleNames = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
)

// canonicalDecimal returns the one way to write a decimal number.
func canonicalDecimal(s string) string {
	digits, negative := strings.CutPrefix(s, "-")
	whole, part, _ := strings.Cut(digits, ".")
	whole, part = strings.TrimLeft(whole, "0"), strings.TrimRight(part, "0")
	if whole == "" {
		whole = "0"
	}
	if part != "" {
		whole += "." + part
	}
	if negative && whole != "0" {
		return "-" + whole
	}
	return whole
}

// Canonical returns a valid threshold in its one form: two that mean the same are
// then the same, down to the bytes that Marshal writes. It shares no memory with t.
func (t *Threshold) Canonical() Threshold {
	c := *t
	c.Metric.Threshold = canonicalDecimal(t.Metric.Threshold)
	c.Metric.Labels = maps.Clone(t.Metric.Labels)
	if len(c.Metric.Labels) == 0 {
		c.Metric.Labels = nil
	}
	c.Metric.NodeSelector = t.Metric.NodeSelector.canonical()
	return c
}

// Validate says everything that is wrong with a threshold, nil for nothing.
func (t *Threshold) Validate() error {
	var problems []error
	fail := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch {
	case len(t.Rule) > maxRule:
		fail("rule has %d bytes, at most %d are allowed", len(t.Rule), maxRule)
	case !ruleNames.MatchString(t.Rule):
		fail("rule %s is not the namespace and name of an AlertRule", quote(t.Rule))
	}
	if t.Severity < telemetry.SeverityInfo || t.Severity > telemetry.SeverityCritical {
		fail("severity is not critical, warning or info")
	}
	seconds := func(field string, n int32) {
		if n < 0 || n > MaxSeconds {
			fail("%s is %d, it must be from 0 to %d", field, n, MaxSeconds)
		}
	}
	seconds("forSeconds", t.ForSeconds)
	seconds("keepFiringForSeconds", t.KeepFiringForSeconds)
	return errors.Join(append(problems, t.Metric.validate())...)
}

func (m *Metric) validate() error {
	var problems []error
	if !slices.Contains([]string{GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual}, m.Operator) {
		problems = append(problems, fmt.Errorf("operator %s is none", quote(m.Operator)))
	}
	if _, err := m.Limit(); err != nil {
		problems = append(problems, err)
	}
	switch {
	case m.NodeSelector == nil:
	case m.Scope != ScopeNode:
		problems = append(problems, errors.New("nodeSelector is allowed only with scope Node"))
	default:
		problems = append(problems, m.NodeSelector.validate())
	}
	description, ok := Lookup(m.Scope, m.Name)
	if !ok {
		return errors.Join(append(problems, unknownMetric(m.Scope, m.Name))...)
	}
	if len(m.Labels) > maxLabels {
		return errors.Join(append(problems, fmt.Errorf("%d labels are more than %d", len(m.Labels), maxLabels))...)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
		value := m.Labels[key]
		switch {
		case key != description.Label && description.Label == "":
			problems = append(problems, fmt.Errorf("metric %s has no labels, so none can be %s", m.Name, quote(key)))
		case key != description.Label:
			problems = append(problems, fmt.Errorf("metric %s has the label %s, not %s", m.Name, description.Label, quote(key)))
		case len(value) > maxLabelValue || !utf8.ValidString(value):
			problems = append(problems, fmt.Errorf("the value of label %s is not text of at most %d bytes", key, maxLabelValue))
		}
	}
	return errors.Join(problems...)
}

// quote shows what somebody wrote, but not all of what is long.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = telemetry.Clip(s, most) + "…"
	}
	return strconv.Quote(s)
}
