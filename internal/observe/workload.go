// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// Lease converts a Lease.
func Lease(o *coordinationv1.Lease) *facts.Lease {
	l := &facts.Lease{Meta: meta(facts.KindLease, &o.ObjectMeta)}
	if o.Spec.RenewTime != nil {
		l.Renewed = o.Spec.RenewTime.Time
	}
	return l
}

// Deployment converts a Deployment.
func Deployment(o *appsv1.Deployment) *facts.Workload {
	w := &facts.Workload{
		Meta: meta(facts.KindDeployment, &o.ObjectMeta), Observed: o.Status.ObservedGeneration,
		Desired: orElse(o.Spec.Replicas, 1), Current: o.Status.Replicas, Updated: o.Status.UpdatedReplicas,
		Ready: o.Status.ReadyReplicas, Available: o.Status.AvailableReplicas, Paused: o.Spec.Paused, Labels: o.Spec.Template.Labels,
		Conditions: conditions(o.Status.Conditions, func(c *appsv1.DeploymentCondition) facts.Condition {
			return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
		}),
	}
	w.SpecChanged, w.StatusChanged = written(&o.ObjectMeta)
	for i := range o.Status.Conditions {
		if c := &o.Status.Conditions[i]; c.Type == appsv1.DeploymentProgressing {
			w.Progressed = c.LastUpdateTime.Time
		}
	}
	return w
}

// StatefulSet converts a StatefulSet.
func StatefulSet(o *appsv1.StatefulSet) *facts.Workload {
	w := &facts.Workload{
		Meta: meta(facts.KindStatefulSet, &o.ObjectMeta), Observed: o.Status.ObservedGeneration,
		Desired: orElse(o.Spec.Replicas, 1), Current: o.Status.Replicas, Updated: o.Status.UpdatedReplicas,
		Ready: o.Status.ReadyReplicas, Available: o.Status.AvailableReplicas, Labels: o.Spec.Template.Labels,
		OnDelete:        o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		CurrentRevision: o.Status.CurrentRevision, UpdateRevision: o.Status.UpdateRevision,
	}
	if r := o.Spec.UpdateStrategy.RollingUpdate; r != nil {
		w.Partition = value(r.Partition)
	}
	w.SpecChanged, w.StatusChanged = written(&o.ObjectMeta)
	return w
}

// DaemonSet converts a DaemonSet.
func DaemonSet(o *appsv1.DaemonSet) *facts.Workload {
	w := &facts.Workload{
		Meta: meta(facts.KindDaemonSet, &o.ObjectMeta), Observed: o.Status.ObservedGeneration,
		Desired: o.Status.DesiredNumberScheduled, Current: o.Status.CurrentNumberScheduled, Updated: o.Status.UpdatedNumberScheduled,
		Ready: o.Status.NumberReady, Available: o.Status.NumberAvailable, Misscheduled: o.Status.NumberMisscheduled,
		OnDelete: o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType, Labels: o.Spec.Template.Labels,
	}
	w.SpecChanged, w.StatusChanged = written(&o.ObjectMeta)
	return w
}

// ReplicaSet converts a ReplicaSet.
func ReplicaSet(o *appsv1.ReplicaSet) *facts.Workload {
	w := &facts.Workload{
		Meta: meta(facts.KindReplicaSet, &o.ObjectMeta), Observed: o.Status.ObservedGeneration,
		Desired: orElse(o.Spec.Replicas, 1), Current: o.Status.Replicas, Updated: o.Status.FullyLabeledReplicas,
		Ready: o.Status.ReadyReplicas, Available: o.Status.AvailableReplicas,
	}
	// The old ones of a Deployment are scaled to zero, whatever the Deployment is.
	if w.Owner.Kind == "" {
		w.Labels = o.Spec.Template.Labels
	}
	return w
}

