// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// edge is something that happened once.
type edge struct {
	id      string
	ref     facts.Ref
	at      time.Time
	finding rules.Finding
	round   uint64
	// restored is true for one that the engine before this one knew.
	restored bool
}

// former is what is left of an edge that has made room for newer ones: enough to
// count its object, and to know it again.
type former struct {
	id            string
	at, notBefore time.Time
	round         uint64
	restored      bool
}

const (
	// maxEdges bounds what is remembered of one incident with all that was found,
	// maxFormer the objects beyond that, which are only counted.
	maxEdges  = 64
	maxFormer = 1 << 14
	// formerPause is the least time between two looks at all of those.
	formerPause = time.Minute
	// killWindow is for how long kills of one owner are counted, maxKills how many.
	killWindow = time.Hour
	maxKills   = 16
)

// kill is when an owner lost a container.
type kill struct {
	id string
	at time.Time
}

// matchEdge takes a finding about something that happened once.
func (e *Engine) matchEdge(ref facts.Ref, f *rules.Finding) {
	rule, ok := e.world.Rule(f.Rule)
	if !ok {
		return
	}
	at := f.Since
	if at.After(e.now) {
		at = e.now
	}
	if countEscalations[f.Rule].owner && e.kill(ownerOf(f.Key), f.Edge, at) {
		for _, inc := range e.kin[ownerOf(f.Key)] {
			if inc.key.Rule == f.Rule {
				e.dirty = append(e.dirty, inc)
			}
		}
	}
	if f.Past || e.now.Sub(at) >= rule.KeepFiringFor {
		return // over before it was seen
	}
	inc := e.incident(f.Key)
	for _, x := range slices.Backward(inc.edges) {
		if x.id == f.Edge && x.ref == ref {
			x.finding, x.round = *f, e.round
			return
		}
	}
	if x, known := inc.former[ref]; known && x.id == f.Edge {
		x.round = e.round
		inc.former[ref] = x
		return
	}
	if inc.remember(&edge{id: f.Edge, ref: ref, at: at, finding: *f, round: e.round}) {
		e.link(ref, inc)
		e.dirty = append(e.dirty, inc)
	}
}

// remember takes an edge, the oldest of too many making room. It is false when that
// changes nothing.
func (inc *incident) remember(x *edge) bool {
	if old, known := inc.former[x.ref]; known && old.at.After(x.at) {
		return false
	}
	if len(inc.edges) >= maxEdges {
		if !x.at.After(inc.edges[0].at) {
			return inc.abridge(x)
		}
		oldest := inc.edges[0]
		inc.edges = slices.Delete(inc.edges, 0, 1)
		inc.insert(x)
		inc.abridge(oldest)
	} else {
		inc.insert(x)
	}
	delete(inc.former, x.ref)
	return true
}

// insert keeps the edges in the order of time.
func (inc *incident) insert(x *edge) {
	i := len(inc.edges)
	for i > 0 && inc.edges[i-1].at.After(x.at) {
		i--
	}
	inc.edges = slices.Insert(inc.edges, i, x)
}

// abridge keeps that an object had an edge, unless that is known anyway. It is
// false when nothing is kept.
func (inc *incident) abridge(x *edge) bool {
	old, known := inc.former[x.ref]
	if known && !x.at.After(old.at) || !known && len(inc.former) >= maxFormer || inc.hasEdge(x.ref) {
		return false
	}
	if inc.former == nil {
		inc.former = map[facts.Ref]former{}
	}
	inc.former[x.ref] = former{id: x.id, at: x.at, notBefore: x.finding.NotBefore, round: x.round, restored: x.restored}
	inc.formerReady = later(inc.formerReady, x.finding.NotBefore)
	if end := x.at.Add(inc.rule.KeepFiringFor); inc.formerDue.IsZero() || end.Before(inc.formerDue) {
		inc.formerDue = end
	}
	if inc.formerSince.IsZero() || x.at.Before(inc.formerSince) {
		inc.formerSince = x.at
	}
	return true
}

func (inc *incident) hasEdge(ref facts.Ref) bool {
	return slices.ContainsFunc(inc.edges, func(x *edge) bool { return x.ref == ref })
}

// unfound takes away the edges of an object that were not found again and have not
// been told: only those can turn out not to have been.
func (e *Engine) unfound(inc *incident, ref facts.Ref) {
	before := len(inc.edges)
	inc.edges = slices.DeleteFunc(inc.edges, func(x *edge) bool {
		return x.ref == ref && x.round != e.round && !x.restored && (!e.synced || x.finding.NotBefore.After(e.now))
	})
	if len(inc.edges) < before {
		e.dirty = append(e.dirty, inc)
	}
	if x, known := inc.former[ref]; known && x.round != e.round && !x.restored && (!e.synced || x.notBefore.After(e.now)) {
		delete(inc.former, ref)
		e.dirty = append(e.dirty, inc)
	}
}

