// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe

import (
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// microTime is a metav1.MicroTime with any number of digits behind the second. The
// API server writes six of them, other programs leave zeros out, and metav1.MicroTime
// understands nothing but six.
type microTime struct{ metav1.MicroTime }

// UnmarshalJSON reads a time by RFC 3339, or null for none.
func (t *microTime) UnmarshalJSON(content []byte) error {
	var text *string
	if err := json.Unmarshal(content, &text); err != nil {
		return fmt.Errorf("reading a time: %w", err)
	}
	if text == nil {
		t.Time = time.Time{}
		return nil
	}
	parsed, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return fmt.Errorf("reading a time: %w", err)
	}
	t.Time = parsed
	return nil
}

func (t *microTime) plain() *metav1.MicroTime {
	if t == nil {
		return nil
	}
	return &t.MicroTime
}

// The types below are those of the API but for the fields that hold such times, in
// whose place they have their own.

// plainer is one of them.
type plainer interface {
	// plain returns the object of the API.
	plain() any
}

type leaseSpec struct {
	coordinationv1.LeaseSpec `json:",inline"`

	AcquireTime *microTime `json:"acquireTime"`
	RenewTime   *microTime `json:"renewTime"`
}

type lease struct {
	coordinationv1.Lease `json:",inline"`

	Spec leaseSpec `json:"spec"`
}

func (o *lease) plain() any {
	o.Lease.Spec = o.Spec.LeaseSpec
	o.Lease.Spec.AcquireTime, o.Lease.Spec.RenewTime = o.Spec.AcquireTime.plain(), o.Spec.RenewTime.plain()
	return &o.Lease
}

type eventSeries struct {
	Count            int32     `json:"count"`
	LastObservedTime microTime `json:"lastObservedTime"`
}

type event struct {
	corev1.Event `json:",inline"`

	EventTime microTime    `json:"eventTime"`
	Series    *eventSeries `json:"series"`
}

func (o *event) plain() any {
	o.Event.EventTime = o.EventTime.MicroTime
	if s := o.Series; s != nil {
		o.Event.Series = &corev1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime.MicroTime}
	}
	return &o.Event
}

type newEvent struct {
	eventsv1.Event `json:",inline"`

	EventTime microTime    `json:"eventTime"`
	Series    *eventSeries `json:"series"`
}

func (o *newEvent) plain() any {
	o.Event.EventTime = o.EventTime.MicroTime
	if s := o.Series; s != nil {
		o.Event.Series = &eventsv1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime.MicroTime}
	}
	return &o.Event
}
