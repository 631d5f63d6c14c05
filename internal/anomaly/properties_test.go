// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var seed = flag.Uint64("anomaly.seed", 0, "seed of the random histories; 0 for new ones")

// change is what happens to one object at a moment: it is as given, or gone.
type change struct {
	object facts.Object
	gone   bool
}

// moment is when several things happen that have nothing to do with each other.
type moment struct {
	after   time.Duration
	changes []change
}

const families = 4

// history is what happens to a few families, each a Deployment with its pods in a
// namespace of its own, and the node that they run on.
func history(r *rand.Rand, length int) []moment {
	var moments []moment
	after := time.Duration(0)
	for range length {
		after += time.Duration(r.IntN(150)) * time.Second
		m := moment{after: after}
		for family := range families {
			if r.IntN(3) > 0 {
				m.changes = append(m.changes, happening(r, family, after))
			}
		}
		moments = append(moments, m)
	}
	return moments
}

func happening(r *rand.Rand, family int, now time.Duration) change {
	namespace, node := fmt.Sprintf("ns-%d", family), fmt.Sprintf("node-%d", family)
	gone := r.IntN(8) == 0
	switch r.IntN(8) {
	case 0:
		n := nodeOf(node, condition("Ready", []string{facts.True, facts.True, facts.False, facts.Unknown}[r.IntN(4)], "NodeStatusUnknown", now))
		n.BootID = fmt.Sprintf("boot-%d", r.IntN(2))
		return change{object: n, gone: gone}
	case 1:
		desired, ready := int32(r.IntN(3)), int32(r.IntN(3)) //nolint:gosec // small
		w := workload(facts.KindDeployment, "web", desired, ready)
		w.Namespace = namespace
		if ready < desired {
			w.Conditions = []facts.Condition{condition("Available", facts.False, "MinimumReplicasUnavailable", now)}
		}
		return change{object: w, gone: gone}
	case 2:
		rs := replicaSet()
		rs.Namespace = namespace
		return change{object: rs, gone: gone}
	case 3:
		j := ofCronJob(failedJob(fmt.Sprintf("import-%d", r.IntN(3)), now))
		j.Namespace = namespace
		if r.IntN(2) == 0 {
			j.Conditions[0].Type = "Complete"
		}
		return change{object: j, gone: gone}
	case 4:
		p := podOf(fmt.Sprintf("web-%d", r.IntN(3)), nil)
		p.Namespace = namespace
		e := eventOf(&p.Meta, "Unhealthy", "Readiness probe failed: timeout", int32(1+r.IntN(5)), now) //nolint:gosec // small
		e.Namespace = namespace
		return change{object: e}
	default:
		p := podOf(fmt.Sprintf("web-%d", r.IntN(3)), somePod(r, now))
		p.Namespace, p.Node = namespace, node
		return change{object: p, gone: gone}
	}
}

func somePod(r *rand.Rand, now time.Duration) func(*facts.Pod) {
	restarts := int32(r.IntN(6)) //nolint:gosec // small
	switch r.IntN(8) {
	case 0:
		return waits("CrashLoopBackOff", restarts, now)
	case 1:
		return waits("ImagePullBackOff", 0, now)
	case 2:
		return runs("OOMKilled", restarts, now, 137)
	case 3:
		return runs("Error", restarts, now, 137)
	case 4:
		return func(p *facts.Pod) {
			p.Phase, p.Reason = facts.PhaseFailed, []string{"Evicted", "", "OutOfcpu"}[r.IntN(3)]
		}
	case 5:
		return func(p *facts.Pod) { p.Deleted = start.Add(now) }
	case 6:
		return func(p *facts.Pod) {
			p.Phase, p.Conditions = facts.PhasePending, []facts.Condition{condition("PodScheduled", facts.False, "Unschedulable", now)}
		}
	default:
		return nil
	}
}

