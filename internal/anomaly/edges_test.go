// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// ofJob makes a pod one of the Job import.
func ofJob(change func(*facts.Pod)) func(*facts.Pod) {
	return func(p *facts.Pod) {
		p.TemplateHash, p.Owner = "", facts.Owner{Kind: facts.KindJob, Name: "import", UID: "uid-Job-import"}
		change(p)
	}
}

// ends makes the container of a pod end, and the pod with it.
func ends(reason string, code int32, ended time.Duration) func(*facts.Pod) {
	return func(p *facts.Pod) {
		p.Phase = facts.PhaseFailed
		c := &p.Containers[0]
		c.Ready, c.Ended = false, &facts.Termination{Reason: reason, ExitCode: code, Finished: start.Add(ended)}
		p.Conditions = []facts.Condition{condition("Ready", facts.False, "PodFailed", ended)}
	}
}

func jobIs(status string, since time.Duration) *facts.Job {
	j := &facts.Job{Meta: metaOf(facts.KindJob, "default", "import"), Started: start.Add(-time.Hour), Active: 1}
	if status != "" {
		j.Active, j.Conditions = 0, []facts.Condition{condition(status, facts.True, "BackoffLimitExceeded", since)}
	}
	return j
}

func TestPodsOfJobs(t *testing.T) {
	minute := time.Minute
	killed := podOf("import-1", ofJob(ends("OOMKilled", 137, 0)))
	broken := podOf("import-2", ofJob(ends("StartError", 128, 0)))
	cases := map[string]struct {
		tell func(*story)
		want []string
	}{
		"a try that fails while the Job goes on": {
			func(s *story) { s.see(jobIs("", 0), killed, broken).at(2 * minute) },
			[]string{"0s raised warning PodOOMKilled import-1", "0s pending warning PodRunContainerError import-2", "1m0s raised warning PodRunContainerError import-2"},
		},
		"once the Job is complete the kill is told out, and the rest is over": {
			func(s *story) {
				s.see(jobIs("", 0), killed, broken).at(2 * minute).see(jobIs("Complete", 2*minute)).at(2 * time.Hour)
			},
			[]string{
				"0s raised warning PodOOMKilled import-1", "0s pending warning PodRunContainerError import-2", "1m0s raised warning PodRunContainerError import-2",
				"12m0s cleared warning PodRunContainerError import-2", "30m0s cleared warning PodOOMKilled import-1",
			},
		},
		"what is seen of a complete Job for the first time is nothing": {
			func(s *story) { s.see(jobIs("Complete", 0), killed, broken).at(time.Hour) },
			nil,
		},
		"a restart after the Job is complete": {
			func(s *story) {
				s.see(jobIs("", 0), killed).at(minute).see(jobIs("Complete", minute))
				s.at(2*minute).restart(3*minute, killed, jobIs("Complete", minute)).at(time.Hour)
			},
			[]string{"0s raised warning PodOOMKilled import-1", "30m0s cleared warning PodOOMKilled import-1"},
		},
		"a Job that has failed is told with what happened lately": {
			func(s *story) { s.see(jobIs("Failed", 0), killed, broken).at(59 * minute) },
			[]string{"0s raised warning JobFailed import", "0s raised warning PodOOMKilled import-1", "30m0s cleared warning PodOOMKilled import-1"},
		},
		"a Job of the same name is another one": {
			func(s *story) {
				j := jobIs("Complete", 0)
				j.UID = "uid-before"
				s.see(j, killed)
			},
			[]string{"0s raised warning PodOOMKilled import-1"},
		},
		"a pod of a complete Job that does not go": {
			func(s *story) {
				stuck := podOf("import-1", ofJob(ends("OOMKilled", 137, -time.Hour)))
				stuck.Deleted = start
				s.see(jobIs("Complete", 0), stuck).at(10 * minute)
			},
			[]string{"5m0s raised warning PodStuckTerminating import-1"},
		},
		"the queue of a Job": {
			func(s *story) {
				waiting := podOf("import-1", ofJob(func(p *facts.Pod) {
					p.Phase, p.Created, p.Conditions = facts.PhasePending, start, nil
					p.Containers[0].Waiting.Reason = "ContainerCreating"
				}))
				queued := jobIs("", 0)
				queued.Queued = true
				s.see(queued, waiting).at(20 * minute).see(jobIs("", 0))
			},
			[]string{"20m0s raised warning PodPendingTooLong import-1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			tc.tell(s)
			s.wants(tc.want...)
		})
	}
}

// A pod that was disrupted says so for a while after it has ended, and not at all
// to an agent that comes later.
func TestDisruption(t *testing.T) {
	disrupted := func(change func(*facts.Pod)) *facts.Pod {
		return podOf("web-1", func(p *facts.Pod) {
			change(p)
			p.Conditions = append(p.Conditions, condition("DisruptionTarget", facts.True, "EvictionByEvictionAPI", 0))
		})
	}
	over := disrupted(ends("Error", 143, 2*time.Minute))
	over.Reason = "NodeLost" // which is told of the node
	s := begin(t, replicaSet())
	s.see(disrupted(func(*facts.Pod) {})).at(2 * time.Minute).see(over)
	s.at(5*time.Minute).restart(6*time.Minute, replicaSet(), over)
	s.at(20*time.Minute).restart(21*time.Minute, replicaSet(), over).at(time.Hour)
	told := slices.DeleteFunc(s.told, func(line string) bool { return !slices.Contains([]string{"PodDisrupted"}, ruleIn(line)) })
	s.told = told
	s.wants("0s raised info PodDisrupted web-1", "12m0s cleared info PodDisrupted web-1")
}

