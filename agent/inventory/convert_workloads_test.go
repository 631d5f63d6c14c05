// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"testing"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const templateA = `template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "web:1"}]}}`

func TestConvertDeployment(t *testing.T) {
	const spec = `spec: {replicas: 3, strategy: {type: RollingUpdate}, selector: {matchLabels: {app: web}}, ` + templateA + "}\n"
	attributes := words("image", "web:1", "selector", "app=web", "strategy", "RollingUpdate")
	check1(t, telemetry.KindDeployment, convertDeployment, map[string]kase{
		"new": {spec, telemetry.ObjectDelta{Generation: 3, Phase: "Progressing", Replicas: telemetry.Replicas{Desired: 3}, Attributes: attributes}},
		"complete": {spec + `
status: {observedGeneration: 3, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [
  {type: Available, status: "True", reason: MinimumReplicasAvailable}, {type: Progressing, status: "True", reason: NewReplicaSetAvailable}]}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Phase: "Complete", Ready: telemetry.ReadyTrue, Attributes: attributes,
			Replicas: telemetry.Replicas{Desired: 3, Current: 3, Updated: 3, Ready: 3, Available: 3},
		}},
		"rolling out": {spec + `
status: {observedGeneration: 3, replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3, conditions: [
  {type: Available, status: "True"}, {type: Progressing, status: "True", reason: ReplicaSetUpdated}]}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Phase: "Progressing", Ready: telemetry.ReadyTrue, Attributes: attributes,
			Replicas: telemetry.Replicas{Desired: 3, Current: 4, Updated: 1, Ready: 3, Available: 3},
		}},
		"its controller has not looked yet": {spec + `
status: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, conditions: [{type: Progressing, status: "True", reason: NewReplicaSetAvailable}]}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 2, Phase: "Progressing", Attributes: attributes, Replicas: telemetry.Replicas{Desired: 3, Current: 3, Updated: 3},
		}},
		"stuck": {spec + `
status: {observedGeneration: 3, replicas: 1, updatedReplicas: 1, conditions: [
  {type: Available, status: "False", reason: MinimumReplicasUnavailable, message: none},
  {type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: timed out}]}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Phase: "Failed", Ready: telemetry.ReadyFalse, Reason: "ProgressDeadlineExceeded",
			Message: "timed out", Attributes: attributes, Replicas: telemetry.Replicas{Desired: 3, Current: 1, Updated: 1},
		}},
		"over quota": {spec + `
status: {observedGeneration: 3, conditions: [{type: ReplicaFailure, status: "True", reason: FailedCreate, message: exceeded quota},
  {type: Available, status: "False", reason: MinimumReplicasUnavailable}]}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Phase: "Progressing", Ready: telemetry.ReadyFalse, Reason: "FailedCreate",
			Message: "exceeded quota", Attributes: attributes, Replicas: telemetry.Replicas{Desired: 3},
		}},
	})
}

func TestConvertStatefulSet(t *testing.T) {
	const spec = `spec: {replicas: 3, serviceName: web, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}, ` +
		`selector: {matchLabels: {app: web}}, ` + templateA + "}\n"
	attributes := words("image", "web:1", "selector", "app=web", "strategy", "RollingUpdate")
	check1(t, telemetry.KindStatefulSet, convertStatefulSet, map[string]kase{
		"complete up to its partition": {spec + `
status: {observedGeneration: 3, replicas: 3, updatedReplicas: 2, readyReplicas: 3, availableReplicas: 3, currentRevision: a, updateRevision: b}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Phase: "Complete", Ready: telemetry.ReadyTrue, Attributes: attributes,
			Replicas: telemetry.Replicas{Desired: 3, Current: 3, Updated: 2, Ready: 3, Available: 3},
		}},
		"rolling out": {spec + `
status: {observedGeneration: 3, replicas: 3, updatedReplicas: 1, readyReplicas: 2, availableReplicas: 2, currentRevision: a, updateRevision: b}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Phase: "Progressing", Ready: telemetry.ReadyFalse, Attributes: attributes,
			Replicas: telemetry.Replicas{Desired: 3, Current: 3, Updated: 1, Ready: 2, Available: 2},
		}},
	})
}

func TestConvertDaemonSet(t *testing.T) {
	const spec = `spec: {updateStrategy: {type: RollingUpdate}, selector: {matchLabels: {app: web}}, ` + templateA + "}\n"
	attributes := words("image", "web:1", "selector", "app=web", "strategy", "RollingUpdate")
	check1(t, telemetry.KindDaemonSet, convertDaemonSet, map[string]kase{
		"new": {spec, telemetry.ObjectDelta{Generation: 3, Phase: "Progressing", Attributes: attributes}},
		"one node lacks it": {spec + `
status: {observedGeneration: 3, desiredNumberScheduled: 5, currentNumberScheduled: 5, updatedNumberScheduled: 5, numberReady: 4, numberAvailable: 4, numberMisscheduled: 0}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Phase: "Complete", Ready: telemetry.ReadyFalse, Attributes: attributes,
			Replicas: telemetry.Replicas{Desired: 5, Current: 5, Updated: 5, Ready: 4, Available: 4},
		}},
	})
}

