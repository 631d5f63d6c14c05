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

// Options of Judge.
type Options struct {
	// Now is when the durations end.
	Now time.Time
	// Partial is true when the dump is part of a cluster only, so that nothing is
	// concluded from what is not in it.
	Partial bool
}

// mayMiss are the kinds of which rules conclude something from one that is not there.
var mayMiss = []string{facts.KindService, facts.KindEndpointSlice, facts.KindSecret, facts.KindIngressClass, facts.KindNode}

// Judge returns the anomalies of a dump, the most severe first, then the oldest. The
// order of the objects does not matter.
func Judge(d *Dump, o Options) []Finding {
	objects, partial := prepare(d, o)
	return anomaliesOf(objects, partial, o.Now)
}

// prepare returns the objects of a dump in the order in which they are judged, and
// the kinds of which not all may be there.
func prepare(d *Dump, o Options) (objects []facts.Object, partial []string) {
	has := map[string]bool{}
	for _, object := range d.Objects {
		has[object.About().Kind] = true
	}
	madeUp := !has[facts.KindEndpointSlice] && has[facts.KindPod]
	for _, kind := range mayMiss {
		switch {
		case o.Partial, d.Unread[""] > 0, d.Unread[kind] > 0:
		case kind == facts.KindSecret, kind == facts.KindIngressClass:
			// These are left out of most dumps.
			if has[kind] {
				continue
			}
		case kind != facts.KindEndpointSlice, !madeUp || d.Unread[facts.KindPod] == 0:
			continue
		}
		partial = append(partial, kind)
	}
	return inOrder(withPods(d.Objects, madeUp)), partial
}

// anomaliesOf judges objects in their order, some kinds being partial.
func anomaliesOf(objects []facts.Object, partial []string, now time.Time) []Finding {
	engine := anomaly.New(anomaly.Options{Now: now, Snapshot: true})
	for _, kind := range partial {
		engine.Partial(kind, now)
	}
	if version := serverVersion(objects); version != "" {
		engine.Observe(observe.Cluster(version), now)
	}
	for _, object := range objects {
		engine.Observe(object, now)
	}
	engine.Synced(now)
	open := engine.Open(-1).Worst
	findings := make([]Finding, 0, len(open))
	for i := range open {
		findings = append(findings, findingOf(&open[i]))
	}
	slices.SortStableFunc(findings, worse)
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
