// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var (
	rejectedReasons = []string{
		"UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfephemeral-storage", "OutOfpods", "NodeAffinity",
		"AppArmor", "TopologyAffinityError", "SMTAlignmentError", "PodLevelResourcesNotSupported",
	}
	disruptedReasons = []string{
		"PreemptionByScheduler", "DeletionByTaintManager", "EvictionByEvictionAPI", "DeletionByPodGC", "TerminationByKubelet",
	}
)

const (
	// terminatingSlack is how long after deletionTimestamp a pod may still be there.
	terminatingSlack = 5 * time.Minute
	scaleUpWindow    = 5 * time.Minute
	scaleUpHold      = 10 * time.Minute
	unschedulable    = "Unschedulable"
)

// judgePod judges a pod. Of a pod at rest only events are of interest: whatever
// its status said was judged when it was put.
func (e *evaluation) judgePod(p *pod) {
	if p == nil {
		return
	}
	if p.full == nil {
		stub := &facts.Pod{Meta: facts.Meta{Ref: e.ref, UID: p.uid, Owner: p.owner}, TemplateHash: p.hash, Node: p.node, Phase: facts.PhaseRunning}
		e.judgePodEvents(stub)
		e.judgeRestarts(p, stub)
		e.settleJob(stub)
		return
	}
	o := p.full
	e.noteUnready(o)
	if o.Phase != facts.PhaseSucceeded {
		for i := range o.Containers {
			e.judgeContainer(o, &o.Containers[i])
		}
		e.judgeRestarts(p, o)
		e.judgeScheduling(o)
		e.judgeStart(o)
		e.judgeFailure(o)
		e.judgeReadiness(o)
		e.judgePodEvents(o)
		e.judgePending(o)
	}
	e.judgeLifecycle(o)
	e.settleJob(o)
}

// byPodCondition finds a rule by a condition of a pod.
func (e *evaluation) byPodCondition(p *facts.Pod, id catalogue.ID, c *facts.Condition, what string, more ...telemetry.Label) Finding {
	f := e.ownedBy(p, id, c.Reason)
	f.Since = c.Since
	f.Explain = byCondition(what, c, more...)
	return f
}

func (e *evaluation) judgeScheduling(p *facts.Pod) {
	c := facts.Is(p.Conditions, "PodScheduled", facts.False)
	if c == nil {
		return
	}
	switch c.Reason {
	case unschedulable:
		e.explained.pending = true
		e.judgeUnschedulable(p, c)
	case "SchedulingGated":
		e.explained.pending = true
		e.add(&p.Meta, e.byPodCondition(p, podGated, c, "A scheduling gate holds the pod", label("gates", strings.Join(p.Gates, ","))), sinceCreated)
	case "SchedulerError":
		e.explained.pending = true
		e.add(&p.Meta, e.byPodCondition(p, podSchedulerError, c, "The scheduler failed on the pod"), sinceCreated)
	}
}

func (e *evaluation) judgeUnschedulable(p *facts.Pod, c *facts.Condition) {
	f := e.byPodCondition(p, podUnschedulable, c, "No node fits the pod", label("causes", causesOf(c.Message)))
	f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical, After: 30 * time.Minute, Whole: true}}
	if e.w.options.Snapshot && f.Since.IsZero() {
		f.Since = p.Created // it has had no node since
	}
	if h, ok := e.ask(p.Ref, &scaledUp); ok && !f.Since.IsZero() {
		f.NotBefore = f.Since.Add(scaleUpHold)
		if soonest := h.Last.Add(scaleUpWindow); soonest.Before(f.NotBefore) {
			f.NotBefore = soonest
		}
	}
	if strings.Contains(strings.ToLower(c.Message), "persistentvolumeclaim") {
		for _, claim := range p.Claims {
			group := Group{Namespace: p.Namespace, Kind: facts.KindClaim, Name: claim}
			f.Inhibitors = append(f.Inhibitors, Key{Rule: claimPending, Group: group}, Key{Rule: claimProvisioning, Group: group})
		}
	}
	e.add(&p.Meta, f, sinceCreated)
}

// causesOf splits the scheduler's message: "0/3 nodes are available: 1 node(s) had
// untolerated taint(s), 2 Insufficient cpu. preemption: ...".
func causesOf(message string) string {
	_, rest, ok := strings.Cut(message, "available: ")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, " preemption:")
	return strings.TrimSuffix(strings.ReplaceAll(strings.TrimSpace(rest), ", ", "; "), ".")
}

