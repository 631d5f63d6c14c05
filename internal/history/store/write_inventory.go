// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"database/sql"
	"errors"

	"github.com/cespare/xxhash/v2"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var (
	inventoryColumns = []string{
		"cluster_id", "uid", "kind", "namespace", "name", "phase", "node", "ready", "content", "detail",
		"first_ms", "changed_ms", "gone_ms", "seen_epoch", "seen_seq",
	}
	changeColumns = []string{"cluster_id", "at_ms", "epoch", "seq", "uid", "kind", "namespace", "op", "detail"}
)

// object is what the inventory knows of an object.
type object struct {
	known   bool // the row is in the table
	dirty   bool // and has to be written
	delta   *telemetry.ObjectDelta
	content int64
	first   int64
	changed int64
	gone    int64
	// seen is what the row was last told by: an upsert, a deletion, or the
	// snapshot that it was missing from. What is older changes it no more.
	seen   version
	detail string
}

// version is a record's place in its stream, over all epochs: what has a higher
// one was seen later, whenever it arrived.
type version struct{ epoch, seq int64 }

func (v version) before(w version) bool {
	return v.epoch < w.epoch || v.epoch == w.epoch && v.seq < w.seq
}

func (a *appending) version(seq uint64) version {
	return version{epoch: int64(a.plan.epoch), seq: int64(seq)} //nolint:gosec // checked by newPlan
}

// floor is the newest complete snapshot of a kind.
type floor struct {
	begin  version
	endSeq int64
	endMS  int64
}

// storeInventory applies deltas in order. The end of a snapshot looks at what is
// stored, so what was collected before it is written first.
func (a *appending) storeInventory(entries []entry) error {
	pending := make([]*telemetry.Record, 0, len(entries))
	flush := func() error {
		records := pending
		pending = pending[:0]
		return a.applyDeltas(records)
	}
	for _, e := range entries {
		var delta *telemetry.ObjectDelta
		if e.record != nil {
			delta, _ = e.record.Payload.(*telemetry.ObjectDelta)
		}
		var err error
		switch {
		case delta == nil:
			// Something is missing. Had it been part of a snapshot, its end
			// would declare it gone.
			err = a.t.exec("DELETE FROM inventory_snapshots WHERE cluster_id = ? AND epoch = ?", a.cluster, a.version(0).epoch)
		case delta.Op == telemetry.OpSnapshotBegin:
			err = a.t.upsert("inventory_snapshots", []string{"cluster_id", "kind", "epoch", "begin_seq"},
				[]string{"cluster_id", "kind", "epoch"}, []string{"begin_seq"},
				[][]any{{a.cluster, string(delta.Kind), int64(a.plan.epoch), int64(e.last)}}) //nolint:gosec // checked by newPlan
		case delta.Op == telemetry.OpSnapshotEnd:
			if err = flush(); err == nil {
				err = a.endSnapshot(e.record, delta)
			}
		default:
			pending = append(pending, e.record)
		}
		if err != nil {
			return err
		}
	}
	return flush()
}

func (a *appending) applyDeltas(records []*telemetry.Record) error {
	if len(records) == 0 {
		return nil
	}
	objects := make(map[string]*object, len(records))
	order := make([]string, 0, len(records))
	for _, r := range records {
		uid := r.Payload.(*telemetry.ObjectDelta).UID //nolint:forcetypeassert // chosen by storeInventory
		if objects[uid] == nil {
			objects[uid] = &object{}
			order = append(order, uid)
		}
	}
	if err := a.loadObjects(order, objects); err != nil {
		return err
	}
	floors, err := a.loadFloors()
	if err != nil {
		return err
	}
	changes := a.changeObjects(records, objects, floors)
	var fresh, changed [][]any
	for _, uid := range order {
		switch o := objects[uid]; {
		case !o.dirty:
		case o.known:
			changed = append(changed, a.objectRow(o))
		default:
			fresh = append(fresh, a.objectRow(o))
		}
	}
	if err := a.t.d.insert(a.t, "inventory", inventoryColumns, fresh); err != nil {
		return err
	}
	if err := a.t.upsert("inventory", inventoryColumns, inventoryColumns[:2], inventoryColumns[2:], changed); err != nil {
		return err
	}
	return a.t.d.insert(a.t, "inventory_changes", changeColumns, changes)
}

