// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func formatSeq(seq uint64) string { return strconv.FormatUint(seq, 10) }

// Append implements history.Appender.
func (s *Store) Append(ctx context.Context, cluster history.ClusterUID, batch telemetry.Batch, refused ...history.Refused) (history.Ack, error) {
	ack, err := s.appendBatch(ctx, cluster, batch, refused)
	if err != nil {
		return history.Ack{}, wrap(s.d, fmt.Sprintf("storing %s %d to %d", batch.Stream, batch.FirstSeq, batch.LastSeq), err)
	}
	if ack.Stored > 0 {
		s.fan.changed(history.Change{Cluster: cluster, Stream: batch.Stream})
	}
	return ack, nil
}

func (s *Store) appendBatch(ctx context.Context, cluster history.ClusterUID, batch telemetry.Batch, refused []history.Refused) (history.Ack, error) {
	if cluster == "" || len(cluster) > telemetry.MaxUID {
		return history.Ack{}, invalidBatch("the cluster's UID has %d bytes, 1 to %d are allowed", len(cluster), telemetry.MaxUID)
	}
	now := s.now()
	p, err := newPlan(batch, refused, s.retention, now)
	if err != nil {
		return history.Ack{}, err
	}
	a := &appending{s: s, plan: p, now: now.UnixMilli(), nodes: map[string]int64{}, sets: map[*telemetry.Series]int64{}, routes: map[telemetry.RouteKey]int64{}}
	if a.cluster, err = s.clusterID(ctx, cluster); err != nil {
		return history.Ack{}, err
	}
	if err := a.prepare(ctx); err != nil {
		return history.Ack{}, err
	}
	crash.At("store.append.prepared")
	var ack history.Ack
	err = s.transact(ctx, func(t *txn) error {
		a.t = t
		ack, err = a.run()
		crash.At("store.append.before-commit")
		return err
	})
	crash.At("store.append.after-commit")
	return ack, err
}

// appending is one call of Append.
type appending struct {
	s       *Store
	t       *txn
	plan    plan
	cluster int64
	now     int64
	nodes   map[string]int64
	sets    map[*telemetry.Series]int64
	routes  map[telemetry.RouteKey]int64
	// first is true for the first batch of a stream, late for one of an epoch
	// that is not the stream's newest.
	first, late bool
}

// prepare does what is true whether the batch is stored or not: it numbers what
// is named and makes the partitions that records go to.
func (a *appending) prepare(ctx context.Context) (err error) {
	slots := map[slot]bool{}
	for _, e := range a.plan.entries {
		if e.record == nil {
			continue
		}
		switch p := e.record.Payload.(type) {
		case *telemetry.NodeSample:
			err = a.prepareSample(ctx, p)
			slots[slotOf("node_samples", e.record.Time.UnixMilli())] = true
		case *telemetry.SLISlice:
			if _, ok := a.routes[p.Route]; !ok {
				a.routes[p.Route], err = a.s.routeID(ctx, a.cluster, p.Route)
			}
			slots[slotOf("sli_slices", p.Start.UnixMilli())] = true
		case *telemetry.ObjectDelta:
			slots[slotOf("inventory_changes", e.record.Time.UnixMilli())] = true
		case *telemetry.AnomalyTransition:
			slots[slotOf("anomaly_transitions", e.record.Time.UnixMilli())] = true
		}
		if err != nil {
			return err
		}
	}
	if err := a.numberNodes(ctx); err != nil {
		return err
	}
	list := make([]slot, 0, len(slots))
	for s := range slots {
		list = append(list, s)
	}
	_, err = a.s.d.ensure(ctx, a.s.write, list)
	return err
}

// position is where a stream and one of its epochs stand.
type position struct {
	// known is whether the stream had a batch before, newest its newest epoch,
	// and batches how many batches all epochs had.
	known   bool
	newest  telemetry.Epoch
	batches int64
	// begun is whether this epoch had a batch before, and last its last number.
	begun bool
	last  uint64
}

