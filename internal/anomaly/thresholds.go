// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"fmt"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
)

// The reasons with which an anomaly of a threshold clears although nothing says that
// it has recovered.
const (
	// ReasonRuleRemoved: the AlertRule is gone, is not about this cluster any more,
	// or is no longer valid.
	ReasonRuleRemoved = "RuleRemoved"
	// ReasonRuleChanged: it compares something else.
	ReasonRuleChanged = "RuleChanged"
	// ReasonNotSelected: its labels or its nodeSelector no longer pick it.
	ReasonNotSelected = "NotSelected"
	// ReasonNodeGone: the node was deleted.
	ReasonNodeGone = "NodeGone"
	// ReasonSeriesGone: the node has not had the device or filesystem for a while,
	// though it has others.
	ReasonSeriesGone = "SeriesGone"
)

// vanished is how long a device may be missing while others are measured.
const vanished = 15 * time.Minute

// restoredFresh is how long after a state was taken a threshold that was pending then
// still counts as exceeded without a break.
const restoredFresh = time.Minute

// SetThresholds takes the metric thresholds to evaluate, instead of those before. An
// anomaly of one that is gone or compares something else clears and says why; times
// and severities that have changed count for what is open as well, but for a severity
// that was lowered. It may be called before Synced; what there is to tell is told
// then. The list is sorted and valid, as threshold.Parse returns it.
func (e *Engine) SetThresholds(list []threshold.Threshold, now time.Time) []Transition {
	e.enter(now)
	subjects := map[*incident]facts.Ref{}
	for _, inc := range e.incidents {
		if inc.metric {
			subjects[inc] = e.world.SubjectOf(inc.key)
		}
	}
	ended, judge, changed := e.world.SetThresholds(list)
	if !changed {
		return e.leave()
	}
	for _, inc := range e.sorted() {
		if !inc.metric {
			continue
		}
		switch ended[inc.key.Rule] {
		case rules.EndRemoved:
			e.end(inc, subjects[inc], ReasonRuleRemoved)
		case rules.EndChanged:
			e.end(inc, subjects[inc], ReasonRuleChanged)
		default:
			if rule, ok := e.world.Rule(inc.key.Rule); ok {
				inc.rule = rule
			}
			e.dirty = append(e.dirty, inc)
		}
	}
	for _, ref := range judge {
		e.judge(ref)
	}
	return e.leave()
}

// end clears an anomaly of a threshold at once, for a reason that is not recovery.
func (e *Engine) end(inc *incident, subject facts.Ref, reason string) {
	inc.over = reason
	e.remove(inc)
	e.thaw(inc, subject)
	if e.synced {
		e.tellCleared(inc)
	} else {
		e.ended = append(e.ended, inc)
	}
}

// below decides about an anomaly of a threshold that was not found to be exceeded.
// It is false when that says nothing, or when the anomaly has ended otherwise.
func (e *Engine) below(inc *incident, ref facts.Ref, m *member) bool {
	standing := e.world.Standing(inc.key, e.now)
	if standing != rules.StandingVanished {
		m.missing = time.Time{}
	}
	switch standing {
	case rules.StandingBelow:
		return true
	case rules.StandingVanished:
		if m.missing.IsZero() {
			m.missing = e.now
		}
		if e.now.Sub(m.missing) >= vanished {
			e.end(inc, ref, ReasonSeriesGone)
		}
	case rules.StandingUnselected:
		e.end(inc, ref, ReasonNotSelected)
	case rules.StandingNodeGone:
		e.end(inc, ref, ReasonNodeGone)
	default:
	}
	return false
}

// freezes says that nothing is known about a threshold that has to be kept below for
// some time: then it waits, until there is something to compare again.
func (e *Engine) freezes(inc *incident) bool {
	if !inc.metric || e.world.Standing(inc.key, e.now) != rules.StandingUnknown {
		return false
	}
	subject := e.world.SubjectOf(inc.key)
	if !slices.Contains(e.frozen[subject], inc) {
		e.frozen[subject] = append(e.frozen[subject], inc)
	}
	return true
}

func (e *Engine) thaw(inc *incident, subject facts.Ref) {
	if e.frozen[subject] = without(e.frozen[subject], inc); len(e.frozen[subject]) == 0 {
		delete(e.frozen, subject)
	}
}

// thawAll has those settled that wait for a subject.
func (e *Engine) thawAll(subject facts.Ref) {
	if waiting := e.frozen[subject]; len(waiting) > 0 {
		delete(e.frozen, subject)
		e.dirty = append(e.dirty, waiting...)
	}
}

// nodeGone ends the anomalies of thresholds about a node.
func (e *Engine) nodeGone(node facts.Ref) {
	if node.Kind != facts.KindNode || !e.world.NodeGone(node.Name) {
		return
	}
	for _, inc := range slices.Clone(e.kin[node]) {
		if inc.metric {
			e.end(inc, e.world.SubjectOf(inc.key), ReasonNodeGone)
		}
	}
}

// ending says in words why an anomaly has cleared.
func (inc *incident) ending() string {
	rule := string(inc.key.Rule[len(threshold.Prefix):])
	switch inc.over {
	case ReasonRuleRemoved:
		return fmt.Sprintf("AlertRule %s does not apply to this cluster any more", rule)
	case ReasonRuleChanged:
		return fmt.Sprintf("AlertRule %s compares something else now", rule)
	case ReasonNotSelected:
		return fmt.Sprintf("AlertRule %s does not select it any more", rule)
	case ReasonNodeGone:
		return fmt.Sprintf("Node %s is gone", inc.key.Group.Name)
	default:
		return fmt.Sprintf("Node %s has not had %s for %s", inc.key.Group.Name, inc.key.Group.Part, vanished)
	}
}
