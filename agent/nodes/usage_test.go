// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const gib = 1 << 30

// measured is a sample of a node with 4 cores and 16 GiB.
func measured(cpuPercent, usedGiB float64) *telemetry.NodeSample {
	return &telemetry.NodeSample{
		Interval: 15 * time.Second,
		Series: []telemetry.Series{
			{Metric: telemetry.MetricCPUUsage}, {Metric: telemetry.MetricCPUCores}, {Metric: telemetry.MetricMemoryUsed}, {Metric: telemetry.MetricMemoryTotal},
		},
		Values: []float64{cpuPercent, 4, usedGiB * gib, 16 * gib},
	}
}

func TestReading(t *testing.T) {
	without := func(i int) *telemetry.NodeSample {
		s := measured(50, 8)
		s.Series, s.Values = slices.Delete(s.Series, i, i+1), slices.Delete(s.Values, i, i+1)
		return s
	}
	with := func(i int, v float64) *telemetry.NodeSample {
		s := measured(50, 8)
		s.Values[i] = v
		return s
	}
	cases := map[string]struct {
		sample *telemetry.NodeSample
		want   reading
	}{
		"half":                       {measured(50, 8), reading{true, 2000, 4000, 8 * gib, 16 * gib}},
		"a hundredth of a percent":   {measured(0.25, 0), reading{true, 10, 4000, 0, 16 * gib}},
		"the first, without a rate":  {without(0), reading{}},
		"without memory":             {without(2), reading{}},
		"a lie: more than all":       {with(0, 101), reading{}},
		"a lie: negative":            {with(2, -1), reading{}},
		"a lie: as large as it gets": {with(3, math.MaxFloat64), reading{}},
		"a lie: a million cores":     {with(1, 1e6), reading{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, read(tc.sample), cmp.AllowUnexported(reading{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func heard(name string, ago, interval time.Duration, s *telemetry.NodeSample) *latest {
	return &latest{node: name, sample: s, moment: noon.Add(-ago), heard: noon.Add(-ago), interval: interval, reading: read(s)}
}

func TestSum(t *testing.T) {
	first := measured(90, 15)
	first.Series, first.Values = first.Series[1:], first.Values[1:]
	all := []*latest{
		heard("a", 10*time.Second, 15*time.Second, measured(25, 4)),
		heard("b", 45*time.Second, 15*time.Second, measured(50, 8)), // just fresh
		heard("d", 46*time.Second, 15*time.Second, measured(100, 16)),
		heard("c", time.Hour, 15*time.Second, measured(100, 16)),
		heard("e", 2*time.Minute, time.Minute, measured(0, 0)), // slower
		heard("f", 0, 15*time.Second, first),
	}
	got := sum(slices.Values(all), noon)
	want := totals{
		nodes: 6, fresh: 4, silent: []string{"c", "d"}, next: noon,
		usage: Usage{Nodes: 3, CPUMillis: 3000, CPUCapacityMillis: 12_000, MemoryBytes: 12 * gib, MemoryCapacityBytes: 48 * gib},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(totals{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestManySilentNodesAreNotAllNamed(t *testing.T) {
	var all []*latest
	for i := range 100 {
		all = append(all, heard(string(rune('a'+i%26))+string(rune('a'+i/26)), time.Hour, 15*time.Second, measured(1, 1)))
	}
	got := sum(slices.Values(all), noon)
	if len(got.silent) != maxSilent || !slices.IsSorted(got.silent) || got.silent[0] != "aa" || got.fresh != 0 || !got.next.IsZero() {
		t.Errorf("%d named, from %v, next %s", len(got.silent), got.silent, got.next)
	}
}

func TestNewer(t *testing.T) {
	old := latest{epoch: 5, seq: 10, sample: measured(1, 1), moment: noon, interval: 15 * time.Second}
	cases := map[string]struct {
		latest latest
		epoch  telemetry.Epoch
		seq    uint64
		moment time.Time
		now    time.Time
		want   bool
	}{
		"the first":                             {latest{}, 1, 1, noon, noon, true},
		"the next":                              {old, 5, 11, noon.Add(15 * time.Second), noon, true},
		"backlog":                               {old, 5, 9, noon.Add(time.Hour), noon, false},
		"the next, with a clock that went back": {old, 5, 11, noon.Add(-time.Hour), noon, true},
		"a new life":                            {old, 6, 1, noon.Add(time.Second), noon, true},
		"what an earlier life left":             {old, 4, 99, noon.Add(-time.Second), noon, false},
		"a new life in the past, after silence": {old, 6, 1, noon.Add(-time.Hour), noon.Add(time.Minute), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.latest.newer(tc.epoch, tc.seq, tc.moment, tc.now); got != tc.want {
				t.Errorf("newer: %t", got)
			}
		})
	}
}

func TestShownFollowsInSteps(t *testing.T) {
	at := func(nodes int32, cpu, memory int64) Usage {
		return Usage{Nodes: nodes, CPUMillis: cpu, CPUCapacityMillis: 10_000, MemoryBytes: memory, MemoryCapacityBytes: 100 * gib}
	}
	was := shown{usage: new(at(3, 1000, 10*gib)), since: noon}
	cases := map[string]struct {
		from  shown
		after time.Duration
		to    Usage
		news  bool
		want  *Usage
	}{
		"nothing known":              {shown{}, 0, Usage{}, false, nil},
		"the first":                  {shown{}, 0, at(1, 1234, 5*gib+700_000), true, new(at(1, 1230, 5*gib+memoryStep))},
		"the same":                   {was, time.Hour, at(3, 1000, 10*gib), false, was.usage},
		"a large move, too early":    {was, 59 * time.Second, at(3, 9000, 10*gib), false, was.usage},
		"a large move":               {was, time.Minute, at(3, 1510, 10*gib), true, new(at(3, 1510, 10*gib))},
		"a move that is not large":   {was, time.Minute, at(3, 1500, 10*gib), false, was.usage},
		"memory moves":               {was, time.Minute, at(3, 1000, 16*gib), true, new(at(3, 1000, 16*gib))},
		"a small move, later":        {was, 10 * time.Minute, at(3, 1110, 10*gib), true, new(at(3, 1110, 10*gib))},
		"noise, later":               {was, 10 * time.Minute, at(3, 1090, 10*gib), false, was.usage},
		"another number of nodes":    {was, 0, at(2, 1000, 10*gib), true, new(at(2, 1000, 10*gib))},
		"none is left":               {was, 0, Usage{}, true, nil},
		"a CPU was added to a node":  {was, 0, Usage{3, 1000, 12_000, 10 * gib, 100 * gib}, true, &Usage{3, 1000, 12_000, 10 * gib, 100 * gib}},
		"down as well as up":         {was, time.Minute, at(3, 400, 10*gib), true, new(at(3, 400, 10*gib))},
		"nothing and then something": {shown{since: noon}, time.Second, at(1, 10, gib), true, new(at(1, 10, gib))},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, news := tc.from.settle(tc.to, noon.Add(tc.after))
			if diff := cmp.Diff(tc.want, got.usage); diff != "" || news != tc.news {
				t.Errorf("news %t, (-want +got):\n%s", news, diff)
			}
		})
	}
}

// TestAnIdleClusterIsNoNews lets use wander by less than a percent for a day.
func TestAnIdleClusterIsNoNews(t *testing.T) {
	var s shown
	changes := 0
	for i := range 24 * 240 {
		u := Usage{Nodes: 3, CPUMillis: 1000 + int64(90*math.Sin(float64(i))), CPUCapacityMillis: 10_000, MemoryBytes: 10 * gib, MemoryCapacityBytes: 100 * gib}
		var news bool
		if s, news = s.settle(u, noon.Add(time.Duration(i)*15*time.Second)); news {
			changes++
		}
	}
	if changes > 3 {
		t.Errorf("%d changes in a day in which nothing happened", changes)
	}
}

func TestSeriesAreShared(t *testing.T) {
	sets := newSeriesSets()
	a, b := measured(1, 1).Series, measured(2, 2).Series
	if one, other := sets.share(a), sets.share(b); &one[0] != &a[0] || &other[0] != &a[0] {
		t.Error("equal lists are not one")
	}
	c := slices.Clone(a)
	c[0].Label = "x"
	if got := sets.share(c); &got[0] != &c[0] {
		t.Error("different lists are one")
	}
	for i := range 10 * maxSeriesSets {
		sets.share([]telemetry.Series{{Metric: telemetry.MetricID(i)}})
	}
	if len(sets.sets) > maxSeriesSets {
		t.Errorf("%d lists are kept", len(sets.sets))
	}
	sets.share(nil)
}
