// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// KindClusterMetric is the kind of the subject that thresholds of a metric of the
// cluster are about. Its name is the metric's.
const KindClusterMetric = "ClusterMetric"

// limits are the thresholds that a World compares with.
type limits struct {
	list    []threshold.Threshold
	byRule  map[catalogue.ID]*limit
	node    map[telemetry.MetricID][]*limit
	cluster map[string][]*limit
	// selects is true when one of them looks at labels of nodes.
	selects bool
}

// limit is a threshold, made ready.
type limit struct {
	threshold.Threshold
	metric threshold.Description
	value  float64
	rule   *catalogue.Rule
}

// IsThreshold says whether a rule is a threshold of somebody, not one of the
// catalogue.
func IsThreshold(id catalogue.ID) bool { return strings.HasPrefix(string(id), threshold.Prefix) }

func newLimit(t *threshold.Threshold) (*limit, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	l := &limit{Threshold: t.Canonical()}
	l.metric, _ = threshold.Lookup(t.Metric.Scope, t.Metric.Name)
	var err error
	if l.value, err = l.Metric.Limit(); err != nil {
		return nil, err
	}
	l.rule = &catalogue.Rule{
		ID: catalogue.ID(threshold.Prefix + l.Rule), Kinds: []string{l.Metric.Scope}, Category: "metric", Severity: l.Severity,
		Titles: map[catalogue.Language]string{catalogue.English: l.Rule}, Source: catalogue.SourceSamples,
		For: l.For(), KeepFiringFor: l.KeepFiringFor(), InhibitedBy: []catalogue.ID{nodeUnreachable},
	}
	return l, nil
}

// picks says whether the series of a label is one that the limit is about.
func (l *limit) picks(label string) bool {
	want, restricted := l.Metric.Labels[l.metric.Label]
	return !restricted || want == label
}

// Ending is why a threshold is not what it was.
type Ending uint8

// The endings.
const (
	// EndRemoved: the rule is not there any more.
	EndRemoved Ending = iota + 1
	// EndChanged: the rule compares something else.
	EndChanged
)

// SetThresholds takes the thresholds to compare with instead of those before. What
// is not valid is left out, and of two with the same name the second. It returns the
// rules that have ended and the subjects to judge, or false when nothing is new.
func (w *World) SetThresholds(list []threshold.Threshold) (ended map[catalogue.ID]Ending, judge []facts.Ref, changed bool) {
	fresh := limits{byRule: map[catalogue.ID]*limit{}, node: map[telemetry.MetricID][]*limit{}, cluster: map[string][]*limit{}}
	for i := range list {
		l, err := newLimit(&list[i])
		if err != nil || fresh.byRule[l.rule.ID] != nil {
			continue
		}
		fresh.list = append(fresh.list, l.Threshold)
		fresh.byRule[l.rule.ID] = l
		if l.Metric.Scope == threshold.ScopeNode {
			fresh.node[l.metric.ID] = append(fresh.node[l.metric.ID], l)
			fresh.selects = fresh.selects || l.Metric.NodeSelector != nil
		} else {
			fresh.cluster[l.Metric.Name] = append(fresh.cluster[l.Metric.Name], l)
		}
	}
	old := w.limits
	if slices.EqualFunc(old.list, fresh.list, func(a, b threshold.Threshold) bool { return a.Equal(&b) }) {
		return nil, nil, false
	}
	ended = map[catalogue.ID]Ending{}
	for id, before := range old.byRule {
		switch now := fresh.byRule[id]; {
		case now == nil:
			ended[id] = EndRemoved
		case !now.SameCondition(&before.Threshold):
			ended[id] = EndChanged
		}
	}
	w.limits = fresh
	w.measureUsage()
	if len(old.node)+len(fresh.node) > 0 {
		for ref := range w.things {
			if ref.Kind == facts.KindNodeSample {
				judge = append(judge, ref)
			}
		}
		slices.SortFunc(judge, func(a, b facts.Ref) int { return strings.Compare(a.Name, b.Name) })
	}
	return ended, append(judge, w.clusterMetrics(&old)...), true
}

// Thresholds returns those to compare with. They must not be changed.
func (w *World) Thresholds() []threshold.Threshold { return w.limits.list }

// Rule returns the rule of the catalogue or of a threshold with an identifier.
func (w *World) Rule(id catalogue.ID) (*catalogue.Rule, bool) {
	if l := w.limits.byRule[id]; l != nil {
		return l.rule, true
	}
	return catalogue.Lookup(id)
}

// clusterMetrics returns the subjects of the metrics of the cluster that there are
// thresholds for, or were before.
func (w *World) clusterMetrics(before *limits) []facts.Ref {
	if !w.synced {
		return nil
	}
	names := map[string]struct{}{}
	for _, l := range []*limits{&w.limits, before} {
		for name := range l.cluster {
			names[name] = struct{}{}
		}
	}
	refs := make([]facts.Ref, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		refs = append(refs, clusterMetric(name))
	}
	return refs
}

