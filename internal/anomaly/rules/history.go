// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// history is what the objects of a snapshot tell about how long the numbers of
// workloads and nodes have been what they are. Nobody saw them change, but what
// changes them leaves its time in other objects. It is nil while the snapshot is not
// complete, and always when objects are watched.
type history struct {
	// replicas are by workload: for a Deployment those of all its ReplicaSets.
	replicas map[facts.Ref]*replicas
	// starts are when the pods that run on a node began, by node, in order.
	starts map[string][]time.Time
	// kinds are those that there are objects of.
	kinds map[string]bool
}

// replicas is what the pods of a workload tell.
type replicas struct {
	// pods is how many there are, and set when the newest ReplicaSet was made.
	pods int
	set  time.Time
	// created is when the newest pod was made, ready when the last of those that are
	// ready became so, and unready when the others stopped being ready, newest first.
	created, ready time.Time
	unready        []time.Time
}

// since says when a workload last had one replica more than it has now, if it lacks
// some: when the last but n-1 of its pods stopped being ready. It is zero when the
// pods do not tell, such as when some do not exist.
func (r *replicas) since(lacking int32) time.Time {
	if lacking <= 0 || int(lacking) > len(r.unready) {
		return time.Time{}
	}
	return r.unready[lacking-1]
}

// changed is when a pod was made, became ready or stopped being so.
func (r *replicas) changed() time.Time { return latestTime(r.created, r.ready, r.since(1)) }

// recount gathers the history of a snapshot. It returns what has to be judged again
// by it.
func (w *World) recount() []facts.Ref {
	h := &history{replicas: map[facts.Ref]*replicas{}, starts: map[string][]time.Time{}, kinds: map[string]bool{}}
	w.history = h
	var refs []facts.Ref
	for ref, t := range w.things {
		h.kinds[ref.Kind] = true
		switch o := t.object.(type) {
		case *facts.Workload:
			refs = append(refs, ref)
			if o.Kind == facts.KindReplicaSet && o.Owner.Kind == facts.KindDeployment {
				r := h.of(facts.Ref{Kind: o.Owner.Kind, Namespace: o.Namespace, Name: o.Owner.Name})
				r.set = latestTime(r.set, o.Created)
			}
		case *facts.Node:
			refs = append(refs, ref)
		}
	}
	for _, p := range w.pods {
		if p.full != nil && !p.full.Finished() {
			w.recountPod(p.full)
		}
	}
	for _, r := range h.replicas {
		slices.SortFunc(r.unready, func(a, b time.Time) int { return b.Compare(a) })
	}
	for _, starts := range h.starts {
		slices.SortFunc(starts, time.Time.Compare)
	}
	for ref := range w.lone {
		if !h.kinds[ref.Kind] {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (h *history) of(ref facts.Ref) *replicas {
	r := h.replicas[ref]
	if r == nil {
		r = &replicas{}
		h.replicas[ref] = r
	}
	return r
}

func (w *World) recountPod(p *facts.Pod) {
	h := w.history
	if p.Phase == facts.PhaseRunning && p.Node != "" {
		h.starts[p.Node] = append(h.starts[p.Node], firstTime(p.Started, p.Created))
	}
	owner := p.Owner
	if owner.Kind == facts.KindReplicaSet {
		owner = w.deploymentOf(p)
	}
	if owner.Kind == "" || !p.Deleted.IsZero() {
		return
	}
	r := h.of(facts.Ref{Kind: owner.Kind, Namespace: p.Namespace, Name: owner.Name})
	r.pods++
	r.created = latestTime(r.created, p.Created)
	ready := facts.Find(p.Conditions, "Ready")
	if ready != nil && ready.Status == facts.True {
		r.ready = latestTime(r.ready, ready.Since)
	} else {
		r.unready = append(r.unready, firstTime(conditionSince(ready), p.Created))
	}
}

// deploymentOf is the owner of the ReplicaSet of a pod, told by its name where the
// snapshot has no ReplicaSets.
func (w *World) deploymentOf(p *facts.Pod) facts.Owner {
	if t := w.things[facts.Ref{Kind: facts.KindReplicaSet, Namespace: p.Namespace, Name: p.Owner.Name}]; t != nil {
		return t.object.About().Owner
	}
	name, ok := strings.CutSuffix(p.Owner.Name, "-"+p.TemplateHash)
	if !ok || p.TemplateHash == "" {
		return facts.Owner{}
	}
	return facts.Owner{Kind: facts.KindDeployment, Name: name}
}

// replicasOf returns what the pods of a workload tell, nothing when they are watched.
func (w *World) replicasOf(ref facts.Ref) *replicas {
	if w.history != nil {
		if r := w.history.replicas[ref]; r != nil {
			return r
		}
	}
	return &unknownReplicas
}

// unknownReplicas are those of a workload whose pods tell nothing.
var unknownReplicas replicas

// crowdedSince is when the pod began that made a node crowded.
func (w *World) crowdedSince(n *facts.Node) time.Time {
	if w.history == nil {
		return time.Time{}
	}
	for i, start := range w.history.starts[n.Name] {
		if crowds(i+1, n.Pods) {
			return start
		}
	}
	return time.Time{}
}

// lacks says that a snapshot has no object of a kind at all, so that events are all
// there is.
func (w *World) lacks(kind string) bool { return w.history != nil && !w.history.kinds[kind] }

// hearLone remembers what an event of a snapshot is about that may be judged without
// the object.
func (w *World) hearLone(ref facts.Ref) {
	switch ref.Kind {
	case facts.KindNode, facts.KindCronJob:
		if w.lone == nil {
			w.lone = map[facts.Ref]struct{}{}
		}
		w.lone[ref] = struct{}{}
	}
}
