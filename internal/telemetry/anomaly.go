// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import "time"

// Severity of an anomaly. The numbers are part of the wire format and grow with
// the urgency, so that severities can be compared.
type Severity uint8

// The severities.
const (
	// SeverityInfo is context and never notifies by default.
	SeverityInfo Severity = 1
	// SeverityWarning needs a human today.
	SeverityWarning Severity = 2
	// SeverityCritical means that an outage or data loss is likely.
	SeverityCritical Severity = 3
)

var severities = names{SeverityInfo: "info", SeverityWarning: "warning", SeverityCritical: "critical"}

// String returns "info", "warning" or "critical", or the number when unknown.
func (s Severity) String() string { return severities.name(uint8(s)) }

// MarshalText returns the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Severity) UnmarshalText(text []byte) error {
	value, err := severities.parse(string(text))
	*s = Severity(value)
	return err
}

// AnomalyState is where an anomaly stands after a transition. The numbers are
// part of the wire format.
type AnomalyState uint8

// The states.
const (
	// AnomalyPending: the rule matches, but not for long enough yet.
	AnomalyPending AnomalyState = 1
	// AnomalyRaised: the rule has matched for long enough.
	AnomalyRaised AnomalyState = 2
	// AnomalyEscalated: it was raised before and its severity rose.
	AnomalyEscalated AnomalyState = 3
	// AnomalyCleared: the rule has not matched for long enough.
	AnomalyCleared AnomalyState = 4
)

var anomalyStates = names{AnomalyPending: "pending", AnomalyRaised: "raised", AnomalyEscalated: "escalated", AnomalyCleared: "cleared"}

// String returns the state's name, or its number when unknown.
func (s AnomalyState) String() string { return anomalyStates.name(uint8(s)) }

// MarshalText returns the state's name.
func (s AnomalyState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *AnomalyState) UnmarshalText(text []byte) error {
	value, err := anomalyStates.parse(string(text))
	*s = AnomalyState(value)
	return err
}

// AnomalyTransition is one change of one anomaly. Anomalies with the same rule
// and fingerprint are the same anomaly.
type AnomalyTransition struct {
	// Rule is the identifier of the rule, such as "PodCrashLoopBackOff".
	Rule string
	// Fingerprint tells anomalies of the rule apart: a digest of the top owner,
	// the template hash, the container and the rule. The cluster is not in it.
	Fingerprint string
	// State is where the anomaly stands now.
	State AnomalyState
	// Severity after the transition.
	Severity Severity
	// Object is what the rule matched; for several, the one to look at first.
	Object ObjectRef
	// Owner is the top owner of the object; zero when it has none.
	Owner ObjectRef
	// TemplateHash is the pod template hash of the revision; may be empty.
	TemplateHash string
	// Container is the container in question; may be empty.
	Container string
	// Node is where the object runs; may be empty.
	Node string
	// Reason is the machine's word, such as "CrashLoopBackOff".
	Reason string
	// Message is for people, at most MaxMessage bytes.
	Message string
	// Count is how many objects of this fingerprint match at the moment; 0 once
	// it is cleared.
	Count uint32
	// Since is when the condition began to hold.
	Since time.Time
	// Evidence is what the verdict rests on, sorted by key, at most
	// MaxAttributes pieces of at most MaxEvidenceValue bytes, redacted.
	Evidence []Label
}

func (*AnomalyTransition) payload() {}

// Validate implements Payload.
func (a *AnomalyTransition) Validate() error {
	var c checker
	c.required("rule", a.Rule, MaxName)
	c.required("fingerprint", a.Fingerprint, MaxUID)
	if a.State == 0 {
		c.fail("state", "is required")
	}
	if a.Severity == 0 {
		c.fail("severity", "is required")
	}
	c.ref("object", a.Object)
	c.ref("owner", a.Owner)
	c.text("templateHash", a.TemplateHash, MaxUID)
	c.text("container", a.Container, MaxName)
	c.text("node", a.Node, MaxName)
	c.text("reason", a.Reason, MaxReason)
	c.text("message", a.Message, MaxMessage)
	c.requiredTime("since", a.Since)
	c.labels("evidence", a.Evidence, MaxAttributes, MaxEvidenceValue)
	return c.err
}
