// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package analyze

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// labelled is a label in a namespace.
type labelled struct{ namespace, key, value string }

// podIndex has pods by their labels.
type podIndex map[labelled][]*facts.Pod

func indexPods(objects []facts.Object) podIndex {
	index := podIndex{}
	for _, o := range objects {
		if p, ok := o.(*facts.Pod); ok {
			for key, value := range p.Labels {
				l := labelled{p.Namespace, key, value}
				index[l] = append(index[l], p)
			}
		}
	}
	return index
}

// selected returns the pods that a Service with a selector selects.
func (x podIndex) selected(s *facts.Service) []*facts.Pod {
	var fewest []*facts.Pod
	first := true
	for key, value := range s.Selector {
		if pods := x[labelled{s.Namespace, key, value}]; first || len(pods) < len(fewest) {
			fewest, first = pods, false
		}
	}
	var pods []*facts.Pod
	for _, p := range fewest {
		if selects(s.Selector, p.Labels) {
			pods = append(pods, p)
		}
	}
	return pods
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// withPods says of each Service when its pods last changed. With slices it makes up
// for EndpointSlices in a dump without any, as kubectl get all prints it: by the
// ready pods that a Service selects.
func withPods(objects []facts.Object, slices bool) []facts.Object {
	index := indexPods(objects)
	all := make([]facts.Object, 0, len(objects))
	for _, o := range objects {
		s, ok := o.(*facts.Service)
		if !ok || len(s.Selector) == 0 {
			all = append(all, o)
			continue
		}
		told := *s
		ready := 0
		for _, p := range index.selected(s) {
			told.PodsChanged = later(told.PodsChanged, podChanged(p))
			if answers(p, s) {
				ready++
			}
		}
		all = append(all, &told)
		if slices {
			all = append(all, &facts.EndpointSlice{
				Meta:    facts.Meta{Ref: facts.Ref{Kind: facts.KindEndpointSlice, Namespace: s.Namespace, Name: s.Name}},
				Service: s.Name, Ready: ready,
			})
		}
	}
	return all
}

// answers says whether a pod would be a ready endpoint of a Service that selects it.
func answers(p *facts.Pod, s *facts.Service) bool {
	if p.Finished() {
		return false
	}
	return s.PublishNotReady || p.Deleted.IsZero() && facts.Is(p.Conditions, "Ready", facts.True) != nil
}

// podChanged is before when a pod cannot have ceased to answer: it was made then,
// became ready or lost that, or was told to end.
func podChanged(p *facts.Pod) time.Time {
	changed := later(p.Created, p.Deleted)
	if c := facts.Find(p.Conditions, "Ready"); c != nil {
		changed = later(changed, c.Since)
	}
	return changed
}
