// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// judgeLimits compares a sample with the thresholds of its metrics. A node that is
// not there is not compared, although its collector may outlive it for a moment:
// nobody would ever say that it is gone.
func (e *evaluation) judgeLimits(o *facts.NodeSample) {
	l := &e.w.limits
	if len(l.node) == 0 {
		return
	}
	e.need(facts.Ref{Kind: facts.KindNode, Name: o.Name})
	node := e.w.knownNode(o.Name)
	if node == nil && !e.w.partial[facts.KindNode] || e.now.After(freshUntil(o.Received, o.Interval)) {
		return
	}
	for i := range min(len(o.Sample.Series), len(o.Sample.Values)) {
		series, v := &o.Sample.Series[i], o.Sample.Values[i]
		for _, x := range l.node[series.Metric] {
			if !threshold.Exceeds(x.Metric.Operator, v, x.value) || !x.picks(series.Label) {
				continue
			}
			if s := x.Metric.NodeSelector; s != nil && (node == nil || !s.Matches(node.Labels)) {
				continue
			}
			e.exceeds(o, node, x, series.Label, v)
		}
	}
}

func (e *evaluation) exceeds(o *facts.NodeSample, node *facts.Node, x *limit, part string, v float64) {
	f := Finding{Key: nodeKey(x.rule.ID, o.Name), Node: o.Name, Reason: reasonOf(x.Metric.Operator), Hold: RuleHold}
	f.Group.Part = part
	f.Object = telemetry.ObjectRef{Kind: facts.KindNode, Name: o.Name}
	if node != nil {
		f.Object.UID = node.UID
	}
	f.Fresh = freshUntil(o.Received, o.Interval)
	f.Inhibitors = []Key{nodeKey(nodeUnreachable, o.Name)}
	f.Explain = func() Explanation { return x.explain(" of node "+o.Name, part, v) }
	e.add(&o.Meta, f, sinceCreated)
}

// judgeClusterLimits compares a metric of the cluster with its thresholds.
func (e *evaluation) judgeClusterLimits(name string) {
	v, fresh, ok := e.w.clusterValue(name, e.now)
	if !ok {
		return
	}
	for _, x := range e.w.limits.cluster[name] {
		if !threshold.Exceeds(x.Metric.Operator, v, x.value) {
			continue
		}
		meta, f := ofCluster(Finding{Key: Key{Rule: x.rule.ID}, Reason: reasonOf(x.Metric.Operator), Fresh: fresh}, facts.ClusterName)
		f.Explain = func() Explanation { return x.explain(" of the cluster", "", v) }
		e.add(meta, f, sinceCreated)
	}
}

func reasonOf(operator string) string {
	if operator == threshold.LessThan || operator == threshold.LessThanOrEqual {
		return "BelowThreshold"
	}
	return "AboveThreshold"
}

// explain says what was compared with what.
func (l *limit) explain(of, part string, v float64) Explanation {
	field, shown := l.Metric.Name, strconv.FormatFloat(v, 'f', -1, 64)
	if part != "" {
		field += "{" + part + "}"
	}
	words := map[string]string{
		threshold.GreaterThan: "above", threshold.GreaterThanOrEqual: "not below", threshold.LessThan: "below", threshold.LessThanOrEqual: "not above",
	}
	labels := []telemetry.Label{
		label("field", field), label("value", shown), label("operator", l.Metric.Operator), label("threshold", l.Metric.Threshold),
		label("unit", string(l.metric.Unit)), label("alertRule", l.Rule),
	}
	if l.metric.Label != "" {
		labels = append(labels, label(l.metric.Label, part))
	}
	return Explanation{
		Message:  fmt.Sprintf("%s%s is %s, which is %s the threshold of %s", field, of, shown, words[l.Metric.Operator], l.Metric.Threshold),
		Evidence: evidenceOf(labels...),
	}
}

// clusterValue returns the value of a metric of the cluster, until when it is good
// for, zero for always, and whether there is one.
func (w *World) clusterValue(name string, now time.Time) (v float64, fresh time.Time, ok bool) {
	t := &w.totals
	nodes := int64(len(t.nodes))
	var part, whole int64
	switch name {
	case threshold.ClusterCPUUsage, threshold.ClusterMemoryUsed:
		return w.usage.value(name, now, w.expected())
	case threshold.ClusterCPURequested:
		part, whole = t.cpuMillis, t.all.cpuMillis
	case threshold.ClusterMemoryRequested:
		part, whole = t.memBytes, t.all.memBytes
	case threshold.ClusterPodsUsed:
		part, whole = t.bound, t.all.pods
	case threshold.ClusterNodesNotReadyPercent:
		part, whole = int64(t.notReady), nodes
	}
	if !w.synced || w.partial[facts.KindNode] {
		return 0, time.Time{}, false
	}
	switch name {
	case threshold.ClusterNodes:
		return float64(nodes), time.Time{}, true
	case threshold.ClusterNodesNotReady:
		return float64(t.notReady), time.Time{}, true
	case threshold.ClusterCPURequested, threshold.ClusterMemoryRequested, threshold.ClusterPodsUsed:
		if w.partial[facts.KindPod] {
			return 0, time.Time{}, false
		}
	}
	return share(part, whole), time.Time{}, whole > 0
}

// share is a percentage with two digits after the point, as those of nodes are.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return math.Round(10_000*float64(part)/float64(whole)) / 100
}

// expected is how many nodes a mean over nodes should be of, negative when nobody
// knows.
func (w *World) expected() int {
	if !w.synced || w.partial[facts.KindNode] {
		return -1
	}
	return len(w.totals.nodes)
}
