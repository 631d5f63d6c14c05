// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// said is what a watch says, in short.
func (n news) said() string {
	words := []string{}
	for _, o := range n.observe {
		switch o := o.(type) {
		case *facts.VolumeUsage:
			words = append(words, fmt.Sprintf("%s %d%%", o.Name, 100*o.Available/o.Capacity))
		case *facts.ContainerUsage:
			words = append(words, fmt.Sprintf("%s %d/%d", o.Name, o.WorkingSet, o.Throttled))
		}
	}
	for _, ref := range n.forget {
		words = append(words, "not "+ref.Name)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func TestWatchVolumes(t *testing.T) {
	t.Parallel()
	// Each step is a minute after the one before; "" stands for the claim not being there.
	type step struct {
		free     int64 // percent; -1 when it is not mounted, -2 when nothing is measured
		again    bool  // the kubelet tells the measurement before once more
		want     string
		interval time.Duration
	}
	tests := map[string][]step{
		"all is well": {{free: 90, want: "data 90%"}, {free: 90, want: "not data"}, {free: 89}, {free: 41}, {free: 40}},
		"fills up and recovers": {
			{free: 60, want: "data 60%"},
			{free: 60, want: "not data"},
			{free: 39, want: "data 39%"},
			{free: 38},
			{free: 37},
			{free: 36},
			{free: 35},
			{free: 34, want: "data 34%"},
			{free: 19, want: "data 19%"},
			{free: 2, want: "data 2%"},
			{free: 2, want: "data 2%"},
			{free: 30, want: "data 30%"},
			{free: 30},
			{free: 43},
			{free: 80, want: "data 80%"},
			{free: 80, want: "not data"},
			{free: 80},
		},
		"is full and recovers at once": {{free: 2, want: "data 2%"}, {free: 90, want: "data 90%"}, {free: 90, want: "not data"}},
		"wavers at the border":         {{free: 44, want: "data 44%"}, {free: 44, want: "not data"}, {free: 39, want: "data 39%"}, {free: 42}, {free: 39}, {free: 44}},
		"is unmounted":                 {{free: 2, want: "data 2%"}, {free: -1, want: "not data"}, {free: -1}},
		"is not measured for a while":  {{free: 2, want: "data 2%"}, {free: -2}, {free: -2}, {free: 90, want: "data 90%"}},
		"is measured every 3 minutes": {
			{free: 2, want: "data 2%", interval: time.Minute},
			{free: 2, again: true},
			{free: 2, again: true},
			{free: 2, want: "data 2%", interval: 3 * time.Minute},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatch(time.Minute)
			var measured time.Time
			for i, s := range steps {
				now := start.Add(time.Duration(i) * time.Minute)
				if !s.again {
					measured = now.Add(-time.Hour) // clocks differ
				}
				v := volume{namespace: "shop", claim: "data", measured: measured, capacity: 1000, available: 10 * s.free}
				all := []volume{v}
				switch s.free {
				case -1:
					all = nil
				case -2:
					all[0].capacity = 0
				}
				out := w.volumes(all, now)
				if got := out.said(); got != s.want {
					t.Errorf("minute %d: said %q instead of %q", i, got, s.want)
				}
				for _, o := range out.observe {
					if u := o.(*facts.VolumeUsage); !u.At.Equal(now) || s.interval != 0 && u.Interval != s.interval {
						t.Errorf("minute %d: at %s every %s", i, u.At, u.Interval)
					}
				}
			}
		})
	}
}

func TestWatchInodes(t *testing.T) {
	t.Parallel()
	w := newWatch(time.Minute)
	v := volume{namespace: "shop", claim: "data", measured: start, capacity: 100, available: 90, inodes: 100, inodesFree: 90}
	w.volumes([]volume{v}, start)
	w.volumes([]volume{v}, start.Add(time.Minute))
	v.measured, v.inodesFree = start.Add(2*time.Minute), 2
	if got := w.volumes([]volume{v}, start.Add(2*time.Minute)).said(); got != "data 90%" {
		t.Errorf("said %q", got)
	}
}

func TestWatchContainers(t *testing.T) {
	t.Parallel()
	// Each step is a minute after the one before.
	type step struct {
		used               int64 // percent of the limit; -1 when it does not run
		periods, throttled uint64
		again              bool
		want               string
	}
	tests := map[string][]step{
		"all is well": {{used: 50, want: "web/app 50/0"}, {used: 50, want: "not web/app"}, {used: 85}},
		"memory near the limit": {
			{used: 50, want: "web/app 50/0"},
			{used: 50, want: "not web/app"},
			{used: 86, want: "web/app 86/0"},
			{used: 95, want: "web/app 95/0"},
			{used: 84, want: "web/app 84/0"},
			{used: 30, want: "web/app 30/0"},
			{used: 30, want: "not web/app"},
			{used: 30},
		},
		"throttled": {
			{used: 1, periods: 100, throttled: 90, want: "web/app 1/90"},
			{used: 1, periods: 200, throttled: 90, want: "not web/app"},
			{used: 1, periods: 300, throttled: 110},
			{used: 1, periods: 400, throttled: 150, want: "web/app 1/150"},
			// For as long as the window looks back, and one reading more.
			{used: 1, periods: 500, throttled: 150, want: "web/app 1/150"},
			{used: 1, periods: 600, throttled: 150, want: "web/app 1/150"},
			{used: 1, periods: 700, throttled: 150, want: "web/app 1/150"},
			{used: 1, periods: 800, throttled: 150, want: "web/app 1/150"},
			{used: 1, periods: 900, throttled: 150, want: "web/app 1/150"},
			{used: 1, periods: 1000, throttled: 150, want: "web/app 1/150"},
			{used: 1, periods: 1100, throttled: 150, want: "web/app 1/150"},
			{used: 1, periods: 1200, throttled: 150, want: "not web/app"},
		},
		"replaced": {
			{used: 1, periods: 1000, throttled: 10, want: "web/app 1/10"},
			{used: 1, periods: 1100, throttled: 10, want: "not web/app"},
			{used: 1, periods: 50, throttled: 40},
			{used: 1, periods: 60, throttled: 50, want: "web/app 1/50"},
		},
		"ends":               {{used: 95, want: "web/app 95/0"}, {used: -1, want: "not web/app"}, {used: -1}},
		"a kubelet hangs":    {{used: 95, want: "web/app 95/0"}, {used: 95, again: true}, {used: 95, again: true}, {used: 20, want: "web/app 20/0"}},
		"comes back as well": {{used: 95, want: "web/app 95/0"}, {used: 20, want: "web/app 20/0"}, {used: 95, want: "web/app 95/0"}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatch(time.Minute)
			stamp := int64(0)
			for i, s := range steps {
				if !s.again {
					stamp++
				}
				all := []container{{namespace: "shop", pod: "web", name: "app", measured: stamp, workingSet: s.used, memoryLimit: 100, periods: s.periods, throttled: s.throttled}}
				if s.used < 0 {
					all = nil
				}
				if got := w.containers(all, start.Add(time.Duration(i)*time.Minute)).said(); got != s.want {
					t.Errorf("minute %d: said %q instead of %q", i, got, s.want)
				}
			}
		})
	}
}

