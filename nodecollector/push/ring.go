// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// entry is a sample that was not delivered yet, or the gap that is left of some.
type entry struct {
	// first and last are sequence numbers. Only a gap has more than one.
	first, last uint64
	// at is the moment of the sample; of a gap, that of the newest one lost.
	at time.Time
	// start is the moment of the oldest sample that a gap stands for.
	start time.Time
	// sample is nil in a gap.
	sample *telemetry.NodeSample
	// reason is why the samples of a gap were given up.
	reason telemetry.GapReason
	// bytes is what the sample takes in memory.
	bytes int
	// refusals is how often the agent refused the sample alone.
	refusals int
}

// record is the entry as it is sent.
func (e *entry) record() telemetry.Record {
	if e.sample != nil {
		return telemetry.Record{Seq: e.last, Time: e.at, Payload: e.sample}
	}
	gap := &telemetry.Gap{From: e.first, To: e.last, Reason: e.reason, Dropped: e.last - e.first + 1, Start: e.start, End: e.at}
	if gap.End.Before(gap.Start) { // the clock was set back in between
		gap.Start, gap.End = gap.End, gap.Start
	}
	return telemetry.Record{Seq: e.last, Time: e.at, Payload: gap}
}

// ring holds what was not delivered, within a number of samples and of bytes.
// Each sequence number is delivered, or held, or part of a gap that is. It is a
// value of its owner, who locks it.
type ring struct {
	samples, bytes int // at most
	next           uint64

	entries     []entry // ascending
	heldSamples int
	heldBytes   int
	dropped     uint64
	droppedFor  Drops
	// busyFirst and busyLast are the numbers of the batch in flight; 0 for none.
	busyFirst, busyLast uint64

	// counted is the list of series that came last with MetricCollectorDropped at
	// its end, so that samples share it as they shared what it was made from.
	counted []telemetry.Series
	from    *telemetry.Series
}

func newRing(samples, bytes int, first uint64) ring {
	return ring{samples: samples, bytes: bytes, next: first}
}

// add numbers a sample and keeps it, and drops the oldest ones it has no room for.
// The sample tells how many were dropped until then.
func (r *ring) add(at time.Time, s telemetry.NodeSample) {
	s.CollectorSeq = r.next
	s.Series, s.Values = r.count(s.Series, s.Values)
	e := entry{first: r.next, last: r.next, at: at, sample: &s, bytes: weigh(&s, r.newest())}
	r.next++
	r.entries = append(r.entries, e)
	r.heldSamples++
	r.heldBytes += e.bytes
	for r.heldSamples > r.samples || r.heldBytes > r.bytes {
		if !r.dropOldest() {
			return
		}
	}
}

func (r *ring) newest() *telemetry.NodeSample {
	if len(r.entries) == 0 {
		return nil
	}
	return r.entries[len(r.entries)-1].sample
}

// count adds MetricCollectorDropped to a sample.
func (r *ring) count(series []telemetry.Series, values []float64) ([]telemetry.Series, []float64) {
	if len(series) >= telemetry.MaxValues || len(series) != len(values) {
		return series, values
	}
	var from *telemetry.Series
	if len(series) > 0 {
		from = &series[0]
	}
	if r.counted == nil || r.from != from || len(r.counted) != len(series)+1 {
		r.from = from
		r.counted = append(slices.Clip(slices.Clone(series)), telemetry.Series{Metric: telemetry.MetricCollectorDropped})
	}
	counted := make([]float64, len(values)+1)
	copy(counted, values)
	counted[len(values)] = float64(r.dropped)
	return r.counted, counted
}

// weigh estimates what a sample takes in memory. A list of series that it shares
// with the sample before counts once.
func weigh(s, before *telemetry.NodeSample) int {
	const fixed, perSeries = 256, 24
	n := fixed + 8*len(s.Values) + len(s.BootID)
	if before != nil && len(before.Series) == len(s.Series) && len(s.Series) > 0 && &before.Series[0] == &s.Series[0] {
		return n
	}
	for i := range s.Series {
		n += perSeries + len(s.Series[i].Label)
	}
	return n
}

