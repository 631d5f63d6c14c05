// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import "github.com/atlhyper/atlhyper/internal/telemetry"

// spareKeys is how many abandoned keys a queue may hold besides as many as wait.
const spareKeys = 1024

// keyQueue holds the keys of entries that wait, the longest waiting first. Keys
// of entries that wait no more stay in their places until they are reached or
// are too many.
type keyQueue struct {
	keys []objectKey
	// abandoned is how many places are of entries that wait no more.
	abandoned int
}

func (q *keyQueue) len() int { return len(q.keys) - q.abandoned }

func (q *keyQueue) waiting() bool { return q.len() > 0 }

func (q *keyQueue) push(key objectKey) { q.keys = append(q.keys, key) }

func (q *keyQueue) peek() (objectKey, bool) {
	if len(q.keys) == 0 {
		return objectKey{}, false
	}
	return q.keys[0], true
}

// pop removes the first place, of an entry that waited or of one that did not.
func (q *keyQueue) pop(waited bool) {
	q.keys[0] = objectKey{}
	q.keys = q.keys[1:]
	if !waited {
		q.abandoned--
	}
	if len(q.keys) == 0 {
		q.keys = nil
	}
}

// abandon notes that the entry of one place waits no more.
func (q *keyQueue) abandon(entries map[objectKey]*entry) {
	q.abandoned++
	if q.abandoned < spareKeys || q.abandoned < q.len() {
		return
	}
	kept := make([]objectKey, 0, q.len())
	for _, key := range q.keys {
		// A key may be in two places, the entry's flag says whether it was kept.
		if e := entries[key]; e != nil && e.queued {
			e.queued = false
			kept = append(kept, key)
		}
	}
	for _, key := range kept {
		entries[key].queued = true
	}
	q.keys, q.abandoned = kept, 0
}

// deltas collects values in one piece of memory.
type deltas struct{ values []telemetry.ObjectDelta }

func newDeltas(capacity int) *deltas {
	if capacity <= 0 {
		return &deltas{}
	}
	return &deltas{values: make([]telemetry.ObjectDelta, 0, capacity)}
}

func (d *deltas) len() int { return len(d.values) }

func (d *deltas) add(value telemetry.ObjectDelta) { d.values = append(d.values, value) }

func (d *deltas) payloads() []telemetry.Payload {
	if len(d.values) == 0 {
		return nil
	}
	payloads := make([]telemetry.Payload, len(d.values))
	for n := range d.values {
		payloads[n] = &d.values[n]
	}
	return payloads
}