// judgeStart finds pods with a node whose containers cannot start.
func (e *evaluation) judgeStart(p *facts.Pod) {
	if p.Phase != facts.PhasePending || !p.Deleted.IsZero() {
		return
	}
	ready := facts.Find(p.Conditions, "PodReadyToStartContainers")
	if ready == nil || ready.Status != facts.True {
		if h, ok := e.ask(p.Ref, &mountFailed); ok {
			e.explained.pending = true
			f := e.ownedBy(p, podVolumeMount, h.Reason)
			f.Since, f.Until = h.Began, h.Until
			f.Explain = byEvents("A volume of the pod cannot be mounted", h)
			e.add(&p.Meta, f, sinceCreated)
			return
		}
	}
	if ready == nil || ready.Status != facts.False || facts.Is(p.Conditions, "PodScheduled", facts.True) == nil {
		return
	}
	e.explained.pending = true
	f := e.byPodCondition(p, podSandbox, ready, "The sandbox of the pod cannot be created")
	f.Reason = firstOf(ready.Reason, "SandboxNotReady")
	if h, ok := e.ask(p.Ref, &sandboxFailed); ok {
		f.Reason = h.Reason
		f.Explain = byEvents("The sandbox of the pod cannot be created", h, label("field", "status.conditions[type=PodReadyToStartContainers]"), label("value", facts.False))
	}
	if p.Node != "" {
		f.Group = nodeGroup(p.Node)
	}
	e.add(&p.Meta, f, sinceCreated)
}

func (e *evaluation) judgeFailure(p *facts.Pod) {
	if p.Phase != facts.PhaseFailed {
		return
	}
	status := func(id catalogue.ID, what string) Finding {
		f := e.ownedBy(p, id, p.Reason)
		f.Since = endedAt(p)
		f.Explain = inState(fmt.Sprintf("%s: %s", what, firstOf(p.Message, p.Reason)), "status.reason", p.Reason, label("message", Redact(p.Message)))
		return f
	}
	ofJob := p.Owner.Kind == facts.KindJob
	switch {
	case p.Reason == "Evicted":
		f := status(podEvicted, "The pod was evicted")
		if f.Since.IsZero() {
			f.Since = e.now
		}
		if !e.w.options.Snapshot {
			f.Edge = p.UID
		}
		f.Group = nodeGroup(p.Node)
		e.add(&p.Meta, f, sinceCreated)
	case slices.Contains(rejectedReasons, p.Reason):
		f := status(podRejected, "The kubelet rejected the pod")
		f.Group = nodeGroup(p.Node)
		f.Group.Part = p.Reason
		e.add(&p.Meta, f, sinceCreated)
	case p.Reason == "DeadlineExceeded":
		if !ofJob {
			e.add(&p.Meta, status(podDeadline, "The pod exceeded its deadline"), sinceCreated)
		}
	case ofJob, p.Reason == "NodeLost", e.explained.failed, e.explained.init:
	default:
		e.add(&p.Meta, e.failed(p), sinceCreated)
	}
}

// failed begins the finding for a pod that failed for no better known reason.
func (e *evaluation) failed(p *facts.Pod) Finding {
	f := e.ownedBy(p, podFailed, firstOf(p.Reason, "Failed"))
	f.Since = endedAt(p)
	for i := range p.Containers {
		c := &p.Containers[i]
		if c.Ended != nil && c.Ended.ExitCode != 0 {
			f.Container = c.Name
			f.Reason = firstOf(p.Reason, c.Ended.Reason, "Failed")
			f.Explain = func() Explanation { return explainWaiting(p, c) }
			return f
		}
	}
	f.Explain = inState("The pod failed: "+firstOf(p.Message, p.Reason, "no reason is given"), "status.phase", p.Phase)
	return f
}

// endedAt is when a failed pod ended, as far as it tells.
func endedAt(p *facts.Pod) time.Time {
	var end time.Time
	for i := range p.Containers {
		if t := p.Containers[i].Ended; t != nil {
			end = latestTime(end, t.Finished)
		}
	}
	return firstTime(end, conditionSince(facts.Is(p.Conditions, "DisruptionTarget", facts.True)),
		conditionSince(facts.Is(p.Conditions, "Ready", facts.False)))
}

func (e *evaluation) judgeReadiness(p *facts.Pod) {
	ready := facts.Is(p.Conditions, "Ready", facts.False)
	e.judgeNodeLost(p, ready)
	if p.Finished() || !p.Deleted.IsZero() {
		return
	}
	e.judgeComponent(p)
	if ready == nil {
		return
	}
	if p.Phase != facts.PhaseRunning || p.Owner.Kind == facts.KindJob || e.explained.init {
		return
	}
	if ready.Reason != "ContainersNotReady" && ready.Reason != "ReadinessGatesNotReady" {
		return
	}
	f := e.byPodCondition(p, podNotReady, ready, "The pod runs and is not ready")
	if p.StartupBudget > 0 {
		f.NotBefore = firstTime(p.Started, p.Created).Add(p.StartupBudget)
	}
	if p.Node != "" {
		f.Inhibitors = []Key{nodeKey(nodeUnreachable, p.Node)}
	}
	e.add(&p.Meta, f, sinceCreated)
}

