// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// incident is one anomaly, or what may become one: all objects that match a rule
// for the same group.
type incident struct {
	key         rules.Key
	rule        *catalogue.Rule
	fingerprint string
	// metric is true for a threshold of an AlertRule, and over why one has cleared
	// when that is not recovery.
	metric bool
	over   string
	// state is 0 until something holds.
	state    telemetry.AnomalyState
	severity telemetry.Severity
	since    time.Time
	raised   time.Time
	// lastMatch is when something held last, and clearNow set when what is left
	// does not wait for KeepFiringFor.
	lastMatch time.Time
	clearNow  bool
	members   map[facts.Ref]*member
	// edges are in the order of time. former are of objects that have no edge left
	// there: formerDue is when to look at them, formerReady from when they count,
	// formerSince since when.
	edges                               []*edge
	former                              map[facts.Ref]former
	formerDue, formerReady, formerSince time.Time

	// told is the state that was announced last and toldCount the number with it;
	// last is what was said.
	told      telemetry.AnomalyState
	toldCount uint32
	last      telemetry.AnomalyTransition
	withheld  bool
	// holding is true while something matches at the moment, matched how many do.
	holding bool
	matched int
	// waitsFor are the inhibitors that have to go first.
	waitsFor []rules.Key

	due  time.Time
	slot int
}

// member is an object that matches, or did a moment ago.
type member struct {
	finding rules.Finding
	// since is when it began to match without a break.
	since   time.Time
	matched bool
	// lost is when it stopped.
	lost time.Time
	// escalating is since when each escalation holds.
	escalating [2]time.Time
	round      uint64
	// restored is true until the object has been seen again after a restart.
	restored bool
	// missing is since when a node does not measure what it is about.
	missing time.Time
}

