// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestCPUHotplug(t *testing.T) {
	c, dir := openTree(t, "no-psi") // 4 cores
	stat := func(core, numbers []int, step uint64) {
		var b strings.Builder
		cores := make([]CPUTimes, len(numbers))
		for i := range cores {
			cores[i] = CPUTimes{User: 1000 + 300*step, Idle: 50_000 + 1200*step}
		}
		text := statText(cores, 0, 0)
		for i, line := range strings.SplitAfter(text, "\n") {
			if i > 0 && i <= len(numbers) {
				line = strings.Replace(line, fmt.Sprint("cpu", i-1), fmt.Sprint("cpu", core[i-1]), 1)
			}
			b.WriteString(line)
		}
		writeFile(t, dir+"/proc/stat", b.String())
	}
	cores := func(s *telemetry.NodeSample) (labels []string) {
		for i, series := range s.Series {
			if series.Metric == telemetry.MetricCPUCoreUsage {
				labels = append(labels, series.Label)
				if s.Values[i] != 20 {
					t.Errorf("core %s has %g %%, want 20", series.Label, s.Values[i])
				}
			}
		}
		return labels
	}
	all, three := []int{0, 1, 2, 3}, []int{0, 1, 3}
	for i, tc := range []struct {
		online []int
		want   []string
		cores  float64
	}{
		{all, nil, 4},
		{all, []string{"0", "1", "2", "3"}, 4},
		{three, []string{"0", "1", "3"}, 3},
		{three, []string{"0", "1", "3"}, 3},
		{all, []string{"0", "1", "3"}, 4}, // core 2 is back and has no earlier moment
		{all, []string{"0", "1", "2", "3"}, 4},
	} {
		stat(tc.online, tc.online, uint64(i))
		s := collect(t, c, treeStart.Add(time.Duration(i)*15*time.Second))
		if diff := cmp.Diff(tc.want, cores(&s)); diff != "" {
			t.Errorf("moment %d (-want +got):\n%s", i, diff)
		}
		if got := value(t, &s, telemetry.MetricCPUCores, ""); got != tc.cores {
			t.Errorf("moment %d has %g cores, want %g", i, got, tc.cores)
		}
	}
}

// stepWallClock moves the wall clock of a time and leaves its monotonic reading, as
// a time of somebody who set the clock has it.
func stepWallClock(t *testing.T, at time.Time, by int64) time.Time {
	t.Helper()
	const wallSecond = 1 << 30
	stepped := at
	wall := (*int64)(unsafe.Pointer(&stepped)) //nolint:gosec // the first field of a Time; there is no other way
	*wall += by * wallSecond
	if stepped.Unix() != at.Unix()+by || stepped.Sub(at) != 0 {
		t.Fatalf("the step gives %v instead of %v and %d s, by %v", stepped, at, by, stepped.Sub(at))
	}
	return stepped
}

func TestWallClockSteps(t *testing.T) {
	for name, step := range map[string]int64{"an hour back": -3600, "a day ahead": 86400, "not": 0} {
		t.Run(name, func(t *testing.T) {
			c, dir := openTree(t, "no-psi")
			now := time.Now()
			collect(t, c, now)
			overlay(t, treePath("no-psi", "b"), dir)
			s := collect(t, c, stepWallClock(t, now.Add(15*time.Second), step))
			if got := value(t, &s, telemetry.MetricNetReceive, "eth0"); got != 12_500_000 || s.Interval != 15*time.Second {
				t.Errorf("%g bytes a second over %s, want 12500000 over 15s", got, s.Interval)
			}
		})
	}
}

// Rates are over the time that passed, not over what was meant to.
func TestUnevenIntervals(t *testing.T) {
	for name, tc := range map[string]struct {
		after time.Duration
		want  float64
	}{
		"as planned": {15 * time.Second, 12_500_000}, "early": {14200 * time.Millisecond, 13_204_225}, "an hour late": {time.Hour, 52_083},
	} {
		t.Run(name, func(t *testing.T) {
			c, dir := openTree(t, "no-psi")
			collect(t, c, treeStart)
			overlay(t, treePath("no-psi", "b"), dir)
			s := collect(t, c, treeStart.Add(tc.after))
			if got := value(t, &s, telemetry.MetricNetReceive, "eth0"); got != tc.want {
				t.Errorf("%g bytes a second, want %g", got, tc.want)
			}
		})
	}
	for name, after := range map[string]time.Duration{"no time": 0, "back without a monotonic clock": -time.Minute} {
		t.Run(name, func(t *testing.T) {
			c, dir := openTree(t, "no-psi")
			collect(t, c, treeStart)
			overlay(t, treePath("no-psi", "b"), dir)
			s := collect(t, c, treeStart.Add(after))
			checkNoRates(t, &s)
		})
	}
}