func TestConvertReplicaSet(t *testing.T) {
	check1(t, telemetry.KindReplicaSet, convertReplicaSet, map[string]kase{
		"ready": {`
spec: {replicas: 2, selector: {matchLabels: {app: web}}, ` + templateA + `}
status: {observedGeneration: 3, replicas: 2, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 2}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Ready: telemetry.ReadyTrue, Attributes: words("image", "web:1"),
			Replicas: telemetry.Replicas{Desired: 2, Current: 2, Updated: 2, Ready: 2, Available: 2},
		}},
		"still has what it should lose": {`
spec: {replicas: 0, selector: {matchLabels: {app: web}}, ` + templateA + `}
status: {observedGeneration: 3, replicas: 1}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 3, Ready: telemetry.ReadyTrue, Attributes: words("image", "web:1"),
			Replicas: telemetry.Replicas{Current: 1},
		}},
	})
	if d := deltaOf(t, telemetry.KindReplicaSet, convertReplicaSet, meta+"spec: {replicas: 0, selector: {}}\nstatus: {replicas: 0}"); d != nil {
		t.Errorf("one without replicas is told as %+v", d)
	}
}

func TestConvertJob(t *testing.T) {
	const started, finished, parallelism, backoff = int64(telemetry.NumberStartedSeconds), int64(telemetry.NumberFinishedSeconds),
		int64(telemetry.NumberParallelism), int64(telemetry.NumberBackoffLimit)
	const spec = `spec: {completions: 5, parallelism: 2, backoffLimit: 6, ` + templateA + "}\n"
	image := words("image", "web:1")
	check1(t, telemetry.KindJob, convertJob, map[string]kase{
		"running": {spec + `status: {active: 2, ready: 1, succeeded: 1, failed: 1, startTime: "2026-03-01T12:00:00Z"}`, telemetry.ObjectDelta{
			Generation: 3, Phase: "Running", Attributes: image, Replicas: telemetry.Replicas{Desired: 5, Current: 2, Updated: 1, Ready: 1, Failed: 1},
			Numbers: numbers(parallelism, 2, backoff, 6, started, noon.Unix()),
		}},
		"complete": {spec + `status: {succeeded: 5, completionTime: "2026-03-01T12:01:00Z", conditions: [
  {type: SuccessCriteriaMet, status: "True"}, {type: Complete, status: "True", reason: CompletionsReached}]}`, telemetry.ObjectDelta{
			Generation: 3, Phase: "Complete", Ready: telemetry.ReadyTrue, Attributes: image, Replicas: telemetry.Replicas{Desired: 5, Updated: 5},
			Numbers: numbers(parallelism, 2, backoff, 6, finished, noon.Unix()+60),
		}},
		"failed": {spec + `status: {failed: 7, conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: too often,
  lastTransitionTime: "2026-03-01T12:02:00Z"}]}`, telemetry.ObjectDelta{
			Generation: 3, Phase: "Failed", Ready: telemetry.ReadyFalse, Reason: "BackoffLimitExceeded", Message: "too often", Attributes: image,
			Replicas: telemetry.Replicas{Desired: 5, Failed: 7}, Numbers: numbers(parallelism, 2, backoff, 6, finished, noon.Unix()+120),
		}},
		"suspended": {`spec: {suspend: true, ` + templateA + "}", telemetry.ObjectDelta{
			Generation: 3, Phase: "Suspended", Attributes: image, Replicas: telemetry.Replicas{Desired: 1}, Numbers: numbers(parallelism, 1),
		}},
	})
}

func TestConvertCronJobAndAutoscaler(t *testing.T) {
	check1(t, telemetry.KindCronJob, convertCronJob, map[string]kase{
		"active": {`
spec: {schedule: "*/5 * * * *", timeZone: Asia/Tokyo, jobTemplate: {spec: {` + templateA + `}}}
status: {active: [{name: a}, {name: b}], lastScheduleTime: "2026-03-01T12:05:00Z", lastSuccessfulTime: "2026-03-01T12:00:30Z"}
`, telemetry.ObjectDelta{
			Generation: 3, Phase: "Active", Replicas: telemetry.Replicas{Current: 2},
			Numbers:    numbers(int64(telemetry.NumberLastScheduledSeconds), noon.Unix()+300, int64(telemetry.NumberLastSucceededSeconds), noon.Unix()+30),
			Attributes: words("image", "web:1", "schedule", "*/5 * * * *", "timeZone", "Asia/Tokyo"),
		}},
		"suspended": {`spec: {schedule: "@daily", suspend: true, jobTemplate: {spec: {` + templateA + `}}}`, telemetry.ObjectDelta{
			Generation: 3, Phase: "Suspended", Attributes: words("image", "web:1", "schedule", "@daily"),
		}},
	})
	const spec = "spec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: web}}\n"
	limits := numbers(int64(telemetry.NumberMinReplicas), 2, int64(telemetry.NumberMaxReplicas), 9)
	check1(t, telemetry.KindHorizontalPodAutoscaler, convertAutoscaler, map[string]kase{
		"scaling": {spec + `status: {observedGeneration: 2, currentReplicas: 2, desiredReplicas: 4, conditions: [
  {type: AbleToScale, status: "True", reason: a}, {type: ScalingActive, status: "True", reason: ValidMetricFound}, {type: ScalingLimited, status: "False", reason: b}]}
`, telemetry.ObjectDelta{
			Generation: 3, ObservedGeneration: 2, Ready: telemetry.ReadyTrue, Replicas: telemetry.Replicas{Desired: 4, Current: 2}, Numbers: limits,
			Attributes: words("target", "Deployment/web"),
		}},
		"blind": {spec + `status: {currentReplicas: 2, desiredReplicas: 0, conditions: [{type: AbleToScale, status: "True"},
  {type: ScalingActive, status: "False", reason: FailedGetResourceMetric, message: no metrics}]}
`, telemetry.ObjectDelta{
			Generation: 3, Ready: telemetry.ReadyFalse, Reason: "FailedGetResourceMetric", Message: "no metrics",
			Replicas: telemetry.Replicas{Current: 2}, Numbers: limits, Attributes: words("target", "Deployment/web"),
		}},
	})
}
