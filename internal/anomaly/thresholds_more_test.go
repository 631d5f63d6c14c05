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
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func ofCluster(rule, metric, operator, limit string, change ...func(*threshold.Threshold)) threshold.Threshold {
	return above(rule, metric, limit, append(change, func(t *threshold.Threshold) {
		t.Metric.Scope, t.Metric.Operator = threshold.ScopeCluster, operator
	})...)
}

// load is a sample from which what a node of 4 cores and 100 bytes uses follows.
func load(node string, seq int, cpu, memory float64) *facts.NodeSample {
	return sampleOf(node, seq, value{telemetry.MetricCPUUsage, "", cpu}, value{telemetry.MetricCPUCores, "", 4},
		value{telemetry.MetricMemoryUsed, "", memory}, value{telemetry.MetricMemoryTotal, "", 100})
}

func TestThresholdsOfTheCluster(t *testing.T) {
	const minute = time.Minute
	notReady := func(name string) *facts.Node {
		return nodeOf(name, condition("Ready", facts.False, "KubeletNotReady", 0))
	}
	requesting := func(name string, cpu int64) *facts.Pod {
		return podOf(name, func(p *facts.Pod) { p.CPUMillis, p.MemoryBytes = cpu, cpu<<20 })
	}
	for name, tc := range map[string]struct {
		tell func(s *story)
		want []string
	}{
		"nodes that are not ready": {
			func(s *story) {
				s.compare(ofCluster("third", "nodes_not_ready_percent", threshold.GreaterThanOrEqual, "33.33"), ofCluster("two", "nodes_not_ready", threshold.GreaterThan, "1"))
				s.see(nodeOf("node-3"), notReady("node-1")).at(time.Second).see(nodeOf("node-1"))
				s.at(2*time.Second).see(notReady("node-2"), notReady("node-3")).at(3 * time.Second).lose(nodeOf("node-2"))
			},
			[]string{
				"0s raised warning metric:team/third cluster", "1s cleared warning metric:team/third cluster",
				"2s raised warning metric:team/third cluster", "2s raised warning metric:team/two cluster", "3s cleared warning metric:team/two cluster",
			},
		},
		"fewer nodes than there should be": {
			func(s *story) {
				s.compare(ofCluster("few", "nodes", threshold.LessThan, "2"))
				s.lose(nodeOf("node-2")).at(time.Second).see(nodeOf("node-2"))
			},
			[]string{"0s raised warning metric:team/few cluster", "1s cleared warning metric:team/few cluster"},
		},
		"requests and pods": {
			func(s *story) {
				s.compare(
					ofCluster("cpu", "cpu_requested_percent", threshold.GreaterThan, "37.49"), ofCluster("pods", "pods_used_percent", threshold.GreaterThan, "0.9"),
					ofCluster("memory", "memory_requested_percent", threshold.GreaterThan, "50"),
				)
				s.see(requesting("web-1", 2000)).at(time.Second).see(requesting("web-2", 1000))
				s.at(2 * time.Second).lose(requesting("web-1", 2000))
			},
			[]string{
				"1s raised warning metric:team/pods cluster", "1s raised warning metric:team/cpu cluster",
				"2s cleared warning metric:team/pods cluster", "2s cleared warning metric:team/cpu cluster",
			},
		},
		"the mean of what nodes use, once all are heard": {
			func(s *story) {
				s.compare(ofCluster("cpu", "cpu_usage_percent", threshold.GreaterThan, "50"), ofCluster("memory", "memory_used_percent", threshold.LessThan, "30", lasting(minute, 0)))
				s.see(load("node-1", 0, 90, 90)).at(interval).see(load("node-2", 1, 20, 10)).at(2 * interval).see(load("node-1", 2, 90, 40))
				s.at(3 * interval).see(load("node-2", 3, 5, 10)).at(20 * minute)
			},
			[]string{
				"15s raised warning metric:team/cpu cluster", "30s pending warning metric:team/memory cluster",
				"45s cleared warning metric:team/cpu cluster", "1m30s raised warning metric:team/memory cluster",
			},
		},
		"the mean without those that are not heard for a minute": {
			func(s *story) {
				s.compare(ofCluster("cpu", "cpu_usage_percent", threshold.GreaterThan, "50"))
				for at := time.Duration(0); at <= 2*minute; at += interval {
					s.at(at).see(load("node-1", int(at/interval), 90, 90))
				}
				s.see(load("node-2", 8, 0, 0))
				for at := 2*minute + interval; at <= 4*minute; at += interval {
					s.at(at).see(load("node-1", int(at/interval), 90, 90))
				}
			},
			[]string{"1m0s raised warning metric:team/cpu cluster", "2m0s cleared warning metric:team/cpu cluster", "3m15s raised warning metric:team/cpu cluster"},
		},
		"nodes that cannot be listed any more": {
			func(s *story) {
				s.compare(ofCluster("few", "nodes", threshold.LessThan, "3"))
				s.hear(s.engine.Partial(facts.KindNode, s.now))
				s.see(nodeOf("node-3"), nodeOf("node-4")).at(time.Hour)
				s.hear(s.engine.Complete(facts.KindNode, s.now))
			},
			[]string{"0s raised warning metric:team/few cluster", "1h0m0s cleared warning metric:team/few cluster"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, nodeOf("node-1"), nodeOf("node-2"))
			tc.tell(s)
			s.told = slices.DeleteFunc(s.told, func(line string) bool { return !strings.Contains(line, threshold.Prefix) })
			s.wants(tc.want...)
		})
	}
}

