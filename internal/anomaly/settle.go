// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// match takes a finding about a subject.
func (e *Engine) match(ref facts.Ref, f *rules.Finding) {
	if f.Edge != "" {
		e.matchEdge(ref, f)
		return
	}
	inc := e.incident(f.Key)
	if inc == nil {
		return
	}
	m := inc.members[ref]
	if m != nil && m.round == e.round {
		return // merged already, or folded into the same anomaly
	}
	start := orNow(f.Since, e.now)
	if m == nil {
		m = &member{since: start, finding: *f, matched: true, round: e.round}
		inc.members[ref] = m
		e.link(ref, inc)
		if !e.joins(inc, m, false) {
			e.dirty = append(e.dirty, inc)
		}
		return
	}
	counted := m.matched && !m.since.After(e.now)
	since := e.continues(inc, m, f, start)
	if counted && since.After(e.now) {
		inc.lastMatch = e.now // it ends now, to begin again later
	}
	changed := !since.Equal(m.since) || !m.matched || m.restored || differs(&m.finding, f)
	m.since, m.finding, m.matched, m.restored, m.round, m.missing = since, *f, true, false, e.round, time.Time{}
	if changed && !e.joins(inc, m, counted) {
		e.dirty = append(e.dirty, inc)
	}
}

func orNow(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}
	return t
}

// joins takes a change of one member of an incident that others are members of as
// well, if that changes nothing but the count: to look at each of a thousand
// replicas whenever one of them changes would cost too much. It is false when
// everything has to be looked at. counted says whether the member was counted
// before.
func (e *Engine) joins(inc *incident, m *member, counted bool) bool {
	others := inc.matched
	if counted {
		others--
	}
	if !e.synced || inc.state == 0 || others < 1 || inc.told == 0 && !inc.rule.Quiet {
		return false
	}
	var v weight
	if !e.weighMember(inc, m, &v) {
		return false
	}
	matched := others + v.matched
	if inc.state < telemetry.AnomalyRaised {
		if v.ripe {
			return false
		}
	} else if v.ripeSeverity > inc.severity || count(matched) >= 2*inc.toldCount || v.ripe && countEscalations[inc.key.Rule].count > 0 {
		return false
	}
	inc.matched = matched
	e.timers.sooner(inc, v.next)
	return true
}

// leaves takes away one member of many, m unless it is deleted already. It is false
// when everything has to be looked at.
func (e *Engine) leaves(inc *incident, ref facts.Ref, m *member, counted bool) bool {
	if !e.synced || !counted || inc.state == 0 || inc.matched < 2 {
		return false
	}
	inc.matched--
	if m == nil {
		return true
	}
	if end := m.lost.Add(inc.rule.Bridge); end.After(e.now) {
		e.timers.sooner(inc, end)
	} else {
		delete(inc.members, ref)
		e.unlink(ref, inc)
	}
	return true
}

// continues returns since when a member matches, given that it matched before.
func (e *Engine) continues(inc *incident, m *member, f *rules.Finding, start time.Time) time.Time {
	bridged := inc.rule.Bridge > 0
	switch {
	case m.finding.Object.UID != f.Object.UID && m.finding.Object.UID != "" && f.Object.UID != "":
		return start
	case !m.matched && !bridged:
		return start
	case m.finding.Token != f.Token:
		return e.now
	case !m.finding.Fresh.IsZero() && e.now.After(m.finding.Fresh) && inc.state < telemetry.AnomalyRaised:
		return start // nobody knows what was in between
	case f.Since.IsZero(), bridged && m.since.Before(f.Since):
		return m.since
	default:
		return f.Since
	}
}

// differs says whether time has to be reckoned anew for a finding.
func differs(a, b *rules.Finding) bool {
	return a.Hold != b.Hold || !a.NotBefore.Equal(b.NotBefore) || !a.Until.Equal(b.Until) || !a.Fresh.Equal(b.Fresh) ||
		a.Severity != b.Severity || !slices.Equal(a.Escalations, b.Escalations) || !slices.Equal(a.Inhibitors, b.Inhibitors)
}

func (e *Engine) link(ref facts.Ref, inc *incident) {
	if !slices.Contains(e.subjects[ref], inc) {
		e.subjects[ref] = append(e.subjects[ref], inc)
	}
}

func (e *Engine) unlink(ref facts.Ref, inc *incident) {
	if _, was := inc.former[ref]; was || inc.members[ref] != nil || inc.hasEdge(ref) {
		return
	}
	e.subjects[ref] = without(e.subjects[ref], inc)
	if len(e.subjects[ref]) == 0 {
		delete(e.subjects, ref)
	}
}

func without(list []*incident, inc *incident) []*incident {
	return slices.DeleteFunc(list, func(x *incident) bool { return x == inc })
}

// settleDirty settles what has changed.
func (e *Engine) settleDirty() {
	for len(e.dirty) > 0 {
		inc := e.dirty[0]
		e.dirty = e.dirty[1:]
		if e.incidents[inc.key] == inc {
			e.settle(inc)
		}
	}
	e.dirty = e.dirty[:0]
}

// settle decides what an incident is now, and when to look again.
func (e *Engine) settle(inc *incident) {
	if e.incidents[inc.key] != inc {
		return
	}
	v := e.weigh(inc)
	var alive bool
	if inc.state < telemetry.AnomalyRaised {
		alive = e.settlePending(inc, &v)
	} else {
		alive = e.settleRaised(inc, &v)
	}
	if !alive {
		e.remove(inc)
		return
	}
	e.timers.set(inc, v.next)
}

