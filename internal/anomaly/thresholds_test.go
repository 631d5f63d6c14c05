// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"maps"
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

// ofThreshold is what there is to say of a transition of a threshold besides: the
// filesystem, and why it has cleared if it did not recover.
func ofThreshold(t *anomaly.Transition) string {
	if !strings.HasPrefix(t.Rule, threshold.Prefix) {
		return ""
	}
	text := ""
	if mount, ok := telemetry.Value(t.Evidence, "mount"); ok {
		text += " " + mount
	}
	if t.State == telemetry.AnomalyCleared && !strings.HasSuffix(t.Reason, "Threshold") {
		text += " " + t.Reason
	}
	return text
}

// above is a threshold on a metric of nodes.
func above(rule, metric, limit string, change ...func(*threshold.Threshold)) threshold.Threshold {
	t := threshold.Threshold{
		Rule: "team/" + rule, Severity: telemetry.SeverityWarning,
		Metric: threshold.Metric{Scope: threshold.ScopeNode, Name: metric, Operator: threshold.GreaterThan, Threshold: limit},
	}
	for _, c := range change {
		c(&t)
	}
	return t
}

func lasting(hold, keep time.Duration) func(*threshold.Threshold) {
	return func(t *threshold.Threshold) {
		t.ForSeconds, t.KeepFiringForSeconds = int32(hold/time.Second), int32(keep/time.Second) //nolint:gosec // at most a day
	}
}

func selecting(s threshold.Selector) func(*threshold.Threshold) {
	return func(t *threshold.Threshold) { t.Metric.NodeSelector = &s }
}

// compare replaces the thresholds.
func (s *story) compare(list ...threshold.Threshold) *story {
	s.t.Helper()
	document, refused, err := threshold.Marshal(list)
	if err != nil || len(refused) > 0 {
		s.t.Fatalf("refused %v, error %v", refused, err)
	}
	parsed, _, err := threshold.Parse(string(document))
	if err != nil {
		s.t.Fatal(err)
	}
	s.hear(s.engine.SetThresholds(parsed, s.now))
	return s
}

// cpu feeds samples of node-1 from one moment to another.
func (s *story) cpu(from, to time.Duration, v float64) *story {
	s.t.Helper()
	s.feed(from, to, func(seq int) facts.Object { return sampleOf("node-1", seq, value{telemetry.MetricCPUUsage, "", v}) })
	return s
}

func used(seq int, values map[string]float64) facts.Object {
	var list []value
	for _, mount := range slices.Sorted(maps.Keys(values)) {
		list = append(list, value{telemetry.MetricFSUsedPercent, mount, values[mount]})
	}
	return sampleOf("node-1", seq, list...)
}