func clusterMetric(name string) facts.Ref { return facts.Ref{Kind: KindClusterMetric, Name: name} }

// nodeMetrics are the metrics of the cluster that depend on its nodes.
var nodeMetrics = []string{
	threshold.ClusterCPUUsage, threshold.ClusterMemoryUsed, threshold.ClusterCPURequested, threshold.ClusterMemoryRequested,
	threshold.ClusterPodsUsed, threshold.ClusterNodes, threshold.ClusterNodesNotReady, threshold.ClusterNodesNotReadyPercent,
}

// relabelled says whether the labels of a node have changed.
func relabelled(before, now facts.Object) bool {
	old, ok := before.(*facts.Node)
	if !ok {
		return false
	}
	fresh, ok := now.(*facts.Node)
	return ok && !maps.Equal(old.Labels, fresh.Labels)
}

// touchMetrics touches metrics of the cluster that there are thresholds for.
func (w *World) touchMetrics(names ...string) {
	if !w.synced || len(w.limits.cluster) == 0 {
		return
	}
	for _, name := range names {
		if len(w.limits.cluster[name]) > 0 {
			w.touch(clusterMetric(name))
		}
	}
}

// Synced says that every object there is has been put. It returns what could not be
// judged before.
func (w *World) Synced(now time.Time) []facts.Ref {
	w.synced = true
	w.usage.keep(now, func(node string) bool { return !w.NodeGone(node) })
	refs := w.clusterMetrics(&w.limits)
	if w.options.Snapshot {
		refs = append(append(refs, clusterRef), w.recount()...)
	}
	return refs
}

// SubjectOf returns the subject that an anomaly of a threshold has, which is one.
func (w *World) SubjectOf(key Key) facts.Ref {
	if key.Group.Kind == facts.KindNode {
		return facts.Ref{Kind: facts.KindNodeSample, Name: key.Group.Name}
	}
	if l := w.limits.byRule[key.Rule]; l != nil {
		return clusterMetric(l.Metric.Name)
	}
	return facts.Ref{}
}

// knownNode returns a node that was put, nil when it is only remembered.
func (w *World) knownNode(name string) *facts.Node {
	if t := w.things[facts.Ref{Kind: facts.KindNode, Name: name}]; t != nil {
		if n, ok := t.object.(*facts.Node); ok && !remembered(n) {
			return n
		}
	}
	return nil
}

// remembered is a node that Remember brought and nobody has put since.
func remembered(n *facts.Node) bool { return n.UID == "" && n.Conditions == nil && n.BootID == "" }

// NodeGone says that there is no node of a name, as far as all nodes are known.
func (w *World) NodeGone(name string) bool {
	return w.synced && !w.partial[facts.KindNode] && w.knownNode(name) == nil
}

// Standing is what is known of a threshold that was not found to be exceeded.
type Standing uint8

// The standings.
const (
	// StandingBelow: it was compared and is not exceeded.
	StandingBelow Standing = iota
	// StandingUnknown: there is nothing to compare.
	StandingUnknown
	// StandingVanished: the node measures others of the kind and not this one.
	StandingVanished
	// StandingUnselected: the rule is not about it any more.
	StandingUnselected
	// StandingNodeGone: the node is not there any more.
	StandingNodeGone
)

// Standing says how it stands with a threshold that Findings did not find to be
// exceeded.
func (w *World) Standing(key Key, now time.Time) Standing {
	l := w.limits.byRule[key.Rule]
	if l == nil {
		return StandingUnselected
	}
	if key.Group.Kind != facts.KindNode {
		if _, _, ok := w.clusterValue(l.Metric.Name, now); !ok {
			return StandingUnknown
		}
		return StandingBelow
	}
	node := w.knownNode(key.Group.Name)
	switch {
	case w.NodeGone(key.Group.Name):
		return StandingNodeGone
	case !l.picks(key.Group.Part), node != nil && !l.Metric.NodeSelector.Matches(node.Labels):
		return StandingUnselected
	case node == nil && (l.Metric.NodeSelector != nil || !w.partial[facts.KindNode]):
		return StandingUnknown
	}
	t := w.things[w.SubjectOf(key)]
	if t == nil {
		return StandingUnknown
	}
	o, ok := t.object.(*facts.NodeSample)
	if !ok || now.After(freshUntil(o.Received, o.Interval)) {
		return StandingUnknown
	}
	return standingIn(o.Sample, telemetry.Series{Metric: l.metric.ID, Label: key.Group.Part})
}

// standingIn looks for a series in a sample.
func standingIn(sample *telemetry.NodeSample, series telemetry.Series) Standing {
	standing := StandingUnknown
	for _, s := range sample.Series {
		switch {
		case s == series:
			return StandingBelow
		case s.Metric == series.Metric:
			standing = StandingVanished
		}
	}
	return standing
}
