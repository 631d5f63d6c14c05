// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// itself begins a finding about an object that is its own group.
func itself(m *facts.Meta, id catalogue.ID, reason string, since time.Time) Finding {
	return Finding{Key: Key{Rule: id, Group: groupOf(m.Ref)}, Reason: reason, Since: since, Hold: RuleHold}
}

// conditioned adds a finding about a condition of an object.
func (e *evaluation) conditioned(m *facts.Meta, id catalogue.ID, c *facts.Condition, what string) {
	f := itself(m, id, firstOf(c.Reason, c.Type), c.Since)
	f.Explain = byCondition(what, c)
	e.add(m, f, sinceCreated)
}

func (e *evaluation) judgeWorkload(w *facts.Workload) {
	// Of a ReplicationController only its scale matters, to Services.
	if !w.Deleted.IsZero() || w.Kind == facts.KindController {
		return
	}
	if w.Kind != facts.KindReplicaSet && w.Generation != w.Observed {
		f := itself(&w.Meta, generationMismatch, "GenerationMismatch", time.Time{})
		f.Earliest = w.SpecChanged
		f.Token = uint64(w.Generation) //nolint:gosec // only compared
		f.Explain = inState(fmt.Sprintf("The controller has seen generation %d of %d", w.Observed, w.Generation),
			"status.observedGeneration", strconv.FormatInt(w.Observed, 10), label("generation", strconv.FormatInt(w.Generation, 10)))
		e.add(&w.Meta, f, sinceCreated)
	}
	switch w.Kind {
	case facts.KindDeployment:
		e.judgeDeployment(w)
	case facts.KindStatefulSet:
		e.judgeStatefulSet(w)
	case facts.KindDaemonSet:
		e.judgeDaemonSet(w)
	case facts.KindReplicaSet:
		if h, ok := e.ask(w.Ref, &createFailed); ok && w.Current < w.Desired {
			f := itself(&w.Meta, replicaSetCreate, h.Reason, h.Enough)
			f.Until = h.Until
			if w.Owner.Kind != "" {
				f.Owner = telemetry.ObjectRef{Kind: w.Owner.Kind, Namespace: w.Namespace, Name: w.Owner.Name, UID: w.Owner.UID}
			}
			f.Explain = byEvents("The ReplicaSet cannot create pods", h)
			e.add(&w.Meta, f, sinceCreated)
		}
	}
}

func (e *evaluation) judgeDeployment(w *facts.Workload) {
	if w.Desired == 0 {
		return // whatever its last rollout came to, nobody wants it
	}
	available := facts.Find(w.Conditions, "Available")
	down := available != nil && available.Status == facts.False
	if c := facts.Is(w.Conditions, "Progressing", facts.False); c != nil && c.Reason == "ProgressDeadlineExceeded" && !w.Paused {
		f := itself(&w.Meta, deploymentDeadline, c.Reason, c.Since)
		f.Explain = byCondition("The rollout makes no progress", c)
		if down {
			f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical}}
		}
		e.add(&w.Meta, f, sinceCreated)
	}
	if down && available.Reason == "MinimumReplicasUnavailable" {
		e.conditioned(&w.Meta, deploymentDown, available, fmt.Sprintf("%d of %d replicas are available", w.Available, w.Desired))
	}
	if c := facts.Is(w.Conditions, "ReplicaFailure", facts.True); c != nil && c.Reason == "FailedCreate" {
		e.conditioned(&w.Meta, deploymentFailure, c, "Pods cannot be created")
	}
	if w.Desired > w.Available && !w.Paused {
		f := itself(&w.Meta, deploymentMismatch, "ReplicasMismatch", time.Time{})
		f.Token = tokenOf(w.Updated, w.Desired)
		r := e.w.replicasOf(w.Ref)
		f.Earliest = latestTime(w.Progressed, w.SpecChanged, r.set, r.since(w.Desired-w.Available))
		for _, c := range w.Conditions {
			f.Earliest = latestTime(f.Earliest, c.Since)
		}
		f.Inhibitors = []Key{{Rule: deploymentDown, Group: groupOf(w.Ref)}}
		f.Explain = inReplicas(w, "available", w.Available)
		e.add(&w.Meta, f, sinceCreated)
	}
}

func inReplicas(w *facts.Workload, what string, n int32) func() Explanation {
	return inState(fmt.Sprintf("%d of %d replicas are %s", n, w.Desired, what), "status."+what+"Replicas", strconv.Itoa(int(n)),
		label("desired", strconv.Itoa(int(w.Desired))), label("updated", strconv.Itoa(int(w.Updated))), label("ready", strconv.Itoa(int(w.Ready))))
}