func TestThresholds(t *testing.T) {
	const second, minute = time.Second, time.Minute
	busy := func(change ...func(*threshold.Threshold)) threshold.Threshold {
		return above("busy", "cpu_usage_percent", "50", change...)
	}
	for name, tc := range map[string]struct {
		tell func(s *story)
		want []string
	}{
		"at once, and over at once": {
			func(s *story) { s.compare(busy()).cpu(0, minute, 60).cpu(75*second, 2*minute, 50) },
			[]string{"0s raised warning metric:team/busy node-1", "1m15s cleared warning metric:team/busy node-1"},
		},
		"pending first, raised in time and kept for a while": {
			func(s *story) {
				s.compare(busy(lasting(minute, 2*minute))).cpu(0, 90*second, 60).cpu(105*second, 5*minute, 10)
			},
			[]string{"0s pending warning metric:team/busy node-1", "1m0s raised warning metric:team/busy node-1", "3m45s cleared warning metric:team/busy node-1"},
		},
		"not for long enough": {
			func(s *story) {
				s.compare(busy(lasting(minute, 0))).cpu(0, 30*second, 60).cpu(45*second, 2*minute, 10)
			},
			[]string{"0s pending warning metric:team/busy node-1", "45s cleared warning metric:team/busy node-1"},
		},
		"flapping faster than it is kept": {
			func(s *story) {
				s.compare(busy(lasting(0, minute)))
				s.feed(0, 10*minute, func(seq int) facts.Object {
					return sampleOf("node-1", seq, value{telemetry.MetricCPUUsage, "", float64(20 + 60*(seq%2))})
				})
				s.cpu(10*minute+interval, 12*minute, 20)
			},
			[]string{"15s raised warning metric:team/busy node-1", "11m0s cleared warning metric:team/busy node-1"},
		},
		"flapping that starts it anew each time": {
			func(s *story) {
				s.compare(busy(lasting(20*second, 0)))
				s.feed(0, 45*second, func(seq int) facts.Object {
					return sampleOf("node-1", seq, value{telemetry.MetricCPUUsage, "", float64(80 - 60*(seq%2))})
				})
			},
			[]string{
				"0s pending warning metric:team/busy node-1", "15s cleared warning metric:team/busy node-1",
				"30s pending warning metric:team/busy node-1", "45s cleared warning metric:team/busy node-1",
			},
		},
		"below": {
			func(s *story) {
				s.compare(above("idle", "cpu_usage_percent", "5", func(x *threshold.Threshold) {
					x.Metric.Operator, x.Severity = threshold.LessThanOrEqual, telemetry.SeverityCritical
				})).cpu(0, 0, 5.01).cpu(interval, interval, 5)
			},
			[]string{"15s raised critical metric:team/idle node-1"},
		},
		"known before it is compared": {
			func(s *story) { s.cpu(0, 0, 60).at(20 * second).compare(busy()) },
			[]string{"20s raised warning metric:team/busy node-1"},
		},
		"too old to be compared": {
			func(s *story) { s.cpu(0, 0, 60).at(2 * minute).compare(busy()).at(time.Hour) },
			[]string{},
		},
		"each filesystem for itself": {
			func(s *story) {
				s.compare(above("full", "fs_used_percent", "90"), above("var", "fs_used_percent", "80", func(x *threshold.Threshold) {
					x.Metric.Labels = map[string]string{"mount": "/var"}
				}))
				s.see(used(0, map[string]float64{"/": 95, "/var": 85})).at(interval).see(used(1, map[string]float64{"/": 85, "/var": 95}))
			},
			[]string{
				"0s raised warning metric:team/full node-1 /", "0s raised warning metric:team/var node-1 /var",
				"15s raised warning metric:team/full node-1 /var", "15s cleared warning metric:team/full node-1 /",
			},
		},
		"a value that is missing is no value": {
			func(s *story) {
				s.compare(above("full", "fs_used_percent", "90", lasting(0, 0)), above("empty", "fs_used_percent", "1", func(x *threshold.Threshold) {
					x.Metric.Operator = threshold.LessThan
				}))
				s.see(used(0, map[string]float64{"/": 95}))
				s.feed(interval, 2*time.Hour, func(seq int) facts.Object { return used(seq, nil) })
			},
			[]string{"0s raised warning metric:team/full node-1 /"},
		},
		"a filesystem that is gone while others are there": {
			func(s *story) {
				s.compare(above("full", "fs_used_percent", "90", lasting(0, 10*minute)))
				s.see(used(0, map[string]float64{"/": 10, "/data": 95}))
				s.feed(interval, 10*minute, func(seq int) facts.Object { return used(seq, map[string]float64{"/": 10}) })
				s.feed(10*minute+interval, 10*minute+interval, func(seq int) facts.Object { return used(seq, map[string]float64{"/": 10, "/data": 96}) })
				s.feed(10*minute+2*interval, time.Hour, func(seq int) facts.Object { return used(seq, map[string]float64{"/": 10}) })
			},
			[]string{"0s raised warning metric:team/full node-1 /data", "25m30s cleared warning metric:team/full node-1 /data SeriesGone"},
		},
		"silence neither raises nor clears": {
			func(s *story) {
				s.compare(busy(), busy(func(x *threshold.Threshold) { x.Rule = "team/long" }, lasting(2*minute, 0)))
				s.cpu(0, 15*second, 60).at(time.Hour)
			},
			[]string{"0s raised warning metric:team/busy node-1", "0s pending warning metric:team/long node-1"},
		},
		"silence is not below for long enough either": {
			func(s *story) {
				s.compare(busy(lasting(0, 5*minute))).cpu(0, 0, 60).cpu(interval, interval, 10)
				s.at(time.Hour).cpu(time.Hour, time.Hour, 10)
			},
			[]string{"0s raised warning metric:team/busy node-1", "1h0m0s cleared warning metric:team/busy node-1"},
		},
		"silence after which it is exceeded again": {
			func(s *story) {
				s.compare(busy(lasting(0, 5*minute))).cpu(0, 0, 60).cpu(interval, interval, 10)
				s.at(time.Hour).cpu(time.Hour, time.Hour, 60)
			},
			[]string{"0s raised warning metric:team/busy node-1"},
		},
		"a break of silence starts it anew": {
			func(s *story) {
				s.compare(busy(lasting(6*minute, 0))).cpu(0, 4*minute, 60).cpu(8*minute, 15*minute, 60)
			},
			[]string{"0s pending warning metric:team/busy node-1", "14m0s raised warning metric:team/busy node-1"},
		},
		"a node that is gone, and its collector that is not": {
			func(s *story) {
				s.compare(busy(lasting(0, 10*minute))).cpu(0, 0, 60).at(5 * second).lose(nodeOf("node-1"))
				s.cpu(interval, minute, 60).see(nodeOf("node-1")).cpu(minute+interval, minute+interval, 60)
			},
			[]string{"0s raised warning metric:team/busy node-1", "5s cleared warning metric:team/busy node-1 NodeGone", "1m15s raised warning metric:team/busy node-1"},
		},
		"a node that goes while it is kept": {
			func(s *story) {
				s.compare(busy(lasting(0, 10*minute))).cpu(0, 0, 60).cpu(interval, interval, 10).at(minute).lose(nodeOf("node-1"))
			},
			[]string{"0s raised warning metric:team/busy node-1", "1m0s cleared warning metric:team/busy node-1 NodeGone"},
		},
		"an unreachable node": {
			func(s *story) {
				s.see(nodeOf("node-1", condition("Ready", facts.Unknown, "NodeStatusUnknown", -minute)))
				s.compare(busy()).cpu(0, minute, 60).see(nodeOf("node-1")).cpu(minute+interval, 10*minute, 60)
			},
			[]string{
				"0s raised warning NodeUnreachable node-1", "3m0s cleared warning NodeUnreachable node-1", "3m0s raised warning metric:team/busy node-1",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, nodeOf("node-1"))
			tc.tell(s)
			s.told = slices.DeleteFunc(s.told, func(line string) bool { return strings.Contains(line, "CollectorStale") })
			s.wants(tc.want...)
		})
	}
}