// changeObjects applies deltas to objects and returns what changed.
func (a *appending) changeObjects(records []*telemetry.Record, objects map[string]*object, floors map[telemetry.Kind]floor) [][]any {
	var changes [][]any
	var d digester
	late := map[string]int64{}
	for _, r := range records {
		delta := r.Payload.(*telemetry.ObjectDelta) //nolint:forcetypeassert // chosen by storeInventory
		o := objects[delta.UID]
		if o.delta != nil && a.version(r.Seq).before(o.seen) {
			unknown, detail := o.first == 0, o.detail
			if a.applyLate(o, r, delta, &d, late) {
				changes = append(changes, a.changeRow(r, delta, packObject(delta)))
			}
			if unknown && o.first > 0 && o.gone >= a.oldestChange() {
				// Its deletion came before anybody knew what was deleted.
				changes = append(changes, []any{
					a.cluster, o.gone, o.seen.epoch, o.seen.seq, delta.UID, string(delta.Kind), delta.Namespace, int64(telemetry.OpDelete), detail,
				})
			}
			continue
		}
		if a.applyDelta(o, r, delta, &d) {
			changes = append(changes, a.changeRow(r, delta, o.detail))
		}
		if f, ok := floors[delta.Kind]; ok && o.gone == 0 && o.seen.before(f.begin) {
			// A snapshot that came before this has said already that it is gone.
			o.gone, o.changed, o.seen = f.endMS, f.endMS, f.begin
			if f.endMS >= a.oldestChange() {
				changes = append(changes, a.goneRow(f.endMS, f.begin.epoch, f.endSeq, delta))
			}
		}
	}
	return changes
}

// oldestChange is when the oldest changes that are kept happened.
func (a *appending) oldestChange() int64 { return a.now - a.s.retention.Changes.Milliseconds() }

// applyDelta changes what is known of an object and reports whether it is
// different from before. Deleting what is not there is only kept in mind, in case
// an older epoch still tells of it.
func (a *appending) applyDelta(o *object, r *telemetry.Record, delta *telemetry.ObjectDelta, d *digester) bool {
	exists := o.delta != nil && o.gone == 0
	o.seen, o.dirty = a.version(r.Seq), true
	if delta.Op == telemetry.OpDelete {
		switch {
		case exists:
			o.gone, o.changed = at(r), at(r)
		case o.delta == nil:
			o.delta, o.detail, o.gone, o.changed = delta, packObject(delta), at(r), at(r)
		}
		return exists
	}
	content := d.state(delta)
	different := !exists || content != o.content
	o.show(delta, content)
	o.gone = 0
	if o.first == 0 {
		o.first = at(r)
	}
	if different {
		o.changed = at(r)
	}
	return different
}

// applyLate completes the history of an object by what an older epoch said, and
// reports whether that is a change. What the object is now stays as the newer one
// said. late has what the older epoch said of each object before.
func (*appending) applyLate(o *object, r *telemetry.Record, delta *telemetry.ObjectDelta, d *digester, late map[string]int64) bool {
	if delta.Op == telemetry.OpDelete {
		delete(late, delta.UID)
		if o.first == 0 {
			return false
		}
		if o.gone > at(r) {
			o.gone, o.changed, o.dirty = at(r), at(r), true
		}
		return true
	}
	content := d.state(delta)
	before, again := late[delta.UID]
	late[delta.UID] = content
	if o.first == 0 { // nothing but its deletion is known
		o.show(delta, content)
	}
	if o.first == 0 || at(r) < o.first {
		o.first, o.dirty = at(r), true
	}
	return !again || before != content
}

// show takes over how an object looks.
func (o *object) show(delta *telemetry.ObjectDelta, content int64) {
	o.delta, o.content, o.detail = delta, content, packObject(delta)
}

// state returns a sum of what an object looks like.
func (d *digester) state(delta *telemetry.ObjectDelta) int64 {
	d.buf = d.buf[:0]
	d.objectState(delta)
	return int64(xxhash.Sum64(d.buf)) //nolint:gosec // a bit pattern
}

// loadFloors returns the complete snapshots that may be newer than the records.
func (a *appending) loadFloors() (map[telemetry.Kind]floor, error) {
	if !a.late {
		return nil, nil //nolint:nilnil // there are none
	}
	floors := map[telemetry.Kind]floor{}
	err := each(a.t.db, "SELECT kind, epoch, begin_seq, end_seq, end_ms FROM inventory_floors WHERE cluster_id = ?", []any{a.cluster}, func(r *sql.Rows) error {
		var kind string
		var f floor
		err := r.Scan(&kind, &f.begin.epoch, &f.begin.seq, &f.endSeq, &f.endMS)
		floors[telemetry.Kind(kind)] = f
		return err
	})
	return floors, err
}

