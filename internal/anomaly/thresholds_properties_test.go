// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// thresholdStep is what happens to some nodes and thresholds at a moment. The nodes
// have nothing to do with each other.
type thresholdStep struct {
	after   time.Duration
	changes []change
	list    []threshold.Threshold
}

func thresholdHistory(r *rand.Rand, length int) []thresholdStep {
	var steps []thresholdStep
	seq := 0
	for range length {
		seq += 1 + r.IntN(6)
		step := thresholdStep{after: time.Duration(seq) * interval}
		for n := range 3 {
			name := fmt.Sprintf("node-%d", n)
			var o facts.Object
			switch r.IntN(8) {
			case 0:
				node := nodeOf(name)
				node.Labels = map[string]string{"pool": []string{"a", "b"}[r.IntN(2)]}
				o = node
			default:
				values := []value{{telemetry.MetricCPUUsage, "", float64(r.IntN(100))}}
				for _, mount := range []string{"/", "/var"} {
					if r.IntN(4) > 0 {
						values = append(values, value{telemetry.MetricFSUsedPercent, mount, float64(r.IntN(100))})
					}
				}
				o = sampleOf(name, seq, values...)
			}
			if r.IntN(4) > 0 {
				_, isNode := o.(*facts.Node)
				step.changes = append(step.changes, change{object: o, gone: isNode && r.IntN(3) == 0})
			}
		}
		if r.IntN(6) == 0 {
			for n := range 4 {
				if r.IntN(4) == 0 {
					continue
				}
				x := above(fmt.Sprintf("rule-%d", n), []string{"cpu_usage_percent", "fs_used_percent"}[n%2], fmt.Sprint(30+20*r.IntN(3)),
					lasting(time.Duration(r.IntN(3))*time.Minute, time.Duration(r.IntN(3))*time.Minute))
				x.Severity = telemetry.Severity(1 + r.IntN(3)) //nolint:gosec // small
				if r.IntN(3) == 0 {
					selecting(threshold.Selector{MatchLabels: map[string]string{"pool": "a"}})(&x)
				}
				step.list = append(step.list, x)
			}
		}
		steps = append(steps, step)
	}
	return steps
}

func playThresholds(t *testing.T, steps []thresholdStep, twice, shuffle bool, restart int, r *rand.Rand) []string {
	t.Helper()
	s := begin(t, nodeOf("node-0"), nodeOf("node-1"), nodeOf("node-2"))
	there := map[facts.Ref]facts.Object{}
	for n := range 3 {
		o := nodeOf(fmt.Sprintf("node-%d", n))
		there[o.Ref] = o
	}
	for i, step := range steps {
		s.at(step.after)
		if step.list != nil {
			s.compare(step.list...)
			if twice {
				s.compare(step.list...)
			}
		}
		changes := slices.Clone(step.changes)
		if shuffle {
			r.Shuffle(len(changes), func(a, b int) { changes[a], changes[b] = changes[b], changes[a] })
		}
		for _, c := range changes {
			if c.gone {
				s.lose(c.object)
				delete(there, c.object.About().Ref)
				continue
			}
			s.see(c.object)
			if twice {
				s.see(c.object)
			}
			if c.object.About().Kind == facts.KindNode {
				there[c.object.About().Ref] = c.object
			}
		}
		if i == restart {
			var objects []facts.Object
			for _, o := range there {
				objects = append(objects, o)
			}
			s.restart(step.after, objects...)
		}
	}
	s.compare()
	for key := range s.open {
		if strings.HasPrefix(key, threshold.Prefix) {
			t.Errorf("%s is open although there is no rule", key)
		}
	}
	return s.told
}

// TestThresholdProperties checks, besides what following does, that the order of
// unrelated things and repetition do not matter, and that nothing outlives its rule.
func TestThresholdProperties(t *testing.T) {
	seeds := []uint64{*seed}
	if *seed == 0 {
		seeds = nil
		for range 60 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	something := 0
	for _, seed := range seeds {
		source := func() *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }
		steps := thresholdHistory(source(), 80)
		want := playThresholds(t, steps, false, false, -1, source())
		something += len(want)
		for name, got := range map[string][]string{
			"everything twice": playThresholds(t, steps, true, false, -1, source()), "another order": playThresholds(t, steps, false, true, -1, source()),
		} {
			if diff := cmp.Diff(sortedByTime(want), sortedByTime(got)); diff != "" {
				t.Errorf("%s (-straight +so):\n%s", name, diff)
			}
		}
		playThresholds(t, steps, false, false, len(steps)/2, source())
		if t.Failed() {
			t.Fatalf("run again with -anomaly.seed=%d", seed)
		}
	}
	if something < 100*len(seeds)/10 {
		t.Errorf("in %d histories %d things were told", len(seeds), something)
	}
}
