// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import "sync"

// admission is whether a batch may come in now.
type admission int

const (
	admitted admission = iota
	// clusterBusy: the cluster has as much in flight as it may.
	clusterBusy
	// hubBusy: all clusters together do.
	hubBusy
)

// load is what is in flight: of one cluster, or of all.
type load struct {
	batches int
	bytes   int64
}

// decide says whether a batch of some bytes may come in, given what its cluster
// and all clusters have in flight and how many clusters have something. Below half
// of the memory a cluster may take what others do not want, above only its fair
// share, so that whoever comes late still finds room. A cluster without anything
// in flight is only refused when the memory is used up.
func decide(limits Limits, own, all load, clusters int, bytes int64) admission {
	crowded := all.bytes+bytes > limits.MemoryBytes/2 || all.batches >= limits.InFlight/2
	greedy := own.bytes+bytes > limits.MemoryBytes/int64(clusters+1) || own.batches >= limits.InFlight/(clusters+1)
	switch {
	case own.batches >= limits.ClusterInFlight:
		return clusterBusy
	case all.bytes+bytes > limits.MemoryBytes || all.batches >= limits.InFlight:
		return hubBusy
	case own.batches > 0 && crowded && greedy:
		return clusterBusy
	}
	return admitted
}

// budget keeps count of what is in flight.
type budget struct {
	limits Limits

	mu  sync.Mutex
	all load
	own map[string]*load
}

func newBudget(limits Limits) *budget { return &budget{limits: limits, own: map[string]*load{}} }

// acquire takes a place for a batch. The caller releases it if it was admitted.
func (b *budget) acquire(cluster string, bytes int64) admission {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.own[cluster]
	if own == nil {
		own = &load{}
	}
	verdict := decide(b.limits, *own, b.all, len(b.own), bytes)
	if verdict == admitted {
		b.own[cluster] = own
		own.batches++
		own.bytes += bytes
		b.all.batches++
		b.all.bytes += bytes
	}
	return verdict
}

func (b *budget) release(cluster string, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.own[cluster]
	own.batches--
	own.bytes -= bytes
	b.all.batches--
	b.all.bytes -= bytes
	if own.batches == 0 {
		delete(b.own, cluster)
	}
}

// inFlight returns what is in flight.
func (b *budget) inFlight() load {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}
