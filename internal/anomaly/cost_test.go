// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

const crowd = 10_000

// population is 10,000 pods of 1,000 Deployments on 100 nodes, one in a hundred of
// them troubled.
func population(troubled int) []facts.Object {
	objects := make([]facts.Object, 0, crowd+2_100)
	for n := range 100 {
		objects = append(objects, nodeOf(fmt.Sprintf("node-%d", n)))
	}
	for n := range 1_000 {
		name := fmt.Sprintf("web-%d", n)
		objects = append(objects, workload(facts.KindDeployment, name, 10, 10))
		rs := replicaSet()
		rs.Name, rs.Owner.Name = name+"-5d4f", name
		objects = append(objects, rs)
	}
	for n := range crowd {
		var change func(*facts.Pod)
		if troubled > 0 && n%troubled == 0 {
			change = waits("CrashLoopBackOff", 5, -time.Hour)
		}
		p := podOf(fmt.Sprintf("web-%d-%d", n/10, n%10), change)
		p.Node, p.Owner.Name = fmt.Sprintf("node-%d", n%100), fmt.Sprintf("web-%d-5d4f", n/10)
		p.Conditions = append(p.Conditions,
			condition("PodScheduled", facts.True, "", -time.Hour), condition("Initialized", facts.True, "", -time.Hour),
			condition("ContainersReady", facts.True, "", -time.Hour), condition("PodReadyToStartContainers", facts.True, "", -time.Hour))
		objects = append(objects, p)
	}
	return objects
}

// BenchmarkFullPass judges 10,000 pods and what belongs to them from nothing: what
// an agent does when it starts.
func BenchmarkFullPass(b *testing.B) {
	for name, troubled := range map[string]int{"healthy": 0, "one in a hundred": 100, "all": 1} {
		b.Run(name, func(b *testing.B) {
			objects := population(troubled)
			b.ReportAllocs()
			for b.Loop() {
				e := anomaly.New(anomaly.Options{Now: start})
				for _, o := range objects {
					e.Observe(o, start)
				}
				e.Synced(start)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/pass")
		})
	}
}

// BenchmarkChange is one change of one pod among 10,000.
func BenchmarkChange(b *testing.B) {
	for name, changes := range map[string][2]func(*facts.Pod){
		"of a healthy pod":   {nil, func(p *facts.Pod) { p.Containers[0].Image = "registry.example.com/web:2" }},
		"that breaks a pod":  {nil, waits("CrashLoopBackOff", 5, 0)},
		"of a troubled pod":  {waits("CrashLoopBackOff", 5, 0), waits("CrashLoopBackOff", 6, time.Minute)},
		"that evicts a pod":  {nil, func(p *facts.Pod) { p.Phase, p.Reason = facts.PhaseFailed, "Evicted" }},
		"that a node begins": nil2,
	} {
		b.Run(name, func(b *testing.B) {
			e := anomaly.New(anomaly.Options{Now: start})
			for _, o := range population(100) {
				e.Observe(o, start)
			}
			e.Synced(start)
			objects := [2]facts.Object{podOf("web-1-1", changes[0]), podOf("web-1-1", changes[1])}
			if name == "that a node begins" {
				objects = [2]facts.Object{nodeOf("node-1"), nodeOf("node-1", condition("Ready", facts.Unknown, "NodeStatusUnknown", 0))}
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				e.Observe(objects[n%2], start.Add(time.Duration(n)*time.Millisecond))
				n++
			}
		})
	}
}

var nil2 [2]func(*facts.Pod)

// BenchmarkStorm breaks 1,000 pods of one Deployment, one after the other.
func BenchmarkStorm(b *testing.B) {
	pods := make([]facts.Object, 1_000)
	for n := range pods {
		pods[n] = podOf(fmt.Sprintf("web-%d", n), waits("CrashLoopBackOff", 5, 0))
	}
	b.ReportAllocs()
	for b.Loop() {
		e := anomaly.New(anomaly.Options{Now: start})
		e.Observe(replicaSet(), start)
		e.Synced(start)
		for _, p := range pods {
			e.Observe(p, start)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(len(pods)), "µs/change")
}

// kills are pods of one Deployment, each of which has lost a container.
func kills(n int) []facts.Object {
	pods := make([]facts.Object, n)
	for i := range pods {
		pods[i] = podOf(fmt.Sprintf("web-%d", i), runs("OOMKilled", 1, time.Duration(i)*time.Millisecond, 137))
	}
	return pods
}

// BenchmarkKills has 1,000 pods of one Deployment killed, one after the other.
func BenchmarkKills(b *testing.B) {
	pods := kills(1_000)
	b.ReportAllocs()
	for b.Loop() {
		e := anomaly.New(anomaly.Options{Now: start})
		e.Observe(replicaSet(), start)
		e.Synced(start)
		for _, p := range pods {
			e.Observe(p, start.Add(time.Second))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(len(pods)), "µs/change")
}

// TestCost keeps the promise that BenchmarkFullPass and BenchmarkChange measure,
// with room for a busy machine: a full pass within 200 ms and a change within 50 µs
// of processor time.
func TestCost(t *testing.T) {
	objects := population(100)
	var e *anomaly.Engine
	pass := best(5, func() {
		e = anomaly.New(anomaly.Options{Now: start})
		for _, o := range objects {
			e.Observe(o, start)
		}
		e.Synced(start)
	})
	const rounds = 1_000
	bad, well := podOf("web-1-1", waits("CrashLoopBackOff", 5, 0)), podOf("web-1-1", nil)
	change := best(5, func() {
		for range rounds / 2 {
			e.Observe(bad, start)
			e.Observe(well, start)
		}
	}) / rounds
	killed := kills(rounds)
	kill := best(3, func() {
		e := anomaly.New(anomaly.Options{Now: start})
		e.Observe(replicaSet(), start)
		e.Synced(start)
		for _, p := range killed {
			e.Observe(p, start.Add(time.Second))
		}
	}) / rounds
	t.Logf("full pass %s, one change %s, one kill of many %s", pass, change, kill)
	passLimit, changeLimit := 200*time.Millisecond, 50*time.Microsecond
	if race {
		passLimit, changeLimit = 10*passLimit, 10*changeLimit
	}
	if pass > passLimit || change > changeLimit || kill > changeLimit {
		t.Errorf("a full pass over %d pods took %s, one change %s and one kill of many %s", crowd, pass, change, kill)
	}
}

// best returns the shortest of several runs, which says most about the cost.
func best(runs int, run func()) time.Duration {
	shortest := time.Hour
	for range runs {
		runtime.GC()
		began := time.Now() //nolint:forbidigo // a test of cost has to look at the clock
		run()
		shortest = min(shortest, time.Since(began)) //nolint:forbidigo // see above
	}
	return shortest
}

// TestMemory keeps what a healthy pod costs.
func TestMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	e := anomaly.New(anomaly.Options{Now: start})
	for _, o := range population(0) {
		e.Observe(o, start)
	}
	e.Synced(start)
	perPod := (heap() - before) / crowd
	t.Logf("%d bytes per pod", perPod)
	if perPod > 1024 {
		t.Errorf("a healthy pod costs %d bytes, with its part of Deployment and node", perPod)
	}
	runtime.KeepAlive(e)
}