func TestThresholdsOverRestarts(t *testing.T) {
	const minute = time.Minute
	node := nodeOf("node-1")
	busy := above("busy", "cpu_usage_percent", "50")
	few := ofCluster("few", "nodes", threshold.LessThan, "2")
	for name, tc := range map[string]struct {
		tell func(s *story)
		want []string
	}{
		"what was raised is neither told again nor forgotten, however long nothing comes": {
			func(s *story) {
				s.compare(busy).cpu(0, minute, 60).restart(2*minute, node).at(5 * time.Hour).compare(busy).at(6 * time.Hour)
				s.cpu(6*time.Hour, 6*time.Hour, 10)
			},
			[]string{"0s raised warning metric:team/busy node-1", "6h0m0s cleared warning metric:team/busy node-1"},
		},
		"the hub is away": {
			func(s *story) {
				s.compare(busy).cpu(0, 0, 10).restart(2*minute, node).cpu(3*minute, 3*minute, 60)
			},
			[]string{"3m0s raised warning metric:team/busy node-1"},
		},
		"the rule went in between": {
			func(s *story) {
				s.compare(busy).cpu(0, 0, 60).restart(2*minute, node).at(3 * minute).compare()
			},
			[]string{"0s raised warning metric:team/busy node-1", "3m0s cleared warning metric:team/busy node-1 RuleRemoved"},
		},
		"the node went in between": {
			func(s *story) { s.compare(busy).cpu(0, 0, 60).restart(2 * minute) },
			[]string{"0s raised warning metric:team/busy node-1", "2m0s cleared warning metric:team/busy node-1 NodeGone"},
		},
		"nodes cannot be listed after it": {
			func(s *story) {
				s.compare(busy).cpu(0, 0, 60)
				state := s.engine.State()
				s.engine = anomaly.New(anomaly.Options{Now: s.now, State: state})
				s.hear(s.engine.Partial(facts.KindNode, s.now))
				s.sync()
				s.at(time.Hour).cpu(time.Hour, time.Hour, 10)
			},
			[]string{"0s raised warning metric:team/busy node-1", "1h0m0s cleared warning metric:team/busy node-1"},
		},
		"what is pending goes on when it is short": {
			func(s *story) {
				s.compare(above("busy", "cpu_usage_percent", "50", lasting(2*minute, 0))).cpu(0, minute, 60)
				s.restart(minute+30*time.Second, node).cpu(minute+30*time.Second, 3*minute, 60)
			},
			[]string{"0s pending warning metric:team/busy node-1", "2m0s raised warning metric:team/busy node-1"},
		},
		"what is pending starts anew when nobody knows what was in between": {
			func(s *story) {
				s.compare(above("busy", "cpu_usage_percent", "50", lasting(5*minute, 0))).cpu(0, minute, 60)
				s.restart(10*minute, node).cpu(10*minute, 16*minute, 60)
			},
			[]string{"0s pending warning metric:team/busy node-1", "15m0s raised warning metric:team/busy node-1"},
		},
		"what is kept is kept": {
			func(s *story) {
				s.compare(above("busy", "cpu_usage_percent", "50", lasting(0, 10*minute))).cpu(0, 0, 60).cpu(interval, minute, 10)
				s.restart(2*minute, node).at(30*minute).cpu(30*minute, 30*minute, 10)
			},
			[]string{"0s raised warning metric:team/busy node-1", "30m0s cleared warning metric:team/busy node-1"},
		},
		"the cluster is not judged before it is known": {
			func(s *story) {
				s.lose(nodeOf("node-1")).compare(few).restart(minute).restart(2*minute, nodeOf("node-1"), nodeOf("node-2"))
				s.at(3*minute).lose(nodeOf("node-1")).restart(4*minute, nodeOf("node-2"))
			},
			[]string{
				"0s raised warning metric:team/few cluster", "2m0s cleared warning metric:team/few cluster", "3m0s raised warning metric:team/few cluster",
			},
		},
		"a mean waits for all nodes": {
			func(s *story) {
				s.see(nodeOf("node-2")).compare(ofCluster("cpu", "cpu_usage_percent", threshold.GreaterThan, "50"))
				s.see(load("node-1", 0, 100, 0), load("node-2", 0, 90, 0)).restart(minute, node, nodeOf("node-2"))
				s.see(load("node-1", 4, 0, 0)).at(minute + interval).see(load("node-2", 5, 90, 0))
			},
			[]string{"0s raised warning metric:team/cpu cluster", "1m15s cleared warning metric:team/cpu cluster"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, node)
			tc.tell(s)
			s.told = slices.DeleteFunc(s.told, func(line string) bool { return !strings.Contains(line, threshold.Prefix) })
			s.wants(tc.want...)
		})
	}
}

