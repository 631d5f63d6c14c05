// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// dating says that what concerns the cluster as a whole is to be dated by when its
// objects were made. Only a snapshot needs that, and only once it is complete.
func (w *World) dating() bool { return w.options.Snapshot && w.synced }

// arrival is a node that brought room, or a pod that asked for some.
type arrival struct {
	at       time.Time
	cpu, mem int64
	node     bool
}

// overSince says for both resources when requests have last come to be above what
// is left when the largest node fails, going by when the nodes and pods that there
// are were made; zero when they do not tell.
func (w *World) overSince() (since [2]time.Time) {
	arrivals := make([]arrival, 0, len(w.totals.nodes)+len(w.pods))
	for name, n := range w.totals.nodes {
		arrivals = append(arrivals, arrival{at: w.nodeCreated(name), cpu: n.cpuMillis, mem: n.memBytes, node: true})
	}
	for _, p := range w.pods {
		if p.cpuMillis > 0 || p.memBytes > 0 {
			a := arrival{cpu: p.cpuMillis, mem: p.memBytes}
			if p.full != nil {
				a.at = p.full.Created
			}
			arrivals = append(arrivals, a)
		}
	}
	slices.SortFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	var t totals
	var all, largest nodeTotals
	var over [2]bool
	for i, a := range arrivals {
		if a.node {
			all.cpuMillis, all.memBytes = all.cpuMillis+a.cpu, all.memBytes+a.mem
			largest.cpuMillis, largest.memBytes = max(largest.cpuMillis, a.cpu), max(largest.memBytes, a.mem)
			t.cpuRoom, t.memRoom = all.cpuMillis-largest.cpuMillis, all.memBytes-largest.memBytes
		} else {
			t.cpuMillis, t.memBytes = t.cpuMillis+a.cpu, t.memBytes+a.mem
		}
		if i+1 < len(arrivals) && arrivals[i+1].at.Equal(a.at) {
			continue
		}
		for k, is := range t.over() {
			if is && !over[k] {
				since[k] = a.at
			}
			over[k] = is
		}
	}
	return since
}

// minorSince says when the n-th of some minor versions came, from 0, going by when
// the first node of each was made; zero when they do not tell.
func (w *World) minorSince(minors []int, n int) time.Time {
	first := make(map[int]time.Time, len(minors))
	for name, node := range w.totals.nodes {
		created := w.nodeCreated(name)
		if known, ok := first[node.minor]; !ok || created.Before(known) {
			first[node.minor] = created
		}
	}
	times := make([]time.Time, len(minors))
	for i, minor := range minors {
		times[i] = first[minor]
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[n]
}

func (w *World) nodeCreated(name string) time.Time {
	if t := w.things[facts.Ref{Kind: facts.KindNode, Name: name}]; t != nil {
		return t.object.About().Created
	}
	return time.Time{}
}
