// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// ledger keeps the objects of one kind and what the hub was told of them. What
// the hub does not know yet waits in a queue of keys: however often an object
// changes in the meantime, it waits once, and what is sent is its latest state.
// So a ledger never holds more than the objects there are and those that were
// when the sink last worked.
type ledger struct {
	kind telemetry.Kind
	// reduce makes a sighting of an object of the API; false when the object is
	// of another kind.
	reduce func(object any, into *sighting) bool
	// listed is called, without mu, after each complete listing.
	listed func()
	// wake is called, without mu, when there is something to take.
	wake func()
	// synced is set by the first complete listing.
	synced atomic.Bool

	mu      sync.Mutex
	seen    sighting
	objects map[objectKey]*entry
	// round numbers the listings.
	round uint32
	queue keyQueue
	// resync asks for a snapshot, whatever is under way.
	resync bool
	// snapshot is the one under way.
	snapshot *snapshotList
}

// sighting is an object as it was seen.
type sighting struct {
	key objectKey
	record
	// hidden objects exist but are not worth telling of.
	hidden bool
}

// entry is an object, or the memory of one that the hub still has to forget.
type entry struct {
	record
	// before is another object of the same name that the hub still has to forget.
	before *gone
	// round is that of the listing that had the object last.
	round uint32
	// present is false for an object that is gone.
	present bool
	// told is set when the hub knows of the object, in whatever state.
	told bool
	// queued is set while the key waits in the queue.
	queued bool
}

// gone is what the hub is told of an object that is gone.
type gone struct {
	uid     objectUID
	version uint64
}

// snapshotList is a full list that is being sent.
type snapshotList struct {
	keys  []objectKey
	begun bool
	sent  int64
}

var _ cache.TransformingStore = (*ledger)(nil)

// newLedger makes the ledger of a kind from the pure conversion of its objects,
// which is false for those that are not worth telling of.
func newLedger[O any](kind telemetry.Kind, convert func(*O, *builder) bool, wake func()) *ledger {
	var b builder
	return &ledger{
		kind: kind,
		reduce: func(object any, into *sighting) bool {
			o, isKind := object.(*O)
			key, hasName := keyOf(object)
			if !isKind || !hasName {
				return false
			}
			into.key = key
			into.hidden = !convert(o, &b)
			into.record = b.finish()
			return true
		},
		listed:  func() {},
		wake:    wake,
		objects: map[objectKey]*entry{},
		resync:  true,
	}
}

// Transformer makes the reflector hold sightings while it collects a listing.
func (l *ledger) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		if seen, ok := object.(*sighting); ok {
			return seen, nil
		}
		seen := &sighting{}
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.reduce(object, seen) {
			return nil, fmt.Errorf("storing a %s of unexpected type %T", l.kind, object)
		}
		return seen, nil
	}
}

// see returns the sighting of an object, with mu held; valid until the next call.
func (l *ledger) see(object any) (*sighting, error) {
	if seen, ok := object.(*sighting); ok {
		return seen, nil
	}
	if !l.reduce(object, &l.seen) {
		return nil, fmt.Errorf("storing a %s of unexpected type %T", l.kind, object)
	}
	return &l.seen, nil
}

// Add stores a new object or a new state of a known one.
func (l *ledger) Add(object any) error {
	l.mu.Lock()
	seen, err := l.see(object)
	if err == nil {
		l.store(seen)
	}
	waiting := l.queue.waiting()
	l.mu.Unlock()
	if waiting {
		l.wake()
	}
	return err
}

// Update stores a new state of an object.
func (l *ledger) Update(object any) error { return l.Add(object) }

// Delete notes that an object is gone.
func (l *ledger) Delete(object any) error {
	key, ok := keyOf(object)
	if seen, reduced := object.(*sighting); reduced {
		key, ok = seen.key, true
	}
	if !ok {
		return fmt.Errorf("forgetting a %s of unexpected type %T", l.kind, object)
	}
	l.mu.Lock()
	l.drop(key)
	waiting := l.queue.waiting()
	l.mu.Unlock()
	if waiting {
		l.wake()
	}
	return nil
}

// Resync does nothing: nothing here depends on being told the same again.
func (*ledger) Resync() error { return nil }

// Replace takes a complete listing. What it lacks is gone, also when it went
// while nobody watched.
func (l *ledger) Replace(list []any, _ string) error {
	l.mu.Lock()
	l.round++
	for _, object := range list {
		seen, err := l.see(object)
		if err != nil {
			l.mu.Unlock()
			return err
		}
		l.store(seen)
	}
	for key, e := range l.objects {
		if e.present && e.round != l.round {
			l.drop(key)
		}
	}
	l.mu.Unlock()
	l.synced.Store(true)
	l.listed()
	l.wake()
	return nil
}

