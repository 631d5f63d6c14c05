// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"fmt"
	"time"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const defaultDeletionTimeout = 300 * time.Second

// DeletionInput is what the next step of a deletion depends on.
type DeletionInput struct {
	// DeletedAt is metadata.deletionTimestamp.
	DeletedAt time.Time
	// Policy is spec.deletionPolicy, or nil.
	Policy *v1alpha1.ClusterDeletionPolicy
	// Forced says that the force-delete annotation is "true".
	Forced bool
	// AgentReachable says that there is an agent which can say goodbye: it is
	// connected and its credentials are in force.
	AgentReachable bool
	// Released says that the agent has said goodbye.
	Released bool
	// NamespaceGone says that the cluster's namespace does not exist any more.
	NamespaceGone bool
}

// Deletion is the next step of a deletion.
type Deletion struct {
	// Revoke says that credentials, roles and namespace are to be removed now.
	Revoke bool
	// Finish says that the finalizer is to be dropped, after Revoke.
	Finish bool
	// Reason and Message are those of the Deleting condition.
	Reason, Message string
	// NextCheck is the deadline, zero when finished.
	NextCheck time.Time
}

// NextDeletion decides the next step. Nothing waits longer than the deadline,
// and nothing waits for a cluster that is not there.
func NextDeletion(in DeletionInput, now time.Time) Deletion {
	timeout, cleanup := defaultDeletionTimeout, v1alpha1.AgentCleanupBestEffort
	if p := in.Policy; p != nil {
		if p.TimeoutSeconds > 0 {
			timeout = time.Duration(p.TimeoutSeconds) * time.Second
		}
		if p.AgentCleanup != "" {
			cleanup = p.AgentCleanup
		}
	}
	deadline := in.DeletedAt.Add(timeout)
	over := in.Forced || !now.Before(deadline)
	if !over && cleanup == v1alpha1.AgentCleanupBestEffort && in.AgentReachable && !in.Released {
		return Deletion{
			Reason: v1alpha1.ClusterReasonWaitingForAgent,
			Message: fmt.Sprintf("waiting for the agent to remove its session from the member cluster, until %s at the latest",
				deadline.UTC().Format(time.RFC3339)),
			NextCheck: deadline,
		}
	}
	out := Deletion{
		Revoke: true, Finish: over || in.NamespaceGone,
		Reason: v1alpha1.ClusterReasonRemovingNamespace,
		Message: fmt.Sprintf("credentials are revoked; waiting for the cluster's namespace to go, until %s at the latest",
			deadline.UTC().Format(time.RFC3339)),
	}
	if !out.Finish {
		out.NextCheck = deadline
	}
	return out
}
