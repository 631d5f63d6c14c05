// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// restart replaces the engine by a new one, which knows what the old one stored
// and sees what there is then.
func (s *story) restart(after time.Duration, there ...facts.Object) *story {
	s.t.Helper()
	stored, err := json.Marshal(s.engine.State())
	if err != nil {
		s.t.Fatal(err)
	}
	state := &anomaly.State{}
	if err := json.Unmarshal(stored, state); err != nil {
		s.t.Fatal(err)
	}
	s.now = start.Add(after)
	s.engine = anomaly.New(anomaly.Options{Now: s.now, State: state})
	s.sync(there...)
	return s
}

func TestRestarts(t *testing.T) {
	minute := time.Minute
	reboot := func() *facts.Node {
		n := nodeOf("node-1")
		n.BootID = "boot-2"
		return n
	}
	cases := map[string]struct {
		tell func(*story)
		want []string
	}{
		"what was raised is not raised again, and clears": {
			func(s *story) {
				bad, web := podOf("web-1", waits("CrashLoopBackOff", 3, 0)), workload(facts.KindDeployment, "web", 3, 3)
				s.see(replicaSet(), web, bad)
				s.at(2*minute).restart(3*minute, web, replicaSet(), bad)
				s.at(6*minute).restart(7*minute, podOf("web-1", runs("Error", 4, 4*minute, 1)), replicaSet(), web)
				s.at(time.Hour)
			},
			[]string{
				"0s pending warning PodCrashLoopBackOff web-1", "1m0s raised warning PodCrashLoopBackOff web-1",
				"5m0s raised warning PodNotReady web-1", "7m0s cleared warning PodNotReady web-1", "17m0s cleared warning PodCrashLoopBackOff web-1",
			},
		},
		"what is pending goes on": {
			func(s *story) {
				bad := nodeOf("node-1", condition("MemoryPressure", facts.True, "KubeletHasInsufficientMemory", 0))
				s.see(bad).at(30 * time.Second)
				s.restart(40*time.Second, bad).at(2 * minute)
			},
			[]string{"0s pending warning NodeMemoryPressure node-1", "1m0s raised warning NodeMemoryPressure node-1"},
		},
		"an object that is gone when it comes back": {
			func(s *story) {
				n := nodeOf("node-1", condition("MemoryPressure", facts.True, "KubeletHasInsufficientMemory", 0))
				s.see(n).at(2 * minute).restart(10 * minute)
			},
			[]string{
				"0s pending warning NodeMemoryPressure node-1", "1m0s raised warning NodeMemoryPressure node-1", "10m0s cleared warning NodeMemoryPressure node-1",
			},
		},
		"an OOM kill is not replayed, not even after it has cleared": {
			func(s *story) {
				killed := podOf("web-1", runs("OOMKilled", 1, 0, 137))
				s.see(replicaSet(), killed).at(minute).restart(2*minute, replicaSet(), killed)
				s.at(40*minute).restart(41*minute, replicaSet(), killed).at(2 * time.Hour)
			},
			[]string{"0s raised warning PodOOMKilled web-1", "30m0s cleared warning PodOOMKilled web-1"},
		},
		"an OOM kill while it was away is told": {
			func(s *story) {
				s.see(replicaSet(), podOf("web-1", nil)).at(minute)
				s.restart(20*minute, replicaSet(), podOf("web-1", runs("OOMKilled", 1, 5*minute, 137)))
			},
			[]string{"20m0s raised warning PodOOMKilled web-1"},
		},
		"a reboot while it was away is told, once": {
			func(s *story) {
				s.see(nodeOf("node-1")).at(minute).restart(5*minute, reboot())
				s.at(6*minute).restart(7*minute, reboot()).at(time.Hour)
			},
			[]string{"5m0s raised info NodeRebooted node-1", "15m0s cleared info NodeRebooted node-1"},
		},
		"a measurement that has not come again yet clears nothing": {
			func(s *story) {
				hot := func(seq int) facts.Object { return sampleOf("node-1", seq, value{telemetry.MetricCPUUsage, "", 95}) }
				s.see(nodeOf("node-1")).feed(0, 16*minute, hot)
				s.restart(17*minute, nodeOf("node-1"))
				s.feed(18*minute, 19*minute, hot)
				s.at(20 * minute).see(sampleOf("node-1", 80))
			},
			[]string{"15m0s raised info NodeCPUHigh node-1", "20m0s cleared info NodeCPUHigh node-1"},
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

// An engine that has never run before tells what is, and of what has happened only
// the last ten minutes.
func TestFirstStart(t *testing.T) {
	old, fresh := podOf("old", runs("OOMKilled", 1, -11*time.Minute, 137)), podOf("fresh", runs("OOMKilled", 1, -9*time.Minute, 137))
	long, lately := failedJob("long", -time.Hour), failedJob("lately", -time.Minute)
	s := begin(t, replicaSet(), old, fresh, long, lately, nodeOf("node-1", condition("Ready", facts.False, "KubeletNotReady", -time.Hour)))
	slices.Sort(s.told)
	s.wants(
		"0s raised critical NodeNotReady node-1", "0s raised warning JobFailed lately", "0s raised warning PodOOMKilled fresh",
	)
}

func TestStorm(t *testing.T) {
	s := begin(t)
	const nodes = 450
	pressed := func(n int, status string, since time.Duration) *facts.Node {
		return nodeOf(fmt.Sprintf("node-%03d", n), condition("NetworkUnavailable", status, "NoRouteCreated", since))
	}
	for n := range nodes {
		s.see(pressed(n, facts.True, -time.Hour))
	}
	for n := range 20 {
		s.see(nodeOf(fmt.Sprintf("late-%03d", n), condition("NetworkUnavailable", facts.True, "NoRouteCreated", -time.Hour)))
	}
	if open := s.engine.Open(0); open.Critical != nodes+20 {
		t.Errorf("%d critical are open, want %d", open.Critical, nodes+20)
	}
	count := func(word string) int {
		n := 0
		for _, line := range s.told {
			if strings.Contains(line, word) {
				n++
			}
		}
		return n
	}
	if n := count("raised critical NodeNetworkUnavailable"); n != anomaly.StormLimit {
		t.Errorf("%d were told at once, want %d", n, anomaly.StormLimit)
	}
	if n := count("0s raised critical AnomalyStorm cluster"); n < 1 {
		t.Errorf("the storm was not told: %v", s.told[len(s.told)-1])
	}
	// Some recover before they were told: nobody has to hear of them.
	for n := 430; n < nodes; n++ {
		s.see(pressed(n, facts.False, 0))
	}
	s.at(5 * time.Minute)
	if n := count("raised critical NodeNetworkUnavailable"); n != nodes {
		t.Errorf("%d were told in the end, want %d", n, nodes)
	}
	if n := count("cleared critical AnomalyStorm cluster"); n != 1 {
		t.Errorf("the storm ended %d times", n)
	}
	if n := count("cleared critical NodeNetworkUnavailable"); n != 0 {
		t.Errorf("%d were cleared that nobody was told of", n)
	}
	for _, line := range s.told {
		if strings.Contains(line, "raised critical NodeNetworkUnavailable") &&
			!strings.HasPrefix(line, "0s ") && !strings.HasPrefix(line, "1m0s ") && !strings.HasPrefix(line, "2m0s ") {
			t.Errorf("told late: %s", line)
		}
	}
}

func TestStateIsComplete(t *testing.T) {
	s := begin(t, replicaSet(), nodeOf("node-1", condition("Ready", facts.Unknown, "NodeStatusUnknown", -time.Minute)))
	s.see(podOf("web-1", runs("OOMKilled", 1, 0, 137)), podOf("web-2", waits("CrashLoopBackOff", 3, 0)))
	before := s.engine.State()
	stored, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	state := &anomaly.State{}
	if err := json.Unmarshal(stored, state); err != nil {
		t.Fatal(err)
	}
	// An engine that has seen nothing yet keeps everything it was told.
	after := anomaly.New(anomaly.Options{Now: s.now, State: state}).State()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("state (-stored +kept):\n%s", diff)
	}
}

// What cannot be listed any more is neither well nor broken: what was said stays.
func TestPartial(t *testing.T) {
	service := func(name string) *facts.Service {
		return &facts.Service{Meta: metaOf(facts.KindService, "default", name), Type: "ClusterIP", Selector: map[string]string{"app": name}}
	}
	s := begin(t, service("old"))
	s.at(4 * time.Minute)
	s.hear(s.engine.Partial(facts.KindEndpointSlice, s.now))
	s.see(service("old"), service("new")).at(20 * time.Minute)
	s.wants("3m0s raised warning ServiceNoEndpoints old")
	ready := &facts.EndpointSlice{Meta: metaOf(facts.KindEndpointSlice, "default", "old-1"), Service: "old", Ready: 1}
	s.see(ready)
	s.hear(s.engine.Complete(facts.KindEndpointSlice, s.now))
	s.at(30 * time.Minute)
	s.wants(
		"3m0s raised warning ServiceNoEndpoints old", "20m0s cleared warning ServiceNoEndpoints old", "23m0s raised warning ServiceNoEndpoints new",
	)
	// Said before the first lists are complete, nothing is concluded at all.
	s = begin(t)
	s.engine = anomaly.New(anomaly.Options{Now: start})
	s.see(service("old"))
	s.hear(s.engine.Partial(facts.KindEndpointSlice, start))
	s.sync()
	s.told = nil
	s.at(time.Hour)
	s.wants()
}