// store notes the present state of an object, with mu held.
func (l *ledger) store(seen *sighting) {
	if seen.hidden || seen.uid == (objectUID{}) || seen.key.name == "" || len(seen.key.name) > telemetry.MaxName {
		l.drop(seen.key)
		return
	}
	e := l.objects[seen.key]
	if e == nil {
		e = &entry{}
		l.objects[seen.key] = e
	}
	e.round = l.round
	switch same := e.uid == seen.uid; {
	case e.present && same && e.sameAs(&seen.record):
		e.version = seen.version
		return
	case e.told && !same:
		e.before = &gone{uid: e.uid, version: e.version}
		e.told = false
	}
	e.record, e.present = seen.record, true
	l.enqueue(seen.key, e)
}

// drop notes that an object is gone, with mu held.
func (l *ledger) drop(key objectKey) {
	e := l.objects[key]
	switch {
	case e == nil || !e.present:
	case e.told:
		e.present = false
		e.record = record{uid: e.uid, version: e.version}
		l.enqueue(key, e)
	case e.before != nil:
		// The hub knows of the one before only.
		e.present, e.told = false, true
		e.record = record{uid: e.before.uid, version: e.before.version}
		e.before = nil
	default:
		delete(l.objects, key)
		if e.queued {
			l.queue.abandon(l.objects)
		}
	}
}

func (l *ledger) enqueue(key objectKey, e *entry) {
	if !e.queued {
		e.queued = true
		l.queue.push(key)
	}
}

// again asks for a snapshot: the hub may have missed something.
func (l *ledger) again() {
	l.mu.Lock()
	l.resync = true
	l.mu.Unlock()
	l.wake()
}

// failed implements source.
func (l *ledger) failed([]telemetry.Payload, time.Time) { l.again() }

// take implements source: it returns what is to be sent next, at most limit values.
func (l *ledger) take(limit int, _ time.Time) []telemetry.Payload {
	if !l.synced.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resync {
		l.startSnapshot()
	}
	if l.snapshot != nil {
		return l.takeSnapshot(limit)
	}
	return l.takeChanges(limit)
}

// startSnapshot forgets what the hub was told, with mu held.
func (l *ledger) startSnapshot() {
	l.resync = false
	l.queue = keyQueue{}
	list := &snapshotList{keys: make([]objectKey, 0, len(l.objects))}
	for key, e := range l.objects {
		if !e.present {
			delete(l.objects, key)
			continue
		}
		e.before, e.told, e.queued = nil, false, false
		list.keys = append(list.keys, key)
	}
	l.snapshot = list
}

func (l *ledger) takeSnapshot(limit int) []telemetry.Payload {
	s := l.snapshot
	out := newDeltas(min(limit, len(s.keys)+2))
	if !s.begun {
		s.begun = true
		out.add(telemetry.ObjectDelta{Op: telemetry.OpSnapshotBegin, Kind: l.kind})
	}
	for ; out.len() < limit && len(s.keys) > 0; s.keys = s.keys[1:] {
		key := s.keys[0]
		e := l.objects[key]
		if e == nil || !e.present {
			continue // gone since; the end of the snapshot says so
		}
		if e.queued {
			e.queued = false
			l.queue.abandon(l.objects)
		}
		e.told = true
		s.sent++
		out.add(e.delta(l.kind, key))
	}
	if out.len() < limit {
		l.snapshot = nil
		out.add(telemetry.ObjectDelta{
			Op: telemetry.OpSnapshotEnd, Kind: l.kind,
			Numbers: []telemetry.Number{{ID: telemetry.NumberObjects, Value: s.sent}},
		})
	}
	return out.payloads()
}

func (l *ledger) takeChanges(limit int) []telemetry.Payload {
	out := newDeltas(min(limit, 2*l.queue.len()))
	// An object that took the name of another one makes two values.
	for out.len() < limit {
		key, ok := l.queue.peek()
		if !ok {
			break
		}
		e := l.objects[key]
		if e == nil || !e.queued {
			l.queue.pop(false)
			continue
		}
		if e.before != nil {
			out.add(e.before.delta(l.kind, key))
			e.before = nil
			continue
		}
		l.queue.pop(true)
		e.queued = false
		if e.present {
			e.told = true
			out.add(e.delta(l.kind, key))
			continue
		}
		out.add((&gone{uid: e.uid, version: e.version}).delta(l.kind, key))
		delete(l.objects, key)
	}
	return out.payloads()
}

func (g *gone) delta(kind telemetry.Kind, key objectKey) telemetry.ObjectDelta {
	return telemetry.ObjectDelta{
		Op: telemetry.OpDelete, Kind: kind, Namespace: key.namespace.Value(), Name: key.name,
		UID: g.uid.String(), ResourceVersion: g.version,
	}
}

// nameOnly converts objects of which nothing is told but what all objects have.
func nameOnly(o *metav1.PartialObjectMetadata, b *builder) bool {
	b.begin(&o.ObjectMeta)
	return true
}
