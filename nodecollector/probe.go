// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"context"
	"sync"
	"time"
)

// How many calls that may never return are outstanding at most, by what is known of
// them. Those that may well hang leave room for those that have no reason to, and
// these for what is known to answer.
const (
	mostProbes         = 8
	mostUntriedProbes  = 7
	mostDoubtfulProbes = 6
)

// probe is a call that may never return: to a filesystem whose server is gone, to
// a driver whose device is. There is never a second call while one is outstanding,
// and nobody waits for it beyond a deadline, so that a stuck one costs one
// goroutine and no time. A goroutine inside the kernel cannot be stopped: it ends
// when the kernel lets it go.
type probe struct {
	// call does it. It must touch nothing that others touch without the lock of the
	// prober, but may leave results in fields that are read when the probe is not
	// outstanding.
	call func()
	// remote is true for a call that waits for another machine.
	remote bool
	// The lock of the prober guards what follows: whether the probe is outstanding,
	// and whether it ever answered in time, and ever did not.
	outstanding, answered, hung bool
}

// most is how many may be outstanding with the probe among them.
func (q *probe) most() int {
	switch {
	case q.remote || q.hung:
		return mostDoubtfulProbes
	case q.answered:
		return mostProbes
	default:
		return mostUntriedProbes
	}
}

// prober runs probes.
type prober struct {
	mu sync.Mutex
	// outstanding is how many probes are, of this round and those before.
	outstanding int
}

// round is one run of probes.
type round struct {
	// queue has those first that may go when others may not.
	queue []*probe
	next  int
	// over is set when nobody waits any longer.
	over bool
	// running is how many are being called, of those of this round.
	running int
	// done is closed when there is nothing left to wait for.
	done   chan struct{}
	closed bool
}

// run calls probes that are not outstanding, several at a time, and returns when
// all have returned, when the deadline is over, or with ctx. Afterwards the results
// of a probe may be read when ready says so. A probe may have had no turn: too many
// others did not return.
func (p *prober) run(ctx context.Context, probes []*probe, deadline time.Duration) {
	r := &round{done: make(chan struct{}), queue: make([]*probe, 0, len(probes))}
	p.mu.Lock()
	for _, most := range [...]int{mostProbes, mostUntriedProbes, mostDoubtfulProbes} {
		for _, q := range probes {
			if !q.outstanding && q.most() == most {
				r.queue = append(r.queue, q)
			}
		}
	}
	workers := 0
	if len(r.queue) > 0 {
		workers = min(r.queue[0].most()-p.outstanding, len(r.queue))
	}
	for range workers {
		go p.work(r)
	}
	p.mu.Unlock()
	if workers <= 0 {
		return
	}

	timer := time.NewTimer(deadline)
	defer timer.Stop()
	hung := false
	select {
	case <-r.done:
	case <-timer.C:
		hung = true
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.over = true
	for _, q := range r.queue[:r.next] {
		q.hung = q.hung || hung && q.outstanding
	}
}

// work calls one probe after the other until none may go or the round is over.
func (p *prober) work(r *round) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !r.over && r.next < len(r.queue) && p.outstanding < r.queue[r.next].most() {
		q := r.queue[r.next]
		r.next++
		r.running++
		p.outstanding++
		q.outstanding = true
		p.mu.Unlock()
		q.call()
		p.mu.Lock()
		q.outstanding = false
		q.answered = q.answered || !r.over
		p.outstanding--
		r.running--
	}
	// The others that are running take what is left.
	if !r.closed && r.running == 0 {
		r.closed = true
		close(r.done)
	}
}

// ready says whether a probe is not outstanding, so that its results may be read.
func (p *prober) ready(q *probe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !q.outstanding
}
