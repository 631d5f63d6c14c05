// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"maps"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// endpoints are those of a Service.
type endpoints struct {
	ready, slices int
	// changed is when one of the slices last changed, as far as they tell.
	changed time.Time
}

func endpointsRef(namespace, service string) facts.Ref {
	return facts.Ref{Kind: kindEndpoints, Namespace: namespace, Name: service}
}

// noteNetwork updates what a World keeps of an object that comes instead of another,
// which may be nil.
func (w *World) noteNetwork(o, before facts.Object) {
	switch o := o.(type) {
	case *facts.EndpointSlice:
		old, _ := before.(*facts.EndpointSlice)
		w.countEndpoints(o, old)
	case *facts.Certificate:
		old, _ := before.(*facts.Certificate)
		w.countKeepers(o, old)
	}
}

// countEndpoints takes an EndpointSlice instead of another; either may be nil.
func (w *World) countEndpoints(now, before *facts.EndpointSlice) {
	change := func(s *facts.EndpointSlice, n int) {
		if s == nil || s.Service == "" {
			return
		}
		ref := endpointsRef(s.Namespace, s.Service)
		old := w.endpoints[ref]
		e := endpoints{ready: old.ready + n*s.Ready, slices: old.slices + n, changed: latestTime(old.changed, s.Created, s.Changed)}
		if e.slices == 0 {
			delete(w.endpoints, ref)
		} else {
			w.endpoints[ref] = e
		}
		// How many are ready matters only when it is none, and the rest only then.
		if (old.ready == 0) != (e.ready == 0) || e.ready == 0 && (old.slices != e.slices || !old.changed.Equal(e.changed)) {
			w.notify(ref)
		}
	}
	change(now, 1)
	change(before, -1)
}

// noEndpoints says that a Service has no ready endpoint, and before when it cannot
// have lost the last one.
func (e *evaluation) noEndpoints(s *facts.Service) (earliest time.Time, none bool) {
	ref := endpointsRef(s.Namespace, s.Name)
	e.need(ref)
	found := e.w.endpoints[ref]
	return latestTime(s.Created, s.PodsChanged, found.changed), found.ready == 0
}

// templates are the workloads of a namespace that Services may select the pods of.
type templates map[facts.Ref]*facts.Workload

// zeroWorkloads stands for which workloads of a namespace are scaled to 0.
func zeroWorkloads(namespace string) facts.Ref {
	return facts.Ref{Kind: kindZeroWorkloads, Namespace: namespace}
}

// idle says that a workload has no replicas on purpose. A DaemonSet without nodes
// has none by chance.
func idle(o *facts.Workload) bool { return o.Desired == 0 && o.Kind != facts.KindDaemonSet }

// countTemplates takes a workload instead of another; either may be nil.
func (w *World) countTemplates(now, before *facts.Workload) {
	o := now
	if o == nil {
		o = before
	}
	known := w.templates[o.Namespace]
	if now == nil || len(now.Labels) == 0 {
		if _, was := known[o.Ref]; !was {
			return
		}
		delete(known, o.Ref)
		if len(known) == 0 {
			delete(w.templates, o.Namespace)
		}
		w.notify(zeroWorkloads(o.Namespace))
		return
	}
	if known == nil {
		known = templates{}
		w.templates[o.Namespace] = known
	}
	old := known[o.Ref]
	known[o.Ref] = now
	if old == nil || idle(old) != idle(now) || !maps.Equal(old.Labels, now.Labels) {
		w.notify(zeroWorkloads(o.Namespace))
	}
}

// scaledToZero says that the Service selects a workload that has no replicas on
// purpose, and none that should have some.
func (e *evaluation) scaledToZero(s *facts.Service) bool {
	e.need(zeroWorkloads(s.Namespace))
	some := func(match func(*facts.Workload) bool) bool {
		for _, w := range e.w.templates[s.Namespace] {
			if match(w) && selects(s.Selector, w.Labels) {
				return true
			}
		}
		return false
	}
	return some(idle) && !some(func(w *facts.Workload) bool { return w.Desired > 0 })
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// keptSecret stands for which Certificates of cert-manager keep a Secret.
func keptSecret(namespace, name string) facts.Ref {
	return facts.Ref{Kind: kindKeptSecret, Namespace: namespace, Name: name}
}

// countKeepers takes a Certificate instead of another; either may be nil.
func (w *World) countKeepers(now, before *facts.Certificate) {
	if now != nil && before != nil && now.Secret == before.Secret {
		return
	}
	if before != nil && before.Secret != "" {
		ref := keptSecret(before.Namespace, before.Secret)
		rest := slices.DeleteFunc(w.keepers[ref], func(name string) bool { return name == before.Name })
		if w.keepers[ref] = rest; len(rest) == 0 {
			delete(w.keepers, ref)
		}
		w.notify(ref)
	}
	if now != nil && now.Secret != "" {
		ref := keptSecret(now.Namespace, now.Secret)
		w.keepers[ref] = append(w.keepers[ref], now.Name)
		w.notify(ref)
	}
}