func (a *appending) run() (history.Ack, error) {
	at, err := a.position()
	if err != nil {
		return history.Ack{}, err
	}
	p := &a.plan
	ack := history.Ack{NewEpoch: at.known && p.epoch > at.newest}
	a.first, a.late = !at.known, at.known && p.epoch < at.newest
	if p.first > at.last+1 {
		return ack, &history.GapError{Expected: at.last + 1, Got: p.first}
	}
	if p.first <= at.last {
		if err := a.compareStored(at.last); err != nil {
			return ack, err
		}
	}
	rest := p.after(at.last)
	ack.Duplicates = len(p.entries) - len(rest)
	ack.LastSeq = max(at.last, p.last)
	if len(rest) == 0 {
		return ack, nil
	}
	crash.At("store.append.before-rows")
	if ack.Stored, ack.Quarantined, err = a.store(rest); err != nil {
		return ack, err
	}
	crash.At("store.append.after-rows")
	return ack, a.move(at, rest)
}

// position locks the stream, so that its epochs take turns: they write to the same
// objects.
func (a *appending) position() (position, error) {
	at := position{known: true, begun: true}
	key := []any{a.cluster, int64(a.plan.stream), int64(a.plan.epoch)} //nolint:gosec // checked by newPlan
	err := first(a.t.db, "SELECT epoch, batches FROM ingest_streams WHERE cluster_id = ? AND stream = ?"+a.t.d.lockClause(),
		key[:2], &at.newest, &at.batches)
	if errors.Is(err, errNoRows) {
		return position{}, nil
	}
	if err != nil {
		return at, err
	}
	err = first(a.t.db, "SELECT last_seq FROM ingest_offsets WHERE cluster_id = ? AND stream = ? AND epoch = ?", key, &at.last)
	if errors.Is(err, errNoRows) {
		at.begun, err = false, nil
	}
	return at, err
}

// compareStored compares what was stored before with what comes again.
func (a *appending) compareStored(last uint64) error {
	p := &a.plan
	stored := map[uint64]uint32{}
	err := each(a.t.db, "SELECT first_seq, sums FROM ingest_batches WHERE cluster_id = ? AND stream = ? AND epoch = ? AND first_seq <= ? AND last_seq >= ?",
		[]any{a.cluster, int64(p.stream), int64(p.epoch), int64(min(p.last, last)), int64(p.first)}, func(r *sql.Rows) error { //nolint:gosec // checked by newPlan
			var first uint64
			var sums []byte
			if err := r.Scan(&first, &sums); err != nil {
				return err
			}
			return unpackSums(sums, first, stored)
		})
	if err != nil {
		return err
	}
	return p.compare(stored, last)
}

// store writes the entries and returns how many were stored and set aside.
func (a *appending) store(entries []entry) (stored, quarantined int, err error) {
	var records []*telemetry.Record
	var gaps []telemetry.Gap
	var refused []*history.Refused
	for _, e := range entries {
		switch {
		case e.refused != nil:
			refused = append(refused, e.refused)
		default:
			if gap, ok := e.record.Payload.(*telemetry.Gap); ok && !a.isBirth(e.record.Seq, gap) {
				gaps = append(gaps, *gap)
			}
			records = append(records, e.record)
		}
	}
	if err := a.insertGaps(gaps); err != nil {
		return 0, 0, err
	}
	if err := a.insertRefused(refused); err != nil {
		return 0, 0, err
	}
	switch a.plan.stream {
	case telemetry.StreamInventory:
		err = a.storeInventory(entries)
	case telemetry.StreamAnomalies:
		err = a.storeAnomalies(records)
	case telemetry.StreamEvents:
		err = a.storeEvents(records)
	case telemetry.StreamNodeMetrics:
		err = a.storeSamples(records)
	case telemetry.StreamSLI:
		err = a.storeSlices(records)
	case telemetry.StreamCommandOutput:
		err = a.storeOutput(records)
	}
	return len(records), len(refused), err
}

