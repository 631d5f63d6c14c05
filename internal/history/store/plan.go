// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// entry is one place in a stream: a record, or what was refused in its stead.
type entry struct {
	first, last uint64
	sum         uint32
	record      *telemetry.Record
	refused     *history.Refused
}

// plan is a batch that is ready to be stored: its entries cover every sequence
// number from first to last once.
type plan struct {
	stream      telemetry.Stream
	epoch       telemetry.Epoch
	first, last uint64
	entries     []entry
}

// newPlan checks a batch. Records that break their bounds become refused ones.
func newPlan(batch telemetry.Batch, refused []history.Refused, retention history.Retention, now time.Time) (plan, error) {
	p := plan{stream: batch.Stream, epoch: batch.Epoch, first: batch.FirstSeq, last: batch.LastSeq}
	switch {
	case !batch.Stream.Known():
		return p, invalidBatch("the %s is unknown", batch.Stream)
	case batch.Epoch == 0 || batch.Epoch > math.MaxInt64:
		return p, invalidBatch("epoch %d is out of bounds", batch.Epoch)
	case batch.FirstSeq == 0 || batch.LastSeq < batch.FirstSeq || batch.LastSeq >= math.MaxInt64:
		return p, invalidBatch("sequence numbers %d to %d are out of bounds", batch.FirstSeq, batch.LastSeq)
	case len(batch.Records)+len(refused) > telemetry.MaxRecords:
		return p, invalidBatch("%d records, at most %d are allowed", len(batch.Records)+len(refused), telemetry.MaxRecords)
	}
	p.entries = make([]entry, 0, len(batch.Records)+len(refused))
	limits := newLimits(retention, now)
	var d digester
	for i := range batch.Records {
		p.entries = append(p.entries, recordEntry(&batch.Records[i], batch.Stream, limits, &d))
	}
	for i := range refused {
		r := refused[i]
		r.Reason = telemetry.Clip(r.Reason, 1<<10)
		r.Raw = r.Raw[:min(len(r.Raw), history.MaxRefusedBytes)]
		p.entries = append(p.entries, entry{first: r.FirstSeq, last: r.LastSeq, refused: &r})
	}
	if len(refused) > 0 {
		slices.SortStableFunc(p.entries, func(a, b entry) int { return cmp.Compare(a.first, b.first) })
	}
	err := p.contiguous()
	return p, err
}

func (p *plan) contiguous() error {
	next := p.first
	for _, e := range p.entries {
		if e.first != next || e.last < e.first {
			return invalidBatch("a record begins at sequence number %d, %d was expected", e.first, next)
		}
		next = e.last + 1
	}
	if next != p.last+1 {
		return invalidBatch("the last record has sequence number %d, the batch says %d", next-1, p.last)
	}
	return nil
}

func invalidBatch(format string, args ...any) error {
	return fmt.Errorf("%w: %s", history.ErrInvalidBatch, fmt.Sprintf(format, args...))
}

func recordEntry(r *telemetry.Record, stream telemetry.Stream, limits limits, d *digester) entry {
	e := entry{first: r.First(), last: r.Seq, record: r}
	err := r.Validate(stream)
	if err == nil {
		err = limits.check(r)
	}
	if err == nil {
		e.sum = d.sum(r)
		return e
	}
	raw, jsonErr := json.Marshal(r.Payload)
	if jsonErr != nil { // such as NaN
		raw = fmt.Appendf(nil, "%+v", r.Payload)
	}
	e.record = nil
	e.refused = &history.Refused{
		FirstSeq: e.first, LastSeq: e.last, Reason: telemetry.Clip(err.Error(), 1<<10), Raw: raw[:min(len(raw), history.MaxRefusedBytes)],
	}
	return e
}

// limits are the times between which something is kept.
type limits struct {
	retention history.Retention
	now       time.Time
}

func newLimits(r history.Retention, now time.Time) limits { return limits{retention: r, now: now} }

// check returns an error when what happened is too old to be kept or lies in the
// future.
func (l limits) check(r *telemetry.Record) error {
	at := r.Time
	var keep time.Duration
	switch p := r.Payload.(type) {
	case *telemetry.ObjectDelta:
		keep = l.retention.Changes
	case *telemetry.AnomalyTransition:
		keep = l.retention.Anomalies
	case *telemetry.Event:
		at, keep = p.LastSeen, l.retention.Events
	case *telemetry.NodeSample:
		keep = l.retention.Samples
	case *telemetry.SLISlice:
		at, keep = p.Start, l.retention.SLI
	case *telemetry.CommandOutput:
		keep = l.retention.Output
	default:
		return nil // gaps have no time of their own
	}
	if at.After(l.now.Add(history.MaxAhead)) {
		return fmt.Errorf("its time %s lies %s ahead of the hub's clock; check the clock of the cluster",
			at.UTC().Format(time.RFC3339), at.Sub(l.now).Round(time.Second))
	}
	if at.Before(l.now.Add(-keep)) {
		return fmt.Errorf("its time %s is longer ago than the %s that such records are kept", at.UTC().Format(time.RFC3339), keep)
	}
	return nil
}

// after returns the entries behind a sequence number. An entry that stands for
// numbers on both sides, a gap, is cut.
func (p *plan) after(last uint64) []entry {
	i, _ := slices.BinarySearchFunc(p.entries, last, func(e entry, last uint64) int {
		if e.last > last {
			return 1
		}
		return -1
	})
	rest := slices.Clone(p.entries[i:])
	if len(rest) == 0 || rest[0].first > last {
		return rest
	}
	e := &rest[0]
	e.first = last + 1
	if e.record != nil {
		if gap, ok := e.record.Payload.(*telemetry.Gap); ok {
			cut := *gap
			cut.From = e.first
			cut.Dropped = min(cut.Dropped, cut.To-cut.From+1)
			e.record = &telemetry.Record{Seq: e.record.Seq, Time: e.record.Time, Payload: &cut}
		}
	}
	if e.refused != nil {
		cut := *e.refused
		cut.FirstSeq = e.first
		e.refused = &cut
	}
	return rest
}
