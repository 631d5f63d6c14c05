// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

func TestCrashLoopFromFirstSightToRecovery(t *testing.T) {
	s := begin(t, replicaSet(), podOf("web-1", nil))
	// The kubelet lets it run for two seconds between longer and longer waits. The
	// waits are one episode.
	s.at(12 * time.Second).see(podOf("web-1", waits("CrashLoopBackOff", 2, 10*time.Second)))
	s.at(32 * time.Second).see(podOf("web-1", runs("Error", 3, 10*time.Second, 1)))
	s.at(34 * time.Second).see(podOf("web-1", waits("CrashLoopBackOff", 3, 34*time.Second)))
	s.at(65 * time.Second).see(podOf("web-1", runs("Error", 4, 34*time.Second, 1)))
	s.at(75 * time.Second).see(podOf("web-1", waits("CrashLoopBackOff", 4, 75*time.Second)))
	s.at(2 * time.Minute).see(podOf("web-1", runs("Error", 5, 75*time.Second, 1)))
	s.at(time.Hour)
	s.wants(
		"12s pending warning PodCrashLoopBackOff web-1",
		"1m15s raised warning PodCrashLoopBackOff web-1",
		"12m0s cleared warning PodCrashLoopBackOff web-1",
	)
}

func TestStories(t *testing.T) {
	minute := time.Minute
	crash := waits("CrashLoopBackOff", 5, -10*minute)
	cases := map[string]struct {
		tell func(*story)
		want []string
	}{
		"a crash loop that was there before is raised at once": {
			func(s *story) { s.sync() },
			nil,
		},
		"a crash loop is raised when it has held for a minute and clears ten minutes after": {
			func(s *story) {
				s.see(replicaSet(), podOf("web-1", waits("CrashLoopBackOff", 3, 0)))
				s.at(4 * minute).see(podOf("web-1", runs("Error", 4, 0, 1)))
				s.at(time.Hour)
			},
			[]string{"0s pending warning PodCrashLoopBackOff web-1", "1m0s raised warning PodCrashLoopBackOff web-1", "14m0s cleared warning PodCrashLoopBackOff web-1"},
		},
		"it escalates when no replica is ready for five minutes": {
			func(s *story) {
				s.see(replicaSet(), workload(facts.KindDeployment, "web", 1, 1))
				s.see(podOf("web-1", waits("CrashLoopBackOff", 3, 0)))
				s.at(30 * time.Second).see(workload(facts.KindDeployment, "web", 1, 0))
				s.at(6 * minute)
			},
			[]string{
				"0s pending warning PodCrashLoopBackOff web-1", "1m0s raised warning PodCrashLoopBackOff web-1",
				"5m0s raised warning PodNotReady web-1", "5m30s escalated critical PodCrashLoopBackOff web-1",
			},
		},
		"a replica that is replaced and crashes again is the same anomaly": {
			func(s *story) {
				s.see(replicaSet(), workload(facts.KindDeployment, "web", 1, 1), podOf("web-1", waits("CrashLoopBackOff", 3, 0)))
				s.at(2 * minute).lose(podOf("web-1", nil))
				s.at(6 * minute).see(podOf("web-2", waits("CrashLoopBackOff", 3, 6*minute)))
				s.at(8 * minute)
			},
			[]string{"0s pending warning PodCrashLoopBackOff web-1", "1m0s raised warning PodCrashLoopBackOff web-1"},
		},
		"nothing outlives the Deployment": {
			func(s *story) {
				web := workload(facts.KindDeployment, "web", 1, 1)
				s.see(replicaSet(), web, podOf("web-1", waits("CrashLoopBackOff", 3, 0)))
				s.at(2*minute).lose(web, podOf("web-1", nil))
				s.at(time.Hour)
			},
			[]string{
				"0s pending warning PodCrashLoopBackOff web-1", "1m0s raised warning PodCrashLoopBackOff web-1",
				"2m0s cleared warning PodCrashLoopBackOff web-1",
			},
		},
		"ErrImagePull and ImagePullBackOff are one state": {
			func(s *story) {
				for n := range 8 {
					reason := []string{"ErrImagePull", "ImagePullBackOff"}[n%2]
					s.at(time.Duration(n) * 20 * time.Second).see(podOf("web-1", waits(reason, 0, 0)))
				}
				s.at(4 * minute).see(podOf("web-1", nil))
				s.at(time.Hour)
			},
			[]string{"0s pending warning PodImagePullFailed web-1", "2m0s raised warning PodImagePullFailed web-1", "10m0s cleared warning PodImagePullFailed web-1"},
		},
		"a node that is not ready for half a minute, twice, is not an anomaly": {
			func(s *story) {
				// The second time back is the third change within the quarter of an hour.
				for n := range 2 {
					from := time.Duration(n) * minute
					s.at(from).see(nodeOf("node-1", condition("Ready", facts.False, "KubeletNotReady", from)))
					s.at(from + 30*time.Second).see(nodeOf("node-1", condition("Ready", facts.True, "KubeletReady", from+30*time.Second)))
				}
				s.at(20 * minute)
			},
			[]string{
				"0s pending warning NodeNotReady node-1", "30s cleared warning NodeNotReady node-1",
				"1m0s pending warning NodeNotReady node-1",
				"1m30s raised warning NodeReadinessFlapping node-1", "1m30s cleared warning NodeNotReady node-1",
			},
		},
		"a node that stays away": {
			func(s *story) {
				s.see(nodeOf("node-1"), podOf("web-1", nil))
				s.at(minute).see(nodeOf("node-1", condition("Ready", facts.Unknown, "NodeStatusUnknown", minute)))
				s.see(podOf("web-1", func(p *facts.Pod) {
					p.Conditions = []facts.Condition{condition("Ready", facts.False, "ContainersNotReady", minute)}
				}))
				s.at(20 * minute).see(nodeOf("node-1"))
				s.at(21 * minute).see(podOf("web-1", nil))
				s.at(time.Hour)
			},
			[]string{
				"1m0s raised warning NodeUnreachable node-1", "6m0s escalated critical NodeUnreachable node-1",
				// The pod was held back; once the node is back it speaks for itself.
				"22m0s cleared critical NodeUnreachable node-1",
			},
		},
		"what was inhibited is told when the inhibitor goes and it still holds": {
			func(s *story) {
				s.see(nodeOf("node-1", condition("Ready", facts.Unknown, "NodeStatusUnknown", 0)))
				s.see(podOf("web-1", func(p *facts.Pod) {
					p.Conditions = []facts.Condition{condition("Ready", facts.False, "ContainersNotReady", 0)}
				}))
				s.at(10 * minute).see(nodeOf("node-1"))
				s.at(20 * minute)
			},
			[]string{
				"0s raised warning NodeUnreachable node-1", "5m0s escalated critical NodeUnreachable node-1",
				"12m0s cleared critical NodeUnreachable node-1", "12m0s raised warning PodNotReady web-1",
			},
		},
		"an OOM kill is told once and clears half an hour after the last": {
			func(s *story) {
				s.see(replicaSet(), podOf("web-1", runs("OOMKilled", 1, 0, 137)))
				s.at(minute).see(podOf("web-1", runs("OOMKilled", 1, 0, 137)))
				s.at(10 * minute).see(podOf("web-1", runs("OOMKilled", 2, 10*minute, 137)))
				s.at(2 * time.Hour)
			},
			[]string{"0s raised warning PodOOMKilled web-1", "40m0s cleared warning PodOOMKilled web-1"},
		},
		"three OOM kills of one owner within an hour are critical": {
			func(s *story) {
				s.see(replicaSet(), podOf("web-1", runs("OOMKilled", 1, 0, 137)))
				s.at(5 * minute).see(podOf("web-2", runs("OOMKilled", 1, 5*minute, 137)))
				s.at(25 * minute).see(podOf("web-1", runs("OOMKilled", 2, 25*minute, 137)))
			},
			[]string{
				"0s raised warning PodOOMKilled web-1", "5m0s raised warning PodOOMKilled web-2 x2",
				"25m0s escalated critical PodOOMKilled web-1 x2",
			},
		},
		"a kill that an event explains is none": {
			func(s *story) {
				p := podOf("web-1", runs("Error", 1, 0, 137))
				s.see(replicaSet(), p).at(20 * time.Second).see(eventOf(&p.Meta, "Killing", "Stopping container web", 1, time.Second))
				s.at(2 * minute)
			},
			nil,
		},
		"a kill that nothing explains": {
			func(s *story) {
				s.see(replicaSet(), podOf("web-1", runs("Error", 1, 0, 137))).at(time.Hour)
			},
			[]string{"30s raised info PodSigkillSuspectedOOM web-1", "30m0s cleared info PodSigkillSuspectedOOM web-1"},
		},
		"a failed Job stays for the hour after it is cleaned up": {
			func(s *story) {
				j := failedJob("import", 0)
				s.see(j).at(10 * minute).lose(j).at(2 * time.Hour)
			},
			[]string{"0s raised warning JobFailed import", "1h0m0s cleared warning JobFailed import"},
		},
		"a failed Job is over when the next run succeeds": {
			func(s *story) {
				s.see(ofCronJob(failedJob("import-1", 0)))
				j := ofCronJob(failedJob("import-2", minute))
				j.Conditions = []facts.Condition{condition("Complete", facts.True, "CompletionsReached", 2*minute)}
				s.at(2 * minute).see(j).at(time.Hour)
			},
			[]string{"0s raised warning JobFailed import-1", "2m0s cleared warning JobFailed import-1"},
		},
		"a rollout that moves is not stuck": {
			func(s *story) {
				for n := range int32(6) {
					w := workload(facts.KindDaemonSet, "agent", 6, 6)
					w.Updated = n
					s.at(time.Duration(n) * 10 * minute).see(w)
				}
				s.at(65 * minute)
			},
			[]string{"1h5m0s raised warning DaemonSetRolloutStuck agent"},
		},
		"a pod that takes its time is told only when it is too long": {
			func(s *story) {
				p := podOf("web-1", func(p *facts.Pod) {
					p.Phase, p.Created = facts.PhasePending, start
					p.Conditions = nil
					p.Containers[0].Waiting.Reason = "ContainerCreating"
				})
				s.see(p).at(14 * minute).see(podOf("web-1", nil)).at(time.Hour)
			},
			nil,
		},
		"a termination that hangs": {
			func(s *story) {
				p := podOf("web-1", func(p *facts.Pod) { p.Deleted = start.Add(30 * time.Second) })
				s.see(p).at(90 * minute).lose(p)
			},
			[]string{
				"5m30s raised warning PodStuckTerminating web-1", "1h0m30s escalated critical PodStuckTerminating web-1",
				"1h30m0s cleared critical PodStuckTerminating web-1",
			},
		},
		"the heartbeat of a node": {
			func(s *story) {
				s.see(nodeOf("node-1"))
				lease := func(renewed time.Duration) *facts.Lease {
					return &facts.Lease{Meta: metaOf(facts.KindLease, "kube-node-lease", "node-1"), Renewed: start.Add(renewed)}
				}
				for n := range 6 {
					s.at(time.Duration(n) * 10 * time.Second).see(lease(time.Duration(n) * 10 * time.Second))
				}
				s.at(2 * minute).see(lease(2 * minute)).at(150 * time.Second).see(lease(150 * time.Second)).at(185 * time.Second)
			},
			[]string{"1m30s raised info NodeLeaseStale node-1", "3m0s cleared info NodeLeaseStale node-1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var s *story
			if name == "a crash loop that was there before is raised at once" {
				s = begin(t, replicaSet(), podOf("web-1", crash))
				tc.want = []string{"0s raised warning PodNotReady web-1", "0s raised warning PodCrashLoopBackOff web-1"}
			} else {
				s = begin(t)
				tc.tell(s)
			}
			s.wants(tc.want...)
		})
	}
}

func failedJob(name string, created time.Duration) *facts.Job {
	j := &facts.Job{Meta: metaOf(facts.KindJob, "default", name), Conditions: []facts.Condition{condition("Failed", facts.True, "BackoffLimitExceeded", created)}}
	j.Created = start.Add(created)
	return j
}

func ofCronJob(j *facts.Job) *facts.Job {
	j.Owner = facts.Owner{Kind: facts.KindCronJob, Name: "import", UID: "uid-cronjob"}
	return j
}

func TestFiftyReplicasAreOneAnomaly(t *testing.T) {
	s := begin(t, replicaSet())
	for n := range 50 {
		s.see(podOf(fmt.Sprintf("web-%d", n), waits("CrashLoopBackOff", 3, 0)))
	}
	s.at(2 * time.Minute)
	s.wants("0s pending warning PodCrashLoopBackOff web-0", "1m0s raised warning PodCrashLoopBackOff web-0 x50")
	open := s.engine.Open(5)
	if open.Warning != 1 || len(open.Worst) != 1 || open.Worst[0].Count != 50 || open.Worst[0].Owner.Name != "web" {
		t.Errorf("open: %+v", open)
	}
}