// isBirth reports whether a gap says no more than that an agent, which cannot know
// better, speaks for the first time: there was nothing to lose.
func (a *appending) isBirth(seq uint64, gap *telemetry.Gap) bool {
	return a.first && seq == 1 && gap.Reason == telemetry.GapEpochLost
}

// move moves the offset and remembers what was stored.
func (a *appending) move(from position, rest []entry) error {
	p := &a.plan
	stream, first, last, epoch := int64(p.stream), int64(rest[0].first), int64(p.last), int64(p.epoch) //nolint:gosec // checked by newPlan
	err := a.t.upsert("ingest_batches", []string{"cluster_id", "stream", "slot", "epoch", "first_seq", "last_seq", "sums"},
		[]string{"cluster_id", "stream", "slot"}, []string{"epoch", "first_seq", "last_seq", "sums"},
		[][]any{{a.cluster, stream, from.batches % ringSlots, epoch, first, last, packSums(rest)}})
	if err != nil {
		return err
	}
	if from.known {
		err = a.changeOne("UPDATE ingest_streams SET epoch = ?, batches = batches + 1 WHERE cluster_id = ? AND stream = ?",
			max(epoch, int64(from.newest)), a.cluster, stream) //nolint:gosec // was one
	} else {
		err = a.t.exec("INSERT INTO ingest_streams (cluster_id, stream, epoch, batches) VALUES (?, ?, ?, 1)", a.cluster, stream, epoch)
	}
	if err != nil {
		return err
	}
	if !from.begun {
		return a.t.exec("INSERT INTO ingest_offsets (cluster_id, stream, epoch, last_seq, began_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?)",
			a.cluster, stream, epoch, last, a.now, a.now)
	}
	return a.changeOne("UPDATE ingest_offsets SET last_seq = ?, updated_ms = ? WHERE cluster_id = ? AND stream = ? AND epoch = ?",
		last, a.now, a.cluster, stream, epoch)
}

// changeOne runs a statement that has to change one row.
func (a *appending) changeOne(query string, args ...any) error {
	n, err := a.t.affected(query, args...)
	if err == nil && n != 1 {
		err = fmt.Errorf("moving the offset: %d rows changed", n)
	}
	return err
}

func (a *appending) insertGaps(gaps []telemetry.Gap) error {
	rows := make([][]any, len(gaps))
	for i, g := range gaps {
		rows[i] = []any{
			a.cluster, int64(a.plan.stream), int64(a.plan.epoch), int64(g.From), int64(g.To), int64(g.Reason), //nolint:gosec // checked by newPlan
			int64(min(g.Dropped, math.MaxInt64)), millis(g.Start), millis(g.End), a.now,
		}
	}
	return a.t.insertMany("gaps", []string{
		"cluster_id", "stream", "epoch", "from_seq", "to_seq", "reason", "dropped", "start_ms", "end_ms", "noted_ms",
	}, rows, "")
}

func (a *appending) insertRefused(refused []*history.Refused) error {
	rows := make([][]any, len(refused))
	for i, r := range refused {
		rows[i] = []any{
			a.cluster, int64(a.plan.stream), int64(a.plan.epoch), int64(r.FirstSeq), int64(r.LastSeq), r.Reason, blob(r.Raw), a.now, //nolint:gosec // checked by newPlan
		}
	}
	return a.t.insertMany("quarantine", []string{"cluster_id", "stream", "epoch", "from_seq", "to_seq", "reason", "raw", "noted_ms"}, rows, "")
}

// blob returns b, or empty bytes, which are not NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// at is when a record is filed.
func at(r *telemetry.Record) int64 { return r.Time.Truncate(time.Millisecond).UnixMilli() }
