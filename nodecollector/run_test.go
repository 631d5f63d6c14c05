// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Samples are taken at multiples of the interval; what takes too long leaves
// moments out and shifts none.
func TestRunKeepsToItsMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := openTree(t, "no-psi")
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var moments []time.Duration
		var intervals []time.Duration
		done := make(chan error)
		go func() {
			done <- c.Run(ctx, 15*time.Second, func(s telemetry.NodeSample) {
				moments = append(moments, time.Since(began))
				intervals = append(intervals, s.Interval)
				switch len(moments) {
				case 2: // a little late
					<-time.After(3 * time.Second)
				case 4: // two moments late
					<-time.After(40 * time.Second)
				case 6:
					cancel()
				}
			})
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		second := time.Second
		if diff := cmp.Diff([]time.Duration{0, 15 * second, 30 * second, 45 * second, 90 * second, 105 * second}, moments); diff != "" {
			t.Errorf("moments (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]time.Duration{0, 15 * second, 15 * second, 15 * second, 45 * second, 15 * second}, intervals); diff != "" {
			t.Errorf("intervals (-want +got):\n%s", diff)
		}
	})
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := openTree(t, "no-psi")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx, time.Minute, func(telemetry.NodeSample) {}) }()
		synctest.Wait() // in the middle of an interval
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := c.Run(t.Context(), time.Millisecond, nil); err == nil {
			t.Error("an interval of a millisecond is accepted")
		}
	})
}

func TestUntilNext(t *testing.T) {
	const interval = 15 * time.Second
	for since, want := range map[time.Duration]time.Duration{
		0: interval, time.Millisecond: interval - time.Millisecond, interval: interval, interval + time.Second: 14 * time.Second,
		interval - time.Millisecond:  interval + time.Millisecond, // it fired early
		100*interval + 7*time.Second: 8 * time.Second,
	} {
		if got := untilNext(since, interval); got != want {
			t.Errorf("%s after the beginning it waits %s, want %s", since, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{Node: "n", Root: t.TempDir(), ProcPath: t.TempDir()}
	for name, change := range map[string]func(*Options){
		"no node":            func(o *Options) { o.Node = "" },
		"a node of no text":  func(o *Options) { o.Node = "\xff" },
		"no /proc":           func(o *Options) { o.ProcPath = "" },
		"a file as /proc":    func(o *Options) { o.ProcPath = "options.go" },
		"a negative timeout": func(o *Options) { o.ProbeTimeout = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	c, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.options.SysPath != good.Root+"/sys" || c.bootID == "" {
		t.Errorf("/sys is %s, the boot %q", c.options.SysPath, c.bootID)
	}
	if s, err := c.Collect(t.Context(), treeStart); !errors.Is(err, errNothing) {
		t.Errorf("an empty /proc gives %v, %v", s, err)
	}
}

func TestScope(t *testing.T) {
	own, others := surroundings{ownProc: true, ownSys: true}, surroundings{}
	machine := surroundings{ownProc: true, ownSys: true, initialPIDs: true}
	for name, tc := range map[string]struct {
		from networkSource
		in   surroundings
		want telemetry.NetworkScope
	}{
		"a pod with the machine's /proc":    {fromInit, others, telemetry.NetworkHost},
		"a pod with its own /proc":          {fromInit, own, telemetry.NetworkPod},
		"no container":                      {fromInit, machine, telemetry.NetworkHost},
		"hidepid and the machine's /sys":    {fromSys, others, telemetry.NetworkHost},
		"hidepid and a pod's own /sys":      {fromSys, own, telemetry.NetworkPod},
		"what the collector itself can see": {fromSelf, others, telemetry.NetworkPod},
	} {
		if got := scopeOf(tc.from, tc.in); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// The traffic of a pod is reported as such, and is no node's.
func TestPodTrafficIsNotTheNodes(t *testing.T) {
	c, dir := openTree(t, "no-psi")
	c.reader.scopes = [3]telemetry.NetworkScope{telemetry.NetworkPod, telemetry.NetworkPod, telemetry.NetworkPod}
	collect(t, c, treeStart)
	overlay(t, treePath("no-psi", "b"), dir)
	s := collect(t, c, treeStart.Add(15*time.Second))
	if s.Scope != telemetry.NetworkPod || value(t, &s, telemetry.MetricNetReceive, "eth0") != 12_500_000 {
		t.Errorf("the scope is %s", s.Scope)
	}
	for _, m := range []telemetry.MetricID{telemetry.MetricNetTotalReceive, telemetry.MetricNetTotalTransmit, telemetry.MetricConntrack} {
		if v, ok := s.Value(m, ""); ok {
			t.Errorf("%s is %g", m, v)
		}
	}
}
