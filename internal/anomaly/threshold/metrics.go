// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package threshold

import (
	"fmt"
	"slices"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Description is a metric that can be compared with a threshold.
type Description struct {
	// Scope is ScopeNode or ScopeCluster.
	Scope string
	// Name is unique in its scope.
	Name string
	// Unit of its values.
	Unit telemetry.Unit
	// Label is what the series of one node differ by, such as "mount"; empty when
	// there is one.
	Label string
	// ID is the metric of node samples; 0 for ScopeCluster.
	ID telemetry.MetricID
	// Meaning says in a sentence what a metric of ScopeCluster is; empty for
	// ScopeNode, whose metrics are those of node samples.
	Meaning string
}

// The metrics of ScopeCluster.
const (
	// ClusterCPUUsage is the share of their cores that nodes use.
	ClusterCPUUsage = "cpu_usage_percent"
	// ClusterMemoryUsed is the share of their memory that nodes use.
	ClusterMemoryUsed = "memory_used_percent"
	// ClusterCPURequested is the share of allocatable CPU that pods request.
	ClusterCPURequested = "cpu_requested_percent"
	// ClusterMemoryRequested is the share of allocatable memory that pods request.
	ClusterMemoryRequested = "memory_requested_percent"
	// ClusterPodsUsed is the share of the pods that nodes can run that they run.
	ClusterPodsUsed = "pods_used_percent"
	// ClusterNodes is how many nodes there are.
	ClusterNodes = "nodes"
	// ClusterNodesNotReady is how many of them are not ready.
	ClusterNodesNotReady = "nodes_not_ready"
	// ClusterNodesNotReadyPercent is the share of nodes that are not ready.
	ClusterNodesNotReadyPercent = "nodes_not_ready_percent"
)

var clusterMetrics = []Description{
	{Name: ClusterCPUUsage, Unit: telemetry.UnitPercent, Meaning: "Cores in use, of all cores of the nodes whose collectors are heard."},
	{Name: ClusterMemoryUsed, Unit: telemetry.UnitPercent, Meaning: "Memory that cannot be had without swapping, of all memory of the nodes whose collectors are heard."},
	{Name: ClusterCPURequested, Unit: telemetry.UnitPercent, Meaning: "CPU that unfinished pods request, of what nodes can allocate."},
	{Name: ClusterMemoryRequested, Unit: telemetry.UnitPercent, Meaning: "Memory that unfinished pods request, of what nodes can allocate."},
	{Name: ClusterPodsUsed, Unit: telemetry.UnitPercent, Meaning: "Unfinished pods on nodes, of as many as nodes have room for."},
	{Name: ClusterNodes, Unit: telemetry.UnitCount, Meaning: "Nodes."},
	{Name: ClusterNodesNotReady, Unit: telemetry.UnitCount, Meaning: "Nodes whose condition Ready is not True."},
	{Name: ClusterNodesNotReadyPercent, Unit: telemetry.UnitPercent, Meaning: "Nodes whose condition Ready is not True, of all nodes."},
}

var byName = func() map[[2]string]Description {
	m := map[[2]string]Description{}
	for _, d := range Metrics() {
		m[[2]string{d.Scope, d.Name}] = d
	}
	return m
}()

// Metrics returns every metric that can be compared with a threshold: those of
// nodes in the order of their numbers, then those of the cluster. Counters are not
// among them, because of a total since boot only increases make sense.
func Metrics() []Description {
	var all []Description
	for m := range telemetry.Metrics() {
		if m.Kind != telemetry.KindCounter {
			all = append(all, Description{Scope: ScopeNode, Name: m.Name, Unit: m.Unit, Label: m.Label, ID: m.ID})
		}
	}
	for _, d := range slices.Clone(clusterMetrics) {
		d.Scope = ScopeCluster
		all = append(all, d)
	}
	return all
}

// Lookup returns the metric of a scope with a name.
func Lookup(scope, name string) (Description, bool) {
	d, ok := byName[[2]string{scope, name}]
	return d, ok
}

// UnknownMetricError says that there is no metric of a name, or none that can be
// compared.
type UnknownMetricError struct {
	// Scope and Name are what was asked for.
	Scope, Name string
}

// Error says what there is instead.
func (e *UnknownMetricError) Error() string {
	if m, ok := telemetry.MetricNamed(e.Name); ok && e.Scope == ScopeNode && m.Kind == telemetry.KindCounter {
		return fmt.Sprintf("metric %s is a total since boot, which says nothing when compared with a threshold", quote(e.Name))
	}
	for _, other := range []string{ScopeNode, ScopeCluster} {
		if _, ok := Lookup(other, e.Name); ok && other != e.Scope {
			return fmt.Sprintf("metric %s is one of scope %s, not of %s", quote(e.Name), other, quote(e.Scope))
		}
	}
	return fmt.Sprintf("metric %s of scope %s does not exist", quote(e.Name), quote(e.Scope))
}

func unknownMetric(scope, name string) error { return &UnknownMetricError{Scope: scope, Name: name} }
