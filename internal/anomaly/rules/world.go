// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package rules has the detectors: what of the catalogue an object matches at the
// moment. World keeps as much of the objects as that takes and knows which of them
// have to be judged again when another one changes. Time passes in
// internal/anomaly, which makes anomalies of findings.
package rules

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/eventlog"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// Options of a World.
type Options struct {
	// Snapshot is true when every object is seen once, so that durations rest on
	// the times that objects tell. Otherwise what an object does not tell begins
	// when it is first seen.
	Snapshot bool
	// Horizon is before when what happened once is old news. Zero for never.
	Horizon time.Time
}

// World is what is known of a cluster. It is not safe for concurrent use.
type World struct {
	options Options
	pods    map[facts.Ref]*pod
	things  map[facts.Ref]*thing
	// needs are what a subject was judged by besides itself, and dependents the
	// other way round.
	needs      map[facts.Ref][]facts.Ref
	dependents map[facts.Ref]map[facts.Ref]struct{}
	events     *eventlog.Log
	partial    map[string]bool

	totals    totals
	endpoints map[facts.Ref]endpoints
	consumers map[facts.Ref]int
	succeeded map[facts.Ref]time.Time
	// templates are the workloads that Services may select, by namespace.
	templates map[string]templates
	// keepers are the Certificates that keep a Secret.
	keepers  map[facts.Ref][]string
	writable map[Group]bool
	// exceeded is when a quota last kept something from being created; without a name
	// when the event did not tell which.
	exceeded map[facts.Ref]time.Time
	// history and lone are of snapshots: what its objects tell about earlier, and what
	// events are about that may be judged without the object.
	history *history
	lone    map[facts.Ref]struct{}

	// sampled is how many nodes have sent samples.
	sampled int

	// limits are the thresholds to compare with, usage what those of the cluster
	// look at, and synced true once every object has been put.
	limits limits
	usage  usage
	synced bool

	touched []facts.Ref
	scratch evaluation
}

// thing is what is kept of everything but pods.
type thing struct {
	object facts.Object
	// sign is what others look at.
	sign sign
	// memory is what was seen before, by kind.
	memory any
}

// sign changes when those that depend on an object have to be judged again.
type sign struct {
	a, b string
	n    int64
	at   time.Time
}

// NewWorld returns a World without objects.
func NewWorld(options Options) *World {
	return &World{
		options: options,
		pods:    map[facts.Ref]*pod{}, things: map[facts.Ref]*thing{},
		needs: map[facts.Ref][]facts.Ref{}, dependents: map[facts.Ref]map[facts.Ref]struct{}{},
		events: eventlog.New(func(reason string) bool { return heard[reason] }), partial: map[string]bool{},
		totals: newTotals(), endpoints: map[facts.Ref]endpoints{}, consumers: map[facts.Ref]int{},
		succeeded: map[facts.Ref]time.Time{}, templates: map[string]templates{}, keepers: map[facts.Ref][]string{}, writable: map[Group]bool{}, exceeded: map[facts.Ref]time.Time{},
	}
}

// Partial says whether not all objects of a kind are observed, so that nothing is
// concluded from one that is not there. It returns what has to be judged again,
// which takes a look at every object but pods.
func (w *World) Partial(kind string, partial bool) []facts.Ref {
	w.touched = w.touched[:0]
	if w.partial[kind] == partial {
		return nil
	}
	if partial {
		w.partial[kind] = true
	} else {
		delete(w.partial, kind)
	}
	if kind == facts.KindNode || kind == facts.KindPod {
		w.touch(clusterRef)
		w.touchMetrics(nodeMetrics...)
	}
	for ref := range w.things {
		switch ref.Kind {
		case facts.KindService, facts.KindIngress, facts.KindValidating, facts.KindMutating:
			w.touch(ref)
		}
	}
	return w.touched
}

// Unjudged reports whether too little was known for a rule when Findings was last
// called. That it found nothing then says nothing.
func (w *World) Unjudged(id catalogue.ID) bool { return slices.Contains(w.scratch.unjudged, id) }

