// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly

import (
	"container/heap"
	"time"
)

// noSlot is where an incident is that waits for no moment.
const noSlot = -1

// timers is a heap of incidents by when they are due.
type timers struct{ heap dueHeap }

type dueHeap []*incident

// Len implements heap.Interface.
func (h *dueHeap) Len() int { return len(*h) }

// Less implements heap.Interface: what is due at the same time has an order that
// does not depend on when it was set.
func (h *dueHeap) Less(i, j int) bool {
	a, b := (*h)[i], (*h)[j]
	if !a.due.Equal(b.due) {
		return a.due.Before(b.due)
	}
	return a.fingerprint < b.fingerprint
}

// Swap implements heap.Interface.
func (h *dueHeap) Swap(i, j int) {
	list := *h
	list[i], list[j] = list[j], list[i]
	list[i].slot, list[j].slot = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	inc, ok := x.(*incident)
	if !ok {
		return
	}
	inc.slot = len(*h)
	*h = append(*h, inc)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	old := *h
	inc := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	inc.slot = noSlot
	return inc
}

// set makes an incident due at a moment; zero is never.
func (t *timers) set(inc *incident, due time.Time) {
	switch {
	case due.IsZero() && inc.slot != noSlot:
		heap.Remove(&t.heap, inc.slot)
	case due.IsZero():
	case inc.slot == noSlot:
		inc.due = due
		heap.Push(&t.heap, inc)
	case !due.Equal(inc.due):
		inc.due = due
		heap.Fix(&t.heap, inc.slot)
	}
}

// sooner makes an incident due at a moment if that is before it is due anyway.
func (t *timers) sooner(inc *incident, due time.Time) {
	if !due.IsZero() && (inc.slot == noSlot || due.Before(inc.due)) {
		t.set(inc, due)
	}
}

// first returns when the next one is due, zero when none is.
func (t *timers) first() time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return t.heap[0].due
}

// pop returns the next one that is due by now, nil when there is none.
func (t *timers) pop(now time.Time) *incident {
	if len(t.heap) == 0 || t.heap[0].due.After(now) {
		return nil
	}
	inc, _ := heap.Pop(&t.heap).(*incident)
	return inc
}