func (a *appending) loadObjects(uids []string, objects map[string]*object) error {
	columns := "uid, content, detail, first_ms, changed_ms, gone_ms, seen_epoch, seen_seq"
	return a.t.d.byUID(a.t, "inventory", columns, a.cluster, uids, func(r *sql.Rows) error {
		var uid string
		var o object
		if err := r.Scan(&uid, &o.content, &o.detail, &o.first, &o.changed, &o.gone, &o.seen.epoch, &o.seen.seq); err != nil {
			return err
		}
		delta, err := unpackObject(o.detail)
		o.known, o.delta = true, &delta
		objects[uid] = &o
		return err
	})
}

func (a *appending) objectRow(o *object) []any {
	d := o.delta
	return []any{
		a.cluster, d.UID, string(d.Kind), d.Namespace, d.Name, d.Phase, d.Node, int64(d.Ready), o.content, o.detail,
		o.first, o.changed, o.gone, o.seen.epoch, o.seen.seq,
	}
}

func (a *appending) changeRow(r *telemetry.Record, d *telemetry.ObjectDelta, detail string) []any {
	if d.Op == telemetry.OpDelete {
		detail = packObject(d)
	}
	v := a.version(r.Seq)
	return []any{a.cluster, at(r), v.epoch, v.seq, d.UID, string(d.Kind), d.Namespace, int64(d.Op), detail}
}

// goneRow is the change of an object that a snapshot's end found missing.
func (a *appending) goneRow(ms, epoch, seq int64, d *telemetry.ObjectDelta) []any {
	gone := telemetry.ObjectDelta{Op: telemetry.OpDelete, Kind: d.Kind, Namespace: d.Namespace, Name: d.Name, UID: d.UID}
	return []any{a.cluster, ms, epoch, seq, gone.UID, string(gone.Kind), gone.Namespace, int64(gone.Op), packObject(&gone)}
}

// endSnapshot marks what the snapshot did not show as gone. When its beginning, or
// something since, is missing, nothing can be said.
func (a *appending) endSnapshot(r *telemetry.Record, end *telemetry.ObjectDelta) error {
	begin := a.version(0)
	kind := string(end.Kind)
	err := first(a.t.db, "SELECT begin_seq FROM inventory_snapshots WHERE cluster_id = ? AND kind = ? AND epoch = ?",
		[]any{a.cluster, kind, begin.epoch}, &begin.seq)
	if errors.Is(err, errNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	var changes [][]any
	unseen := "cluster_id = ? AND kind = ? AND gone_ms = 0 AND (seen_epoch < ? OR (seen_epoch = ? AND seen_seq < ?))"
	args := []any{a.cluster, kind, begin.epoch, begin.epoch, begin.seq}
	ends := a.version(r.Seq)
	err = each(a.t.db, "SELECT detail FROM inventory WHERE "+unseen, args, func(rows *sql.Rows) error {
		var detail string
		if err := rows.Scan(&detail); err != nil {
			return err
		}
		d, err := unpackObject(detail)
		changes = append(changes, a.goneRow(at(r), ends.epoch, ends.seq, &d))
		return err
	})
	if err != nil {
		return err
	}
	if err := a.t.d.insert(a.t, "inventory_changes", changeColumns, changes); err != nil {
		return err
	}
	err = a.t.exec("UPDATE inventory SET gone_ms = ?, changed_ms = ?, seen_epoch = ?, seen_seq = ? WHERE "+unseen,
		append([]any{at(r), at(r), begin.epoch, begin.seq}, args...)...)
	if err != nil {
		return err
	}
	// Snapshots of older epochs that have not ended would say nothing new.
	err = a.t.exec("DELETE FROM inventory_snapshots WHERE cluster_id = ? AND kind = ? AND epoch <= ?", a.cluster, kind, begin.epoch)
	if err != nil {
		return err
	}
	return a.raiseFloor(end.Kind, floor{begin: begin, endSeq: ends.seq, endMS: at(r)})
}

// raiseFloor remembers a complete snapshot, unless a newer one is known.
func (a *appending) raiseFloor(kind telemetry.Kind, f floor) error {
	floors, err := a.loadFloors()
	if known, ok := floors[kind]; err != nil || ok && f.begin.before(known.begin) {
		return err
	}
	columns := []string{"cluster_id", "kind", "epoch", "begin_seq", "end_seq", "end_ms"}
	return a.t.upsert("inventory_floors", columns, columns[:2], columns[2:],
		[][]any{{a.cluster, string(kind), f.begin.epoch, f.begin.seq, f.endSeq, f.endMS}})
}