// A container says nothing about claims and the other way round.
func TestWatchKeepsKindsApart(t *testing.T) {
	t.Parallel()
	w := newWatch(time.Minute)
	full := []volume{{namespace: "shop", claim: "data", measured: start, capacity: 100, available: 1}}
	near := []container{{namespace: "shop", pod: "web", name: "app", measured: 1, workingSet: 99, memoryLimit: 100}}
	if got := w.volumes(full, start).said() + "; " + w.containers(near, start).said(); got != "data 1%; web/app 99/0" {
		t.Errorf("said %q", got)
	}
	if got := w.containers(nil, start.Add(time.Minute)).said(); got != "not web/app" {
		t.Errorf("said %q", got)
	}
	if got := w.end().said(); got != "not data" || len(w.told) != 0 {
		t.Errorf("said %q at the end, %d left", got, len(w.told))
	}
}

// judged is an engine with what the rules look at besides.
func judged(t *testing.T) *anomaly.Engine {
	t.Helper()
	engine := anomaly.New(anomaly.Options{Now: start})
	engine.Observe(&facts.Pod{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindPod, Namespace: "shop", Name: "web"}, Created: start}, Node: "n"}, start)
	engine.Observe(&facts.Claim{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindClaim, Namespace: "shop", Name: "data"}, Created: start}, Phase: "Bound"}, start)
	engine.Synced(start)
	return engine
}

