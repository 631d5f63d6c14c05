// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// glance is what `kubectl atlhyper anomalies` shows of the member.
type glance struct {
	State, AsOf             string
	Critical, Warning, Info int
	// Worst are such as "PodInvalidImageName shop/web 1".
	Worst []string
}

func shown(ctx context.Context) (glance, error) {
	text, err := fleetAnomalies(ctx, "-o", "json")
	if err != nil {
		return glance{}, err
	}
	var fleet struct {
		Clusters []struct {
			glance

			Worst []struct {
				Rule, Namespace, Name string
				Count                 int
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &fleet); err != nil {
		return glance{}, err
	}
	if len(fleet.Clusters) != 1 {
		return glance{}, errors.New("there is not one cluster: " + text)
	}
	seen := fleet.Clusters[0].glance
	for _, w := range fleet.Clusters[0].Worst {
		seen.Worst = append(seen.Worst, fmt.Sprintf("%s %s/%s %d", w.Rule, w.Namespace, w.Name, w.Count))
	}
	return seen, nil
}

// expectShown checks what people see of what the specs before have left behind.
func expectShown(ctx context.Context, past recorded, replicas int) {
	GinkgoHelper()
	ns := newNamespace(ctx, "front")
	for _, pod := range makeWorkload(ctx, ns, "page", int32(replicas)).pods(ctx) { //nolint:gosec // a few
		waits(ctx, pod, "InvalidImageName", "")
	}
	By("asking the hub's API, which has the latest counts a few seconds later")
	Eventually(func() (string, error) { return fleetAnomalies(ctx, "-o", "wide") }).WithPolling(100 * time.Millisecond).Should(And(
		MatchRegexp(`^1 cluster: \d+ critical, \d+ warnings, \d+ info\n\nNAME +STATE +CRITICAL +WARNING +INFO +AS-OF\nalpha +Current +\d+ +\d+ +\d+ +-\n\n`+
			`CLUSTER +SEVERITY +STATE +RULE +OBJECT +COUNT +SINCE +REASON\n`),
		MatchRegexp(`(?m)^alpha +warning +Open +PodInvalidImageName +Deployment front/page +%d +\d+s +InvalidImageName$`, replicas),
		MatchRegexp(`(?m)^alpha +warning +Open +PodOOMKilled +Pod oom-killed/web +1 +\d+s +OOMKilled$`),
		MatchRegexp(`(?m)^alpha +info +Open +NodeLeaseStale +Node mute +1 +\S+ +LeaseExpired$`),
		Not(ContainSubstring("recovery/")),
	))

	By("asking history")
	rows, err := past.transitions(ctx, ns)
	Expect(err).NotTo(HaveOccurred())
	Expect(rows).To(HaveEach(HaveField("Fingerprint", rows[0].Fingerprint)), "%d replicas are one anomaly", replicas)
	Expect(hubHistory(ctx, "anomalies", "--namespace=oom-killed,shop,crash-loop,recovery")).To(And(
		MatchRegexp(`^SINCE +AGE +(CLUSTER +)?SEVERITY +STATE +RULE +OBJECT +CONTAINER +NODE +COUNT +MESSAGE\n`),
		MatchRegexp(`(?m)^\S+ +\d+s? +.*warning +raised +PodOOMKilled +Pod oom-killed/web +web +node-1 +1 +Container web ended with OOMKilled`),
		MatchRegexp(`(?m)^\S+ +\d+s? +.*warning +(pending|raised) +PodCrashLoopBackOff +Pod shop/web-\S+ +web +node-1 +\d+ +Container web of pod`),
		MatchRegexp(`(?m)^\S+ +\d+s? +.*warning +(pending|raised) +PodCrashLoopBackOff +Pod crash-loop/web +web +node-1 +1 +`),
		Not(ContainSubstring("recovery/")),
	))
	Expect(hubHistory(ctx, "anomalies", "--transitions", "--namespace=recovery")).To(MatchRegexp(
		`^TIME +AGE.*\n.*cleared +PodErrImageNeverPull.*\n.*cleared +PodInvalidImageName.*\n.*raised +PodErrImageNeverPull.*\n.*raised +PodInvalidImageName.*\n`))
}

// expectSameInDump checks that `analyze` finds in a dump of the member what the agent
// has told of it and is not over.
func expectSameInDump(ctx context.Context, past recorded) {
	GinkgoHelper()
	dump, err := member.Kubectl(ctx, "get", "--all-namespaces", "--output=yaml",
		"pods,nodes,namespaces,services,endpointslices,events,deployments,replicasets,jobs,leases")
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "dump.yaml")
	Expect(os.WriteFile(path, []byte(dump), 0o600)).To(Succeed())
	open, err := past.open(ctx)
	Expect(err).NotTo(HaveOccurred())
	var told []string
	for i := range open {
		a := &open[i]
		// A dump has no past, in which somebody was silent who is heard again, and no
		// connection, on which a certificate is seen.
		if a.Rule != "NodeLeaseStale" && a.Rule != "ControlPlaneCertExpiring" {
			told = append(told, fmt.Sprintf("%s %s %s %s %s", a.Severity, a.Rule, a.Object.Namespace, a.Container, ownerOf(a.Owner, a.Object)))
		}
	}

	// By then the rules that are pending have waited long enough, and so have the
	// nodes, whose heartbeats end with the dump.
	text, err := member.Kubectl(ctx, "atlhyper", "analyze", "--filename="+path, "--output=json", "--now="+time.Now().Add(3*time.Minute).UTC().Format(time.RFC3339))
	Expect(err).NotTo(HaveOccurred())
	var findings []struct{ Severity, Rule, Kind, Namespace, Name, Container, Owner string }
	Expect(json.Unmarshal([]byte(text), &findings)).To(Succeed())
	var found []string
	for _, f := range findings {
		if f.Rule == "NodeLeaseStale" {
			continue
		}
		owner := f.Owner
		if owner == "" {
			owner = f.Kind + " " + f.Name
		}
		found = append(found, fmt.Sprintf("%s %s %s %s %s", f.Severity, f.Rule, f.Namespace, f.Container, owner))
	}
	Expect(found).To(ConsistOf(told))
	Expect(len(found)).To(BeNumerically(">=", 8), "too little is broken to say anything: %v", found)
}

func ownerOf(owner, object telemetry.ObjectRef) string {
	if owner.Kind == "" {
		owner = object
	}
	return owner.Kind + " " + owner.Name
}

// finishJob makes a Job that has succeeded, and its pod.
func finishJob(ctx context.Context, ns string) {
	GinkgoHelper()
	spec := podSpec()
	spec.RestartPolicy = corev1.RestartPolicyNever
	job, err := kube.BatchV1().Jobs(ns).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "import"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	pod, err := kube.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "import-x7k2p", OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job")),
		}},
		Spec: spec,
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	now := metav1.Now()
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodSucceeded, StartTime: &now,
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "PodCompleted", LastTransitionTime: now}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "web", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: now},
		}}},
	}
	_, err = kube.CoreV1().Pods(ns).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	job.Status = batchv1.JobStatus{
		StartTime: &now, CompletionTime: &now, Succeeded: 1, Ready: new(int32(0)), UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{},
		Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, Reason: "CompletionsReached", LastProbeTime: now, LastTransitionTime: now},
			{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, Reason: "CompletionsReached", LastProbeTime: now, LastTransitionTime: now},
		},
	}
	_, err = kube.BatchV1().Jobs(ns).UpdateStatus(ctx, job, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
}
