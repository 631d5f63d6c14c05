// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	linked "container/list"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// maxEvents bounds how many events are kept, those that wait included.
	maxEvents = 8192
	// maxEventMessage bounds the message of an event, in bytes; the API allows 1 KiB.
	maxEventMessage = 1 << 10
)

// eventLog keeps the Warnings of the cluster as they stand. An event that
// changes while it waits is sent once, with its latest count. When a storm makes
// more events than are kept, the oldest are given up, and what had not been sent
// is counted and sent as a gap.
type eventLog struct {
	listed func()
	wake   func()
	limit  int
	synced atomic.Bool

	mu      sync.Mutex
	entries map[objectKey]*eventEntry
	// Each entry is in one of these lists, the oldest first.
	waiting, sent linked.List
	lost          loss
}

type eventEntry struct {
	key   objectKey
	event telemetry.Event
	// expired is set when the API server has forgotten the event.
	expired bool
	waits   bool
	round   uint32
	place   *linked.Element
}

// loss is what had to be given up without being sent.
type loss struct {
	dropped    uint64
	start, end time.Time
}

func (l *loss) add(other loss) {
	if l.dropped == 0 || other.start.Before(l.start) {
		l.start = other.start
	}
	if other.end.After(l.end) {
		l.end = other.end
	}
	l.dropped += other.dropped
}

// seenEvent is an event as it was seen.
type seenEvent struct {
	key     objectKey
	event   telemetry.Event
	warning bool
}

var _ cache.TransformingStore = (*eventLog)(nil)

func newEventLog(limit int, wake func()) *eventLog {
	return &eventLog{listed: func() {}, wake: wake, limit: limit, entries: map[objectKey]*eventEntry{}}
}

// eventOf converts an event; false for those that are no Warnings and those
// without a time. The API server gives both shapes of events in this one: those
// of events.k8s.io have a Series and an EventTime instead of a Count and two times.
func eventOf(e *corev1.Event) (telemetry.Event, bool) {
	if e.Type != corev1.EventTypeWarning || e.UID == "" {
		return telemetry.Event{}, false
	}
	version, _ := strconv.ParseUint(e.ResourceVersion, 10, 64)
	event := telemetry.Event{
		UID:             telemetry.Clip(string(e.UID), telemetry.MaxUID),
		ResourceVersion: version,
		Namespace:       shared(e.Namespace, telemetry.MaxName),
		Name:            telemetry.Clip(e.Name, telemetry.MaxName),
		Type:            telemetry.EventWarning,
		Reason:          shared(e.Reason, telemetry.MaxReason),
		Message:         strings.Clone(telemetry.Clip(e.Message, maxEventMessage)),
		Regarding: telemetry.ObjectRef{
			Kind:      shared(e.InvolvedObject.Kind, telemetry.MaxReason),
			Namespace: shared(e.InvolvedObject.Namespace, telemetry.MaxName),
			Name:      telemetry.Clip(e.InvolvedObject.Name, telemetry.MaxName),
			UID:       telemetry.Clip(string(e.InvolvedObject.UID), telemetry.MaxUID),
		},
		FieldPath:  shared(e.InvolvedObject.FieldPath, telemetry.MaxLabelValue),
		Controller: shared(firstOf(e.ReportingController, e.Source.Component), telemetry.MaxReason),
		Host:       shared(firstOf(e.Source.Host, e.ReportingInstance), telemetry.MaxReason),
		Count:      1,
	}
	first, last := e.FirstTimestamp.Time, e.LastTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.CreationTimestamp.Time} {
		if first.IsZero() {
			first = t
		}
	}
	count := int64(max(e.Count, 1))
	if e.Series != nil {
		count = max(count, int64(e.Series.Count))
		last = later(last, e.Series.LastObservedTime.Time)
	}
	last = later(last, first)
	event.Count = uint32(min(count, math.MaxUint32))
	event.FirstSeen = fromMillis(toMillis(first))
	event.LastSeen = fromMillis(toMillis(last))
	return event, !event.LastSeen.IsZero()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// shared clips a string that many events have alike and keeps it once.
func shared(s string, limit int) string { return unique.Make(telemetry.Clip(s, limit)).Value() }

// Transformer makes the reflector hold slim events while it collects a listing.
func (*eventLog) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return seeEvent(object) }
}

func seeEvent(object any) (*seenEvent, error) {
	switch o := object.(type) {
	case *seenEvent:
		return o, nil
	case *corev1.Event:
		key, _ := keyOf(o)
		event, warning := eventOf(o)
		return &seenEvent{key: key, event: event, warning: warning}, nil
	default:
		return nil, fmt.Errorf("storing an event of unexpected type %T", object)
	}
}

