// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

func TestReadingIsSpreadEvenly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		const nodes = 100
		for n := range nodes {
			r.node(fmt.Sprintf("n%03d", n), facts.True)
		}
		begun := time.Now()
		pass(10*time.Minute - time.Millisecond)
		if r.most != 1 {
			t.Errorf("%d readings at a time", r.most)
		}
		// In every 6 s there is a tenth of the nodes, give or take two. What is due at
		// the end of a minute may have to wait into the next one.
		total := 0
		slots := make([]int, 10)
		for name, times := range r.asked {
			if len(times) != 10 && (len(times) != 9 || times[8].Sub(begun) < 9*time.Minute-time.Second) {
				t.Errorf("%s was read %d times in 10 minutes", name, len(times))
				continue
			}
			total += len(times)
			slots[int(times[8].Sub(begun)/(6*time.Second))%10]++
		}
		if len(r.asked) != nodes || slices.Min(slots) < 8 || slices.Max(slots) > 12 {
			t.Errorf("%d nodes, read in tenths of a minute: %v", len(r.asked), slots)
		}
		// One may be under way.
		if s := r.Stats(); int64(total)-s.Read > 1 || s.Failed != 0 || s.Nodes != nodes || s.Failing != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestNothingIsAskedWithoutNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		pass(time.Hour)
		if len(r.asked) != 0 {
			t.Errorf("asked %v", slices.Collect(maps.Keys(r.asked)))
		}
	})
}

func TestKubeletThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		for _, name := range []string{"a", "b", "hung"} {
			r.node(name, facts.True)
			r.set(name, "data-"+name)
		}
		pass(time.Minute)
		if got := r.heard.take(); len(got) != 3 {
			t.Fatalf("heard %v", got)
		}
		r.fleet.mu.Lock()
		r.hangs["hung"] = true
		r.asked = map[string][]time.Time{}
		r.fleet.mu.Unlock()
		pass(time.Hour)
		for _, name := range []string{"a", "b"} {
			times := r.times(name)
			if len(times) < 59 {
				t.Errorf("%s was read %d times in an hour", name, len(times))
			}
			for i := 1; i < len(times); i++ {
				if gap := times[i].Sub(times[i-1]); gap > time.Minute+readTimeout+time.Second {
					t.Errorf("%s was not read for %s", name, gap)
				}
			}
		}
		// After 1, 1, 2, 4 and 8 minutes, then every 10.
		if n := len(r.times("hung")); n < 7 || n > 11 {
			t.Errorf("the kubelet that hangs was asked %d times in an hour", n)
		}
		if got := r.heard.take(); slices.Contains(got, "not data-hung") || slices.Contains(got, "data-hung 2%") {
			t.Errorf("heard of the node that cannot be read: %v", got)
		}
		if n := r.logged("Cannot read a kubelet"); n != 1 || r.Stats().Failing != 1 {
			t.Errorf("said %d times that it cannot be read; stats %+v", n, r.Stats())
		}
		r.fleet.mu.Lock()
		r.hangs["hung"] = false
		r.fleet.mu.Unlock()
		pass(11 * time.Minute)
		if got := r.heard.take(); !slices.Contains(got, "data-hung 2%") || r.logged("Can read all kubelets again") != 1 {
			t.Errorf("after it answers again: heard %v", got)
		}
	})
}