func fingerprintOf(key rules.Key) string {
	g := key.Group
	sum := sha256.Sum256([]byte(strings.Join([]string{string(key.Rule), g.Namespace, g.Kind, g.Name, g.Hash, g.Part}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// weight is what an incident amounts to at the moment.
type weight struct {
	// matched objects, counted once each; free are those that nothing inhibits,
	// and states those that match at the moment.
	matched, free, states int
	// ripe is true when one has matched for long enough.
	ripe bool
	// future is true when one will match, lingers when one did a moment ago.
	future, lingers bool
	// severity of all, and of those that are ripe.
	severity, ripeSeverity telemetry.Severity
	since                  time.Time
	// best is what to look at first.
	best     *rules.Finding
	bestRipe bool
	bestTime time.Time
	next     time.Time
}

func (v *weight) look(t time.Time, now time.Time) {
	if t.After(now) && (v.next.IsZero() || t.Before(v.next)) {
		v.next = t
	}
}

// prefer keeps the finding that is ripe, most severe, oldest, and first by name.
func (v *weight) prefer(f *rules.Finding, ripe bool, severity telemetry.Severity, since time.Time) {
	better := v.best == nil
	switch {
	case better:
	case ripe != v.bestRipe:
		better = ripe
	case severity != v.severity:
		better = severity > v.severity
	case !since.Equal(v.bestTime):
		better = since.Before(v.bestTime)
	default:
		better = before(f.Object, v.best.Object)
	}
	if better {
		v.best, v.bestRipe, v.bestTime = f, ripe, since
	}
	v.severity = max(v.severity, severity)
	if ripe {
		v.ripeSeverity = max(v.ripeSeverity, severity)
	}
}

func before(a, b telemetry.ObjectRef) bool {
	if a.Namespace != b.Namespace {
		return a.Namespace < b.Namespace
	}
	return a.Name < b.Name
}

// weigh looks at every member. It drops those that are over.
func (e *Engine) weigh(inc *incident) weight {
	var v weight
	e.unwait(inc)
	for ref, m := range inc.members {
		if !e.weighMember(inc, m, &v) {
			delete(inc.members, ref)
			e.unlink(ref, inc)
		}
	}
	e.weighEdges(inc, &v)
	if limit := countEscalations[inc.key.Rule]; limit.count > 0 && v.ripe && e.counted(inc, limit) >= limit.count {
		v.severity, v.ripeSeverity = max(v.severity, limit.severity), max(v.ripeSeverity, limit.severity)
	}
	if v.states > 0 {
		inc.lastMatch = e.now
	}
	inc.matched = v.matched
	e.hold(inc, v.matched > 0)
	return v
}

// weighMember is false when the member is over.
func (e *Engine) weighMember(inc *incident, m *member, v *weight) bool {
	f := &m.finding
	if m.matched && !f.Until.IsZero() && !e.now.Before(f.Until) {
		m.matched, m.lost = false, f.Until
	}
	if !m.matched {
		if m.lost.After(inc.lastMatch) {
			inc.lastMatch = m.lost
		}
		end := m.lost.Add(inc.rule.Bridge)
		if !e.now.Before(end) {
			return false
		}
		v.lingers = true
		v.look(end, e.now)
		return true
	}
	v.look(f.Until, e.now)
	if m.since.After(e.now) {
		v.future = true
		v.look(m.since, e.now)
		return true
	}
	v.matched++
	v.states++
	if v.since.IsZero() || m.since.Before(v.since) {
		v.since = m.since
	}
	ripe := e.ripe(inc, m, v)
	severity := inc.rule.Severity
	if f.Severity != 0 {
		severity = f.Severity
	}
	severity = max(severity, e.escalated(m, v))
	v.ripe = v.ripe || ripe
	v.prefer(f, ripe, severity, m.since)
	return true
}

// ripe says whether a member has matched for long enough, and nothing keeps it
// from being raised.
func (e *Engine) ripe(inc *incident, m *member, v *weight) bool {
	f := &m.finding
	if m.restored {
		return false
	}
	hold := inc.rule.For
	if f.Hold >= 0 {
		hold = f.Hold
	}
	at := m.since.Add(hold)
	if f.NotBefore.After(at) {
		at = f.NotBefore
	}
	for _, key := range f.Inhibitors {
		if e.active(key) {
			e.wait(inc, key)
			return false
		}
	}
	v.free++
	if !f.Fresh.IsZero() && at.After(f.Fresh) {
		return false
	}
	if at.After(e.now) {
		v.look(at, e.now)
		return false
	}
	return !e.folds(inc, m)
}

// escalated returns the severity that a member has risen to.
func (e *Engine) escalated(m *member, v *weight) telemetry.Severity {
	var severity telemetry.Severity
	for i, x := range m.finding.Escalations {
		if i >= len(m.escalating) {
			break
		}
		from := x.Since
		switch {
		case x.Whole && m.finding.Guessed:
			continue
		case x.Whole:
			from = m.since
		case x.Down.Kind != "":
			from = e.world.DownSince(x.Down)
		}
		if from.IsZero() {
			if m.escalating[i].IsZero() {
				m.escalating[i] = e.now
			}
			from = m.escalating[i]
		}
		if at := from.Add(x.After); at.After(e.now) {
			v.look(at, e.now)
		} else {
			severity = max(severity, x.Severity)
		}
	}
	for i := len(m.finding.Escalations); i < len(m.escalating); i++ {
		m.escalating[i] = time.Time{}
	}
	return severity
}

func (inc *incident) membersSince(from, now time.Time) int {
	n := 0
	for _, m := range inc.members {
		if m.matched && !m.since.After(now) && (from.IsZero() || m.since.After(from)) {
			n++
		}
	}
	return n
}

// ownerOf is the object that an incident's group is about.
func ownerOf(key rules.Key) facts.Ref {
	return facts.Ref{Kind: key.Group.Kind, Namespace: key.Group.Namespace, Name: key.Group.Name}
}
