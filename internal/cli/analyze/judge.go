// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package analyze

import (
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/observe"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Finding is an anomaly of a dump.
type Finding struct {
	// Rule is the identifier of the rule.
	Rule string `json:"rule"`
	// Severity is "critical", "warning" or "info".
	Severity telemetry.Severity `json:"severity"`
	// Kind, Namespace and Name are those of the object; of several, of the one to
	// look at first.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Reason is the machine's word.
	Reason string `json:"reason"`
	// Count is how many objects are concerned.
	Count uint32 `json:"count"`
	// Since is when it began, null when the dump does not tell.
	Since *time.Time `json:"since"`
	// Title names the rule, Message says what was found.
	Title   string `json:"title"`
	Message string `json:"message"`
	// Owner is "Kind name" of the top owner, Container and Node where it is; empty
	// when there is none.
	Owner     string `json:"owner,omitempty"`
	Container string `json:"container,omitempty"`
	Node      string `json:"node,omitempty"`
	// Evidence is what the verdict rests on.
	Evidence map[string]string `json:"evidence"`
}

// fresh is how old a dump may be to be taken for one that was made just now.
const fresh = 10 * time.Minute

// Moment is when to judge a dump, if nobody says: now for one that was made just
// now or does not tell when, else when it was made. It is never before something
// that has happened.
func Moment(d *Dump, now time.Time) time.Time {
	if !d.Heartbeat.IsZero() && now.Sub(d.Heartbeat) > fresh {
		return later(d.Heartbeat, d.Newest)
	}
	return later(now, d.Newest)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Options of Judge.
type Options struct {
	// Now is when the durations end.
	Now time.Time
	// Partial is true when the dump is part of a cluster only, so that nothing is
	// concluded from what is not in it.
	Partial bool
}

// Judge returns the anomalies of a dump, the most severe first, then the oldest.
func Judge(d *Dump, o Options) []Finding {
	engine := anomaly.New(anomaly.Options{Now: o.Now, Snapshot: true})
	objects := d.Objects
	has := map[string]bool{}
	for _, object := range objects {
		has[object.About().Kind] = true
	}
	if !has[facts.KindEndpointSlice] && has[facts.KindPod] {
		objects = append(slices.Clip(objects), endpointsOf(objects)...)
	}
	// Secrets and classes are left out of most dumps.
	for _, kind := range []string{facts.KindSecret, facts.KindIngressClass} {
		if !has[kind] {
			engine.Partial(kind, o.Now)
		}
	}
	if o.Partial {
		for _, kind := range []string{facts.KindService, facts.KindEndpointSlice, facts.KindSecret, facts.KindIngressClass} {
			engine.Partial(kind, o.Now)
		}
	}
	if version := serverVersion(objects); version != "" {
		engine.Observe(observe.Cluster(version), o.Now)
	}
	for _, object := range objects {
		engine.Observe(object, o.Now)
	}
	engine.Synced(o.Now)
	open := engine.Open(-1).Worst
	findings := make([]Finding, 0, len(open))
	for i := range open {
		findings = append(findings, findingOf(&open[i]))
	}
	return findings
}

func findingOf(t *telemetry.AnomalyTransition) Finding {
	f := Finding{
		Rule: t.Rule, Severity: t.Severity, Kind: t.Object.Kind, Namespace: t.Object.Namespace, Name: t.Object.Name,
		Reason: t.Reason, Count: t.Count, Message: t.Message, Container: t.Container, Node: t.Node, Evidence: map[string]string{},
	}
	if rule, ok := catalogue.Lookup(catalogue.ID(t.Rule)); ok {
		f.Title = rule.Title(catalogue.English)
	}
	if !t.Since.Equal(rules.UnknownStart) {
		f.Since = new(t.Since.UTC())
	}
	if !t.Owner.IsZero() {
		f.Owner = t.Owner.Kind + " " + t.Owner.Name
	}
	for _, l := range t.Evidence {
		f.Evidence[l.Key] = l.Value
	}
	return f
}

// endpointsOf makes up for EndpointSlices in a dump without any, as kubectl get all
// prints it: the ready pods that a Service selects.
func endpointsOf(objects []facts.Object) []facts.Object {
	var made []facts.Object
	for _, object := range objects {
		s, ok := object.(*facts.Service)
		if !ok || len(s.Selector) == 0 {
			continue
		}
		slice := &facts.EndpointSlice{
			Meta:    facts.Meta{Ref: facts.Ref{Kind: facts.KindEndpointSlice, Namespace: s.Namespace, Name: s.Name}},
			Service: s.Name,
		}
		for _, other := range objects {
			if p, ok := other.(*facts.Pod); ok && p.Namespace == s.Namespace && facts.Is(p.Conditions, "Ready", facts.True) != nil && selects(s.Selector, p.Labels) {
				slice.Ready++
			}
		}
		made = append(made, slice)
	}
	return made
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// serverVersion is told by the image of the API server's own pod.
func serverVersion(objects []facts.Object) string {
	for _, object := range objects {
		p, ok := object.(*facts.Pod)
		if !ok || p.Component != "kube-apiserver" {
			continue
		}
		for i := range p.Containers {
			if _, tag, ok := strings.Cut(p.Containers[i].Image, ":v"); ok {
				return "v" + tag
			}
		}
	}
	return ""
}