func TestHalfOfAKubelet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		r.node("a", facts.True)
		r.fail("a "+pathContainers, errors.New("the kubelet answered 404 Not Found"))
		r.set("a", "data")
		pass(10 * time.Minute)
		if got := r.heard.take(); len(got) != 10 || got[9] != "data 2%" {
			t.Errorf("heard %v", got)
		}
		if s := r.Stats(); s.Failing != 1 || s.Read != 0 || s.Failed != 10 || r.logged("Cannot read a kubelet") != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		r.node("a", facts.True)
		r.set("a", "shared")
		pass(time.Minute)
		if diff := cmp.Diff([]string{"shared 2%"}, r.heard.take()); diff != "" {
			t.Error(diff)
		}
		// Another node mounts the claim, and tells of it after the first is gone.
		r.set("b", "shared")
		r.node("b", facts.True)
		pass(time.Minute)
		r.remove("a")
		r.remove("never")
		synctest.Wait()
		if got := r.heard.take(); slices.Contains(got, "not shared") {
			t.Errorf("heard %v", got)
		}
		begun := len(r.times("a"))
		pass(5 * time.Minute)
		if len(r.times("a")) != begun {
			t.Error("a node that is gone is read")
		}
		r.heard.take()
		r.remove("b")
		synctest.Wait()
		if diff := cmp.Diff([]string{"not shared"}, r.heard.take()); diff != "" || r.Stats().Watched != 0 || r.Stats().Nodes != 0 {
			t.Errorf("%s; stats %+v", diff, r.Stats())
		}
	})
}

func TestNodeGoesWhileItIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		r.fleet.mu.Lock()
		r.hangs["a"] = true
		r.fleet.mu.Unlock()
		r.node("a", facts.True)
		for len(r.times("a")) == 0 {
			pass(time.Second)
		}
		r.remove("a")
		pass(time.Hour)
		if n := len(r.times("a")); n != 1 || r.logged("Cannot read") != 0 {
			t.Errorf("asked %d times, said %d times that it cannot be read", n, r.logged("Cannot read"))
		}
	})
}

func TestLostNodeIsNotAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		r.node("a", facts.True)
		r.set("a", "data")
		pass(time.Minute)
		r.node("a", facts.Unknown)
		begun := len(r.times("a"))
		r.heard.take()
		pass(time.Hour)
		if got := r.heard.take(); len(r.times("a")) != begun || len(got) != 0 || r.Stats().Lost != 1 {
			t.Errorf("asked %d times more, heard %v", len(r.times("a"))-begun, got)
		}
		r.node("a", facts.True)
		pass(time.Minute)
		if len(r.times("a")) != begun+1 {
			t.Errorf("asked %d times when it came back", len(r.times("a"))-begun)
		}
	})
}

func TestNoRight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		for n := range 50 {
			r.node(fmt.Sprintf("n%02d", n), facts.True)
		}
		r.fail("", fmt.Errorf(`%w: nodes "n00" is forbidden`, errRefused))
		pass(time.Hour)
		asked := 0
		for _, times := range r.asked {
			asked += len(times)
		}
		if asked < 10 || asked > 13 {
			t.Errorf("asked %d times in an hour without a right", asked)
		}
		if n := r.logged("so that nothing is known"); n != 1 || !r.Stats().Refused || len(r.heard.take()) != 0 {
			t.Errorf("said %d times what to do", n)
		}
		r.fail("", nil)
		pass(refusedPause + time.Minute)
		if s := r.Stats(); s.Refused || s.Read < 50 || s.Read > 300 || r.logged("Can read kubelets") != 1 || r.most != 1 {
			t.Errorf("with the right: %+v", s)
		}
	})
}

func TestMoreNodesThanThereIsTimeFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := readFleet(t)
		const nodes = 600 // 200 ms each, which makes two minutes
		r.takes = 100 * time.Millisecond
		for n := range nodes {
			r.node(fmt.Sprintf("n%04d", n), facts.True)
		}
		pass(20 * time.Minute)
		least, most := 1000, 0
		for _, times := range r.asked {
			least, most = min(least, len(times)), max(most, len(times))
		}
		if len(r.asked) != nodes || least < 9 || most > 11 {
			t.Errorf("%d nodes were read, each %d to %d times in 20 minutes", len(r.asked), least, most)
		}
		if n := r.logged("takes longer than the interval"); n != 1 {
			t.Errorf("said %d times that it is late", n)
		}
	})
}
