// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

const (
	// heartbeatFloor is how old the reported heartbeat may become before it is
	// written again without a reason.
	heartbeatFloor = 5 * time.Minute
	// maxMessage bounds the length of a condition's message.
	maxMessage = 1024
)

// hubConditions are the conditions that the hub writes, in the order of display.
var hubConditions = []string{
	v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
	v1alpha1.ClusterConditionAccepted, v1alpha1.ClusterConditionConnected, v1alpha1.ClusterConditionAvailable,
	v1alpha1.ClusterConditionAgentCompatible, v1alpha1.ClusterConditionMetricsFlowing, v1alpha1.ClusterConditionClockSynced,
	v1alpha1.ClusterConditionDegraded, v1alpha1.ClusterConditionDeleting,
}

// Report is the hub's part of a status.
type Report struct {
	ObservedGeneration   int64
	Namespace            string
	ClusterID            string
	ConflictingClusterID string
	LastHeartbeat        *metav1.Time
	Conditions           []metav1.Condition
}

// Facts are what a report is made of.
type Facts struct {
	// Verdict is what was decided.
	Verdict Verdict
	// ProvisionError is why the objects could not be applied, or nil.
	ProvisionError error
	// Deletion is the step of the deletion, or nil.
	Deletion *Deletion
	// HubVersion is the version of this hub.
	HubVersion string
}

// BuildReport turns facts into the hub's part of the status. Transition times
// stay as they are while the status of a condition does.
func BuildReport(mc *v1alpha1.ManagedCluster, f Facts, now time.Time) Report {
	v := f.Verdict
	b := &reportBuilder{previous: mc.Status.Conditions, generation: mc.Generation, now: metav1.NewTime(now.Truncate(time.Second))}
	b.readiness(f)
	switch {
	case v.Membership == MembershipAwaiting:
		b.add(v1alpha1.ClusterConditionAccepted, metav1.ConditionUnknown, v1alpha1.ClusterReasonAwaitingApproval, awaitingMessage)
	case v.Membership == MembershipDenied:
		b.add(v1alpha1.ClusterConditionAccepted, metav1.ConditionFalse, v1alpha1.ClusterReasonDenied, deniedMessage)
	case v.Identity.Conflict != "":
		b.add(v1alpha1.ClusterConditionAccepted, metav1.ConditionFalse, v1alpha1.ClusterReasonIdentityConflict, v.Identity.Conflict)
	default:
		b.add(v1alpha1.ClusterConditionAccepted, metav1.ConditionTrue, v1alpha1.ClusterReasonAccepted, "the cluster is a member of the fleet")
	}
	b.add(v1alpha1.ClusterConditionConnected, v.Health.Status, v.Health.Reason, v.Health.Message)
	b.availability(v.Health)
	agent := ""
	if mc.Status.Agent != nil {
		agent = mc.Status.Agent.Version
	}
	status, reason, message := JudgeSkew(f.HubVersion, agent)
	b.add(v1alpha1.ClusterConditionAgentCompatible, status, reason, message)
	for _, c := range v.Telemetry.Conditions {
		b.add(c.Type, c.Status, c.Reason, c.Message)
	}
	if d := f.Deletion; d != nil {
		b.add(v1alpha1.ClusterConditionDeleting, metav1.ConditionTrue, d.Reason, d.Message)
	}
	out := Report{
		ObservedGeneration: mc.Generation, Conditions: b.conditions,
		ClusterID: v.Identity.Pinned, ConflictingClusterID: v.Identity.Conflicting,
		LastHeartbeat: mc.Status.LastHeartbeatTime, Namespace: mc.Status.Namespace,
	}
	if v.Membership == MembershipAccepted {
		out.Namespace = namespaceOf(mc.Name)
	}
	was := meta.FindStatusCondition(mc.Status.Conditions, v1alpha1.ClusterConditionConnected)
	if last := v.Health.LastHeartbeat.Truncate(time.Second); !v.Health.LastHeartbeat.IsZero() &&
		(out.LastHeartbeat == nil || last.Sub(out.LastHeartbeat.Time) >= heartbeatFloor || was == nil || was.Status != v.Health.Status) {
		out.LastHeartbeat = &metav1.Time{Time: last}
	}
	return out
}

const (
	awaitingMessage = "waiting for somebody to set spec.accepted to true"
	deniedMessage   = "spec.accepted is false: the agent's credentials are revoked"
)

type reportBuilder struct {
	previous   []metav1.Condition
	generation int64
	now        metav1.Time
	conditions []metav1.Condition
}

func (b *reportBuilder) add(kind string, status metav1.ConditionStatus, reason, message string) {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	c := metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: b.generation, LastTransitionTime: b.now,
	}
	if was := meta.FindStatusCondition(b.previous, kind); was != nil && was.Status == status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	b.conditions = append(b.conditions, c)
}