// busy says whether an entry is on its way.
func (r *ring) busy(e *entry) bool {
	return r.busyLast != 0 && e.last >= r.busyFirst && e.first <= r.busyLast
}

// dropOldest gives up the oldest sample that is not on its way to the agent. It
// is false when there is none.
func (r *ring) dropOldest() bool {
	i := slices.IndexFunc(r.entries, func(e entry) bool { return e.sample != nil && !r.busy(&e) })
	if i < 0 {
		return false
	}
	r.lose(i, telemetry.GapSourceOverflow)
	return true
}

// lose makes a gap of the sample at an index, one with its neighbours if it can be.
func (r *ring) lose(i int, reason telemetry.GapReason) {
	e := &r.entries[i]
	r.forget(e)
	r.dropped++
	switch reason {
	case telemetry.GapRefused:
		r.droppedFor.Refused++
	case telemetry.GapTooLarge:
		r.droppedFor.TooLarge++
	default:
		r.droppedFor.Overflow++
	}
	e.sample, e.reason, e.start, e.bytes = nil, reason, e.at, 0
	r.merge(i)
	if i > 0 {
		r.merge(i - 1)
	}
}

// merge joins the gap at an index with the one behind it, unless one of them is on
// its way.
func (r *ring) merge(i int) {
	if i+1 >= len(r.entries) {
		return
	}
	a, b := &r.entries[i], &r.entries[i+1]
	if a.sample != nil || b.sample != nil || a.reason != b.reason || a.last+1 != b.first || r.busy(a) || r.busy(b) {
		return
	}
	a.last = b.last
	if b.start.Before(a.start) {
		a.start = b.start
	}
	if b.at.After(a.at) {
		a.at = b.at
	}
	r.entries = slices.Delete(r.entries, i+1, i+2)
}

// forget takes a sample out of what is held.
func (r *ring) forget(e *entry) {
	if e.sample != nil {
		r.heldSamples--
		r.heldBytes -= e.bytes
	}
}

// take returns the newest entries without a hole between them, at most limit,
// oldest first, and marks them as on their way until settle. The entries are the
// caller's.
func (r *ring) take(limit int) []entry {
	end := len(r.entries)
	begin := end
	for begin > 0 && end-begin < limit && (begin == end || r.entries[begin-1].last+1 == r.entries[begin].first) {
		begin--
	}
	if begin == end {
		return nil
	}
	r.busyFirst, r.busyLast = r.entries[begin].first, r.entries[end-1].last
	return slices.Clone(r.entries[begin:end])
}

// settle ends what take began. The entries are gone when they were delivered, and
// held on to otherwise.
func (r *ring) settle(delivered bool) {
	first, last := r.busyFirst, r.busyLast
	r.busyFirst, r.busyLast = 0, 0
	if !delivered {
		return
	}
	r.entries = slices.DeleteFunc(r.entries, func(e entry) bool {
		gone := e.first >= first && e.last <= last
		if gone {
			r.forget(&e)
		}
		return gone
	})
}

// refused notes that the sample with a number was refused, and returns how often
// by now. With giveUp it becomes a gap.
func (r *ring) refused(seq uint64, giveUp bool, reason telemetry.GapReason) int {
	i := slices.IndexFunc(r.entries, func(e entry) bool { return e.first == seq && e.sample != nil })
	if i < 0 {
		return 0
	}
	r.entries[i].refusals++
	n := r.entries[i].refusals
	if giveUp {
		r.lose(i, reason)
	}
	return n
}

// oldest returns the moment of the oldest sample that is held; zero for none.
func (r *ring) oldest() time.Time {
	for i := range r.entries {
		if r.entries[i].sample != nil {
			return r.entries[i].at
		}
	}
	return time.Time{}
}
