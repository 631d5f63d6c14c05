// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

// Tallies are the counts and sums over the objects of a kind. An object enters
// one with sign +1 and leaves it with -1, through the same function, so that
// what it adds is what it takes away. Tallies are comparable.

type podTally struct {
	counts    PodCounts
	requested Resources
}

func countPod(t *podTally, pod slimPod, sign int32) {
	t.counts.Total += sign
	switch pod.phase {
	case phasePending:
		t.counts.Pending += sign
	case phaseRunning:
		t.counts.Running += sign
		if !pod.ready {
			t.counts.NotReady += sign
		}
	case phaseSucceeded:
		t.counts.Succeeded += sign
	case phaseFailed:
		t.counts.Failed += sign
	case phaseUnknown:
		t.counts.Unknown += sign
	}
	t.requested.add(pod.requested, int64(sign))
}

type nodeTally struct {
	counts      NodeCounts
	capacity    Resources
	allocatable Resources
	// platforms counts the nodes that give each hint.
	platforms [platformHints]int32
}

func countNode(t *nodeTally, node slimNode, sign int32) {
	t.counts.Total += sign
	if node.ready {
		t.counts.Ready += sign
	}
	t.capacity.add(node.capacity, int64(sign))
	t.allocatable.add(node.allocatable, int64(sign))
	t.platforms[node.platform] += sign
}

type workloadTally int32

func countWorkload(t *workloadTally, _ slimWorkload, sign int32) { *t += workloadTally(sign) }

func (r *Resources) add(other Resources, sign int64) {
	r.CPUMillis += sign * other.CPUMillis
	r.MemoryBytes += sign * other.MemoryBytes
	r.EphemeralStorageBytes += sign * other.EphemeralStorageBytes
	r.Pods += sign * other.Pods
}