func TestThresholdsThatChange(t *testing.T) {
	const minute = time.Minute
	busy := func(change ...func(*threshold.Threshold)) threshold.Threshold {
		return above("busy", "cpu_usage_percent", "50", change...)
	}
	limit := func(v string) func(*threshold.Threshold) {
		return func(x *threshold.Threshold) { x.Metric.Threshold = v }
	}
	critical := func(x *threshold.Threshold) { x.Severity = telemetry.SeverityCritical }
	const raised = "0s raised warning metric:team/busy node-1"
	for name, tc := range map[string]struct {
		before, after []threshold.Threshold
		want          []string
	}{
		"removed":                         {[]threshold.Threshold{busy(lasting(0, time.Hour))}, nil, []string{raised, "1m0s cleared warning metric:team/busy node-1 RuleRemoved"}},
		"removed while it is pending":     {[]threshold.Threshold{busy(lasting(time.Hour, 0))}, nil, []string{"0s pending warning metric:team/busy node-1", "1m0s cleared warning metric:team/busy node-1 RuleRemoved"}},
		"the same":                        {[]threshold.Threshold{busy()}, []threshold.Threshold{busy(limit("50.0"))}, []string{raised}},
		"another limit, exceeded as well": {[]threshold.Threshold{busy()}, []threshold.Threshold{busy(limit("40"))}, []string{raised, "1m0s cleared warning metric:team/busy node-1 RuleChanged", "1m0s raised warning metric:team/busy node-1"}},
		"another limit, not exceeded":     {[]threshold.Threshold{busy()}, []threshold.Threshold{busy(limit("70"))}, []string{raised, "1m0s cleared warning metric:team/busy node-1 RuleChanged"}},
		"another one beside it":           {[]threshold.Threshold{busy()}, []threshold.Threshold{above("also", "cpu_usage_percent", "1"), busy()}, []string{raised, "1m0s raised warning metric:team/also node-1"}},
		"longer":                          {[]threshold.Threshold{busy()}, []threshold.Threshold{busy(lasting(time.Hour, 0))}, []string{raised}},
		"shorter": {
			[]threshold.Threshold{busy(lasting(time.Hour, 0))},
			[]threshold.Threshold{busy(lasting(30*time.Second, 0))},
			[]string{"0s pending warning metric:team/busy node-1", "1m0s raised warning metric:team/busy node-1"},
		},
		"more severe": {[]threshold.Threshold{busy()}, []threshold.Threshold{busy(critical)}, []string{raised, "1m0s escalated critical metric:team/busy node-1"}},
		"less severe": {[]threshold.Threshold{busy(critical)}, []threshold.Threshold{busy()}, []string{"0s raised critical metric:team/busy node-1"}},
		"not this node": {
			[]threshold.Threshold{busy()},
			[]threshold.Threshold{busy(selecting(threshold.Selector{MatchLabels: map[string]string{"pool": "b"}}))},
			[]string{raised, "1m0s cleared warning metric:team/busy node-1 NotSelected"},
		},
		"still this node": {
			[]threshold.Threshold{busy()},
			[]threshold.Threshold{busy(selecting(threshold.Selector{MatchLabels: map[string]string{"pool": "a"}}))},
			[]string{raised},
		},
	} {
		t.Run(name, func(t *testing.T) {
			node := nodeOf("node-1")
			node.Labels = map[string]string{"pool": "a"}
			s := begin(t, node)
			s.compare(tc.before...).cpu(0, minute, 60).compare(tc.after...)
			s.wants(tc.want...)
		})
	}
	t.Run("a node that is relabelled", func(t *testing.T) {
		labelled := func(pool string) *facts.Node {
			n := nodeOf("node-1")
			n.Labels = map[string]string{"pool": pool}
			return n
		}
		s := begin(t, labelled("a"))
		s.compare(busy(selecting(threshold.Selector{MatchLabels: map[string]string{"pool": "b"}}))).cpu(0, 0, 60)
		s.at(time.Second).see(labelled("b")).at(2 * time.Second).see(labelled("a"))
		s.wants("1s raised warning metric:team/busy node-1", "2s cleared warning metric:team/busy node-1 NotSelected")
	})
}

