// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"cmp"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// State is what has to outlive a restart: anomalies, so that none is told twice or
// forgotten, and what happened once, so that it is not replayed. It can be stored
// as JSON; its size follows the open anomalies, not the objects.
type State struct {
	// At is when it was taken. What happened since then is new.
	At time.Time `json:"at"`
	// Incidents are the anomalies.
	Incidents []IncidentState `json:"incidents,omitempty"`
	// Nodes are what is remembered of nodes.
	Nodes []rules.NodeMemory `json:"nodes,omitempty"`
	// Kills are when owners lost containers in the last hour.
	Kills []KillState `json:"kills,omitempty"`
	// Thresholds are the metric thresholds that were evaluated last.
	Thresholds []threshold.Threshold `json:"thresholds,omitempty"`
}

// IncidentState is an anomaly in a State.
type IncidentState struct {
	// Key identifies it.
	Key rules.Key `json:"key"`
	// State and Severity are where it stands; State is 0 before it is pending.
	State    uint8 `json:"state"`
	Severity uint8 `json:"severity"`
	// Since is when it began, Raised when it was raised, LastMatch when it held
	// last.
	Since     time.Time `json:"since"`
	Raised    time.Time `json:"raised"`
	LastMatch time.Time `json:"lastMatch"`
	// Told is the state that was told last, 0 for none, and Last what was said.
	Told uint8                       `json:"told,omitempty"`
	Last telemetry.AnomalyTransition `json:"last"`
	// Members are the objects that match.
	Members []MemberState `json:"members,omitempty"`
	// Edges are what happened.
	Edges []EdgeState `json:"edges,omitempty"`
}

// MemberState is an object that matches.
type MemberState struct {
	Ref   facts.Ref `json:"ref"`
	UID   string    `json:"uid,omitempty"`
	Since time.Time `json:"since"`
	Token uint64    `json:"token,omitempty"`
}

// EdgeState is something that happened once.
type EdgeState struct {
	ID        string    `json:"id"`
	Ref       facts.Ref `json:"ref"`
	At        time.Time `json:"at"`
	NotBefore time.Time `json:"notBefore"`
}

// KillState is when an owner lost containers.
type KillState struct {
	Owner facts.Ref `json:"owner"`
	Kills []Kill    `json:"kills"`
}

