// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"context"
	"sync"
	"time"
)

// mostProbes is how many calls that may never return are outstanding at most.
const mostProbes = 8

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
	// outstanding is guarded by the prober's lock.
	outstanding bool
}

// prober runs probes.
type prober struct {
	mu sync.Mutex
	// stuck is how many probes outlived their round.
	stuck int
}

// round is one run of probes.
type round struct {
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

func (r *round) settle() {
	if !r.closed && r.running == 0 && r.next >= len(r.queue) {
		r.closed = true
		close(r.done)
	}
}

// run calls probes that are not outstanding, several at a time, and returns when
// all have returned, when the deadline is over, or with ctx. Afterwards the results
// of a probe may be read when ready says so.
func (p *prober) run(ctx context.Context, probes []*probe, deadline time.Duration) {
	r := &round{done: make(chan struct{})}
	p.mu.Lock()
	for _, q := range probes {
		if !q.outstanding {
			r.queue = append(r.queue, q)
		}
	}
	workers := min(mostProbes-p.stuck, len(r.queue))
	for range workers {
		go p.work(r)
	}
	p.mu.Unlock()
	if workers <= 0 {
		return
	}

	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.over = true
	p.stuck += r.running
}

// work calls one probe after the other until none is left or the round is over.
func (p *prober) work(r *round) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !r.over && r.next < len(r.queue) {
		q := r.queue[r.next]
		r.next++
		r.running++
		q.outstanding = true
		p.mu.Unlock()
		q.call()
		p.mu.Lock()
		q.outstanding = false
		r.running--
		if r.over {
			p.stuck--
		}
	}
	r.settle()
}

// ready says whether a probe is not outstanding, so that its results may be read.
func (p *prober) ready(q *probe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !q.outstanding
}