// What people are told, and what a program finds in it.
func TestWhatAThresholdTells(t *testing.T) {
	s := begin(t, nodeOf("node-1"))
	s.compare(above("var", "fs_used_percent", "80.50"), above("idle", "cpu_usage_percent", "1", func(x *threshold.Threshold) {
		x.Metric.Operator = threshold.LessThanOrEqual
	}))
	told := s.engine.Observe(used(0, map[string]float64{"/var": 93.2}), s.now)
	if len(told) != 1 {
		t.Fatalf("told %v", told)
	}
	got := told[0].AnomalyTransition
	want := telemetry.AnomalyTransition{
		Rule: "metric:team/var", Fingerprint: got.Fingerprint, State: telemetry.AnomalyRaised, Severity: telemetry.SeverityWarning,
		Object: telemetry.ObjectRef{Kind: "Node", Name: "node-1", UID: "uid-Node-node-1"}, Node: "node-1", Reason: "AboveThreshold",
		Message: "fs_used_percent{/var} of node node-1 is 93.2, which is above the threshold of 80.5", Count: 1, Since: start,
		Evidence: []telemetry.Label{
			{Key: "alertRule", Value: "team/var"},
			{Key: "field", Value: "fs_used_percent{/var}"},
			{Key: "mount", Value: "/var"},
			{Key: "operator", Value: "GreaterThan"},
			{Key: "threshold", Value: "80.5"},
			{Key: "unit", Value: "percent"},
			{Key: "value", Value: "93.2"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	told = s.engine.SetThresholds(nil, s.now)
	if len(told) != 1 || told[0].Fingerprint != got.Fingerprint || told[0].Message != "AlertRule team/var does not apply to this cluster any more" {
		t.Errorf("told %v", told)
	}
	if open := s.engine.Open(-1); open.Warning+open.Pending+len(open.Worst) > 0 {
		t.Errorf("still open: %+v", open)
	}
}
