// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// Of two problems of a node the older counts, whichever comes first, and when it is
// gone the other goes on.
func TestTwoProblemsOfOneNode(t *testing.T) {
	older := condition("KernelDeadlock", facts.True, "DockerHung", -50*time.Second)
	newer := condition("FrequentKubeletRestart", facts.True, "FrequentKubeletRestart", 0)
	for _, order := range [][]facts.Condition{{older, newer}, {newer, older}} {
		s := begin(t, nodeOf("node-1"))
		s.see(nodeOf("node-1", order...)).at(20 * time.Second).see(nodeOf("node-1", newer)).at(2 * time.Minute)
		s.see(nodeOf("node-1")).at(time.Hour)
		s.wants("0s pending critical NodeProblem node-1", "10s raised critical NodeProblem node-1", "2m0s cleared critical NodeProblem node-1")
	}
}

// Once the older of two problems has gone before it could be raised, the other has to
// have held for long enough.
func TestTheLaterProblemWaitsItsTime(t *testing.T) {
	older := condition("KernelDeadlock", facts.True, "DockerHung", -50*time.Second)
	newer := condition("FrequentKubeletRestart", facts.True, "FrequentKubeletRestart", 0)
	s := begin(t, nodeOf("node-1"))
	s.see(nodeOf("node-1", newer, older)).at(5 * time.Second).see(nodeOf("node-1", newer)).at(2 * time.Minute)
	s.wants("0s pending critical NodeProblem node-1", "1m0s raised critical NodeProblem node-1")
}

// A ReplicaSet that makes many pods still knows of those that it could not make.
func TestManyEventsOfOneObject(t *testing.T) {
	w := replicaSet()
	w.Current = 1
	s := begin(t, w)
	s.see(eventOf(&w.Meta, "FailedCreate", "exceeded quota", 1, 0))
	for n := range 50 {
		e := eventOf(&w.Meta, "SuccessfulCreate", "Created pod", 1, time.Second)
		e.Name, e.Warning = fmt.Sprintf("%s-%d", e.Name, n), false
		s.see(e)
	}
	s.at(time.Minute).see(eventOf(&w.Meta, "FailedCreate", "exceeded quota", 2, time.Minute)).at(5 * time.Minute)
	s.wants("1m0s pending warning ReplicaSetFailedCreate web-5d4f", "3m0s raised warning ReplicaSetFailedCreate web-5d4f")
}

// Events about an object of the same name before it say nothing about this one.
func TestEventsOfAFormerObject(t *testing.T) {
	node, cronJob := nodeOf("node-1"), &facts.CronJob{Meta: metaOf(facts.KindCronJob, "default", "nightly"), Schedule: "@yearly"}
	s := begin(t, node, cronJob)
	e := eventOf(&cronJob.Meta, "InvalidSchedule", "unparseable", 1, 0)
	e.RegardingUID = "former"
	s.see(e)
	s.wants()
	again := eventOf(&cronJob.Meta, "InvalidSchedule", "unparseable", 1, time.Second)
	again.Name, again.RegardingUID = "again", cronJob.UID
	s.at(time.Second).see(again)
	s.wants("1s raised warning CronJobInvalid nightly")
}

// A success that its CronJob remembers takes a failure back, also when no Job is kept
// of it. That the CronJob goes does not bring it back.
func TestASuccessThatIsNotKept(t *testing.T) {
	cronJob := func(succeeded time.Duration) *facts.CronJob {
		c := &facts.CronJob{Meta: metaOf(facts.KindCronJob, "default", "import"), Schedule: "@yearly"}
		c.LastSucceeded = start.Add(succeeded)
		return c
	}
	s := begin(t, cronJob(-time.Hour))
	j := ofCronJob(failedJob("import-1", time.Minute))
	s.at(time.Minute).see(j)
	s.at(2 * time.Minute).see(cronJob(2 * time.Minute))
	s.at(3 * time.Minute).lose(cronJob(0)).lose(j).at(time.Hour)
	s.wants("1m0s raised warning JobFailed import-1", "2m0s cleared warning JobFailed import-1")
}

// Only pods that run make a node full.
func TestPodsThatDoNotRunYet(t *testing.T) {
	node := nodeOf("node-1")
	node.Pods = 1
	starting := podOf("web-1", func(p *facts.Pod) { p.Phase, p.Created = facts.PhasePending, start })
	s := begin(t, node)
	s.see(starting).at(10 * time.Minute).see(podOf("web-1", nil)).at(30 * time.Minute).lose(podOf("web-1", nil)).at(time.Hour)
	s.wants("25m0s raised info NodePodsNearCapacity node-1", "30m0s cleared info NodePodsNearCapacity node-1")
}

// A Job that is being deleted does not take too long.
func TestAJobThatIsDeleted(t *testing.T) {
	job := func(deleted time.Time) *facts.Job {
		j := &facts.Job{Meta: metaOf(facts.KindJob, "default", "import"), Started: start.Add(-11 * time.Hour), Active: 1}
		j.Deleted = deleted
		return j
	}
	s := begin(t, job(time.Time{}))
	s.at(2 * time.Hour).see(job(start.Add(2 * time.Hour))).at(3 * time.Hour)
	if n := len(s.told); n == 0 || s.told[n-1] != "2h0m0s cleared warning JobNotCompleted import" {
		t.Errorf("told %v", s.told)
	}
}
