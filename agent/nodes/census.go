// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// lookSoon is how long after the first sample the sums are made, and lookEvery how
	// often while there are any.
	lookSoon, lookEvery = time.Second, 15 * time.Second
	// countedFor is for how long a node that is silent is counted, and rememberedFor
	// for how long its sequence numbers are remembered.
	countedFor, rememberedFor = time.Hour, 24 * time.Hour
	// warnEvery is how often the same complaint about a node is logged at most.
	warnEvery = 10 * time.Minute
)

// Snapshot is what the collectors say of the cluster at one moment.
type Snapshot struct {
	// Nodes is how many nodes' collectors were heard within an hour.
	Nodes int32
	// Fresh is how many of them are not silent: they were heard within 3 intervals.
	Fresh int32
	// Silent names the others, sorted, at most 20.
	Silent []string
	// Used is what fresh nodes use; nil while none says so. It follows in steps of 5 %
	// of the capacity, at most once a minute, and within 10 minutes to 1 %.
	Used *Usage
}

// Latest is the latest sample of a node.
type Latest struct {
	// Sample is shared and must not be changed.
	Sample *telemetry.NodeSample
	// At is the sample's time as it was handed on.
	At time.Time
	// Moment is when it was taken, on the agent's clock.
	Moment time.Time
	// Silent is true when nothing came for 3 intervals.
	Silent bool
	// Behind is how far the node's clock is behind the agent's; negative when ahead.
	Behind time.Duration
}

// Snapshot returns what is known now. It shares no memory with the Receiver.
func (r *Receiver) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Snapshot{Nodes: r.totals.nodes, Fresh: r.totals.fresh, Silent: slices.Clone(r.totals.silent)}
	if r.shown.usage != nil {
		s.Used = new(*r.shown.usage)
	}
	return s
}

// Changed returns the channel that receives after any change of what Snapshot
// returns. Its capacity is 1: several changes may be one signal. It is for one
// receiver and is never closed.
func (r *Receiver) Changed() <-chan struct{} { return r.changes }

// Latest returns the latest sample of a node, and whether there is one.
func (r *Receiver) Latest(name string) (Latest, bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[name]
	if n == nil || n.latest.sample == nil {
		return Latest{}, false
	}
	return n.latest.export(now), true
}

// All returns the latest sample of each node, in no order.
func (r *Receiver) All() map[string]Latest {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]Latest, len(r.nodes))
	for name, n := range r.nodes {
		if n.latest.sample != nil {
			all[name] = n.latest.export(now)
		}
	}
	return all
}

func (l *latest) export(now time.Time) Latest {
	return Latest{Sample: l.sample, At: l.at, Moment: l.moment, Silent: l.silent(now), Behind: l.skew}
}

// see notes a sample that arrived, and lets it share its series with others. The
// caller holds n.taking.
func (r *Receiver) see(n *node, epoch telemetry.Epoch, record *telemetry.Record, moment, now time.Time) {
	s, ok := record.Payload.(*telemetry.NodeSample)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Series = r.sets.share(s.Series)
	l := &n.latest
	if !l.newer(epoch, record.Seq, moment, now) {
		return
	}
	interval := intervalOf(s, max(l.interval, leastInterval))
	if l.sample == nil {
		interval = intervalOf(s, DefaultInterval)
	}
	*l = latest{
		node: n.name, epoch: epoch, seq: record.Seq, sample: s, at: record.Time, moment: moment, heard: now,
		interval: interval, skew: n.clock.behind, reading: read(s),
	}
	if r.options.Observe != nil {
		r.options.Observe(l.export(now))
	}
	if r.idle {
		r.idle = false
		r.arrived <- struct{}{} // it has room: watch took the last one before it went idle
	}
}

// watch sums up the nodes from time to time, until ctx ends.
func (r *Receiver) watch(ctx context.Context) {
	timer := time.NewTimer(lookSoon)
	timer.Stop() // until something arrives
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.arrived:
			timer.Reset(lookSoon)
		case <-timer.C:
			if wait := r.look(time.Now()); wait > 0 {
				timer.Reset(wait)
			}
		}
	}
}

