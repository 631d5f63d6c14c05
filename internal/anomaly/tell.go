// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// StormRule is the rule of the one anomaly that stands for those that the storm
// guard holds back. It is not in the catalogue: nothing in the cluster matches it.
const StormRule catalogue.ID = "AnomalyStorm"

const (
	// StormLimit is how many new anomalies are told within StormWindow. The others
	// are told later, the most severe first, as far as they still hold.
	StormLimit = 200
	// StormWindow is the time that StormLimit is about.
	StormWindow = time.Minute
)

// storm holds back what is too much at once.
type storm struct {
	// announced are the moments of the last new anomalies, oldest first.
	announced []time.Time
	withheld  map[*incident]struct{}
	// changed is true when withheld is not what it was when it was last looked at.
	changed  bool
	since    time.Time
	told     uint32
	severity telemetry.Severity
}

func (s *storm) withhold(inc *incident) {
	_, held := s.withheld[inc]
	inc.withheld, s.changed = true, s.changed || !held || inc.severity > s.severity
	s.withheld[inc] = struct{}{}
}

func (s *storm) let(inc *incident) {
	if _, held := s.withheld[inc]; held {
		s.changed = true
		delete(s.withheld, inc)
	}
}

// release returns when more can be told; zero when nothing is held back.
func (s *storm) release() time.Time {
	if len(s.withheld) == 0 || len(s.announced) < StormLimit {
		return time.Time{}
	}
	return s.announced[0].Add(StormWindow)
}

// pass forgets what was told longer ago than counts.
func (s *storm) pass(now time.Time) {
	passed := 0
	for passed < len(s.announced) && now.Sub(s.announced[passed]) >= StormWindow {
		passed++
	}
	s.announced = s.announced[passed:]
}

// allow says whether one more new anomaly can be told, and counts it.
func (s *storm) allow(now time.Time) bool {
	s.pass(now)
	if len(s.announced) >= StormLimit {
		return false
	}
	s.announced = append(s.announced, now)
	return true
}

// releaseStorm tells what was held back, as far as it can be told now.
func (e *Engine) releaseStorm() {
	if release := e.storm.release(); release.IsZero() || release.After(e.now) {
		return
	}
	e.storm.pass(e.now)
	held := make([]*incident, 0, len(e.storm.withheld))
	for inc := range e.storm.withheld {
		held = append(held, inc)
	}
	slices.SortFunc(held, worse)
	for _, inc := range held {
		v := e.weigh(inc)
		if v.matched == 0 {
			continue // it is about to clear, or will be told once it matches again
		}
		if !e.storm.allow(e.now) {
			break
		}
		inc.withheld = false
		e.storm.let(inc)
		e.announce(inc, &v)
	}
	e.tellStorm()
}

// worse orders by severity, then by age.
func worse(a, b *incident) int {
	if a.severity != b.severity {
		return int(b.severity) - int(a.severity)
	}
	if c := a.since.Compare(b.since); c != 0 {
		return c
	}
	return byFingerprint(a, b)
}

// tell announces the state of an incident, unless it is held back.
func (e *Engine) tell(inc *incident, v *weight) {
	if inc.told == 0 && !e.options.Snapshot && !e.storm.allow(e.now) {
		e.storm.withhold(inc)
		return
	}
	if inc.withheld {
		inc.withheld = false
		e.storm.let(inc)
	}
	e.announce(inc, v)
}

func (e *Engine) announce(inc *incident, v *weight) {
	if inc.state == 0 {
		return
	}
	inc.last = transition(inc, v)
	if inc.told < telemetry.AnomalyRaised && inc.state == telemetry.AnomalyEscalated {
		inc.last.State = telemetry.AnomalyRaised // it rose while it was held back
	}
	inc.told, inc.toldCount = inc.state, inc.last.Count
	e.out = append(e.out, Transition{At: e.now, AnomalyTransition: inc.last})
}

// tellCleared announces the end of an incident that was told.
func (e *Engine) tellCleared(inc *incident) {
	if inc.withheld {
		inc.withheld = false
		e.storm.let(inc)
		return
	}
	if inc.told == 0 {
		return
	}
	t := inc.last
	t.State, t.Severity, t.Count, t.Since = telemetry.AnomalyCleared, inc.severity, 0, inc.since
	if inc.over != "" {
		t.Reason, t.Message = inc.over, telemetry.Clip(inc.ending(), telemetry.MaxMessage)
	}
	e.out = append(e.out, Transition{At: e.now, AnomalyTransition: t})
}

// transition describes an incident as it stands.
func transition(inc *incident, v *weight) telemetry.AnomalyTransition {
	t := inc.last
	if f := v.best; f != nil && f.Explain != nil {
		x := f.Explain()
		t = telemetry.AnomalyTransition{
			Rule: string(inc.key.Rule), Fingerprint: inc.fingerprint,
			Object: f.Object, Owner: f.Owner, TemplateHash: telemetry.Clip(inc.key.Group.Hash, telemetry.MaxUID),
			Container: telemetry.Clip(f.Container, telemetry.MaxName), Node: telemetry.Clip(f.Node, telemetry.MaxName),
			Reason: telemetry.Clip(f.Reason, telemetry.MaxReason), Message: telemetry.Clip(x.Message, telemetry.MaxMessage),
			Evidence: evidence(x.Evidence),
		}
	}
	t.State, t.Severity, t.Count, t.Since = inc.state, inc.severity, max(count(v.matched), 1), inc.since
	return t
}

// evidence sorts and bounds labels.
func evidence(from []telemetry.Label) []telemetry.Label {
	m := make(map[string]string, len(from))
	for _, l := range from {
		m[l.Key] = l.Value
	}
	labels, _ := telemetry.Labels(m, telemetry.MaxAttributes, telemetry.MaxEvidenceValue)
	return labels
}

// tellStorm keeps the one anomaly that stands for those that are held back.
func (e *Engine) tellStorm() {
	s := &e.storm
	held := count(len(s.withheld))
	if !s.changed || held == 0 && s.told == 0 {
		return
	}
	s.changed = false
	key := rules.Key{Rule: StormRule, Group: rules.Group{Kind: facts.KindCluster, Name: facts.ClusterName}}
	t := telemetry.AnomalyTransition{
		Rule: string(StormRule), Fingerprint: fingerprintOf(key), State: telemetry.AnomalyRaised, Severity: telemetry.SeverityWarning,
		Object: telemetry.ObjectRef{Kind: facts.KindCluster, Name: facts.ClusterName}, Reason: "TooManyAnomalies",
		Message: fmt.Sprintf("More than %d new anomalies within a minute; %d more are held back and told later", StormLimit, held),
		Count:   held, Since: s.since,
		Evidence: []telemetry.Label{{Key: "heldBack", Value: strconv.Itoa(len(s.withheld))}},
	}
	for inc := range s.withheld {
		t.Severity = max(t.Severity, inc.severity)
	}
	switch {
	case held == 0:
		t.State, t.Severity, s.told, s.severity = telemetry.AnomalyCleared, s.severity, 0, 0
	case s.told == 0:
		s.since, s.told, s.severity = e.now, held, t.Severity
		t.Since = e.now
	case t.Severity > s.severity:
		t.State, s.told, s.severity = telemetry.AnomalyEscalated, max(held, s.told), t.Severity
	case held >= 2*s.told:
		s.told = held
		t.Severity = s.severity
	default:
		return
	}
	e.out = append(e.out, Transition{At: e.now, AnomalyTransition: t})
}
