// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Phases of workloads.
const (
	phaseComplete    = "Complete"
	phaseProgressing = "Progressing"
	phaseFailedWord  = "Failed"
	phaseRunningWord = "Running"
	phaseSuspended   = "Suspended"
	phaseActive      = "Active"
)

// replicasOf is what a spec asks for; absent means one.
func replicasOf(n *int32) int32 {
	if n == nil {
		return 1
	}
	return max(*n, 0)
}

func positive(r telemetry.Replicas) telemetry.Replicas {
	return telemetry.Replicas{
		Desired: max(r.Desired, 0), Current: max(r.Current, 0), Updated: max(r.Updated, 0),
		Ready: max(r.Ready, 0), Available: max(r.Available, 0), Failed: max(r.Failed, 0),
	}
}

// rollout sets the phase of a workload whose controller has none itself.
func (b *builder) rollout(complete bool) {
	if complete && b.observed >= b.generation {
		b.inPhase(phaseComplete)
	} else {
		b.inPhase(phaseProgressing)
	}
}

func (b *builder) template(selector *metav1.LabelSelector, template *corev1.PodTemplateSpec) {
	b.attribute(telemetry.AttributeImage, imagesOf(b, &template.Spec))
	if selector != nil {
		b.attribute(telemetry.AttributeSelector, metav1.FormatLabelSelector(selector))
	}
}

func convertDeployment(d *appsv1.Deployment, b *builder) bool {
	b.begin(&d.ObjectMeta)
	b.spec(d.Generation, d.Status.ObservedGeneration)
	b.replicas = positive(telemetry.Replicas{
		Desired: replicasOf(d.Spec.Replicas), Current: d.Status.Replicas, Updated: d.Status.UpdatedReplicas,
		Ready: d.Status.ReadyReplicas, Available: d.Status.AvailableReplicas,
	})
	condition := func(kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
		return find(d.Status.Conditions, func(c *appsv1.DeploymentCondition) bool { return c.Type == kind })
	}
	progressing := condition(appsv1.DeploymentProgressing)
	if progressing != nil && progressing.Status == corev1.ConditionFalse {
		b.inPhase(phaseFailedWord)
		b.because(progressing.Reason, progressing.Message)
	} else {
		// Without a deadline there is no such condition, and replicas tell.
		complete := b.replicas.Updated >= b.replicas.Desired && b.replicas.Current <= b.replicas.Updated
		if progressing != nil && progressing.Status == corev1.ConditionTrue {
			complete = complete && progressing.Reason == "NewReplicaSetAvailable"
		}
		b.rollout(complete)
	}
	if c := condition(appsv1.DeploymentReplicaFailure); c != nil && c.Status == corev1.ConditionTrue {
		b.because(c.Reason, c.Message)
	}
	if c := condition(appsv1.DeploymentAvailable); c != nil {
		b.readyFrom(string(c.Status))
		if c.Status == corev1.ConditionFalse {
			b.because(c.Reason, c.Message)
		}
	}
	if d.Spec.Paused {
		b.because("DeploymentPaused", "")
	}
	b.attribute(telemetry.AttributeStrategy, string(d.Spec.Strategy.Type))
	b.template(d.Spec.Selector, &d.Spec.Template)
	return true
}

func convertStatefulSet(s *appsv1.StatefulSet, b *builder) bool {
	b.begin(&s.ObjectMeta)
	b.spec(s.Generation, s.Status.ObservedGeneration)
	b.replicas = positive(telemetry.Replicas{
		Desired: replicasOf(s.Spec.Replicas), Current: s.Status.Replicas, Updated: s.Status.UpdatedReplicas,
		Ready: s.Status.ReadyReplicas, Available: s.Status.AvailableReplicas,
	})
	wanted := b.replicas.Desired
	strategy := s.Spec.UpdateStrategy
	if strategy.RollingUpdate != nil && strategy.RollingUpdate.Partition != nil {
		wanted = max(wanted-*strategy.RollingUpdate.Partition, 0)
	}
	updated := s.Status.CurrentRevision == s.Status.UpdateRevision || b.replicas.Updated >= wanted
	b.rollout(b.replicas.Current == b.replicas.Desired && (updated || strategy.Type == appsv1.OnDeleteStatefulSetStrategyType))
	b.isReady(b.replicas.Ready >= b.replicas.Desired)
	b.attribute(telemetry.AttributeStrategy, string(strategy.Type))
	b.template(s.Spec.Selector, &s.Spec.Template)
	return true
}

func convertDaemonSet(d *appsv1.DaemonSet, b *builder) bool {
	b.begin(&d.ObjectMeta)
	b.spec(d.Generation, d.Status.ObservedGeneration)
	b.replicas = positive(telemetry.Replicas{
		Desired: d.Status.DesiredNumberScheduled, Current: d.Status.CurrentNumberScheduled, Updated: d.Status.UpdatedNumberScheduled,
		Ready: d.Status.NumberReady, Available: d.Status.NumberAvailable,
	})
	strategy := d.Spec.UpdateStrategy.Type
	b.rollout(b.replicas.Updated >= b.replicas.Desired || strategy == appsv1.OnDeleteDaemonSetStrategyType)
	// Before its controller has looked, a desired number of 0 means nothing.
	if b.observed > 0 {
		b.isReady(b.replicas.Ready >= b.replicas.Desired)
	}
	b.attribute(telemetry.AttributeStrategy, string(strategy))
	b.template(d.Spec.Selector, &d.Spec.Template)
	return true
}

