// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
)

// pod is what is kept of every pod. A pod that nothing is wrong with costs little
// more than its names.
type pod struct {
	uid, hash, node string
	owner           facts.Owner
	// counted is true while it takes room on its node, running while it runs.
	counted, running    bool
	cpuMillis, memBytes int64
	// restarts of the containers in order, nil when there are none.
	restarts []int32
	// recent are restarts of the last 15 minutes.
	recent []restart
	// claims that it waits with; nil when it is not pending.
	claims []string
	// full is nil while nothing is wrong with the pod.
	full *facts.Pod
}

// restart says that a container restarted n times.
type restart struct {
	container string
	at        time.Time
	n         int32
}

// restartWindow is how far back restarts count.
const restartWindow = 15 * time.Minute

func (w *World) putPod(o *facts.Pod, now time.Time) {
	p := w.pods[o.Ref]
	first := p == nil
	if first {
		p = &pod{}
		w.pods[o.Ref] = p
	}
	var claims []string
	if o.Phase == facts.PhasePending {
		claims = o.Claims
	}
	w.consume(o.Namespace, p.claims, claims)
	p.claims = claims
	p.countRestarts(o, now, first)
	p.uid, p.hash, p.owner, p.full = o.UID, o.TemplateHash, o.Owner, o
	w.account(p, o.Node, !o.Finished(), o.Phase == facts.PhaseRunning, o.CPUMillis, o.MemoryBytes)
	w.touch(o.Ref)
}

func (w *World) deletePod(ref facts.Ref) {
	p := w.pods[ref]
	if p == nil {
		return
	}
	w.consume(ref.Namespace, p.claims, nil)
	w.account(p, "", false, false, 0, 0)
	delete(w.pods, ref)
}

// rest drops what is not needed of a pod that nothing is wrong with. A snapshot has
// the objects anyway and dates what concerns all of them by them.
func (w *World) rest(ref facts.Ref, troubled bool) {
	if p := w.pods[ref]; p != nil && !troubled && !w.options.Snapshot {
		p.full = nil
	}
}

// consume counts the pods that wait with a claim. A claim without a volume keeps
// its pods pending, so that others need not be counted.
func (w *World) consume(namespace string, before, after []string) {
	change := func(names []string, n int) {
		for _, name := range names {
			ref := facts.Ref{Kind: facts.KindClaim, Namespace: namespace, Name: name}
			w.consumers[ref] += n
			if w.consumers[ref] == 0 {
				delete(w.consumers, ref)
			}
			w.touch(ref)
		}
	}
	if slices.Equal(before, after) {
		return
	}
	change(before, -1)
	change(after, 1)
}

// account keeps the totals of nodes and of the cluster by difference.
func (w *World) account(p *pod, node string, counted, running bool, cpuMillis, memBytes int64) {
	before, after := "", ""
	if p.counted {
		before = p.node
	}
	if counted {
		after = node
	} else {
		cpuMillis, memBytes = 0, 0
	}
	if before != after {
		w.bind(before, -1)
		w.bind(after, 1)
	}
	if p.node != node || p.running != running {
		if p.running {
			w.occupy(p.node, -1)
		}
		if running {
			w.occupy(node, 1)
		}
	}
	if p.cpuMillis != cpuMillis || p.memBytes != memBytes {
		over := w.totals.over()
		w.totals.cpuMillis += cpuMillis - p.cpuMillis
		w.totals.memBytes += memBytes - p.memBytes
		if w.totals.over() != over {
			w.touch(clusterRef)
		}
		w.touchMetrics(threshold.ClusterCPURequested, threshold.ClusterMemoryRequested)
	}
	p.node, p.counted, p.running, p.cpuMillis, p.memBytes = node, counted, running, cpuMillis, memBytes
}

// bind counts the pods that have a node and have not finished.
func (w *World) bind(node string, n int64) {
	if node != "" {
		w.totals.bound += n
		w.touchMetrics(threshold.ClusterPodsUsed)
	}
}

// occupy counts the pods that run on a node.
func (w *World) occupy(node string, n int) {
	if node == "" {
		return
	}
	ref := facts.Ref{Kind: facts.KindNode, Name: node}
	crowded := w.crowded(ref)
	w.totals.pods[node] += n
	if w.totals.pods[node] == 0 {
		delete(w.totals.pods, node)
	}
	if w.crowded(ref) != crowded {
		w.touch(ref)
	}
}

