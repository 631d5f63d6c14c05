// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/eventlog"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var (
	// leavingTaints are of nodes that somebody is taking away on purpose.
	leavingTaints = []string{
		"ToBeDeletedByClusterAutoscaler", "cloud.google.com/impending-node-termination", "aws-node-termination-handler/spot-itn",
	}
	nodeProblems = []string{
		"KernelDeadlock", "ReadonlyFilesystem", "XfsShutdown", "FrequentKubeletRestart", "FrequentContainerdRestart",
		"FrequentUnregisterNetDevice", "CorruptDockerOverlay2",
	}
	pressures = map[string]catalogue.ID{
		"MemoryPressure": nodeMemoryPressure, "DiskPressure": nodeDiskPressure, "PIDPressure": nodePIDPressure,
	}
)

const (
	taintUnreachable = "node.kubernetes.io/unreachable"
	// leaseGrace is how late a node's heartbeat may be.
	leaseGrace = 40 * time.Second
)

func isReason(c *facts.Condition, reasons ...string) bool { return slices.Contains(reasons, c.Reason) }

// ofNode begins a finding about a node.
func ofNode(n *facts.Node, id catalogue.ID, reason string, since time.Time) Finding {
	return Finding{Key: nodeKey(id, n.Name), Node: n.Name, Reason: reason, Since: since, Hold: RuleHold}
}

func (e *evaluation) judgeNode(n *facts.Node, t *thing) {
	e.judgeNodeReady(n)
	for i := range n.Conditions {
		e.judgeNodeCondition(n, &n.Conditions[i])
	}
	m, _ := t.memory.(*nodeMemory)
	if m != nil {
		e.judgeNodeChanges(n, m)
	}
	e.judgeNodeEvents(n)
	if n.Unschedulable && facts.Is(n.Conditions, "MaintenancePlanned", facts.True) == nil && facts.Is(n.Conditions, "MaintenanceInProgress", facts.True) == nil {
		f := ofNode(n, nodeCordoned, "Cordoned", n.Cordoned)
		f.Explain = inState("Node "+n.Name+" takes no pods", "spec.unschedulable", "true")
		e.add(&n.Meta, f, undated)
	}
	if e.w.crowded(n.Ref) {
		pods := e.w.totals.pods[n.Name]
		f := ofNode(n, nodePods, "PodsNearCapacity", time.Time{})
		f.Earliest = e.w.crowdedSince(n)
		f.Explain = inState(fmt.Sprintf("Node %s runs %d pods of at most %d", n.Name, pods, n.Pods),
			"status.capacity.pods", strconv.FormatInt(n.Pods, 10), label("pods", strconv.Itoa(pods)))
		e.add(&n.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeNodeReady(n *facts.Node) {
	ready := facts.Find(n.Conditions, "Ready")
	if ready != nil && ready.Status == facts.False && !underMaintenance(n) {
		f := ofNode(n, nodeNotReady, firstOf(ready.Reason, "NotReady"), ready.Since)
		f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical, After: 5 * time.Minute, Whole: true}}
		f.Inhibitors = []Key{nodeKey(nodeUnreachable, n.Name)}
		f.Explain = byCondition("The kubelet says that the node is not ready", ready)
		e.add(&n.Meta, f, sinceCreated)
	}
	var since time.Time
	field, value := "", ""
	if ready != nil && ready.Status == facts.Unknown && isReason(ready, "NodeStatusUnknown", "NodeStatusNeverUpdated") {
		since, field, value = ready.Since, "status.conditions[type=Ready]", ready.Status
	}
	for _, t := range n.Taints {
		if slices.Contains(leavingTaints, t.Key) {
			return
		}
		if t.Key == taintUnreachable && field == "" {
			since, field, value = t.Since, "spec.taints", t.Key
		}
	}
	if field == "" {
		return
	}
	f := ofNode(n, nodeUnreachable, "NodeStatusUnknown", since)
	if ready != nil && ready.Status == facts.Unknown {
		f.Reason = firstOf(ready.Reason, f.Reason)
	}
	f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical, After: 5 * time.Minute, Whole: true}}
	f.Explain = inState("The control plane has not heard of node "+n.Name, field, value, label("since", stampOf(since)))
	e.add(&n.Meta, f, sinceCreated)
}

