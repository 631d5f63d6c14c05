// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
)

type sqliteDialect struct {
	path string
	lock *os.File // held while the store may write
}

// openSQLite takes the lock that makes this process the only writer. A reader
// takes none and needs the file to be there.
func openSQLite(path string, readOnly bool) (*sqliteDialect, error) {
	if readOnly {
		if _, err := os.Stat(path); err != nil {
			return nil, &history.UnavailableError{Reason: history.UnavailableSchema, Err: err}
		}
		return &sqliteDialect{path: path}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, &history.UnavailableError{Reason: history.UnavailableAccess, Err: err}
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &history.UnavailableError{Reason: history.UnavailableAccess, Err: err}
	}
	if err := lockFile(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s belongs to another hub; stop it, or use Postgres to run several", history.ErrLocked, path), lock.Close())
	}
	return &sqliteDialect{path: path, lock: lock}, nil
}

// pool opens the file. The writer's transactions begin with the write lock, so
// that none fails halfway for want of it.
func (d *sqliteDialect) pool(write bool) (*sql.DB, error) {
	q := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(OFF)", "temp_store(MEMORY)", "cache_size(-16384)",
	}}
	if write {
		q.Set("_txlock", "immediate")
		q.Add("_pragma", "wal_autocheckpoint(2000)")
		q.Add("_pragma", "journal_size_limit(67108864)")
	} else {
		q.Add("_pragma", "query_only(ON)")
	}
	db, err := sql.Open(sqlite.DriverName, (&url.URL{Scheme: "file", Path: d.path, RawQuery: q.Encode()}).String())
	if err == nil && write {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func (*sqliteDialect) gorm(db *sql.DB) gorm.Dialector { return &sqlite.Dialector{Conn: db} }

func (*sqliteDialect) name() string       { return dialectSQLite }
func (*sqliteDialect) maxParams() int     { return 32766 }
func (*sqliteDialect) lockClause() string { return "" }

func (*sqliteDialect) conflict(keys, update []string) string { return standardConflict(keys, update) }

func (d *sqliteDialect) close() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close() // which releases it
}

// insert runs one prepared statement per row: there is no server to wait for.
func (*sqliteDialect) insert(t *txn, table string, columns []string, rows [][]any) (err error) {
	if len(rows) == 0 {
		return nil
	}
	query := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Repeat("?, ", len(columns)-1) + "?)"
	ctx := t.db.Statement.Context
	stmt, err := t.db.Statement.ConnPool.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	for _, row := range rows {
		if _, err := stmt.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return nil
}

func (*sqliteDialect) byUID(t *txn, table, columns string, cluster int64, uids []string, scan func(*sql.Rows) error) error {
	return uidsIn(t, table, columns, cluster, uids, scan)
}

func (*sqliteDialect) version(_ context.Context, db *gorm.DB) (string, error) {
	var v string
	err := first(db, "SELECT sqlite_version()", nil, &v)
	return v, err
}

func (d *sqliteDialect) size(context.Context, *gorm.DB) (int64, error) {
	var total int64
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(d.path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		if err == nil {
			total += info.Size()
		}
	}
	return total, nil
}

// migrationLock has nothing to do: the lock on the file is held already.
func (d *sqliteDialect) migrationLock(context.Context, *sql.Conn) (func() error, error) {
	if d.lock == nil {
		return nil, errors.New("the store is open for reading only")
	}
	return func() error { return nil }, nil
}

func (*sqliteDialect) migrate(ctx context.Context, conn *sql.Conn, script string, record func(*sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err = tx.ExecContext(ctx, script); err == nil {
		err = record(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// sqliteVerdicts is by primary result code.
var sqliteVerdicts = map[int]verdict{
	5:  {retry: true, reason: history.UnavailableBusy}, // SQLITE_BUSY
	6:  {retry: true, reason: history.UnavailableBusy}, // SQLITE_LOCKED
	8:  {reason: history.UnavailableReadOnly},
	10: {reason: history.UnavailableDamaged}, // SQLITE_IOERR
	11: {reason: history.UnavailableDamaged}, // SQLITE_CORRUPT
	13: {reason: history.UnavailableDiskFull},
	14: {reason: history.UnavailableAccess}, // SQLITE_CANTOPEN
	23: {reason: history.UnavailableAccess}, // SQLITE_AUTH
	26: {reason: history.UnavailableDamaged},
}

func (*sqliteDialect) classify(err error) verdict {
	e, ok := errors.AsType[*gosqlite.Error](err)
	if !ok {
		return verdict{}
	}
	if v, known := sqliteVerdicts[e.Code()&0xff]; known {
		return v
	}
	if strings.Contains(e.Error(), "no such table") {
		return verdict{reason: history.UnavailableSchema}
	}
	return verdict{}
}