// IsPartial reports whether a kind is partial.
func (w *World) IsPartial(kind string) bool { return w.partial[kind] }

// Len returns the number of objects that are known.
func (w *World) Len() int { return len(w.pods) + len(w.things) }

// UID returns that of a known object.
func (w *World) UID(ref facts.Ref) (string, bool) {
	if ref.Kind == facts.KindPod {
		if p := w.pods[ref]; p != nil {
			return p.uid, true
		}
		return "", false
	}
	if t := w.things[ref]; t != nil {
		return t.object.About().UID, true
	}
	return "", false
}

// Put takes an object as it is now. It returns what has to be judged: the object
// and those that depend on it. The list is valid until the next call.
func (w *World) Put(o facts.Object, now time.Time) []facts.Ref {
	w.touched = w.touched[:0]
	switch o := o.(type) {
	case *facts.Pod:
		w.putPod(o, now)
	case *facts.Event:
		w.putEvent(o, now)
	case *facts.NodeSample:
		// A sample that comes late would bring back what went with its node.
		if !w.NodeGone(o.Name) {
			w.putThing(o, now)
		}
	default:
		w.putThing(o, now)
	}
	return w.touched
}

// Delete takes an object away. It returns what has to be judged because of that.
func (w *World) Delete(ref facts.Ref) []facts.Ref {
	w.touched = w.touched[:0]
	w.forgetNeeds(ref)
	switch ref.Kind {
	case facts.KindPod:
		w.deletePod(ref)
	case facts.KindEvent:
		w.events.Delete(ref)
		return w.touched
	default:
		w.deleteThing(ref)
	}
	w.events.Forget(ref)
	w.notify(ref)
	return w.touched
}

// Findings judges a subject: what of the catalogue it matches. The list is valid
// until the next call of any method.
func (w *World) Findings(ref facts.Ref, now time.Time) []Finding {
	w.forgetNeeds(ref)
	e := &w.scratch
	e.begin(w, ref, now)
	if ref.Kind == facts.KindPod {
		e.judgePod(w.pods[ref])
	} else if t := w.things[ref]; t != nil {
		e.judge(t)
	} else {
		e.judgeSurrogate(ref)
	}
	if len(e.needs) > 0 {
		w.needs[ref] = append([]facts.Ref(nil), e.needs...)
		for _, need := range e.needs {
			if w.dependents[need] == nil {
				w.dependents[need] = map[facts.Ref]struct{}{}
			}
			w.dependents[need][ref] = struct{}{}
		}
	}
	if ref.Kind == facts.KindPod {
		w.rest(ref, len(e.found) > 0 || len(e.needs) > 0)
	}
	return e.found
}

func (w *World) forgetNeeds(ref facts.Ref) {
	needs, ok := w.needs[ref]
	if !ok {
		return
	}
	for _, need := range needs {
		if waiting := w.dependents[need]; waiting != nil {
			delete(waiting, ref)
			if len(waiting) == 0 {
				delete(w.dependents, need)
			}
		}
	}
	delete(w.needs, ref)
}

func (w *World) touch(ref facts.Ref) { w.touched = append(w.touched, ref) }

// notify touches what depends on a reference.
func (w *World) notify(ref facts.Ref) {
	for dependent := range w.dependents[ref] {
		w.touch(dependent)
	}
}

func (w *World) putThing(o facts.Object, now time.Time) {
	ref := o.About().Ref
	old := w.things[ref]
	fresh := &thing{object: o, sign: signOf(o)}
	var before facts.Object
	if old != nil {
		fresh.memory, before = old.memory, old.object
	}
	w.things[ref] = fresh
	w.note(fresh, before, now)
	w.touch(ref)
	if old == nil || old.sign != fresh.sign || w.limits.selects && relabelled(before, o) {
		w.notify(ref)
	}
}

