// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"sync"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// maxWaitingEvents bounds how many Kubernetes events wait. Of everything else there
// is no more than there are objects.
const maxWaitingEvents = 16 << 10

// What comes in besides objects, in its place among them.
type (
	// allListed says that all there was has come in, but for some kinds.
	allListed struct{ partial []string }
	// kindReadable says whether a kind can be read.
	kindReadable struct {
		kind string
		yes  bool
	}
	// serverAnswers says whether the API server answers.
	serverAnswers struct{ yes bool }
	// tellAgain asks for what is open to be told again.
	tellAgain struct{}
	// newThresholds has what the hub wants metrics to be compared with.
	newThresholds struct{ document string }
)

// entry is an object or a message.
type entry struct {
	*object
	message any
}

// object is what waits of one object. What it was before it went is kept, because
// it may have failed before it was cleaned up; what was between is not.
type object struct {
	ref   facts.Ref
	first facts.Object
	gone  bool
	// then is another object of the same name, or the same after it came back.
	then facts.Object
}

// inbox holds what the engine has not seen yet: of each object the latest state, in
// the order in which they first changed.
type inbox struct {
	wake chan struct{}

	mu      sync.Mutex
	objects map[facts.Ref]*object
	order   []entry
	// events is how many events wait, and lost how many found no room.
	events, lost int
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1), objects: map[facts.Ref]*object{}}
}

func (b *inbox) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// observe takes an object as it is now. A heartbeat wakes nobody: nodes have them
// all the time, and it is soon enough to look at them together.
func (b *inbox) observe(o facts.Object) {
	b.mu.Lock()
	if waiting := b.at(o.About().Ref); waiting == nil {
		b.lost++
	} else if waiting.gone {
		waiting.then = o
	} else {
		waiting.first = o
	}
	b.mu.Unlock()
	if o.About().Kind != facts.KindLease {
		b.nudge()
	}
}

// forget takes an object that is gone.
func (b *inbox) forget(ref facts.Ref) {
	b.mu.Lock()
	if waiting := b.at(ref); waiting != nil {
		waiting.gone, waiting.then = true, nil
	}
	b.mu.Unlock()
	b.nudge()
}

// at returns what waits of an object, with mu held; nil when there is no room.
func (b *inbox) at(ref facts.Ref) *object {
	waiting := b.objects[ref]
	if waiting != nil {
		return waiting
	}
	if ref.Kind == facts.KindEvent {
		if b.events >= maxWaitingEvents {
			return nil
		}
		b.events++
	}
	waiting = &object{ref: ref}
	b.objects[ref] = waiting
	b.order = append(b.order, entry{object: waiting})
	return waiting
}

// say takes a message.
func (b *inbox) say(message any) {
	b.mu.Lock()
	b.order = append(b.order, entry{message: message})
	b.mu.Unlock()
	b.nudge()
}

// take removes and returns what has waited longest, at most so many entries, and how
// many events were lost since the last call.
func (b *inbox) take(limit int) (entries []entry, lost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost, b.lost = b.lost, 0
	n := min(limit, len(b.order))
	entries = b.order[:n:n]
	for i := range entries {
		if o := entries[i].object; o != nil {
			delete(b.objects, o.ref)
			if o.ref.Kind == facts.KindEvent {
				b.events--
			}
		}
	}
	if b.order = b.order[n:]; len(b.order) == 0 {
		b.order = nil
	}
	return entries, lost
}
