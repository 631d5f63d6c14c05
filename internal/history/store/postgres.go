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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
)

// Keys of advisory locks; any number that nobody else uses will do.
const (
	lockMigrations = 0x61746c01
	lockPartitions = 0x61746c02
)

type pgDialect struct {
	config *pgx.ConnConfig
	places *places
}

func openPostgres(a address) (*pgDialect, error) {
	config, err := pgx.ParseConfig(a.url.String())
	if err != nil {
		// The error may show parts of the DSN.
		return nil, errors.New("parsing the history DSN: it is no valid Postgres URL; check the host, the port and the parameters")
	}
	for key, value := range map[string]string{
		"application_name": "atlhyper", "lock_timeout": "5s", "statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s",
	} {
		if _, set := config.RuntimeParams[key]; !set {
			config.RuntimeParams[key] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	return &pgDialect{config: config, places: newPlaces()}, nil
}

func (d *pgDialect) pool() *sql.DB { return stdlib.OpenDB(*d.config) }

func (*pgDialect) gorm(db *sql.DB) gorm.Dialector {
	return postgres.New(postgres.Config{Conn: db})
}

func (*pgDialect) name() string       { return dialectPostgres }
func (*pgDialect) maxParams() int     { return 65535 }
func (*pgDialect) lockClause() string { return " FOR UPDATE" }
func (*pgDialect) close() error       { return nil }

func (*pgDialect) conflict(keys, update []string) string { return standardConflict(keys, update) }

// insert copies rows in through the connection beneath the transaction, which is
// several times faster than any INSERT.
func (*pgDialect) insert(t *txn, table string, columns []string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	ctx := t.db.Statement.Context
	return t.conn.Raw(func(c any) error {
		conn, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("copying into %s: the driver's connection is a %T", table, c)
		}
		_, err := conn.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
		return err
	})
}

// byUID joins with the list. Postgres compares a list of parameters one by one when
// it knows too little of a table to use the index, which is so while it is filled
// for the first time.
func (*pgDialect) byUID(t *txn, table, columns string, cluster int64, uids []string, scan func(*sql.Rows) error) error {
	if len(uids) == 0 {
		return nil
	}
	rows, err := t.db.Statement.ConnPool.QueryContext(t.db.Statement.Context,
		"SELECT "+columns+" FROM unnest($2::text[]) AS wanted (id) JOIN "+table+" ON cluster_id = $1 AND uid = wanted.id COLLATE \"C\"", cluster, uids)
	if err != nil {
		return err
	}
	return scanAll(rows, scan)
}

func (*pgDialect) version(_ context.Context, db *gorm.DB) (string, error) {
	var v string
	err := first(db, "SELECT current_setting('server_version')", nil, &v)
	return v, err
}

func (*pgDialect) size(_ context.Context, db *gorm.DB) (int64, error) {
	var n int64
	err := first(db, "SELECT pg_database_size(current_database())", nil, &n)
	return n, err
}

func (*pgDialect) migrationLock(ctx context.Context, conn *sql.Conn) (func() error, error) {
	// Other programs may migrate for longer than lock_timeout.
	if _, err := conn.ExecContext(ctx, "SET lock_timeout = '120s'"); err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockMigrations); err != nil {
		return nil, err
	}
	return func() error {
		ctx := context.WithoutCancel(ctx)
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", lockMigrations)
		_, err2 := conn.ExecContext(ctx, "RESET lock_timeout")
		return errors.Join(err, err2)
	}, nil
}

func (*pgDialect) migrate(ctx context.Context, conn *sql.Conn, script string, record func(*sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = conn.Raw(func(c any) error {
		// The simple protocol takes several statements at once.
		_, err := c.(*stdlib.Conn).Conn().PgConn().Exec(ctx, script).ReadAll() //nolint:forcetypeassert // our own pool
		return err
	})
	if err == nil {
		err = record(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// pgVerdicts is by SQLSTATE, or by its class of two characters.
var pgVerdicts = map[string]verdict{
	"40001": {retry: true}, // serialization_failure
	"40P01": {retry: true}, // deadlock_detected
	"23505": {retry: true}, // unique_violation: somebody else was first
	"23514": {retry: true}, // check_violation: no partition for the row, see places
	"55000": {retry: true}, // object_not_in_prerequisite_state: somebody else detaches a partition
	"53100": {reason: history.UnavailableDiskFull},
	"53200": {reason: history.UnavailableBusy},
	"53300": {reason: history.UnavailableTooMany},
	"53":    {reason: history.UnavailableBusy},
	"55P03": {reason: history.UnavailableBusy},
	"57014": {reason: history.UnavailableBusy}, // statement_timeout
	"25006": {reason: history.UnavailableReadOnly},
	"25P03": {reason: history.UnavailableBusy},
	"28":    {reason: history.UnavailableAccess},
	"3D000": {reason: history.UnavailableAccess},
	"42P01": {reason: history.UnavailableSchema},
	"08":    {reason: history.UnavailableConnection},
	"57":    {reason: history.UnavailableConnection},
	"58":    {reason: history.UnavailableDamaged},
	"XX":    {reason: history.UnavailableDamaged},
}

func (d *pgDialect) classify(err error) verdict {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if pg.Code == "23514" {
			if !strings.Contains(pg.Message, "no partition") {
				return verdict{}
			}
			d.places.forget()
		}
		for _, code := range []string{pg.Code, pg.Code[:min(2, len(pg.Code))]} {
			if v, known := pgVerdicts[code]; known {
				return v
			}
		}
		return verdict{}
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || pgconn.Timeout(err) {
		return verdict{reason: history.UnavailableConnection}
	}
	if strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "connection reset") {
		return verdict{reason: history.UnavailableConnection}
	}
	return verdict{}
}