// crowded says that a node can hardly take another pod.
func (w *World) crowded(ref facts.Ref) bool {
	t := w.things[ref]
	if t == nil {
		return false
	}
	n, ok := t.object.(*facts.Node)
	return ok && crowds(w.totals.pods[ref.Name], n.Pods)
}

// crowds says whether pods are more than 95 % of those that fit.
func crowds(pods int, fit int64) bool { return fit > 0 && 100*int64(pods) > 95*fit }

// countRestarts remembers by how much the restarts of each container rose.
func (p *pod) countRestarts(o *facts.Pod, now time.Time, first bool) {
	if !first && p.uid != o.UID {
		p.restarts, p.recent, first = nil, nil, true
	}
	since := firstTime(o.Started, o.Created)
	p.recent = slices.DeleteFunc(p.recent, func(r restart) bool { return now.Sub(r.at) >= restartWindow })
	total := int32(0)
	for i := range o.Containers {
		c := &o.Containers[i]
		total += c.Restarts
		before, when := int32(0), now
		switch {
		case loops(c) || loopedBefore(p.full, c.Name):
			continue // a crash loop is told as such
		case first && (since.IsZero() || now.Sub(since) >= restartWindow):
			continue // nobody knows when it restarted
		case first:
			when = since // all of them happened since the pod began
		case i < len(p.restarts):
			before = p.restarts[i]
		}
		if c.Restarts > before {
			p.recent = append(p.recent, restart{c.Name, when, c.Restarts - before})
		}
	}
	if total == 0 {
		p.restarts = nil
		return
	}
	p.restarts = slices.Grow(p.restarts[:0], len(o.Containers))
	for i := range o.Containers {
		p.restarts = append(p.restarts, o.Containers[i].Restarts)
	}
}

func loops(c *facts.Container) bool { return c.Waiting.Reason == crashLoopBackOff }

func loopedBefore(o *facts.Pod, container string) bool {
	return o != nil && slices.ContainsFunc(o.Containers, func(c facts.Container) bool { return c.Name == container && loops(&c) })
}

// totals are sums over the cluster, kept by difference.
type totals struct {
	pods                map[string]int
	cpuMillis, memBytes int64
	nodes               map[string]nodeTotals
	// cpuRoom and memRoom are allocatable without the largest node.
	cpuRoom, memRoom int64
	minors           map[int]int
	// pods are those that run, by node, bound is how many pods nodes have, all is of all nodes, and notReady how many
	// of them are not ready.
	bound    int64
	all      nodeTotals
	notReady int
}

type nodeTotals struct {
	cpuMillis, memBytes, pods int64
	minor                     int
	ready                     bool
}

func newTotals() totals {
	return totals{pods: map[string]int{}, nodes: map[string]nodeTotals{}, minors: map[int]int{}}
}

func (t *totals) putNode(n *facts.Node) (changed bool) {
	fresh := nodeTotals{
		cpuMillis: n.CPUMillis, memBytes: n.MemoryBytes, pods: n.Pods, minor: minorOf(n.KubeletVersion),
		ready: facts.Is(n.Conditions, "Ready", facts.True) != nil,
	}
	if old, ok := t.nodes[n.Name]; ok && old == fresh {
		return false
	}
	t.removeNode(n.Name)
	t.nodes[n.Name] = fresh
	t.minors[fresh.minor]++
	t.room()
	return true
}

func (t *totals) removeNode(name string) {
	old, ok := t.nodes[name]
	if !ok {
		return
	}
	delete(t.nodes, name)
	t.minors[old.minor]--
	if t.minors[old.minor] == 0 {
		delete(t.minors, old.minor)
	}
	t.room()
}

func (t *totals) room() {
	var maxCPU, maxMem int64
	t.all, t.notReady = nodeTotals{}, 0
	for _, n := range t.nodes {
		t.all.cpuMillis += n.cpuMillis
		t.all.memBytes += n.memBytes
		t.all.pods += n.pods
		if !n.ready {
			t.notReady++
		}
		maxCPU, maxMem = max(maxCPU, n.cpuMillis), max(maxMem, n.memBytes)
	}
	t.cpuRoom, t.memRoom = t.all.cpuMillis-maxCPU, t.all.memBytes-maxMem
}

// over says for which resources requests are above what is left when the largest
// node fails. A cluster of one node has no such room.
func (t *totals) over() [2]bool {
	return [2]bool{t.cpuRoom > 0 && t.cpuMillis > t.cpuRoom, t.memRoom > 0 && t.memBytes > t.memRoom}
}