// What the bands leave out changes nothing: an engine that is told everything and one
// that is told what a watch says come to the same at the same minute.
func TestBandsLoseNothing(t *testing.T) {
	t.Parallel()
	type reading struct {
		volume    volume
		container container
	}
	// A claim that fills up within the hour is foreseen to from where its line begins, but
	// critical it is at the same minute.
	const sawtooth = "space that is used up and freed every 80 minutes"
	random := rand.New(rand.NewPCG(1, 2))
	used := 50.0
	runs := map[string]func(minute int) reading{
		"a leak over three days": func(minute int) reading {
			return reading{volume: volume{capacity: 1e6, available: 6e5 - int64(minute)*140, inodes: 1e6, inodesFree: 9e5}}
		},
		"inodes": func(minute int) reading {
			return reading{volume: volume{capacity: 1e6, available: 9e5, inodes: 1e6, inodesFree: 5e5 - min(int64(minute)*300, 4.9e5)}}
		},
		"memory that wanders": func(int) reading {
			used = min(max(used+random.Float64()*10-4.9, 1), 99)
			return reading{container: container{workingSet: int64(used * 1000), memoryLimit: 1e5}}
		},
		sawtooth: func(minute int) reading {
			return reading{volume: volume{capacity: 1e6, available: max(9e5-int64(minute%80)*14000, 1e4)}}
		},
		"throttled from the third hour on": func(minute int) reading {
			n := uint64(minute) //nolint:gosec // it is not negative
			return reading{container: container{periods: 1 + 600*n, throttled: 400 * max(n, 180), workingSet: 1}}
		},
	}
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			w, all, some := newWatch(time.Minute), judged(t), judged(t)
			var want, got []string
			observed := 0
			note := func(to *[]string, told []anomaly.Transition) {
				for i := range told {
					if name == sawtooth && told[i].Severity < telemetry.SeverityCritical {
						continue
					}
					if name == sawtooth && told[i].State == telemetry.AnomalyEscalated {
						told[i].State = telemetry.AnomalyRaised
					}
					*to = append(*to, fmt.Sprintf("%s %s %s %s", told[i].At.Sub(start), told[i].State, told[i].Severity, told[i].Rule))
				}
			}
			const minutes = 3 * 24 * 60
			for minute := range minutes {
				now := start.Add(time.Duration(minute) * time.Minute)
				r := run(minute)
				var out news
				if r.volume.capacity > 0 {
					r.volume.namespace, r.volume.claim, r.volume.measured = "shop", "data", now
					out = w.volumes([]volume{r.volume}, now)
					note(&want, all.Observe(&facts.VolumeUsage{
						Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindVolumeUsage, Namespace: "shop", Name: "data"}}, At: now, Interval: time.Minute,
						Capacity: r.volume.capacity, Available: r.volume.available, Inodes: r.volume.inodes, InodesFree: r.volume.inodesFree,
					}, now))
				} else {
					r.container.namespace, r.container.pod, r.container.name, r.container.measured = "shop", "web", "app", now.UnixMilli()
					out = w.containers([]container{r.container}, now)
					note(&want, all.Observe(&facts.ContainerUsage{
						Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindContainerUsage, Namespace: "shop", Name: "web/app"}}, Pod: "web", Container: "app", At: now, Interval: time.Minute,
						WorkingSet: r.container.workingSet, MemoryLimit: r.container.memoryLimit, Periods: r.container.periods, Throttled: r.container.throttled,
					}, now))
				}
				observed += len(out.observe)
				for _, o := range out.observe {
					note(&got, some.Observe(o, now))
				}
				for _, ref := range out.forget {
					note(&got, some.Forget(ref, now))
				}
				note(&want, all.Advance(now))
				note(&got, some.Advance(now))
			}
			if len(want) == 0 {
				t.Error("nothing was told at all")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("told of everything (-) and of what is near (+):\n%s", diff)
			}
			t.Logf("%d transitions, %d of %d measurements passed on", len(want), observed, minutes)
		})
	}
}