// convertReplicaSet hides those without replicas: they are the history of
// Deployments.
func convertReplicaSet(r *appsv1.ReplicaSet, b *builder) bool {
	b.begin(&r.ObjectMeta)
	b.spec(r.Generation, r.Status.ObservedGeneration)
	b.replicas = positive(telemetry.Replicas{
		Desired: replicasOf(r.Spec.Replicas), Current: r.Status.Replicas, Updated: r.Status.FullyLabeledReplicas,
		Ready: r.Status.ReadyReplicas, Available: r.Status.AvailableReplicas,
	})
	if b.replicas.Desired == 0 && b.replicas.Current == 0 {
		return false
	}
	b.isReady(b.replicas.Ready >= b.replicas.Desired)
	failure := find(r.Status.Conditions, func(c *appsv1.ReplicaSetCondition) bool {
		return c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue
	})
	if failure != nil {
		b.because(failure.Reason, failure.Message)
	}
	b.attribute(telemetry.AttributeTemplateHash, r.Labels[labelPodTemplateHash])
	b.attribute(telemetry.AttributeImage, imagesOf(b, &r.Spec.Template.Spec))
	return true
}

func convertJob(j *batchv1.Job, b *builder) bool {
	b.begin(&j.ObjectMeta)
	b.spec(j.Generation, 0)
	parallelism := replicasOf(j.Spec.Parallelism)
	desired := parallelism
	if j.Spec.Completions != nil {
		desired = *j.Spec.Completions
	}
	b.replicas = positive(telemetry.Replicas{Desired: desired, Current: j.Status.Active, Updated: j.Status.Succeeded, Failed: j.Status.Failed})
	if j.Status.Ready != nil {
		b.replicas.Ready = max(*j.Status.Ready, 0)
	}
	holds := func(kind batchv1.JobConditionType) *batchv1.JobCondition {
		return find(j.Status.Conditions, func(c *batchv1.JobCondition) bool { return c.Type == kind && c.Status == corev1.ConditionTrue })
	}
	finished := j.Status.CompletionTime
	switch failed, complete := holds(batchv1.JobFailed), holds(batchv1.JobComplete); {
	case complete != nil:
		b.inPhase(phaseComplete)
		b.isReady(true)
	case failed != nil:
		b.inPhase(phaseFailedWord)
		b.isReady(false)
		b.because(failed.Reason, failed.Message)
		finished = &failed.LastTransitionTime
	case j.Spec.Suspend != nil && *j.Spec.Suspend:
		b.inPhase(phaseSuspended)
	default:
		b.inPhase(phaseRunningWord)
		if target := holds(batchv1.JobFailureTarget); target != nil {
			b.because(target.Reason, target.Message)
		}
	}
	b.number(telemetry.NumberParallelism, int64(parallelism))
	if j.Spec.BackoffLimit != nil {
		b.number(telemetry.NumberBackoffLimit, int64(*j.Spec.BackoffLimit))
	}
	b.moment(telemetry.NumberStartedSeconds, j.Status.StartTime)
	b.moment(telemetry.NumberFinishedSeconds, finished)
	b.attribute(telemetry.AttributeImage, imagesOf(b, &j.Spec.Template.Spec))
	return true
}

func convertCronJob(c *batchv1.CronJob, b *builder) bool {
	b.begin(&c.ObjectMeta)
	b.spec(c.Generation, 0)
	b.inPhase(phaseActive)
	if c.Spec.Suspend != nil && *c.Spec.Suspend {
		b.inPhase(phaseSuspended)
	}
	b.replicas.Current = clampInt32(int64(len(c.Status.Active)))
	b.moment(telemetry.NumberLastScheduledSeconds, c.Status.LastScheduleTime)
	b.moment(telemetry.NumberLastSucceededSeconds, c.Status.LastSuccessfulTime)
	b.attribute(telemetry.AttributeSchedule, c.Spec.Schedule)
	if c.Spec.TimeZone != nil {
		b.attribute(telemetry.AttributeTimeZone, *c.Spec.TimeZone)
	}
	b.attribute(telemetry.AttributeImage, imagesOf(b, &c.Spec.JobTemplate.Spec.Template.Spec))
	return true
}

func convertAutoscaler(h *autoscalingv2.HorizontalPodAutoscaler, b *builder) bool {
	b.begin(&h.ObjectMeta)
	observed := int64(0)
	if h.Status.ObservedGeneration != nil {
		observed = *h.Status.ObservedGeneration
	}
	b.spec(h.Generation, observed)
	b.replicas = positive(telemetry.Replicas{Desired: h.Status.DesiredReplicas, Current: h.Status.CurrentReplicas})
	condition := func(kind autoscalingv2.HorizontalPodAutoscalerConditionType) *autoscalingv2.HorizontalPodAutoscalerCondition {
		return find(h.Status.Conditions, func(c *autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == kind })
	}
	if c := condition(autoscalingv2.ScalingActive); c != nil {
		b.readyFrom(string(c.Status))
	}
	for _, kind := range []autoscalingv2.HorizontalPodAutoscalerConditionType{autoscalingv2.AbleToScale, autoscalingv2.ScalingActive} {
		if c := condition(kind); c != nil && c.Status == corev1.ConditionFalse {
			b.because(c.Reason, c.Message)
		}
	}
	b.number(telemetry.NumberMinReplicas, int64(replicasOf(h.Spec.MinReplicas)))
	b.number(telemetry.NumberMaxReplicas, int64(h.Spec.MaxReplicas))
	b.ownAttribute(telemetry.AttributeTarget, h.Spec.ScaleTargetRef.Kind+"/"+h.Spec.ScaleTargetRef.Name)
	return true
}
