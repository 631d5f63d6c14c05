// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package facts

import "time"

// Workload is a Deployment, StatefulSet, DaemonSet, ReplicaSet or
// ReplicationController.
type Workload struct {
	Meta
	// Observed is status.observedGeneration.
	Observed int64
	// Desired is spec.replicas, for a DaemonSet desiredNumberScheduled.
	Desired int32
	// Current is how many exist, for a DaemonSet currentNumberScheduled.
	Current int32
	// Updated is how many are of the newest template.
	Updated int32
	// Ready is how many are ready.
	Ready int32
	// Available is how many have been ready for long enough.
	Available int32
	// Misscheduled is how many of a DaemonSet run where they should not.
	Misscheduled int32
	// Partition is below which ordinal a StatefulSet is not updated.
	Partition int32
	// OnDelete is true when pods are updated only once they are deleted.
	OnDelete bool
	// Paused is true when a Deployment's rollouts are paused.
	Paused bool
	// CurrentRevision and UpdateRevision are a StatefulSet's.
	CurrentRevision, UpdateRevision string
	// Progressed is when a Deployment's rollout last made progress.
	Progressed time.Time
	// SpecChanged is when the spec was last changed, and StatusChanged when the status
	// was, as far as the object tells.
	SpecChanged, StatusChanged time.Time
	// Conditions of the status.
	Conditions []Condition
	// Labels are those of the pod template; nil for a ReplicaSet of a Deployment.
	Labels map[string]string
}

// Down says that the workload should have replicas and none is ready.
func (w *Workload) Down() bool { return w.Desired > 0 && w.Ready == 0 }

// Job is a Job.
type Job struct {
	Meta
	// Suspended is spec.suspend.
	Suspended bool
	// Queued is true when it names a queue that decides when it starts (Kueue).
	Queued bool
	// Started is status.startTime.
	Started time.Time
	// Active is how many pods run.
	Active int32
	// Conditions of the status.
	Conditions []Condition
}

// CronJob is a CronJob.
type CronJob struct {
	Meta
	// Schedule is spec.schedule.
	Schedule string
	// Zone is the location of spec.timeZone, nil for that of the controller,
	// which is UTC almost everywhere.
	Zone *time.Location
	// Suspended is spec.suspend.
	Suspended bool
	// SuspendedSince is when that was set, as far as the object tells.
	SuspendedSince time.Time
	// LastScheduled is status.lastScheduleTime.
	LastScheduled time.Time
	// LastSucceeded is status.lastSuccessfulTime.
	LastSucceeded time.Time
	// Deadline is startingDeadlineSeconds; 0 for none.
	Deadline time.Duration
	// Forbid is true when a running Job keeps the next from starting.
	Forbid bool
	// Active is how many Jobs run.
	Active int
}

// Autoscaler is a HorizontalPodAutoscaler.
type Autoscaler struct {
	Meta
	// Min and Max bound the replicas.
	Min, Max int32
	// Current and Desired are the status's.
	Current, Desired int32
	// LastScaled is when it last changed the target.
	LastScaled time.Time
	// Conditions of the status.
	Conditions []Condition
}

// DisruptionBudget is a PodDisruptionBudget.
type DisruptionBudget struct {
	Meta
	// Expected is how many pods it is about, Desired how many have to be healthy,
	// and Healthy how many are.
	Expected, Desired, Healthy int32
	// Conditions of the status.
	Conditions []Condition
}

// Usage is one resource of a quota.
type Usage struct {
	// Resource is such as "requests.cpu".
	Resource string
	// Used and Hard are in the same unit.
	Used, Hard float64
}

// Quota is a ResourceQuota.
type Quota struct {
	Meta
	// Usage has the resources that are limited.
	Usage []Usage
}

// Namespace is a namespace.
type Namespace struct {
	Meta
	// Phase is "Active" or "Terminating".
	Phase string
	// Conditions of the status.
	Conditions []Condition
}