// Add stores a new event or a new state of a known one.
func (l *eventLog) Add(object any) error {
	seen, err := seeEvent(object)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.store(seen, 0)
	l.mu.Unlock()
	l.wake()
	return nil
}

// Update stores a new state of an event.
func (l *eventLog) Update(object any) error { return l.Add(object) }

// Delete notes that the API server has forgotten an event, which says nothing
// about what it told. An event that still waits is sent nonetheless.
func (l *eventLog) Delete(object any) error {
	key, ok := keyOf(object)
	if !ok {
		return fmt.Errorf("forgetting an event of unexpected type %T", object)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[key]; e != nil {
		l.expire(e)
	}
	return nil
}

// Resync does nothing: nothing here depends on being told the same again.
func (*eventLog) Resync() error { return nil }

// Replace takes a complete listing.
func (l *eventLog) Replace(objects []any, _ string) error {
	l.mu.Lock()
	for _, e := range l.entries {
		e.round = 0
	}
	for _, object := range objects {
		seen, err := seeEvent(object)
		if err != nil {
			l.mu.Unlock()
			return err
		}
		l.store(seen, 1)
	}
	for _, e := range l.entries {
		if e.round == 0 {
			l.expire(e)
		}
	}
	l.mu.Unlock()
	l.synced.Store(true)
	l.listed()
	l.wake()
	return nil
}

func (l *eventLog) store(seen *seenEvent, round uint32) {
	if !seen.warning {
		return
	}
	e := l.entries[seen.key]
	if e == nil {
		e = &eventEntry{key: seen.key, event: seen.event, round: round}
		l.entries[seen.key] = e
		l.wait(e)
		for len(l.entries) > l.limit {
			l.evict()
		}
		return
	}
	e.round, e.expired = round, false
	known := e.event
	known.ResourceVersion = seen.event.ResourceVersion
	news := known != seen.event
	e.event = seen.event
	if news && !e.waits {
		l.sent.Remove(e.place)
		l.wait(e)
	}
}

func (l *eventLog) wait(e *eventEntry) {
	e.waits = true
	e.place = l.waiting.PushBack(e)
}

func (l *eventLog) expire(e *eventEntry) {
	e.expired = true
	if !e.waits {
		l.sent.Remove(e.place)
		delete(l.entries, e.key)
	}
}

// evict gives up the oldest event, one that was sent if there is any.
func (l *eventLog) evict() {
	from := &l.sent
	if from.Len() == 0 {
		from = &l.waiting
	}
	e, _ := from.Remove(from.Front()).(*eventEntry)
	delete(l.entries, e.key)
	if e.waits {
		l.lost.add(loss{dropped: 1, start: e.event.LastSeen, end: e.event.LastSeen})
	}
}

// take implements source.
func (l *eventLog) take(limit int, _ time.Time) []telemetry.Payload {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []telemetry.Payload
	if l.lost.dropped > 0 {
		out = append(out, &telemetry.Gap{
			Reason: telemetry.GapSourceOverflow, Dropped: l.lost.dropped, Start: l.lost.start, End: l.lost.end,
		})
		l.lost = loss{}
	}
	for len(out) < limit && l.waiting.Len() > 0 {
		e, _ := l.waiting.Remove(l.waiting.Front()).(*eventEntry)
		e.waits = false
		out = append(out, new(e.event))
		if e.expired {
			delete(l.entries, e.key)
			continue
		}
		e.place = l.sent.PushBack(e)
	}
	return out
}

// failed implements source: the values wait again, unless there is news of them.
func (l *eventLog) failed(values []telemetry.Payload, _ time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, value := range values {
		switch value := value.(type) {
		case *telemetry.Gap:
			l.lost.add(loss{dropped: value.Dropped, start: value.Start, end: value.End})
		case *telemetry.Event:
			key := objectKey{namespace: unique.Make(value.Namespace), name: value.Name}
			e := l.entries[key]
			switch {
			case e == nil:
				e = &eventEntry{key: key, event: *value, expired: true}
				l.entries[key] = e
				l.wait(e)
			case !e.waits:
				l.sent.Remove(e.place)
				l.wait(e)
			}
		}
	}
	for len(l.entries) > l.limit {
		l.evict()
	}
}

// again implements source.
func (l *eventLog) again() {
	l.mu.Lock()
	for l.sent.Len() > 0 {
		e, _ := l.sent.Remove(l.sent.Front()).(*eventEntry)
		l.wait(e)
	}
	l.mu.Unlock()
	l.wake()
}
