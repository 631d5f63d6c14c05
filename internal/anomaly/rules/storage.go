// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var resizeErrors = []string{"ControllerResizeError", "NodeResizeError", "ModifyVolumeError"}

func (e *evaluation) judgeClaim(c *facts.Claim) {
	switch c.Phase {
	case facts.PhasePending:
		e.judgePendingClaim(c)
	case "Lost":
		f := itself(&c.Meta, claimLost, "Lost", time.Time{})
		f.Explain = inState("The volume "+c.Volume+" of the claim is gone", "status.phase", c.Phase, label("volume", c.Volume))
		e.add(&c.Meta, f, sinceCreated)
	}
	condition := oldest(c.Conditions, func(c *facts.Condition) bool { return c.Status == facts.True && slices.Contains(resizeErrors, c.Type) })
	if condition == nil || !c.Deleted.IsZero() {
		return
	}
	f := itself(&c.Meta, claimResize, condition.Type, condition.Since)
	f.Explain = byCondition("The volume cannot be changed", condition)
	if h, ok := e.ask(c.Ref, &resizeFailed); ok {
		f.Explain = byEvents("The volume cannot be changed", h, label("field", "status.conditions[type="+condition.Type+"]"), label("value", facts.True))
	}
	e.add(&c.Meta, f, sinceCreated)
}

func (e *evaluation) judgePendingClaim(c *facts.Claim) {
	if !c.Deleted.IsZero() {
		return // nobody wants a volume any more
	}
	if h, ok := e.ask(c.Ref, &provisioning); ok {
		f := itself(&c.Meta, claimProvisioning, h.Reason, h.Began)
		f.Until = h.Until
		f.Explain = byEvents("No volume can be made", h, label("storageClass", c.StorageClass))
		e.add(&c.Meta, f, sinceCreated)
	}
	if e.waitsForConsumer(c) {
		return
	}
	f := itself(&c.Meta, claimPending, facts.PhasePending, time.Time{})
	f.Earliest = c.Created
	f.Explain = inState("The claim has no volume", "status.phase", c.Phase, label("storageClass", c.StorageClass))
	if h, ok := e.ask(c.Ref, &claimEvents); ok {
		f.Explain = byEvents("The claim has no volume", h, label("field", "status.phase"), label("value", c.Phase), label("storageClass", c.StorageClass))
	}
	e.add(&c.Meta, f, sinceCreated)
}

// waitsForConsumer says that the claim gets its volume once a pod needs it, and
// none does.
func (e *evaluation) waitsForConsumer(c *facts.Claim) bool {
	class, ok := e.look(facts.Ref{Kind: facts.KindStorageClass, Name: c.StorageClass}).(*facts.StorageClass)
	waits := ok && class.WaitsForConsumer
	if !ok {
		_, waits = e.ask(c.Ref, &firstConsumer)
	}
	return waits && e.w.consumers[c.Ref] == 0
}

func (e *evaluation) judgeVolume(v *facts.Volume) {
	switch v.Phase {
	case "Failed":
		f := itself(&v.Meta, volumeFailed, firstOf(v.Reason, "Failed"), v.PhaseSince)
		f.Explain = inState("The volume failed: "+firstOf(v.Message, "no reason is given"), "status.phase", v.Phase, label("claim", v.Claim))
		if h, ok := e.ask(v.Ref, &volumeEvents); ok {
			f.Explain = byEvents("The volume failed", h, label("field", "status.phase"), label("value", v.Phase), label("claim", v.Claim))
		}
		e.add(&v.Meta, f, sinceCreated)
	case "Released":
		f := itself(&v.Meta, volumeReleased, "Released", v.PhaseSince)
		f.Explain = inState("The volume was kept after its claim "+v.Claim+" was deleted", "status.phase", v.Phase, label("claim", v.Claim))
		e.add(&v.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeAttachment(a *facts.VolumeAttachment) {
	what, field, problem := "attached to", "status.attachError", a.AttachError
	if problem == "" {
		what, field, problem = "detached from", "status.detachError", a.DetachError
	}
	if problem == "" {
		return
	}
	// The time beside an error is that of the last try, not of the first.
	f := itself(&a.Meta, volumeAttach, strings.TrimPrefix(field, "status."), time.Time{})
	f.Earliest = a.Deleted
	f.Group = Group{Kind: facts.KindVolume, Name: a.Volume, Part: a.Node}
	f.Node = a.Node
	f.Explain = inState(fmt.Sprintf("Volume %s cannot be %s node %s: %s", a.Volume, what, a.Node, problem), field, problem,
		label("volume", a.Volume), label("node", a.Node))
	e.add(&a.Meta, f, sinceCreated)
}

var remainders = []string{
	"NamespaceDeletionDiscoveryFailure", "NamespaceDeletionContentFailure", "NamespaceDeletionGroupVersionParsingFailure",
	"NamespaceContentRemaining", "NamespaceFinalizersRemaining",
}

func (e *evaluation) judgeNamespace(n *facts.Namespace) {
	if n.Phase != "Terminating" {
		return
	}
	remains := func(c *facts.Condition) bool { return c.Status == facts.True && slices.Contains(remainders, c.Type) }
	first := oldest(n.Conditions, remains)
	if first == nil {
		return
	}
	var messages []string
	for _, kind := range remainders {
		if c := facts.Is(n.Conditions, kind, facts.True); c != nil {
			messages = append(messages, c.Message)
		}
	}
	f := itself(&n.Meta, namespaceStuck, firstOf(first.Reason, first.Type), latestTime(n.Deleted, first.Since))
	f.Explain = byCondition("The namespace cannot be deleted: "+strings.Join(messages, "; "), first, label("deletionTimestamp", stampOf(n.Deleted)))
	e.add(&n.Meta, f, sinceCreated)
}

func (e *evaluation) judgeQuota(q *facts.Quota) {
	var worst *facts.Usage
	for i := range q.Usage {
		u := &q.Usage[i]
		if u.Hard > 0 && u.Used > 0.9*u.Hard && (worst == nil || u.Used/u.Hard > worst.Used/worst.Hard) {
			worst = u
		}
	}
	if worst == nil {
		return
	}
	f := itself(&q.Meta, quotaFull, "QuotaAlmostFull", time.Time{})
	if worst.Used >= worst.Hard {
		f.Reason = "QuotaFull"
		e.need(overQuotaRef(q.Namespace))
		if e.w.overQuota(q.Ref, e.now) {
			f.Reason = "QuotaExceeded"
			f.Escalations = []Escalation{{Severity: telemetry.SeverityWarning}}
		}
	}
	usage := fmt.Sprintf("%s of %s", number(worst.Used), number(worst.Hard))
	f.Explain = inState(fmt.Sprintf("%s of %s is used (%s)", usage, worst.Resource, percent(worst.Used, worst.Hard)), "status.used["+worst.Resource+"]", usage)
	e.add(&q.Meta, f, sinceCreated)
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