// player runs a history through an engine, one way or another.
type player struct {
	story *story
	// twice observes everything twice, shuffle changes the order within a moment,
	// idle calls Advance only by the way, and restarts is after which moment the
	// engine is replaced; negative for never.
	twice, shuffle, idle bool
	restarts             int
}

func (p *player) play(t *testing.T, r *rand.Rand, moments []moment) []string {
	t.Helper()
	s := begin(t)
	p.story = s
	there := map[facts.Ref]facts.Object{}
	for i, m := range moments {
		if p.idle {
			s.now = start.Add(m.after)
		} else {
			s.at(m.after)
		}
		changes := slices.Clone(m.changes)
		if p.shuffle {
			r.Shuffle(len(changes), func(a, b int) { changes[a], changes[b] = changes[b], changes[a] })
		}
		for _, c := range changes {
			if c.gone {
				s.lose(c.object)
				delete(there, c.object.About().Ref)
				continue
			}
			s.see(c.object)
			if p.twice {
				s.see(c.object)
			}
			there[c.object.About().Ref] = c.object
		}
		if i == p.restarts {
			var objects []facts.Object
			for _, o := range there {
				objects = append(objects, o)
			}
			s.restart(m.after, objects...)
		}
	}
	s.hear(s.engine.Advance(s.now))
	s.at(moments[len(moments)-1].after + 3*time.Hour)
	return s.told
}

func TestProperties(t *testing.T) {
	seeds := []uint64{*seed}
	if *seed == 0 {
		seeds = nil
		for range 40 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, seed := range seeds {
		source := func() *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
		moments := history(source(), 60)
		straight := &player{restarts: -1}
		want := straight.play(t, source(), moments)
		if len(want) == 0 {
			t.Errorf("seed %d: nothing happened", seed)
		}
		for name, other := range map[string]*player{
			"everything twice":              {twice: true, restarts: -1},
			"unrelated in another order":    {shuffle: true, restarts: -1},
			"time told by the objects only": {idle: true, restarts: -1},
		} {
			got := other.play(t, source(), moments)
			if diff := cmp.Diff(sortedByTime(want), sortedByTime(got)); diff != "" {
				t.Errorf("-anomaly.seed=%d: %s (-straight +so):\n%s", seed, name, diff)
			}
		}
		again := &player{restarts: len(moments) / 2}
		again.play(t, source(), moments)
		if t.Failed() {
			t.Logf("run again with -anomaly.seed=%d", seed)
			return
		}
	}
}

// sortedByTime makes the order of what is told at one moment not matter.
func sortedByTime(told []string) []string {
	sorted := slices.Clone(told)
	slices.Sort(sorted)
	return sorted
}

// following checks that each anomaly lives as it has to: every clear has a raise,
// or at least a warning that one may come.
type following map[string]telemetry.AnomalyTransition

func (f following) take(t *testing.T, x *anomaly.Transition) {
	t.Helper()
	key := x.Rule + "/" + x.Fingerprint
	before, open := f[key]
	wrong := ""
	switch x.State {
	case telemetry.AnomalyPending:
		if open {
			wrong = "is pending though it was " + before.State.String()
		}
	case telemetry.AnomalyRaised:
		if open && before.State != telemetry.AnomalyPending && x.Count < before.Count {
			wrong = "is raised again"
		}
	case telemetry.AnomalyEscalated:
		if !open || before.State < telemetry.AnomalyRaised {
			wrong = "is escalated without a raise"
		}
	default:
		if !open {
			wrong = "is cleared without a raise"
		}
	}
	if open && x.Severity < before.Severity && before.State != telemetry.AnomalyPending {
		wrong = "lost severity"
	}
	if wrong != "" {
		t.Errorf("%s: %s of %s %s", x.At.Sub(start), x.Rule, x.Object.Name, wrong)
	}
	if x.State == telemetry.AnomalyCleared {
		delete(f, key)
	} else {
		f[key] = x.AnomalyTransition
	}
}