// The bundle may be read before the cluster is: then what has ended is told with the
// rest.
func TestThresholdsBeforeEverythingIsListed(t *testing.T) {
	s := begin(t, nodeOf("node-1"))
	busy, full := above("busy", "cpu_usage_percent", "50"), above("full", "memory_used_percent", "20")
	s.compare(busy, full).cpu(0, 0, 60)
	state := s.engine.State()
	s.engine = anomaly.New(anomaly.Options{Now: s.now, State: state})
	s.told = nil
	moved := above("full", "memory_used_percent", "25")
	s.compare(moved, above("new", "cpu_usage_percent", "59")).see(sampleOf("node-1", 1, value{telemetry.MetricCPUUsage, "", 60}), nodeOf("node-1"))
	if len(s.told) > 0 {
		t.Errorf("told before everything was seen: %q", s.told)
	}
	s.hear(s.engine.Synced(s.now))
	slices.Sort(s.told)
	s.wants(
		"0s cleared warning metric:team/busy node-1 RuleRemoved", "0s cleared warning metric:team/full node-1 RuleChanged",
		"0s raised warning metric:team/full node-1", "0s raised warning metric:team/new node-1",
	)
}

func TestThresholdsInAStorm(t *testing.T) {
	const nodes = 300
	var there []facts.Object
	for n := range nodes {
		there = append(there, nodeOf(fmt.Sprintf("node-%03d", n)))
	}
	s := begin(t, there...)
	s.compare(above("busy", "cpu_usage_percent", "50"))
	for n := range nodes {
		s.see(sampleOf(fmt.Sprintf("node-%03d", n), 0, value{telemetry.MetricCPUUsage, "", 60}))
	}
	if open := s.engine.Open(0); open.Warning != nodes {
		t.Errorf("%d are open", open.Warning)
	}
	told := func(what string) (n int) {
		for _, line := range s.told {
			if strings.Contains(line, what) {
				n++
			}
		}
		return n
	}
	if n := told("raised warning metric:team/busy"); n != anomaly.StormLimit || told("AnomalyStorm") == 0 {
		t.Errorf("%d were told at once", n)
	}
	// Of those that were held back nobody has to hear that they have ended.
	s.compare()
	if n := told("RuleRemoved"); n != anomaly.StormLimit || told("cleared warning AnomalyStorm") != 1 {
		t.Errorf("%d were told to have ended", n)
	}
}

func TestTheStateHasTheThresholds(t *testing.T) {
	s := begin(t, nodeOf("node-1"))
	s.compare(above("busy", "cpu_usage_percent", "50", selecting(threshold.Selector{MatchExpressions: []threshold.Requirement{{Key: "a", Operator: "DoesNotExist"}}})))
	s.cpu(0, 0, 60)
	stored, err := json.Marshal(s.engine.State())
	if err != nil {
		t.Fatal(err)
	}
	state := &anomaly.State{}
	if err := json.Unmarshal(stored, state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.engine.State(), anomaly.New(anomaly.Options{Now: s.now, State: state}).State()); diff != "" {
		t.Errorf("state (-stored +kept):\n%s", diff)
	}
}
