// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var errSink = errors.New("the sink refuses")

// hub is a Sink and a model of what the hub makes of the deltas it gets. It
// notes every delta that makes no sense after those before it.
type hub struct {
	mu sync.Mutex
	// before, when set, may refuse a call; taken says how many values of it the
	// hub gets nonetheless.
	before func(stream telemetry.Stream, values []telemetry.Payload) (taken int, err error)

	objects   map[telemetry.Kind]map[string]telemetry.ObjectDelta
	snapshots map[telemetry.Kind]map[string]telemetry.ObjectDelta
	events    map[string]telemetry.Event
	gaps      []telemetry.Gap
	// deltas counts what came in, by kind and operation.
	deltas   map[string]int
	log      []string
	problems []string
}

func newHub() *hub {
	return &hub{
		objects:   map[telemetry.Kind]map[string]telemetry.ObjectDelta{},
		snapshots: map[telemetry.Kind]map[string]telemetry.ObjectDelta{},
		events:    map[string]telemetry.Event{},
		deltas:    map[string]int{},
	}
}

// Append implements Sink.
func (h *hub) Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error {
	var err error
	taken := len(values)
	h.mu.Lock()
	before := h.before
	h.mu.Unlock()
	if before != nil {
		taken, err = before(stream, values)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.IsZero() || len(values) == 0 {
		h.problem("an Append of %d values at %s", len(values), at)
	}
	for _, value := range values[:taken] {
		h.apply(stream, value)
	}
	return err
}

func (h *hub) problem(format string, args ...any) {
	h.problems = append(h.problems, fmt.Sprintf(format, args...))
}

func (h *hub) apply(stream telemetry.Stream, value telemetry.Payload) {
	switch v := value.(type) {
	case *telemetry.ObjectDelta:
		if stream != telemetry.StreamInventory {
			h.problem("a delta in the stream %s", stream)
		}
		if err := v.Validate(); err != nil {
			h.problem("%s %s %s: %v", v.Op, v.Kind, v.Name, err)
		}
		h.deltas[fmt.Sprintf("%s %s", v.Op, v.Kind)]++
		h.log = append(h.log, fmt.Sprintf("%s %s %s", v.Op, v.Kind, v.Name))
		h.applyDelta(v)
	case *telemetry.Event:
		if stream != telemetry.StreamEvents {
			h.problem("an event in the stream %s", stream)
		}
		if err := v.Validate(); err != nil {
			h.problem("event %s: %v", v.Name, err)
		}
		h.log = append(h.log, fmt.Sprintf("event %s x%d", v.Name, v.Count))
		h.events[v.UID] = *v
	case *telemetry.Gap:
		h.gaps = append(h.gaps, *v)
	default:
		h.problem("a %T", value)
	}
}

func (h *hub) applyDelta(d *telemetry.ObjectDelta) {
	key := d.Namespace + "/" + d.Name
	list, listing := h.snapshots[d.Kind]
	state := h.objects[d.Kind]
	switch d.Op {
	case telemetry.OpSnapshotBegin:
		h.snapshots[d.Kind] = map[string]telemetry.ObjectDelta{}
	case telemetry.OpSnapshotEnd:
		if n, _ := d.Number(telemetry.NumberObjects); !listing || int(n) != len(list) {
			h.problem("a snapshot of %s that ends with %d of %d objects", d.Kind, len(list), n)
		}
		h.objects[d.Kind] = list
		delete(h.snapshots, d.Kind)
	case telemetry.OpUpsert:
		if listing {
			if _, twice := list[key]; twice {
				h.problem("%s %s is in one snapshot twice", d.Kind, key)
			}
			list[key] = *d
			return
		}
		if state == nil {
			h.problem("%s %s without a snapshot before", d.Kind, key)
			return
		}
		if old, known := state[key]; known && old.UID != d.UID {
			h.problem("%s %s replaces another object that was not deleted", d.Kind, key)
		}
		state[key] = *d
	case telemetry.OpDelete:
		if old, known := state[key]; listing || !known || old.UID != d.UID {
			h.problem("%s %s %s is deleted, known is %q", d.Kind, key, d.UID, old.UID)
		}
		delete(state, key)
	}
}

// set changes how the hub answers.
func (h *hub) set(before func(telemetry.Stream, []telemetry.Payload) (int, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = before
}

// refuse makes the hub take nothing.
func refuse(telemetry.Stream, []telemetry.Payload) (int, error) { return 0, errSink }

// get returns an object, nil when the hub knows of none.
func (h *hub) get(kind telemetry.Kind, namespace, name string) *telemetry.ObjectDelta {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d, ok := h.objects[kind][namespace+"/"+name]; ok {
		return &d
	}
	return nil
}

// listed says whether the hub got a complete snapshot of a kind.
func (h *hub) listed(kind telemetry.Kind) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.objects[kind] != nil
}

func (h *hub) count(op telemetry.DeltaOp, kind telemetry.Kind) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deltas[fmt.Sprintf("%s %s", op, kind)]
}

func (h *hub) entries() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.log)
}

func (h *hub) complaints() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.problems)
}

// eventsAbout returns the events about an object of a name.
func (h *hub) eventsAbout(name string) []telemetry.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var about []telemetry.Event
	for _, uid := range slices.Sorted(maps.Keys(h.events)) {
		if e := h.events[uid]; e.Regarding.Name == name {
			about = append(about, e)
		}
	}
	return about
}
