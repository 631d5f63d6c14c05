// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Group is what makes several matches of a rule one anomaly: mostly the top owner
// of a pod with its template hash and a container, or the object itself.
type Group struct {
	// Namespace, Kind and Name are those of what the anomaly is about.
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind"`
	Name      string `json:"name,omitempty"`
	// Hash is the pod template hash.
	Hash string `json:"hash,omitempty"`
	// Part is the container, mount point, device, resource or reason.
	Part string `json:"part,omitempty"`
}

// Key identifies an anomaly within a cluster.
type Key struct {
	// Rule that matched.
	Rule catalogue.ID `json:"rule"`
	// Group that it matched for.
	Group Group `json:"group"`
}

// Escalation raises the severity of a finding.
type Escalation struct {
	// Severity once it applies.
	Severity telemetry.Severity
	// After is how long it has to hold.
	After time.Duration
	// Whole counts After from when the finding itself began. Otherwise it counts
	// from Since, or from when the escalation was first seen.
	Whole bool
	// Since is when what escalates began; zero when nobody knows.
	Since time.Time
	// Down is a workload: what escalates is that none of its replicas is ready. Then
	// World.DownSince says since when.
	Down facts.Ref
}

// Explanation is what a person wants to know about a finding.
type Explanation struct {
	// Message is a sentence.
	Message string
	// Evidence is what the verdict rests on, in any order.
	Evidence []telemetry.Label
}

// Finding is a rule that matches an object at the moment. Whether it becomes an
// anomaly is up to the engine.
type Finding struct {
	Key
	// Object is what the rule matched.
	Object telemetry.ObjectRef
	// Owner is the top owner of Object; zero when it has none.
	Owner telemetry.ObjectRef
	// Container in question; may be empty.
	Container string
	// Node where the object runs; may be empty.
	Node string
	// Reason is the machine's word.
	Reason string
	// Severity when it is not the rule's; else 0.
	Severity telemetry.Severity

	// Since is when it began to hold if the object tells exactly; it may lie in
	// the future. Zero when the object does not tell: then it begins when it is
	// first seen.
	Since time.Time
	// Earliest is before when it cannot have begun. Only snapshots use it, and
	// only without Since.
	Earliest time.Time
	// Guessed says that Since is the earliest moment possible: good enough to be
	// raised, not to rise.
	Guessed bool
	// Hold replaces the rule's For when it is not negative.
	Hold time.Duration
	// NotBefore keeps it from being raised earlier.
	NotBefore time.Time
	// Until ends it without anything being seen; zero for never.
	Until time.Time
	// Fresh is until when the measurement is good for: it is not raised by time
	// that passes without measurements. Zero for always.
	Fresh time.Time
	// Token starts it anew when it changes.
	Token uint64
	// Edge identifies something that happened once, at Since; empty for a state.
	Edge string
	// Past says that the edge is old news: it counts among others and is not told.
	Past bool

	// Escalations in the order of the rule's.
	Escalations []Escalation
	// Inhibitors are anomalies that keep this one from being raised.
	Inhibitors []Key
	// Explain is called when somebody wants to know.
	Explain func() Explanation
}

// RuleHold is the Hold of a finding that takes the rule's For.
const RuleHold time.Duration = -1

// beyond added to a duration makes it one that has to be exceeded.
const beyond = time.Nanosecond

// UnknownStart is the Since of a finding of a snapshot that has held for nobody
// knows how long. It counts as long enough.
var UnknownStart = time.Unix(0, 0).UTC()

func label(key, value string) telemetry.Label { return telemetry.Label{Key: key, Value: value} }

// evidenceOf drops what is empty.
func evidenceOf(labels ...telemetry.Label) []telemetry.Label {
	kept := labels[:0]
	for _, l := range labels {
		if l.Value != "" {
			kept = append(kept, l)
		}
	}
	return kept
}

func groupOf(ref facts.Ref) Group {
	return Group{Namespace: ref.Namespace, Kind: ref.Kind, Name: ref.Name}
}

func nodeGroup(node string) Group { return Group{Kind: facts.KindNode, Name: node} }

func nodeKey(id catalogue.ID, node string) Key { return Key{Rule: id, Group: nodeGroup(node)} }