// underMaintenance is a node that people have drained or work on.
func underMaintenance(n *facts.Node) bool {
	return n.Unschedulable && (facts.Is(n.Conditions, "Drained", facts.True) != nil || facts.Is(n.Conditions, "MaintenanceInProgress", facts.True) != nil)
}

func (e *evaluation) judgeNodeCondition(n *facts.Node, c *facts.Condition) {
	if c.Status != facts.True {
		return
	}
	id, ok := pressures[c.Type]
	switch {
	case ok:
	case c.Type == "NetworkUnavailable":
		id = nodeNetwork
	case slices.Contains(nodeProblems, c.Type):
		id = nodeProblem
	default:
		return
	}
	f := ofNode(n, id, firstOf(c.Reason, c.Type), c.Since)
	if id == nodeProblem {
		f.Reason = c.Type
	}
	f.Explain = byCondition("Node "+n.Name+" reports "+c.Type, c)
	e.add(&n.Meta, f, sinceCreated)
}

// judgeNodeChanges finds what only the comparison with earlier shows.
func (e *evaluation) judgeNodeChanges(n *facts.Node, m *nodeMemory) {
	const often = 3
	if k := len(m.changes); k >= often {
		f := ofNode(n, nodeFlapping, "ReadinessFlapping", m.changes[k-often])
		f.Until = m.changes[k-often].Add(flapWindow)
		f.Explain = inState(fmt.Sprintf("The readiness of node %s changed %d times in 15 minutes", n.Name, k), "status.conditions[type=Ready]", m.ready)
		e.add(&n.Meta, f, sinceCreated)
	}
	if !m.rebooted.IsZero() {
		f := ofNode(n, nodeRebooted, "Rebooted", m.rebooted)
		f.Edge = "boot/" + m.bootID
		f.Explain = inState("Node "+n.Name+" has rebooted", "status.nodeInfo.bootID", m.bootID)
		e.add(&n.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeNodeEvents(n *facts.Node) {
	edge := func(id catalogue.ID, q *eventlog.Query, what string) {
		h, ok := e.ask(n.Ref, q)
		if !ok {
			return
		}
		f := ofNode(n, id, h.Reason, h.Last)
		f.Edge = h.Reason + "/" + strconv.FormatInt(h.Last.UnixNano(), 10)
		f.Explain = byEvents(what, h)
		e.add(&n.Meta, f, sinceCreated)
	}
	edge(nodeSystemOOM, &systemOOM, "Node "+n.Name+" ran out of memory")
	edge(nodeRebooted, &rebooted, "Node "+n.Name+" has rebooted")
	if h, ok := e.ask(n.Ref, &gcFailed); ok {
		f := ofNode(n, nodeGCFailed, h.Reason, h.Began)
		f.Until = h.Until
		f.Explain = byEvents("The kubelet of node "+n.Name+" cannot free space", h)
		e.add(&n.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeLease(l *facts.Lease) {
	if l.Renewed.IsZero() || l.Namespace != "kube-node-lease" {
		return
	}
	f := Finding{Key: nodeKey(nodeLeaseStale, l.Name), Node: l.Name, Reason: "LeaseExpired", Since: l.Renewed.Add(leaseGrace), Hold: beyond}
	f.Object = telemetry.ObjectRef{Kind: facts.KindNode, Name: l.Name}
	f.Inhibitors = []Key{nodeKey(nodeUnreachable, l.Name)}
	f.Explain = inState("Node "+l.Name+" has not renewed its Lease since "+stampOf(l.Renewed), "spec.renewTime", stampOf(l.Renewed))
	e.add(&l.Meta, f, sinceCreated)
}