// readiness adds Ready and, while they are true, Reconciling and Stalled.
func (b *reportBuilder) readiness(f Facts) {
	v := f.Verdict
	notReady := func(reason, message string) {
		b.add(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	}
	switch {
	case f.Deletion != nil:
		notReady(f.Deletion.Reason, f.Deletion.Message)
	case v.Membership == MembershipAwaiting:
		notReady(v1alpha1.ClusterReasonAwaitingApproval, awaitingMessage)
	case f.ProvisionError != nil:
		message := f.ProvisionError.Error()
		notReady(v1alpha1.ClusterReasonProvisionFailed, message)
		b.add(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ClusterReasonProvisionFailed, message)
	case v.Membership == MembershipDenied:
		notReady(v1alpha1.ClusterReasonDenied, deniedMessage)
	case v.Wait:
		message := "waiting for an old namespace of the same name to go"
		notReady(v1alpha1.ClusterReasonProvisioning, message)
		b.add(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ClusterReasonProvisioning, message)
	case v.Identity.Conflict != "":
		notReady(v1alpha1.ClusterReasonIdentityConflict, v.Identity.Conflict)
		b.add(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ClusterReasonIdentityConflict, v.Identity.Conflict)
	default:
		b.add(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ClusterReasonProvisioned,
			"namespace, identity, roles and Lease of the agent are in place")
	}
}

// availability adds the summary: unknown while not connected, otherwise what the
// agent says about its API server.
func (b *reportBuilder) availability(h Health) {
	api := meta.FindStatusCondition(b.previous, v1alpha1.ClusterConditionAPIServerHealthy)
	switch {
	case !h.Connected():
		b.add(v1alpha1.ClusterConditionAvailable, metav1.ConditionUnknown, h.Reason, h.Message)
	case api == nil:
		b.add(v1alpha1.ClusterConditionAvailable, metav1.ConditionUnknown, v1alpha1.ClusterReasonNotReported,
			"the agent has not reported about its API server yet")
	case api.Status == metav1.ConditionTrue:
		b.add(v1alpha1.ClusterConditionAvailable, metav1.ConditionTrue, v1alpha1.ClusterReasonAvailable,
			"the cluster is connected and its API server healthy")
	default:
		b.add(v1alpha1.ClusterConditionAvailable, api.Status, api.Reason, fmt.Sprintf("API server: %s", api.Message))
	}
}

// ReportOf returns the hub's part of a status as it is.
func ReportOf(s *v1alpha1.ManagedClusterStatus) Report {
	out := Report{
		ObservedGeneration: -1, Namespace: s.Namespace, ClusterID: s.ClusterID,
		ConflictingClusterID: s.ConflictingClusterID, LastHeartbeat: s.LastHeartbeatTime,
	}
	if s.ObservedGeneration != nil {
		out.ObservedGeneration = *s.ObservedGeneration
	}
	for _, kind := range hubConditions {
		if c := meta.FindStatusCondition(s.Conditions, kind); c != nil {
			out.Conditions = append(out.Conditions, *c)
		}
	}
	return out
}

// Equal says whether two reports display the same.
func (r Report) Equal(other Report) bool {
	byType := func(conditions []metav1.Condition) map[string]metav1.Condition {
		m := make(map[string]metav1.Condition, len(conditions))
		for _, c := range conditions {
			m[c.Type] = c
		}
		return m
	}
	ours, theirs := byType(r.Conditions), byType(other.Conditions)
	if r.ObservedGeneration != other.ObservedGeneration || r.Namespace != other.Namespace ||
		r.ClusterID != other.ClusterID || r.ConflictingClusterID != other.ConflictingClusterID ||
		!r.LastHeartbeat.Equal(other.LastHeartbeat) || len(ours) != len(theirs) {
		return false
	}
	return !slices.ContainsFunc(r.Conditions, func(c metav1.Condition) bool {
		o, found := theirs[c.Type]
		return !found || c.Status != o.Status || c.Reason != o.Reason || c.Message != o.Message ||
			c.ObservedGeneration != o.ObservedGeneration || !c.LastTransitionTime.Equal(&o.LastTransitionTime)
	})
}

// Status returns the apply configuration of the report. Apply it as
// v1alpha1.FieldOwnerHub: what it leaves out is removed.
func (r Report) Status() *atlhyperac.ManagedClusterStatusApplyConfiguration {
	s := atlhyperac.ManagedClusterStatus().WithObservedGeneration(r.ObservedGeneration)
	if r.Namespace != "" {
		s.WithNamespace(r.Namespace)
	}
	if r.ClusterID != "" {
		s.WithClusterID(r.ClusterID)
	}
	if r.ConflictingClusterID != "" {
		s.WithConflictingClusterID(r.ConflictingClusterID)
	}
	if r.LastHeartbeat != nil {
		s.WithLastHeartbeatTime(*r.LastHeartbeat)
	}
	for _, c := range r.Conditions {
		s.WithConditions(metaac.Condition().WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).
			WithMessage(c.Message).WithObservedGeneration(c.ObservedGeneration).WithLastTransitionTime(c.LastTransitionTime))
	}
	return s
}