// judgeComponent finds parts of the control plane that are not known to be ready.
func (e *evaluation) judgeComponent(p *facts.Pod) {
	if p.Component == "" || facts.Is(p.Conditions, "PodScheduled", facts.False) != nil {
		return
	}
	ready := facts.Find(p.Conditions, "Ready")
	if ready == nil {
		// It has not been ready since it was made.
		ready = &facts.Condition{Type: "Ready", Status: "missing", Reason: "NoReadyCondition", Since: p.Created}
	}
	if ready.Status == facts.True {
		return
	}
	f := e.byPodCondition(p, controlPlaneDown, ready, p.Component+" is not ready")
	f.Reason = firstOf(ready.Reason, "NotReady")
	f.Group = Group{Namespace: p.Namespace, Kind: "Component", Name: p.Component}
	e.add(&p.Meta, f, sinceCreated)
}

func (e *evaluation) judgeNodeLost(p *facts.Pod, ready *facts.Condition) {
	lost, field, value := false, "status.phase", p.Phase
	var since time.Time
	switch {
	case p.Phase == facts.PhaseUnknown:
		lost, since = true, conditionSince(ready)
	case p.Reason == "NodeLost":
		lost, field, value, since = true, "status.reason", p.Reason, conditionSince(ready)
	case ready != nil && p.Node != "" && !p.Finished():
		node, _ := e.look(facts.Ref{Kind: facts.KindNode, Name: p.Node}).(*facts.Node)
		if node == nil {
			return
		}
		c := facts.Is(node.Conditions, "Ready", facts.Unknown)
		if c == nil {
			return
		}
		lost, field, value, since = true, "node.status.conditions[type=Ready]", c.Status, latestTime(c.Since, ready.Since)
	}
	if !lost {
		return
	}
	e.explained.pending = true
	f := e.ownedBy(p, podNodeLost, "NodeLost")
	f.Since = since
	f.Explain = inState(fmt.Sprintf("Pod %s is on node %s, which does not report", p.Name, p.Node), field, value)
	if p.Node != "" {
		f.Group = nodeGroup(p.Node)
		f.Inhibitors = []Key{nodeKey(nodeUnreachable, p.Node)}
	}
	e.add(&p.Meta, f, sinceCreated)
}

// judgePending comes last: it is about what nothing else explains.
func (e *evaluation) judgePending(p *facts.Pod) {
	if p.Phase != facts.PhasePending || e.explained.pending || !p.Deleted.IsZero() || e.queued(p) {
		return
	}
	f := e.ownedBy(p, podPending, facts.PhasePending)
	f.Since = p.Created
	f.Explain = inState(fmt.Sprintf("Pod %s is pending and nothing says why", p.Name), "status.phase", p.Phase)
	e.add(&p.Meta, f, sinceCreated)
}

func (e *evaluation) judgeLifecycle(p *facts.Pod) {
	if c := facts.Is(p.Conditions, "DisruptionTarget", facts.True); c != nil && slices.Contains(disruptedReasons, c.Reason) {
		f := e.byPodCondition(p, podDisrupted, c, "The pod is being disrupted")
		f.Group.Hash, f.Group.Part = "", c.Reason
		if p.Finished() {
			// Nothing disrupts it any more.
			f.Since = firstTime(latestTime(endedAt(p), c.Since), e.now)
			f.Edge = p.UID + "/" + c.Reason
			f.Explain = byCondition("The pod was disrupted", c)
		}
		e.add(&p.Meta, f, sinceCreated)
	}
	if !p.Deleted.IsZero() {
		f := e.ownedBy(p, podTerminating, "Terminating")
		f.Since, f.Hold = p.Deleted, terminatingSlack+beyond
		f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical, After: time.Hour + beyond, Whole: true}}
		f.Explain = inState(fmt.Sprintf("Pod %s should have been gone at %s", p.Name, stampOf(p.Deleted)),
			"metadata.deletionTimestamp", stampOf(p.Deleted), label("finalizers", strings.Join(p.Finalizers, ",")))
		e.add(&p.Meta, f, sinceCreated)
	}
	if p.Finished() {
		return
	}
	blocked := facts.Is(p.Conditions, "PodResizePending", facts.True)
	if blocked != nil && blocked.Reason != "Infeasible" && blocked.Reason != "Deferred" {
		blocked = nil
	}
	if blocked == nil {
		if c := facts.Is(p.Conditions, "PodResizeInProgress", facts.True); c != nil && c.Reason == "Error" {
			blocked = c
		}
	}
	if blocked != nil {
		e.add(&p.Meta, e.byPodCondition(p, podResize, blocked, "The resize cannot be applied"), sinceCreated)
	}
}
