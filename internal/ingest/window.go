// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// QuarantineReason is why a record was set aside.
type QuarantineReason string

// The reasons.
const (
	// QuarantineMalformed: the record is not what the format calls for.
	QuarantineMalformed QuarantineReason = "malformed"
	// QuarantineInvalid: a field breaks its bounds.
	QuarantineInvalid QuarantineReason = "invalid"
	// QuarantineTooLarge: the record is too large.
	QuarantineTooLarge QuarantineReason = "too_large"
	// QuarantineFuture: its time lies more than history.MaxAhead ahead.
	QuarantineFuture QuarantineReason = "future"
	// QuarantineExpired: it is older than what is kept.
	QuarantineExpired QuarantineReason = "expired"
	// QuarantineCardinality: its cluster names too many different things.
	QuarantineCardinality QuarantineReason = "cardinality"
	// QuarantineStore: the store refused it.
	QuarantineStore QuarantineReason = "store"
)

var quarantineReasons = []QuarantineReason{
	QuarantineMalformed, QuarantineInvalid, QuarantineTooLarge, QuarantineFuture, QuarantineExpired, QuarantineCardinality, QuarantineStore,
}

// keptRaw is how much of the refused records of one batch is kept in all.
const keptRaw = 1 << 20

// refusals are the records of one batch that are set aside.
type refusals struct {
	records []history.Refused
	reasons []QuarantineReason
	raw     int
}

func (q *refusals) add(reason QuarantineReason, r history.Refused) {
	r.Raw = r.Raw[:min(len(r.Raw), history.MaxRefusedBytes, keptRaw-q.raw)]
	q.raw += len(r.Raw)
	q.records = append(q.records, r)
	q.reasons = append(q.reasons, reason)
}

// addRecord sets a decoded record aside. What is kept of it is JSON for people.
func (q *refusals) addRecord(reason QuarantineReason, r *telemetry.Record, why string) {
	var raw []byte
	if q.raw < keptRaw {
		// A payload that JSON cannot express is set aside without its content.
		raw, _ = json.Marshal(r.Payload)
	}
	q.add(reason, history.Refused{FirstSeq: r.First(), LastSeq: r.Seq, Reason: why, Raw: raw})
}

// addPoison sets the records aside that the decoder refused.
func (q *refusals) addPoison(poison []wire.Poison) {
	for _, p := range poison {
		reason := QuarantineMalformed
		switch {
		case errors.Is(p.Err, wire.ErrTooLarge):
			reason = QuarantineTooLarge
		case errors.Is(p.Err, telemetry.ErrInvalid):
			reason = QuarantineInvalid
		}
		q.add(reason, history.Refused{FirstSeq: p.FirstSeq, LastSeq: p.LastSeq, Reason: p.Err.Error(), Raw: p.Raw})
	}
}

// counts returns how many records were set aside for which reason by a call that
// set as many aside: the last ones, because those before were so already. What the
// store set aside beyond ours is its own.
func (q *refusals) counts(quarantined int) map[QuarantineReason]int {
	order := make([]int, len(q.records))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(q.records[a].FirstSeq, q.records[b].FirstSeq) })
	ours := min(quarantined, len(order))
	counts := map[QuarantineReason]int{}
	for _, i := range order[len(order)-ours:] {
		counts[q.reasons[i]]++
	}
	if rest := quarantined - ours; rest > 0 {
		counts[QuarantineStore] = rest
	}
	return counts
}

// window is the time in which what a record says must have happened.
type window struct {
	retention history.Retention
	now       time.Time
}

// check returns why a record is outside of the window, or "". A gap has no time of
// its own and is always inside.
func (w window) check(r *telemetry.Record) (QuarantineReason, string) {
	at := r.Time
	var keep time.Duration
	switch p := r.Payload.(type) {
	case *telemetry.ObjectDelta:
		keep = w.retention.Changes
	case *telemetry.AnomalyTransition:
		keep = w.retention.Anomalies
	case *telemetry.Event:
		at, keep = p.LastSeen, w.retention.Events
	case *telemetry.NodeSample:
		keep = w.retention.Samples
	case *telemetry.SLISlice:
		at, keep = p.Start, w.retention.SLI
	case *telemetry.CommandOutput:
		keep = w.retention.Output
	default:
		return "", ""
	}
	switch {
	case at.After(w.now.Add(history.MaxAhead)):
		return QuarantineFuture, fmt.Sprintf("its time %s lies %s ahead of the hub's clock; check the clock of the cluster",
			at.UTC().Format(time.RFC3339), at.Sub(w.now).Round(time.Second))
	case at.Before(w.now.Add(-keep)):
		return QuarantineExpired, fmt.Sprintf("its time %s is longer ago than the %s that such records are kept", at.UTC().Format(time.RFC3339), keep)
	}
	return "", ""
}

// sift splits records, in place, into those that may be stored and those that may
// not. keep returns why a record may not, or "".
func sift(records []telemetry.Record, q *refusals, keep func(*telemetry.Record) (QuarantineReason, string)) []telemetry.Record {
	kept := records[:0]
	for i := range records {
		if reason, why := keep(&records[i]); reason != "" {
			q.addRecord(reason, &records[i], why)
			continue
		}
		kept = append(kept, records[i])
	}
	return kept
}