func (w *World) deleteThing(ref facts.Ref) {
	t := w.things[ref]
	if t == nil {
		return
	}
	delete(w.things, ref)
	switch o := t.object.(type) {
	case *facts.Node:
		w.totals.removeNode(o.Name)
		w.touch(clusterRef)
		w.usage.remove(o.Name)
		w.touchMetrics(nodeMetrics...)
		sample := facts.Ref{Kind: facts.KindNodeSample, Name: o.Name}
		if w.things[sample] != nil {
			w.deleteThing(sample)
			w.touch(sample)
		}
	case *facts.NodeSample:
		w.sampled--
	case *facts.EndpointSlice:
		w.countEndpoints(nil, o)
	case *facts.Job:
		w.forgetCronJob(o)
	case *facts.CronJob:
		delete(w.succeeded, ref)
	case *facts.Workload:
		w.countTemplates(nil, o)
	case *facts.Certificate:
		w.countKeepers(nil, o)
	}
}

// signOf returns what others look at.
func signOf(o facts.Object) sign {
	switch o := o.(type) {
	case *facts.Node:
		s := sign{n: o.Pods}
		if c := facts.Find(o.Conditions, "Ready"); c != nil {
			s.a = c.Status
		}
		return s
	case *facts.Workload:
		s := sign{a: o.Owner.Kind, b: o.Owner.Name}
		if o.Down() {
			s.n = 1
		}
		return s
	case *facts.Job:
		s := sign{a: o.Owner.Kind, b: o.Owner.Name}
		for i, is := range []bool{o.Queued, isComplete(o), hasFailed(o)} {
			s.n |= boolean(is) << i
		}
		return s
	case *facts.Service:
		return sign{a: portsOf(o.Ports), b: o.Type}
	case *facts.StorageClass:
		return sign{n: boolean(o.WaitsForConsumer)}
	case *facts.Certificate:
		return sign{at: o.Renewal}
	default:
		return sign{}
	}
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// NodeMemory is what a World remembers of a node besides the node.
type NodeMemory struct {
	// Node by name.
	Node string `json:"node"`
	// BootID that was seen last.
	BootID string `json:"bootID,omitempty"`
	// Ready is the status of the condition that was seen last, and Changes when
	// it changed in the last 15 minutes.
	Ready   string      `json:"ready,omitempty"`
	Changes []time.Time `json:"changes,omitempty"`
}

// Memory returns what has to outlive a restart besides anomalies.
func (w *World) Memory() []NodeMemory {
	var memories []NodeMemory
	for ref, t := range w.things {
		if m, ok := t.memory.(*nodeMemory); ok && ref.Kind == facts.KindNode {
			memories = append(memories, NodeMemory{Node: ref.Name, BootID: m.bootID, Ready: m.ready, Changes: m.changes})
		}
	}
	return memories
}

// Remember takes what Memory returned, and the anomalies that were open. It comes
// before the first Put.
func (w *World) Remember(memories []NodeMemory, open []Key) {
	for _, m := range memories {
		ref := facts.Ref{Kind: facts.KindNode, Name: m.Node}
		w.things[ref] = &thing{
			object: &facts.Node{Meta: facts.Meta{Ref: ref}},
			memory: &nodeMemory{bootID: m.BootID, ready: m.Ready, changes: m.Changes},
		}
	}
	for _, key := range open {
		if key.Rule == nodeFSReadOnly {
			w.writable[key.Group] = true
		}
	}
}

// Unseen returns the nodes that Remember brought and nobody has put since.
func (w *World) Unseen() []facts.Ref {
	var refs []facts.Ref
	if w.options.Snapshot {
		return nil // a node of which little is known is there all the same
	}
	for ref, t := range w.things {
		if n, ok := t.object.(*facts.Node); ok && remembered(n) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// Orphans returns the samples whose node is gone.
func (w *World) Orphans() []facts.Ref {
	var refs []facts.Ref
	for ref := range w.things {
		if ref.Kind == facts.KindNodeSample && w.NodeGone(ref.Name) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// Sampled returns how many nodes have sent samples.
func (w *World) Sampled() int { return w.sampled }
