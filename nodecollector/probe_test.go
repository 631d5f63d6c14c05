// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// A sensor whose driver hangs costs its own values only.
func TestProbesThatHangAreNotCalledTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p prober
		var calls atomic.Int32
		release := make(chan struct{})
		hung := &probe{call: func() { calls.Add(1); <-release }}
		quick := &probe{call: func() {}}
		for range 5 {
			p.run(t.Context(), []*probe{hung, quick}, time.Second)
			if p.ready(hung) || !p.ready(quick) {
				t.Fatal("the hung probe is ready or the quick one is not")
			}
		}
		close(release)
		synctest.Wait()
		if !p.ready(hung) || calls.Load() != 1 || p.outstanding != 0 {
			t.Errorf("after its return: ready %v, %d calls, %d outstanding", p.ready(hung), calls.Load(), p.outstanding)
		}
	})
}

// Servers that are gone take no turn from what is the machine's own, whatever comes
// first in the table, and neither do disks from what answered before.
func TestHungMountsLeaveRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		point         string
		hung, stuck   int
		first, second []string
	}{
		"8 servers":  {"/nfs/%d", 8, mostDoubtfulProbes, nil, []string{"/", "/data"}},
		"20 servers": {"/nfs/%d", 20, mostDoubtfulProbes, nil, []string{"/", "/data"}},
		"20 disks":   {"/disk/%d", 20, mostUntriedProbes, []string{"/", "/data"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			awaitWorkers()
			synctest.Test(t, func(t *testing.T) {
				var hung []string
				for i := range tc.hung {
					hung = append(hung, fmt.Sprintf(tc.point, i))
				}
				h := newHanging(hung...)
				before := bubbled()
				c := mountsOf(t, h, slices.Concat(tc.first, hung, tc.second)...)
				writeFile(t, c.options.Root+"/sys/class/thermal/thermal_zone0/temp", "41500\n")
				at := time.Now()
				for i := range 20 {
					began := time.Now()
					s := collect(t, c, at.Add(time.Duration(i)*15*time.Second))
					if took := time.Since(began); i > 0 && took > 0 {
						t.Fatalf("sample %d took %s", i, took)
					}
					for _, point := range slices.Concat(tc.first, tc.second) {
						if value(t, &s, telemetry.MetricFSUsedPercent, point) != 50 || value(t, &s, telemetry.MetricFSError, point) != 0 {
							t.Fatalf("sample %d has no word of %s", i, point)
						}
					}
					for _, point := range hung {
						if value(t, &s, telemetry.MetricFSError, point) != telemetry.FSErrorTimeout {
							t.Fatalf("sample %d says that %s is well", i, point)
						}
					}
					if value(t, &s, telemetry.MetricTemperature, "thermal_zone0") != 41.5 {
						t.Fatalf("sample %d has no temperature", i)
					}
					synctest.Wait()
					if n := bubbled() - before; n != tc.stuck {
						t.Fatalf("after sample %d there are %d stuck goroutines, want %d", i, n, tc.stuck)
					}
				}
				for len(hung) > 0 { // until all had their turn
					hung = slices.DeleteFunc(hung, func(point string) bool {
						turn := h.called(point) > 0
						if turn {
							h.release(point)
						}
						return turn
					})
					synctest.Wait()
					at = at.Add(time.Hour)
					for range remoteEvery {
						collect(t, c, at.Add(time.Second))
						at = at.Add(time.Minute)
					}
				}
				synctest.Wait()
				if n := bubbled() - before; n != 0 {
					t.Errorf("%d goroutines are left", n)
				}
			})
		})
	}
}

// What hung once has no claim to a turn that others could need, even when it answers
// again.
func TestHungProbesAreDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p prober
		release := make(chan struct{})
		var calls atomic.Int32
		probes := make([]*probe, mostUntriedProbes)
		for i := range probes {
			probes[i] = &probe{call: func() { calls.Add(1); <-release }}
		}
		p.run(t.Context(), probes, time.Second)
		close(release)
		synctest.Wait()
		p.run(t.Context(), probes, time.Second) // all answer
		release = make(chan struct{})
		calls.Store(0)
		p.run(t.Context(), probes, time.Second)
		if n := calls.Load(); n != mostDoubtfulProbes {
			t.Errorf("%d of those that hung are called at once, want %d", n, mostDoubtfulProbes)
		}
		well := &probe{call: func() {}}
		p.run(t.Context(), []*probe{well}, time.Second)
		if !p.ready(well) || !well.answered {
			t.Error("they leave no room for another")
		}
		close(release)
		synctest.Wait()
	})
}

// A collector that is told to end says nothing about who answers.
func TestEndingDoubtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p prober
		release := make(chan struct{})
		slow := &probe{call: func() { <-release }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		p.run(ctx, []*probe{slow}, time.Second)
		if slow.hung || p.ready(slow) {
			t.Errorf("hung %v, ready %v", slow.hung, p.ready(slow))
		}
		close(release)
		synctest.Wait()
	})
}

// A driver that answers after its round, when the interfaces that it was asked for
// are gone, answers nobody.
func TestTraitsThatComeTooLate(t *testing.T) {
	var p prober
	list := []Interface{{Name: "eth0"}, {Name: "eth1"}}
	links := newLinkTable(tree{path: t.TempDir()}, defaultExcludeInterfaces, defaultVirtualInterfaces)
	defer links.close()
	links.begin()
	for i := range list {
		links.keep([]byte(list[i].Name))
	}
	links.end()
	if due := links.due(&p, list, nil); len(due) != 1 {
		t.Fatalf("%d probes are due, want 1", len(due))
	}
	links.probe.outstanding = true
	links.probe.call()
	var buffer []byte
	links.complete(&p, list, &buffer)
	links.probe.outstanding = false
	links.begin()
	links.end()
	if due := links.due(&p, nil, nil); len(due) != 0 {
		t.Errorf("%d probes are due for nothing", len(due))
	}
	links.complete(&p, nil, &buffer)
}
