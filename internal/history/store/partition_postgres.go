// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/crash"
)

// ensure makes partitions that are missing. CREATE ... PARTITION OF would lock
// every reader and writer of the table out; a table that is made on the side and
// then attached does not.
func (d *pgDialect) ensure(ctx context.Context, db *gorm.DB, slots []slot) (int, error) {
	missing := d.places.missing(slots)
	made := 0
	for _, s := range missing {
		created, err := d.makePartition(ctx, db, s)
		if err != nil {
			return made, fmt.Errorf("making the partition %s: %w", s.name(), err)
		}
		if created {
			made++
		}
	}
	d.places.add(missing)
	return made, nil
}

func (*pgDialect) makePartition(ctx context.Context, db *gorm.DB, s slot) (created bool, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		// Released with the transaction; keeps two hubs from making it at once.
		if err := tx.Exec("SELECT pg_advisory_xact_lock(?)", lockPartitions).Error; err != nil {
			return err
		}
		var there, attached bool
		err := first(tx, "SELECT to_regclass(?) IS NOT NULL, EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(?) AND inhparent = to_regclass(?))",
			[]any{s.name(), s.name(), s.table}, &there, &attached)
		if err != nil || attached {
			return err
		}
		created = true
		if !there {
			if err := tx.Exec("CREATE TABLE " + s.name() + " (LIKE " + s.table + " INCLUDING ALL)").Error; err != nil {
				return err
			}
		}
		crash.At("store.partition.before-attach")
		return tx.Exec(fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", s.table, s.name(), s.start, s.end())).Error
	})
	return created, err
}

// expire drops partitions that lie wholly before the limit. Tables without
// partitions lose rows.
func (d *pgDialect) expire(ctx context.Context, db *gorm.DB, e expiry) (expired, error) {
	if _, ok := spans[e.table]; !ok {
		return deleteRows(db, e, "DELETE FROM "+e.table+" WHERE ctid = ANY(ARRAY(SELECT ctid FROM "+e.table+" WHERE "+e.condition()+" LIMIT ?))")
	}
	var out expired
	slots, err := partitionsOf(db, e.table)
	if err != nil {
		return out, err
	}
	for _, p := range slots {
		if p.end() > e.before {
			continue
		}
		if err := dropPartition(ctx, db, p); err != nil {
			return out, fmt.Errorf("dropping the partition %s: %w", p.name(), err)
		}
		out.partitions++
	}
	if out.partitions > 0 {
		d.places.forget()
	}
	return out, nil
}

// partitionsOf returns the partitions by their names, so that those which were
// detached and then not dropped are found too.
func partitionsOf(db *gorm.DB, table string) ([]slot, error) {
	var slots []slot
	err := each(db, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(?)) AND relname LIKE ?",
		[]any{table, strings.ReplaceAll(table, "_", "\\_") + "\\_p________"}, func(r *sql.Rows) error {
			var name string
			if err := r.Scan(&name); err != nil {
				return err
			}
			day, err := time.Parse("20060102", strings.TrimPrefix(name, table+"_p"))
			if err == nil {
				slots = append(slots, slot{table: table, start: day.UnixMilli()})
			}
			return nil
		})
	return slots, err
}

// dropPartition detaches without locking readers out, then drops. When it was
// interrupted in between, the next run finishes it.
func dropPartition(ctx context.Context, db *gorm.DB, s slot) error {
	detach := func() error {
		err := db.WithContext(ctx).Exec("ALTER TABLE " + s.table + " DETACH PARTITION " + s.name() + " CONCURRENTLY").Error
		if isNoPartition(err) {
			return nil
		}
		return err
	}
	err := detach()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55000" {
		// A detachment was interrupted, of whichever partition of the table. Until it
		// is finished no other one can be detached.
		if err = finishDetachments(ctx, db, s.table); err == nil {
			err = detach()
		}
	}
	if err != nil {
		return err
	}
	crash.At("store.partition.detached")
	return db.WithContext(ctx).Exec("DROP TABLE IF EXISTS " + s.name()).Error
}

// isNoPartition reports whether a table was not detached because it is no partition any
// more, or not there.
func isNoPartition(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42P01" || pg.Code == "42P16" || pg.Code == "42809")
}

// finishDetachments finishes what was interrupted while a partition of a table was
// detached. Who is still at it is not harmed: it finds that it is done.
func finishDetachments(ctx context.Context, db *gorm.DB, table string) error {
	var names []string
	err := each(db.WithContext(ctx), "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(?) AND i.inhdetachpending",
		[]any{table}, func(r *sql.Rows) error {
			var name string
			err := r.Scan(&name)
			names = append(names, name)
			return err
		})
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, table+"_p") {
			continue // none of ours
		}
		err := db.WithContext(ctx).Exec("ALTER TABLE " + table + " DETACH PARTITION " + name + " FINALIZE").Error
		if err != nil && !isNoPartition(err) {
			return err
		}
	}
	return nil
}
