// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import "time"

// EventType is the type of a Kubernetes event. The numbers are part of the wire
// format.
type EventType uint8

// The types of events.
const (
	// EventNormal is for information.
	EventNormal EventType = 1
	// EventWarning is for problems.
	EventWarning EventType = 2
)

var eventTypes = names{EventNormal: "Normal", EventWarning: "Warning"}

// String returns "Normal" or "Warning", or the number when unknown.
func (t EventType) String() string { return eventTypes.name(uint8(t)) }

// MarshalText returns the type's name.
func (t EventType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (t *EventType) UnmarshalText(text []byte) error {
	value, err := eventTypes.parse(string(text))
	*t = EventType(value)
	return err
}

// Event is a Kubernetes event as it stood at one resourceVersion. Count is
// absolute, so that storing the same event twice changes nothing: the store keeps
// the row with the highest ResourceVersion of each UID.
type Event struct {
	// UID of the event object.
	UID string
	// ResourceVersion of the event object; 0 when it is no decimal number.
	ResourceVersion uint64
	// Namespace and Name of the event object. Name may be empty.
	Namespace, Name string
	// Type is Normal or Warning.
	Type EventType
	// Reason is the machine's word, such as "BackOff".
	Reason string
	// Message is for people, at most MaxMessage bytes.
	Message string
	// Regarding is what the event is about.
	Regarding ObjectRef
	// FieldPath is the part of the object, such as
	// "spec.containers{web}"; empty when it is about the whole.
	FieldPath string
	// Controller is the component that reported, such as "kubelet".
	Controller string
	// Host is the instance or node that reported; may be empty.
	Host string
	// Count is how often it happened so far, at least 1.
	Count uint32
	// FirstSeen is when it happened first; zero when unknown.
	FirstSeen time.Time
	// LastSeen is when it happened last.
	LastSeen time.Time
}

func (*Event) payload() {}

// Validate implements Payload.
func (e *Event) Validate() error {
	var c checker
	c.required("uid", e.UID, MaxUID)
	c.text("namespace", e.Namespace, MaxName)
	c.text("name", e.Name, MaxName)
	if e.Type == 0 {
		c.fail("type", "is required")
	}
	c.text("reason", e.Reason, MaxReason)
	c.text("message", e.Message, MaxMessage)
	c.ref("regarding", e.Regarding)
	c.text("fieldPath", e.FieldPath, MaxLabelValue)
	c.text("controller", e.Controller, MaxReason)
	c.text("host", e.Host, MaxReason)
	if e.Count == 0 {
		c.fail("count", "is 0, an event happened at least once")
	}
	c.time("firstSeen", e.FirstSeen)
	c.requiredTime("lastSeen", e.LastSeen)
	return c.err
}