func (e *evaluation) judgeStatefulSet(w *facts.Workload) {
	r := e.w.replicasOf(w.Ref)
	moved := latestTime(w.SpecChanged, r.created)
	if r.pods == 0 {
		moved = latestTime(moved, w.StatusChanged) // by whatever it was
	}
	if w.Ready != w.Desired {
		f := itself(&w.Meta, statefulSetMismatch, "ReplicasMismatch", time.Time{})
		f.Token = tokenOf(w.Updated, w.Desired)
		f.Earliest = latestTime(moved, r.since(w.Desired-w.Ready))
		if w.Ready == 0 {
			f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical}}
		}
		f.Explain = inReplicas(w, "ready", w.Ready)
		e.add(&w.Meta, f, sinceCreated)
	}
	wanted := max(w.Desired-w.Partition, 0)
	if !w.OnDelete && w.CurrentRevision != w.UpdateRevision && w.UpdateRevision != "" && w.Updated < wanted {
		f := itself(&w.Meta, statefulSetStuck, "UpdateStuck", time.Time{})
		f.Token = tokenOf(w.Updated, wanted)
		f.Earliest = latestTime(moved, r.ready)
		f.Explain = inState(fmt.Sprintf("%d of %d replicas are of revision %s", w.Updated, wanted, w.UpdateRevision),
			"status.updatedReplicas", strconv.Itoa(int(w.Updated)), label("currentRevision", w.CurrentRevision), label("updateRevision", w.UpdateRevision))
		e.add(&w.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeDaemonSet(w *facts.Workload) {
	numbers := []struct {
		bad   bool
		field string
		value int32
	}{
		{w.Desired != w.Current, "currentNumberScheduled", w.Current},
		{w.Misscheduled > 0, "numberMisscheduled", w.Misscheduled},
		{!w.OnDelete && w.Updated != w.Desired, "updatedNumberScheduled", w.Updated},
		{w.Available != w.Desired, "numberAvailable", w.Available},
	}
	for _, n := range numbers {
		if !n.bad {
			continue
		}
		f := itself(&w.Meta, daemonSetStuck, "RolloutStuck", time.Time{})
		f.Token = tokenOf(w.Desired, w.Current, w.Updated, w.Available, w.Misscheduled)
		f.Earliest = latestTime(w.SpecChanged, w.StatusChanged, e.w.replicasOf(w.Ref).changed())
		f.Explain = inState(fmt.Sprintf("%d nodes should run a pod; %s is %d", w.Desired, n.field, n.value), "status."+n.field, strconv.Itoa(int(n.value)),
			label("desired", strconv.Itoa(int(w.Desired))), label("available", strconv.Itoa(int(w.Available))))
		e.add(&w.Meta, f, sinceCreated)
		break
	}
	if w.Desired > w.Current {
		f := itself(&w.Meta, daemonSetMissing, "NotScheduled", time.Time{})
		f.Explain = inState(fmt.Sprintf("%d of %d nodes have a pod", w.Current, w.Desired), "status.currentNumberScheduled", strconv.Itoa(int(w.Current)))
		e.add(&w.Meta, f, sinceCreated)
	}
	if w.Misscheduled > 0 {
		f := itself(&w.Meta, daemonSetMisplaced, "Misscheduled", time.Time{})
		f.Explain = inState(fmt.Sprintf("%d nodes run a pod that they should not", w.Misscheduled), "status.numberMisscheduled", strconv.Itoa(int(w.Misscheduled)))
		e.add(&w.Meta, f, sinceCreated)
	}
}

// tokenOf changes when one of the numbers does.
func tokenOf(numbers ...int32) uint64 {
	h := fnv.New64a()
	for _, n := range numbers {
		_, _ = h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) //nolint:gosec // the bytes are meant
	}
	return h.Sum64()
}

func (e *evaluation) judgeAutoscaler(h *facts.Autoscaler) {
	if c := facts.Is(h.Conditions, "ScalingLimited", facts.True); c != nil && c.Reason == "TooManyReplicas" && h.Current == h.Max && h.Max != h.Min {
		e.conditioned(&h.Meta, hpaMaxed, c, fmt.Sprintf("The target has %d replicas, the most that are allowed", h.Max))
	}
	if c := facts.Is(h.Conditions, "AbleToScale", facts.False); c != nil && isReason(c, "FailedGetScale", "FailedUpdateScale") {
		e.conditioned(&h.Meta, hpaUnable, c, "The target cannot be scaled")
	}
	if c := facts.Is(h.Conditions, "ScalingActive", facts.False); c != nil && isReason(c,
		"FailedGetResourceMetric", "FailedGetContainerResourceMetric", "FailedGetPodsMetric", "FailedGetObjectMetric",
		"FailedGetExternalMetric", "InvalidMetricSourceType", "InvalidSelector", "AmbiguousSelector") {
		e.conditioned(&h.Meta, hpaMetrics, c, "The metrics cannot be read")
	}
	if h.Desired != h.Current && h.Min < h.Current && h.Current < h.Max {
		f := itself(&h.Meta, hpaMismatch, "ReplicasMismatch", time.Time{})
		f.Earliest = h.LastScaled
		f.Token = tokenOf(h.Current)
		f.Explain = inState(fmt.Sprintf("%d replicas are wanted and there are %d", h.Desired, h.Current), "status.currentReplicas", strconv.Itoa(int(h.Current)),
			label("desired", strconv.Itoa(int(h.Desired))))
		e.add(&h.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeDisruptionBudget(b *facts.DisruptionBudget) {
	c := facts.Find(b.Conditions, "DisruptionAllowed")
	// Without pods there is nothing to disrupt: its workload is scaled to zero, or
	// the lack of pods is what others tell.
	if !b.Deleted.IsZero() || b.Expected == 0 && b.Healthy == 0 {
		return
	}
	if b.Desired <= b.Healthy || c != nil && (c.Status != facts.False || !isReason(c, "InsufficientPods", "SyncFailed")) {
		return
	}
	f := itself(&b.Meta, pdbInsufficient, "InsufficientPods", conditionSince(c))
	if c != nil {
		f.Reason = c.Reason
	}
	f.Explain = inState(fmt.Sprintf("%d pods are healthy and %d have to be", b.Healthy, b.Desired), "status.currentHealthy", strconv.Itoa(int(b.Healthy)),
		label("desiredHealthy", strconv.Itoa(int(b.Desired))))
	e.add(&b.Meta, f, sinceCreated)
}