// Kill is when an owner lost a container.
type Kill struct {
	// ID is that of the edge.
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// State returns what the next engine has to know. What is neither pending nor
// raised is left out: it follows from the objects.
func (e *Engine) State() *State {
	s := &State{At: e.now, Nodes: e.world.Memory(), Thresholds: slices.Clone(e.world.Thresholds())}
	slices.SortFunc(s.Nodes, func(a, b rules.NodeMemory) int { return compare(a.Node, b.Node) })
	for _, inc := range e.sorted() {
		if inc.state == 0 && len(inc.edges) == 0 {
			continue
		}
		x := IncidentState{
			Key: inc.key, State: uint8(inc.state), Severity: uint8(inc.severity), Since: inc.since, Raised: inc.raised,
			LastMatch: inc.lastMatch, Told: uint8(inc.told), Last: inc.last,
		}
		for ref, m := range inc.members {
			if m.matched && !m.since.After(e.now) {
				x.Members = append(x.Members, MemberState{Ref: ref, UID: m.finding.Object.UID, Since: m.since, Token: m.finding.Token})
			}
		}
		slices.SortFunc(x.Members, func(a, b MemberState) int { return compare(a.Ref.String(), b.Ref.String()) })
		for ref, f := range inc.former {
			x.Edges = append(x.Edges, EdgeState{ID: f.id, Ref: ref, At: f.at, NotBefore: f.notBefore})
		}
		slices.SortFunc(x.Edges, func(a, b EdgeState) int { return cmp.Or(a.At.Compare(b.At), compare(a.ID, b.ID)) })
		for i := range inc.edges {
			x.Edges = append(x.Edges, EdgeState{ID: inc.edges[i].id, Ref: inc.edges[i].ref, At: inc.edges[i].at, NotBefore: inc.edges[i].finding.NotBefore})
		}
		s.Incidents = append(s.Incidents, x)
	}
	for owner, kills := range e.kills {
		x := KillState{Owner: owner}
		for _, k := range kills {
			x.Kills = append(x.Kills, Kill{ID: k.id, At: k.at})
		}
		s.Kills = append(s.Kills, x)
	}
	slices.SortFunc(s.Kills, func(a, b KillState) int { return compare(a.Owner.String(), b.Owner.String()) })
	return s
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func (e *Engine) restore(s *State) {
	e.world.SetThresholds(s.Thresholds)
	var open []rules.Key
	for i := range s.Incidents {
		x := &s.Incidents[i]
		inc := e.incident(x.Key)
		if inc == nil {
			continue // a rule that this version does not have, or a threshold that it does not understand
		}
		open = append(open, x.Key)
		inc.state, inc.severity = telemetry.AnomalyState(x.State), telemetry.Severity(x.Severity)
		inc.since, inc.raised, inc.lastMatch = x.Since, x.Raised, x.LastMatch
		inc.told, inc.last, inc.toldCount = telemetry.AnomalyState(x.Told), x.Last, x.Last.Count
		for _, m := range x.Members {
			f := said(inc)
			f.Object.UID, f.Token = m.UID, m.Token
			if inc.metric {
				f.Fresh = s.At.Add(restoredFresh)
			}
			inc.members[m.Ref] = &member{finding: f, since: m.Since, matched: true, restored: true}
			e.link(m.Ref, inc)
		}
		for _, x := range x.Edges {
			f := said(inc)
			f.NotBefore, f.Edge = x.NotBefore, x.ID
			inc.remember(&edge{id: x.ID, ref: x.Ref, at: x.At, finding: f, restored: true})
			e.link(x.Ref, inc)
		}
	}
	for _, k := range s.Kills {
		for _, x := range k.Kills {
			e.kills[k.Owner] = append(e.kills[k.Owner], kill{x.ID, x.At})
		}
	}
	e.world.Remember(s.Nodes, open)
}

// incident returns the incident of a finding, a new one if there is none.
func (e *Engine) incident(key rules.Key) *incident {
	if inc := e.incidents[key]; inc != nil {
		return inc
	}
	rule, ok := e.world.Rule(key.Rule)
	if !ok {
		return nil
	}
	inc := &incident{
		key: key, rule: rule, fingerprint: fingerprintOf(key), metric: rules.IsThreshold(key.Rule),
		members: map[facts.Ref]*member{}, slot: noSlot,
	}
	e.incidents[key] = inc
	owner := ownerOf(key)
	e.kin[owner] = append(e.kin[owner], inc)
	return inc
}

// said makes a finding of what was told last, until the object is seen again.
func said(inc *incident) rules.Finding {
	return rules.Finding{
		Key: inc.key, Object: inc.last.Object, Owner: inc.last.Owner, Container: inc.last.Container, Node: inc.last.Node,
		Reason: inc.last.Reason, Hold: rules.RuleHold,
	}
}

// unlisted is how long a restored anomaly waits for a measurement, which no list
// brings back.
const unlisted = 15 * time.Minute

// confirm takes away the restored members that the first lists did not bring back.
// What cannot be listed stays: not seeing it is no proof.
func (e *Engine) confirm(inc *incident) {
	if inc.metric {
		// It waits for as long as it takes, unless there is nothing to wait for.
		e.nodeGone(ownerOf(inc.key))
		return
	}
	for ref, m := range inc.members {
		if !m.restored || e.world.IsPartial(ref.Kind) {
			continue
		}
		switch ref.Kind {
		case facts.KindNodeSample, facts.KindContainerUsage, facts.KindVolumeUsage, facts.KindAPIServer, facts.KindExpiry:
			m.finding.Until = e.now.Add(unlisted)
		default:
			e.lose(inc, m)
			e.gone(inc, ref)
			delete(inc.members, ref)
			e.unlink(ref, inc)
		}
	}
}

// sorted returns the incidents in an order that does not depend on chance.
func (e *Engine) sorted() []*incident {
	all := make([]*incident, 0, len(e.incidents))
	for _, inc := range e.incidents {
		all = append(all, inc)
	}
	slices.SortFunc(all, byFingerprint)
	return all
}

// Summary is what is open.
type Summary struct {
	// Critical, Warning and Info count the anomalies that are raised, Pending
	// those that are not yet.
	Critical, Warning, Info, Pending int
	// Worst are those that are raised, the most severe first, then the oldest.
	Worst []telemetry.AnomalyTransition
}

// Open returns what is open, with at most so many of the worst; negative for all.
func (e *Engine) Open(worst int) Summary {
	var s Summary
	var raised []*incident
	for _, inc := range e.incidents {
		switch {
		case inc.state == telemetry.AnomalyPending:
			if !inc.rule.Quiet {
				s.Pending++
			}
			continue
		case inc.state == 0:
			continue
		case inc.severity == telemetry.SeverityCritical:
			s.Critical++
		case inc.severity == telemetry.SeverityWarning:
			s.Warning++
		default:
			s.Info++
		}
		raised = append(raised, inc)
	}
	slices.SortFunc(raised, worse)
	if worst >= 0 && len(raised) > worst {
		raised = raised[:worst]
	}
	for _, inc := range raised {
		v := e.weigh(inc)
		t := transition(inc, &v)
		s.Worst = append(s.Worst, t)
	}
	return s
}