// forgetEdges drops those that are too old to be told.
func (e *Engine) forgetEdges(inc *incident) {
	keep := inc.rule.KeepFiringFor
	n := 0
	for n < len(inc.edges) && !e.now.Before(inc.edges[n].at.Add(keep)) {
		n++
	}
	if n > 0 {
		gone := slices.Clone(inc.edges[:n])
		inc.edges = slices.Delete(inc.edges, 0, n)
		for _, x := range gone {
			e.unlink(x.ref, inc)
		}
	}
	if len(inc.former) == 0 || e.now.Before(inc.formerDue) && len(inc.edges) > 0 {
		return
	}
	inc.formerDue, inc.formerSince = time.Time{}, time.Time{}
	for ref, x := range inc.former {
		end := x.at.Add(keep)
		if !e.now.Before(end) {
			delete(inc.former, ref)
			e.unlink(ref, inc)
			continue
		}
		if inc.formerDue.IsZero() || end.Before(inc.formerDue) {
			inc.formerDue, inc.formerSince = end, x.at
		}
	}
	if len(inc.edges) > 0 {
		// They all go before the edges do.
		inc.formerDue = later(inc.formerDue, e.now.Add(formerPause))
	}
}

func (e *Engine) weighEdges(inc *incident, v *weight) {
	e.forgetEdges(inc)
	if len(inc.edges) == 0 && len(inc.former) == 0 {
		return
	}
	seen := make(map[facts.Ref]struct{}, len(inc.edges))
	for _, x := range inc.edges {
		v.look(x.at.Add(inc.rule.KeepFiringFor), e.now)
		if x.finding.NotBefore.After(e.now) {
			v.future = true
			v.look(x.finding.NotBefore, e.now)
			continue
		}
		v.ripe = true
		v.free++
		inc.lastMatch = later(inc.lastMatch, x.at)
		if _, again := seen[x.ref]; !again && !e.counts(inc.members[x.ref]) {
			v.matched++
		}
		seen[x.ref] = struct{}{}
		if v.since.IsZero() || x.at.Before(v.since) {
			v.since = x.at
		}
		severity := inc.rule.Severity
		if x.finding.Severity != 0 {
			severity = x.finding.Severity
		}
		v.severity, v.ripeSeverity = max(v.severity, severity), max(v.ripeSeverity, severity)
		// The latest is the one to look at.
		if v.best == nil || x.at.After(v.bestTime) || x.at.Equal(v.bestTime) && before(x.finding.Object, v.best.Object) {
			v.best, v.bestRipe, v.bestTime = &x.finding, true, x.at
		}
	}
	e.weighFormer(inc, v)
}

// counts says whether a member is counted by itself.
func (e *Engine) counts(m *member) bool { return m != nil && m.matched && !m.since.After(e.now) }

func (e *Engine) weighFormer(inc *incident, v *weight) {
	if len(inc.former) == 0 {
		return
	}
	v.look(inc.formerDue, e.now)
	if inc.formerReady.After(e.now) {
		v.future = true
		v.look(inc.formerReady, e.now)
		return
	}
	n := len(inc.former)
	for ref, m := range inc.members {
		if _, twice := inc.former[ref]; twice && e.counts(m) {
			n--
		}
	}
	v.ripe = true
	v.matched += n
	v.free += n
	v.severity, v.ripeSeverity = max(v.severity, inc.rule.Severity), max(v.ripeSeverity, inc.rule.Severity)
	inc.lastMatch = later(inc.lastMatch, inc.formerSince)
	if v.since.IsZero() || inc.formerSince.Before(v.since) {
		v.since = inc.formerSince
	}
}

// countEscalation raises the severity when many happen in a short time.
type countEscalation struct {
	count    int
	window   time.Duration
	severity telemetry.Severity
	// owner counts over all incidents of the top owner.
	owner bool
}

var countEscalations = map[catalogue.ID]countEscalation{
	"PodOOMKilled":     {count: 3, window: killWindow, severity: telemetry.SeverityCritical, owner: true},
	"PodEvicted":       {count: 10, window: 10 * time.Minute, severity: telemetry.SeverityCritical},
	"PodSandboxFailed": {count: 5, window: 5 * time.Minute, severity: telemetry.SeverityCritical},
}

// counted returns how many matches an incident had within a window. A state that
// still holds counts as well.
func (e *Engine) counted(inc *incident, limit countEscalation) int {
	from := e.now.Add(-limit.window)
	if limit.owner {
		n := 0
		for _, k := range e.kills[ownerOf(inc.key)] {
			if k.at.After(from) {
				n++
			}
		}
		for _, other := range e.kin[ownerOf(inc.key)] {
			if other.key.Rule == inc.key.Rule {
				n += other.membersSince(from, e.now)
			}
		}
		return n
	}
	n := 0
	for _, x := range inc.edges {
		if x.at.After(from) {
			n++
		}
	}
	if inc.key.Rule == "PodSandboxFailed" {
		return n + inc.membersSince(time.Time{}, e.now)
	}
	return n + inc.membersSince(from, e.now)
}

// kill remembers that an owner lost a container, for as long as it counts. It is
// false when that is known or too old.
func (e *Engine) kill(owner facts.Ref, id string, at time.Time) bool {
	const many = 1024
	kills := e.kills[owner]
	if e.now.Sub(at) >= killWindow || slices.ContainsFunc(kills, func(k kill) bool { return k.id == id }) ||
		len(kills) >= maxKills && !at.After(kills[0].at) {
		return false
	}
	if len(e.kills) > many {
		for ref, list := range e.kills {
			if e.now.Sub(list[len(list)-1].at) >= killWindow {
				delete(e.kills, ref)
			}
		}
	}
	kills = append(kills, kill{id, at})
	slices.SortStableFunc(kills, func(a, b kill) int { return a.at.Compare(b.at) })
	e.kills[owner] = kills[max(len(kills)-maxKills, 0):]
	return true
}