func ruleIn(line string) string {
	var at, state, severity, rule string
	_, _ = fmt.Sscan(line, &at, &state, &severity, &rule)
	return rule
}

// Kills count for an hour, each once, whoever asks and however often.
func TestKillsAreCountedForAnHour(t *testing.T) {
	old := podOf("web-1", runs("OOMKilled", 1, -50*time.Minute, 137))
	fresh := func(name string, at time.Duration) *facts.Pod { return podOf(name, runs("OOMKilled", 1, at, 137)) }
	s := begin(t, replicaSet(), old, fresh("web-2", -time.Minute))
	for range 5 {
		s.see(old, fresh("web-2", -time.Minute))
	}
	s.at(time.Minute).restart(2*time.Minute, replicaSet(), old, fresh("web-2", -time.Minute))
	s.at(3 * time.Minute).see(fresh("web-3", 3*time.Minute))
	s.wants("0s raised warning PodOOMKilled web-2", "3m0s escalated critical PodOOMKilled web-3 x2")
	// The first was too long ago by now.
	s = begin(t, replicaSet(), old, fresh("web-2", -time.Minute))
	s.at(11 * time.Minute).see(fresh("web-3", 11*time.Minute))
	s.wants("0s raised warning PodOOMKilled web-2", "11m0s raised warning PodOOMKilled web-3 x2")
}

// More pods than are remembered in full are counted all the same, also after a
// restart, and until their time is over.
func TestManyKills(t *testing.T) {
	const pods = 700
	there := []facts.Object{replicaSet()}
	for n := range pods {
		there = append(there, podOf(fmt.Sprintf("web-%03d", n), runs("OOMKilled", 1, time.Duration(n)*time.Second, 137)))
	}
	s := begin(t)
	s.at(pods * time.Second).see(there...)
	counted := func(what string, want uint32) {
		t.Helper()
		open := s.engine.Open(-1)
		if len(open.Worst) != 1 || open.Worst[0].Count != want {
			t.Fatalf("%s: %+v, want %d pods", what, open.Worst, want)
		}
	}
	counted("all", pods)
	s.see(there...)
	counted("all, seen again", pods)
	// A second kill of one of the first is of a pod that is counted already.
	s.see(podOf("web-000", runs("OOMKilled", 2, pods*time.Second, 137)))
	counted("one again", pods)
	there[1] = podOf("web-000", runs("OOMKilled", 2, pods*time.Second, 137))
	s.restart((pods+10)*time.Second, there...)
	counted("after a restart", pods)
	s.at(30*time.Minute + 300*time.Second)
	if got := s.engine.Open(-1).Worst[0].Count; got < pods-301 || got > pods-301+65 {
		t.Errorf("%d pods are counted a while later", got)
	}
	s.at(30*time.Minute + (pods-1)*time.Second)
	counted("all but one", 1)
	s.at(30*time.Minute + pods*time.Second)
	if last := s.told[len(s.told)-1]; !strings.HasPrefix(last, "41m40s cleared critical PodOOMKilled ") {
		t.Errorf("last told was %q", last)
	}
	if open := s.engine.Open(-1); len(open.Worst) != 0 || s.engine.Links() != 0 {
		t.Errorf("open in the end: %+v, with %d objects", open.Worst, s.engine.Links())
	}
}

// Nothing is left of what happened long ago, however often it happens to a pod.
func TestOldEdgesLeaveNothing(t *testing.T) {
	s := begin(t, replicaSet())
	for n := range 50 {
		at := time.Duration(n) * time.Hour
		s.at(at).see(podOf("web-1", runs("OOMKilled", int32(n+1), at, 137)))
	}
	if n := s.engine.Links(); n != 1 {
		t.Errorf("%d objects are remembered, want one", n)
	}
	s.at(50 * time.Hour)
	if n := s.engine.Links(); n != 0 {
		t.Errorf("%d objects are remembered in the end", n)
	}
}

// All replicas are down since the last one is, also for an engine that comes later.
func TestDownSinceTheLast(t *testing.T) {
	unready := func(name string, since time.Duration) *facts.Pod {
		return podOf(name, func(p *facts.Pod) {
			p.Conditions = []facts.Condition{condition("Ready", facts.False, "ContainersNotReady", since)}
		})
	}
	web := workload(facts.KindDeployment, "web", 2, 0)
	web.Conditions = []facts.Condition{condition("Available", facts.False, "MinimumReplicasUnavailable", -30*time.Minute)}
	there := []facts.Object{podOf("web-1", waits("CrashLoopBackOff", 7, -15*time.Minute)), unready("web-2", -4*time.Minute), replicaSet(), web}
	for name, objects := range map[string][]facts.Object{"pods first": there, "workloads first": reversed(there)} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, objects...)
			s.at(10 * time.Minute)
			if !slices.Contains(s.told, "0s raised warning PodCrashLoopBackOff web-1") || !slices.Contains(s.told, "1m0s escalated critical PodCrashLoopBackOff web-1") {
				t.Errorf("told %q", s.told)
			}
			snapshot := anomaly.New(anomaly.Options{Now: start, Snapshot: true})
			for _, o := range objects {
				snapshot.Observe(o, start)
			}
			snapshot.Synced(start)
			for _, x := range snapshot.Open(-1).Worst {
				if x.Rule == "PodCrashLoopBackOff" && x.Severity.String() != "warning" {
					t.Errorf("a snapshot has %s", x.Severity)
				}
			}
		})
	}
}

func reversed(objects []facts.Object) []facts.Object {
	objects = slices.Clone(objects)
	slices.Reverse(objects)
	return objects
}