// Job converts a Job.
func Job(o *batchv1.Job) *facts.Job {
	return &facts.Job{
		Meta: meta(facts.KindJob, &o.ObjectMeta), Suspended: value(o.Spec.Suspend), Queued: o.Labels[labelQueue] != "",
		Started: timeOf(o.Status.StartTime), Active: o.Status.Active,
		Conditions: conditions(o.Status.Conditions, func(c *batchv1.JobCondition) facts.Condition {
			return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
		}),
	}
}

// CronJob converts a CronJob. A time zone that this machine does not know is taken
// for UTC.
func CronJob(o *batchv1.CronJob) *facts.CronJob {
	c := &facts.CronJob{
		Meta: meta(facts.KindCronJob, &o.ObjectMeta), Schedule: o.Spec.Schedule, Suspended: value(o.Spec.Suspend),
		LastScheduled: timeOf(o.Status.LastScheduleTime), LastSucceeded: timeOf(o.Status.LastSuccessfulTime), Forbid: o.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent, Active: len(o.Status.Active),
		Deadline: time.Duration(value(o.Spec.StartingDeadlineSeconds)) * time.Second,
	}
	if zone := value(o.Spec.TimeZone); zone != "" {
		if location, err := time.LoadLocation(zone); err == nil {
			c.Zone = location
		}
	}
	if c.Suspended {
		c.SuspendedSince = fieldSet(&o.ObjectMeta, "suspend")
	}
	return c
}

// Autoscaler converts a HorizontalPodAutoscaler.
func Autoscaler(o *autoscalingv2.HorizontalPodAutoscaler) *facts.Autoscaler {
	return &facts.Autoscaler{
		Meta: meta(facts.KindAutoscaler, &o.ObjectMeta), Min: orElse(o.Spec.MinReplicas, 1), Max: o.Spec.MaxReplicas,
		Current: o.Status.CurrentReplicas, Desired: o.Status.DesiredReplicas, LastScaled: timeOf(o.Status.LastScaleTime),
		Conditions: conditions(o.Status.Conditions, func(c *autoscalingv2.HorizontalPodAutoscalerCondition) facts.Condition {
			return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
		}),
	}
}

// DisruptionBudget converts a PodDisruptionBudget.
func DisruptionBudget(o *policyv1.PodDisruptionBudget) *facts.DisruptionBudget {
	return &facts.DisruptionBudget{
		Meta: meta(facts.KindDisruptionBudget, &o.ObjectMeta), Expected: o.Status.ExpectedPods, Desired: o.Status.DesiredHealthy, Healthy: o.Status.CurrentHealthy,
		Conditions: conditions(o.Status.Conditions, metaCondition),
	}
}

// Namespace converts a Namespace.
func Namespace(o *corev1.Namespace) *facts.Namespace {
	return &facts.Namespace{
		Meta: meta(facts.KindNamespace, &o.ObjectMeta), Phase: string(o.Status.Phase),
		Conditions: conditions(o.Status.Conditions, func(c *corev1.NamespaceCondition) facts.Condition {
			return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
		}),
	}
}

// Quota converts a ResourceQuota.
func Quota(o *corev1.ResourceQuota) *facts.Quota {
	q := &facts.Quota{Meta: meta(facts.KindQuota, &o.ObjectMeta)}
	for name, hard := range o.Status.Hard {
		if used, ok := o.Status.Used[name]; ok {
			q.Usage = append(q.Usage, facts.Usage{Resource: string(name), Used: used.AsApproximateFloat64(), Hard: hard.AsApproximateFloat64()})
		}
	}
	slices.SortFunc(q.Usage, func(a, b facts.Usage) int { return strings.Compare(a.Resource, b.Resource) })
	return q
}

// Expiry makes the fact that a certificate of the control plane ends.
func Expiry(component string, notAfter time.Time) *facts.Expiry {
	return &facts.Expiry{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindExpiry, Name: component}}, NotAfter: notAfter}
}

// Cluster makes the fact of what version the API server has.
func Cluster(version string) *facts.Cluster {
	return &facts.Cluster{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindCluster, Name: facts.ClusterName}}, Version: version}
}
