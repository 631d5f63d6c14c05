// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"gorm.io/gorm"
)

const (
	dialectPostgres = "postgres"
	dialectSQLite   = "sqlite"
	dialectMySQL    = "mysql"
)

// dialect is what databases do differently.
type dialect interface {
	writer
	describer
	keeper
	// classify says what an error of the driver means.
	classify(err error) verdict
	// close ends what the dialect holds besides the pools.
	close() error
}

// writer is how a database takes rows.
type writer interface {
	// insert adds many rows that are known not to be there.
	insert(t *txn, table string, columns []string, rows [][]any) error
	// byUID reads columns of the rows of a cluster with one of the UIDs.
	byUID(t *txn, table, columns string, cluster int64, uids []string, scan func(*sql.Rows) error) error
	// conflict is the end of an INSERT that updates columns, or does nothing
	// when there are none, for rows whose keys are there already.
	conflict(keys, update []string) string
	// maxParams is how many parameters a statement takes.
	maxParams() int
	// lockClause is the end of a SELECT that locks its rows.
	lockClause() string
}

// describer tells about a database.
type describer interface {
	name() string
	version(ctx context.Context, db *gorm.DB) (string, error)
	size(ctx context.Context, db *gorm.DB) (int64, error)
}

// keeper is how a database is kept in shape.
type keeper interface {
	// migrationLock takes a lock that all programs on this database respect and
	// returns what releases it.
	migrationLock(ctx context.Context, conn *sql.Conn) (func() error, error)
	// migrate runs the statements of one migration and then record.
	migrate(ctx context.Context, conn *sql.Conn, script string, record func(*sql.Tx) error) error
	// ensure makes sure that there is a place for rows of these days.
	ensure(ctx context.Context, db *gorm.DB, days []slot) (int, error)
	// expire removes what lies wholly before the limit.
	expire(ctx context.Context, db *gorm.DB, e expiry) (expired, error)
}

// txn is a transaction.
type txn struct {
	db   *gorm.DB
	conn *sql.Conn
	d    dialect
}

// exec runs a statement with ? for parameters.
func (t *txn) exec(query string, args ...any) error { return t.db.Exec(query, args...).Error }

// affected runs a statement and returns how many rows it changed.
func (t *txn) affected(query string, args ...any) (int64, error) {
	r := t.db.Exec(query, args...)
	return r.RowsAffected, r.Error
}

// insertMany adds rows by statements of many rows each, with the given ending.
func (t *txn) insertMany(table string, columns []string, rows [][]any, ending string) error {
	const most = 256
	size := min(most, t.d.maxParams()/len(columns))
	for len(rows) > 0 {
		n := min(size, len(rows))
		// Few sizes of statements, so that prepared ones are used again.
		if n < size {
			n = 1 << (bitLen(n) - 1)
		}
		var query strings.Builder
		query.WriteString("INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES ")
		args := make([]any, 0, n*len(columns))
		one := "(" + strings.Repeat("?, ", len(columns)-1) + "?)"
		for i, row := range rows[:n] {
			if i > 0 {
				query.WriteString(", ")
			}
			query.WriteString(one)
			args = append(args, row...)
		}
		query.WriteString(ending)
		if err := t.exec(query.String(), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func bitLen(n int) int {
	bits := 0
	for ; n > 0; n >>= 1 {
		bits++
	}
	return bits
}

// upsert adds rows, of which no two have the same keys, or updates columns of
// those that are there.
func (t *txn) upsert(table string, columns, keys, update []string, rows [][]any) error {
	return t.insertMany(table, columns, rows, t.d.conflict(keys, update))
}

// inBatches calls do with up to 512 values at a time. Short lists are filled up
// with their last value to a power of two, so that prepared statements are used
// again.
func inBatches[T any](values []T, do func([]T) error) error {
	const most = 512
	for len(values) > 0 {
		n := min(most, len(values))
		part := values[:n:n]
		if size := 1 << bitLen(n-1); size > n {
			for len(part) < size {
				part = append(part, part[n-1])
			}
		}
		if err := do(part); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// standardConflict is the ending that Postgres and SQLite share.
func standardConflict(keys, update []string) string {
	ending := " ON CONFLICT (" + strings.Join(keys, ", ") + ") DO "
	if len(update) == 0 {
		return ending + "NOTHING"
	}
	sets := make([]string, len(update))
	for i, c := range update {
		sets[i] = c + " = excluded." + c
	}
	return ending + "UPDATE SET " + strings.Join(sets, ", ")
}

var errNoRows = errors.New("no rows")

// first scans the only row of a query into dest, or returns errNoRows.
func first(db *gorm.DB, query string, args []any, dest ...any) (err error) {
	rows, err := db.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return errNoRows
	}
	return rows.Scan(dest...)
}

// uidsIn is byUID for databases that look each value of a list up in an index.
func uidsIn(t *txn, table, columns string, cluster int64, uids []string, scan func(*sql.Rows) error) error {
	return inBatches(uids, func(part []string) error {
		return each(t.db, "SELECT "+columns+" FROM "+table+" WHERE cluster_id = ? AND uid IN ?", []any{cluster, part}, scan)
	})
}

// each calls scan for every row of a query.
func each(db *gorm.DB, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := db.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	return scanAll(rows, scan)
}

func scanAll(rows *sql.Rows, scan func(*sql.Rows) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
