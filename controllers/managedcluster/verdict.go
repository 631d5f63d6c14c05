// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// Membership says whether a cluster belongs to the fleet.
type Membership string

const (
	// MembershipAwaiting means that nobody has accepted it yet.
	MembershipAwaiting Membership = "Awaiting"
	// MembershipAccepted means that it belongs to the fleet.
	MembershipAccepted Membership = "Accepted"
	// MembershipDenied means that it was accepted and is not any more.
	MembershipDenied Membership = "Denied"
)

// MembershipOf decides from what the owner of the fleet wants and what was
// reported before.
func MembershipOf(mc *v1alpha1.ManagedCluster) Membership {
	if mc.Spec.Accepted == nil || *mc.Spec.Accepted {
		return MembershipAccepted
	}
	previous := meta.FindStatusCondition(mc.Status.Conditions, v1alpha1.ClusterConditionAccepted)
	if previous == nil || previous.Reason == v1alpha1.ClusterReasonAwaitingApproval {
		return MembershipAwaiting
	}
	return MembershipDenied
}

// Input is everything that the decisions about one cluster rest on.
type Input struct {
	// Cluster is the object as it was read.
	Cluster *v1alpha1.ManagedCluster
	// Lease is what was observed of the agent.
	Lease Observation
	// Fleet is counted only when this cluster would be called expired.
	Fleet Fleet
	// Telemetry is what has arrived of it; nil when the hub keeps no history.
	Telemetry *TelemetryView

	marks     marks     // what was done before
	desired   string    // fingerprint of the objects as they should be
	namespace namespace // as the cache has it
	verifyAt  time.Time // when to verify what was provisioned
	drifted   bool      // somebody else changed it
}

type namespace struct{ exists, terminating bool }

// Verdict is what is to be reported and done about one cluster.
type Verdict struct {
	// Membership, Identity, Health, Telemetry and Join are the single decisions.
	Membership Membership
	Identity   Identity
	Health     Health
	Telemetry  TelemetryVerdict
	Join       Join
	// Provision says that the objects of the cluster are to be applied.
	Provision bool
	// Wait says that they have to wait for a namespace of the same name to go.
	Wait bool
	// Revoke says that credentials and roles are to be removed.
	Revoke bool
}

func identityOf(in *Input, now time.Time) Identity {
	return DecideIdentity(IdentityInput{
		Expected:    in.Cluster.Spec.ExpectedClusterID,
		Pinned:      in.Cluster.Status.ClusterID,
		Conflicting: in.Cluster.Status.ConflictingClusterID,
		Holders:     in.Lease.Holders, WatchedSince: in.Lease.Since,
	}, now)
}

func healthInput(mc *v1alpha1.ManagedCluster, lease Observation, pinned string) HealthInput {
	in := HealthInput{
		Joined:       pinned != "",
		Previous:     meta.FindStatusCondition(mc.Status.Conditions, v1alpha1.ClusterConditionConnected),
		WatchedSince: lease.Since,
		Rhythm:       RhythmOf(mc.Spec),
	}
	if h := lease.Holders[pinned]; h.Renewed {
		in.LastSeen = h.LastSeen
	}
	if t := mc.Status.LastHeartbeatTime; t != nil {
		in.LastReported = t.Time
	}
	return in
}

func telemetryInput(in *Input, pinned string, health Health, now time.Time) TelemetryInput {
	status := &in.Cluster.Status
	out := TelemetryInput{
		View: in.Telemetry, Connected: health.Connected(), ConnectedSince: now,
		Measured: status.Used != nil, Lease: in.Lease.Holders[pinned].Clock, Previous: status.Conditions,
	}
	if was := meta.FindStatusCondition(status.Conditions, v1alpha1.ClusterConditionConnected); wasConnected(was) {
		out.ConnectedSince = was.LastTransitionTime.Time
	}
	if status.Agent != nil {
		out.Delivery = status.Agent.Delivery
	}
	return out
}

// Decide combines the single decisions.
func Decide(in *Input, outage OutageOptions, now time.Time) Verdict {
	mc := in.Cluster
	v := Verdict{Membership: MembershipOf(mc), Identity: identityOf(in, now)}
	health := healthInput(mc, in.Lease, v.Identity.Pinned)
	judged := JudgeHealth(health, now)
	v.Health = GuardOutage(judged, health.Previous, in.Fleet, health.Rhythm.Grace, outage, now)

	v.Telemetry = JudgeTelemetry(telemetryInput(in, v.Identity.Pinned, v.Health, now), now)

	member := v.Membership == MembershipAccepted && mc.DeletionTimestamp.IsZero()
	v.Join = DecideJoin(JoinInput{
		Member: member, Requested: mc.Annotations[v1alpha1.AnnotationJoinRequest],
		Answered: in.marks.answered, OpenUntil: in.marks.openUntil, Joined: in.Lease.Joined,
	}, now)
	due := in.drifted || !now.Before(in.verifyAt)
	switch {
	case member:
		// A session Secret may have been deleted to lock the agent out. Before it
		// can join again there has to be a new one.
		v.Provision = due || v.Join.Issue || in.marks.provisioned != in.desired
		v.Wait = v.Provision && in.namespace.terminating
		if v.Wait {
			v.Provision, v.Join = false, Join{}
		}
	case v.Membership == MembershipDenied && mc.DeletionTimestamp.IsZero():
		v.Revoke = due || in.marks.provisioned != revokedMark
	}
	return v
}

// deletionInput describes the deletion of a cluster.
func deletionInput(in *Input, v Verdict) DeletionInput {
	mc := in.Cluster
	return DeletionInput{
		DeletedAt: mc.DeletionTimestamp.Time,
		Policy:    mc.Spec.DeletionPolicy,
		Forced:    mc.Annotations[v1alpha1.AnnotationForceDelete] == "true",
		// Once the namespace goes, the Lease goes with it, and with that the trace of
		// a goodbye: nobody is waited for twice.
		AgentReachable: v.Membership == MembershipAccepted && v.Health.Status == metav1.ConditionTrue &&
			in.namespace.exists && !in.namespace.terminating,
		Released: in.Lease.Released,
	}
}

// earliest returns the first of some times that is set, zero when none is.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
