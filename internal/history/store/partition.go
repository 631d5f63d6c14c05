// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"sync"
	"time"

	"gorm.io/gorm"
)

const (
	hourMS = int64(time.Hour / time.Millisecond)
	dayMS  = 24 * hourMS
)

// spans are the tables that are kept by time: the column that says when, and for
// Postgres how many days a partition has.
var spans = map[string]struct {
	column string
	days   int64
}{
	"node_samples":        {"at_ms", 1},
	"node_chunks":         {"start_ms", 1},
	"node_fine":           {"start_ms", 1},
	"node_coarse":         {"start_ms", 30},
	"inventory_changes":   {"at_ms", 1},
	"sli_slices":          {"start_ms", 1},
	"sli_hours":           {"start_ms", 30},
	"anomaly_transitions": {"at_ms", 30},
	"audit":               {"at_ms", 30},
}

// slot is a partition: a table and when it begins, in Unix milliseconds.
type slot struct {
	table string
	start int64
}

// slotOf returns where a table keeps what happened at a moment.
func slotOf(table string, ms int64) slot {
	width := spans[table].days * dayMS
	return slot{table: table, start: ms - ms%width}
}

func (s slot) end() int64 { return s.start + spans[s.table].days*dayMS }

// name is the partition's table.
func (s slot) name() string {
	return s.table + "_p" + time.UnixMilli(s.start).UTC().Format("20060102")
}

// places remembers which partitions are known to be there.
type places struct {
	mu    sync.Mutex
	known map[slot]bool
}

func newPlaces() *places { return &places{known: map[slot]bool{}} }

func (p *places) missing(slots []slot) []slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	var missing []slot
	for _, s := range slots {
		if !p.known[s] {
			missing = append(missing, s)
		}
	}
	return missing
}

func (p *places) add(slots []slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range slots {
		p.known[s] = true
	}
}

func (p *places) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

// expiry says what has expired: rows of a table whose time lies before a limit.
type expiry struct {
	table  string
	column string
	before int64
	// where is a further condition, or empty.
	where string
}

// expired says what was removed.
type expired struct {
	partitions int
	rows       int64
	more       bool
}

// Bounds of deleting row by row in one run.
const (
	deleteBatch = 5000
	deleteMost  = 100_000
)

// deleteRows deletes in bounded statements, up to deleteMost rows.
func deleteRows(db *gorm.DB, e expiry, statement string) (expired, error) {
	var out expired
	for out.rows < deleteMost {
		r := db.Exec(statement, e.before, deleteBatch)
		if r.Error != nil {
			return out, r.Error
		}
		out.rows += r.RowsAffected
		if r.RowsAffected < deleteBatch {
			return out, nil
		}
	}
	out.more = true
	return out, nil
}

func (e expiry) condition() string {
	c := e.column + " < ?"
	if e.where != "" {
		c += " AND " + e.where
	}
	return c
}

func (*sqliteDialect) ensure(context.Context, *gorm.DB, []slot) (int, error) { return 0, nil }

func (*mysqlDialect) ensure(context.Context, *gorm.DB, []slot) (int, error) { return 0, nil }

func (*mysqlDialect) expire(_ context.Context, db *gorm.DB, e expiry) (expired, error) {
	return deleteRows(db, e, "DELETE FROM "+e.table+" WHERE "+e.condition()+" LIMIT ?")
}

// withoutRowID are SQLite's tables that have no row numbers, and their keys.
var withoutRowID = map[string]string{
	"sli_slices": "(route_id, start_ms)", "sli_hours": "(route_id, start_ms)", "ingest_offsets": "(cluster_id, stream, epoch)",
}

func (*sqliteDialect) expire(_ context.Context, db *gorm.DB, e expiry) (expired, error) {
	key := "rowid"
	columns := key
	if k, ok := withoutRowID[e.table]; ok {
		key, columns = k, k[1:len(k)-1]
	}
	return deleteRows(db, e, "DELETE FROM "+e.table+" WHERE "+key+" IN (SELECT "+columns+" FROM "+e.table+" WHERE "+e.condition()+" LIMIT ?)")
}