// look sums up the nodes, and returns when to do so again; 0 when there are none.
func (r *Receiver) look(now time.Time) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, n := range r.nodes {
		if n.inFlight == 0 && now.Sub(n.latest.heard) > rememberedFor {
			delete(r.nodes, name)
		}
	}
	t := sum(r.counted(now), now)
	next, news := r.shown.settle(t.usage, now)
	if news || t.nodes != r.totals.nodes || t.fresh != r.totals.fresh || !slices.Equal(t.silent, r.totals.silent) {
		r.tellSilence(t.silent)
		select {
		case r.changes <- struct{}{}:
		default:
		}
	}
	r.shown, r.totals = next, t
	switch {
	case t.nodes == 0:
		r.idle = true
		return 0
	case t.fresh == 0:
		return lookEvery
	}
	return max(min(lookEvery, t.next.Sub(now)+time.Millisecond), time.Millisecond)
}

// counted yields what is known of the nodes that count.
func (r *Receiver) counted(now time.Time) iter.Seq[*latest] {
	return func(yield func(*latest) bool) {
		for _, n := range r.nodes {
			if n.latest.sample != nil && now.Sub(n.latest.heard) <= countedFor && !yield(&n.latest) {
				return
			}
		}
	}
}

// tellSilence logs which nodes have become silent, and which have not stayed so.
func (r *Receiver) tellSilence(silent []string) {
	for _, name := range silent {
		if !slices.Contains(r.totals.silent, name) {
			r.log.Info("Node is silent: its collector sends no samples", "node", name)
		}
	}
	for _, name := range r.totals.silent {
		if n := r.nodes[name]; n != nil && !slices.Contains(silent, name) && len(silent) < maxSilent {
			r.log.Info("Node sends samples again", "node", name)
		}
	}
}

// enter lets a request of a node in, unless it has too many.
func (r *Receiver) enter(name string, now time.Time) (*node, answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[name]
	if n == nil {
		if len(r.nodes) >= r.limits.nodes && !r.makeRoom() {
			return nil, because(ReasonBusy)
		}
		n = &node{name: name}
		n.latest.heard = now
		r.nodes[name] = n
	}
	if wait := n.requests.Take(r.limits.nodeRequests, 1, now); wait > 0 {
		return nil, waiting(ReasonRateLimited, wait)
	}
	if n.inFlight >= r.limits.nodeInFlight {
		return nil, because(ReasonNodeBusy)
	}
	n.inFlight++
	return n, answer{}
}

// makeRoom forgets the node that was not heard of for the longest time.
func (r *Receiver) makeRoom() bool {
	var oldest *node
	for _, n := range r.nodes {
		if n.inFlight == 0 && (oldest == nil || n.latest.heard.Before(oldest.latest.heard)) {
			oldest = n
		}
	}
	if oldest == nil {
		return false
	}
	delete(r.nodes, oldest.name)
	return true
}

func (r *Receiver) leave(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.inFlight--
}

// charge takes what a batch costs from what its node may send, all of it or nothing.
func (r *Receiver) charge(n *node, records, bytes int, now time.Time) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := n.records
	if wait := n.records.Take(r.limits.nodeRecords, float64(records), now); wait > 0 {
		return wait
	}
	if wait = n.bytes.Take(r.limits.nodeBytes, float64(bytes), now); wait > 0 {
		n.records = before
	}
	return wait
}

// due says whether a complaint may be logged, and notes that it is.
func due(last *time.Time, now time.Time) bool {
	if now.Sub(*last) < warnEvery {
		return false
	}
	*last = now
	return true
}

func (r *Receiver) warnNoNode() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if due(&r.warnedNoNode, time.Now()) {
		r.log.Info("Refusing a node collector whose token names no node: it has to be bound to a pod, by an API server of version 1.30 or later")
	}
}

func (r *Receiver) warnContradiction(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if due(&n.warned, time.Now()) {
		r.log.Info("Refusing samples that name another node than their token", "node", n.name)
	}
}

func (r *Receiver) sinkFailed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.refusing {
		r.refusing = true
		r.log.Error(err, "Cannot keep node samples, collectors hold on to them")
	}
}

func (r *Receiver) sinkWorks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusing {
		r.refusing = false
		r.log.Info("Can keep node samples again")
	}
}