// settlePending is false when nothing is left of the incident.
func (e *Engine) settlePending(inc *incident, v *weight) bool {
	switch {
	case v.ripe:
		inc.state, inc.severity, inc.since, inc.raised = telemetry.AnomalyRaised, v.ripeSeverity, v.since, e.now
		inc.clearNow = false
		e.tell(inc, v)
		return true
	case v.matched > 0:
		inc.state, inc.severity, inc.since = telemetry.AnomalyPending, v.severity, v.since
		if !inc.rule.Quiet && inc.told == 0 && v.free > 0 {
			e.tell(inc, v)
		}
		return true
	case v.lingers:
		return true
	}
	if inc.told != 0 || inc.withheld {
		e.tellCleared(inc)
	}
	inc.state, inc.told, inc.toldCount = 0, 0, 0
	return v.future
}

// settleRaised is false when the anomaly has cleared.
func (e *Engine) settleRaised(inc *incident, v *weight) bool {
	if v.matched > 0 {
		inc.clearNow = false
		if v.ripeSeverity > inc.severity {
			inc.state, inc.severity = telemetry.AnomalyEscalated, v.ripeSeverity
			e.tell(inc, v)
		} else if inc.told == 0 || count(v.matched) >= 2*inc.toldCount {
			e.tell(inc, v)
		}
		return true
	}
	end := inc.lastMatch.Add(inc.rule.KeepFiringFor)
	if inc.clearNow {
		end = e.now
	}
	if end.After(e.now) {
		v.look(end, e.now)
		return true
	}
	if !inc.clearNow && e.freezes(inc) {
		return true
	}
	e.tellCleared(inc)
	inc.state, inc.told, inc.toldCount, inc.clearNow = 0, 0, 0, false
	return v.future
}

// remove forgets an incident and wakes those that it held back.
func (e *Engine) remove(inc *incident) {
	e.hold(inc, false)
	e.unwait(inc)
	e.timers.set(inc, time.Time{})
	delete(e.incidents, inc.key)
	e.storm.let(inc)
	members, edges, formers := inc.members, inc.edges, inc.former
	inc.members, inc.edges, inc.former = map[facts.Ref]*member{}, nil, nil
	for ref := range members {
		e.unlink(ref, inc)
	}
	for i := range edges {
		e.unlink(edges[i].ref, inc)
	}
	for ref := range formers {
		e.unlink(ref, inc)
	}
	owner := ownerOf(inc.key)
	if e.kin[owner] = without(e.kin[owner], inc); len(e.kin[owner]) == 0 {
		delete(e.kin, owner)
	}
	e.wake(inc.key)
}

// active says whether an inhibitor holds, or is still raised.
func (e *Engine) active(key rules.Key) bool {
	inc := e.incidents[key]
	return inc != nil && (inc.holding || inc.state >= telemetry.AnomalyRaised)
}

func (e *Engine) wait(inc *incident, key rules.Key) {
	if e.waiting[key] == nil {
		e.waiting[key] = map[*incident]struct{}{}
	}
	if _, waits := e.waiting[key][inc]; waits {
		return
	}
	e.waiting[key][inc] = struct{}{}
	inc.waitsFor = append(inc.waitsFor, key)
}

func (e *Engine) unwait(inc *incident) {
	for _, key := range inc.waitsFor {
		delete(e.waiting[key], inc)
		if len(e.waiting[key]) == 0 {
			delete(e.waiting, key)
		}
	}
	inc.waitsFor = inc.waitsFor[:0]
}

// wake has those looked at that an inhibitor held back.
func (e *Engine) wake(key rules.Key) {
	if e.active(key) || len(e.waiting[key]) == 0 {
		return
	}
	for inc := range e.waiting[key] {
		e.dirty = append(e.dirty, inc)
	}
	slices.SortFunc(e.dirty, byFingerprint)
}

func byFingerprint(a, b *incident) int { return strings.Compare(a.fingerprint, b.fingerprint) }

// hold keeps how many incidents of each rule hold.
func (e *Engine) hold(inc *incident, holding bool) {
	if inc.holding == holding {
		return
	}
	inc.holding = holding
	if holding {
		e.holding[inc.key.Rule]++
		return
	}
	e.holding[inc.key.Rule]--
	e.wake(inc.key)
}

const (
	// foldLeast and foldTenths say when the silence of single nodes is that of all.
	foldLeast  = 3
	foldTenths = 3
)

// folds makes one anomaly of the cluster when the collectors of many nodes are
// silent, and says whether the member is part of it.
func (e *Engine) folds(inc *incident, m *member) bool {
	const rule = "CollectorStale"
	if inc.key.Rule != rule || inc.key.Group.Kind != facts.KindNode || inc.state >= telemetry.AnomalyRaised {
		return false
	}
	silent := e.holding[rule]
	whole := rules.Key{Rule: rule, Group: rules.Group{Kind: facts.KindCluster, Name: facts.ClusterName}}
	if folded := e.incidents[whole]; folded != nil && folded.holding {
		silent--
	}
	if silent < foldLeast || 10*silent <= foldTenths*e.world.Sampled() {
		return false
	}
	f := m.finding
	f.Key, f.Node, f.Inhibitors = whole, "", nil
	f.Object = telemetry.ObjectRef{Kind: facts.KindCluster, Name: facts.ClusterName}
	e.match(facts.Ref{Kind: facts.KindNodeSample, Name: inc.key.Group.Name}, &f)
	return true
}

func count(n int) uint32 { return uint32(max(n, 0)) } //nolint:gosec // members of a map
