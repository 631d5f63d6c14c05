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

	"github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
)

type mysqlDialect struct{ config *mysql.Config }

// mysqlParams are the parameters that the URL may have.
var mysqlParams = map[string]bool{"tls": true, "timeout": true, "readTimeout": true, "writeTimeout": true}

func openMySQL(a address) (*mysqlDialect, error) {
	config := mysql.NewConfig()
	config.User = a.url.User.Username()
	config.Passwd, _ = a.url.User.Password()
	config.Net, config.Addr = "tcp", a.url.Host
	if a.url.Port() == "" {
		config.Addr = a.url.Hostname() + ":3306"
	}
	config.DBName = strings.Trim(a.url.Path, "/")
	config.Timeout, config.ReadTimeout, config.WriteTimeout = 5*time.Second, 60*time.Second, 60*time.Second
	config.ClientFoundRows = true
	config.Collation = "utf8mb4_bin"
	config.Params = map[string]string{
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'",
		"innodb_lock_wait_timeout": "5",
		"time_zone":                "'+00:00'",
	}
	for key, values := range a.url.Query() {
		if !mysqlParams[key] {
			return nil, fmt.Errorf("parsing the history DSN: the parameter %q is unknown for MySQL; tls, timeout, readTimeout and writeTimeout are", key)
		}
		var err error
		switch value := values[len(values)-1]; key {
		case "tls":
			config.TLSConfig = value
		case "timeout":
			config.Timeout, err = time.ParseDuration(value)
		case "readTimeout":
			config.ReadTimeout, err = time.ParseDuration(value)
		case "writeTimeout":
			config.WriteTimeout, err = time.ParseDuration(value)
		}
		if err != nil {
			return nil, fmt.Errorf("parsing the history DSN: the parameter %q is no duration such as 5s", key)
		}
	}
	return &mysqlDialect{config: config}, nil
}

func (d *mysqlDialect) pool() (*sql.DB, error) {
	connector, err := mysql.NewConnector(d.config)
	if err != nil {
		return nil, errors.New("opening the history: the MySQL settings do not fit together; check tls")
	}
	return sql.OpenDB(connector), nil
}

func (*mysqlDialect) gorm(db *sql.DB) gorm.Dialector {
	return gormmysql.New(gormmysql.Config{Conn: db, SkipInitializeWithVersion: true})
}

func (*mysqlDialect) name() string       { return dialectMySQL }
func (*mysqlDialect) maxParams() int     { return 65535 }
func (*mysqlDialect) lockClause() string { return " FOR UPDATE" }
func (*mysqlDialect) close() error       { return nil }

func (*mysqlDialect) conflict(keys, update []string) string {
	if len(update) == 0 {
		return " ON DUPLICATE KEY UPDATE " + keys[0] + " = " + keys[0]
	}
	sets := make([]string, len(update))
	for i, c := range update {
		sets[i] = c + " = VALUES(" + c + ")"
	}
	return " ON DUPLICATE KEY UPDATE " + strings.Join(sets, ", ")
}

func (*mysqlDialect) insert(t *txn, table string, columns []string, rows [][]any) error {
	return t.insertMany(table, columns, rows, "")
}

func (*mysqlDialect) byUID(t *txn, table, columns string, cluster int64, uids []string, scan func(*sql.Rows) error) error {
	return uidsIn(t, table, columns, cluster, uids, scan)
}

func (*mysqlDialect) version(_ context.Context, db *gorm.DB) (string, error) {
	var v string
	err := first(db, "SELECT version()", nil, &v)
	return v, err
}

func (*mysqlDialect) size(_ context.Context, db *gorm.DB) (int64, error) {
	var n int64
	err := first(db, "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) FROM information_schema.tables WHERE table_schema = DATABASE()", nil, &n)
	return n, err
}

func (*mysqlDialect) migrationLock(ctx context.Context, conn *sql.Conn) (func() error, error) {
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT('atlhyper.', DATABASE()), 120)").Scan(&got); err != nil {
		return nil, err
	}
	if got.Int64 != 1 {
		return nil, &history.UnavailableError{Reason: history.UnavailableBusy, Err: errors.New("another program has been migrating for two minutes")}
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), "SELECT RELEASE_LOCK(CONCAT('atlhyper.', DATABASE()))")
		return err
	}, nil
}

// migrate runs one statement after the other. MySQL commits each, so a migration
// that was interrupted finds some things there when it is run again.
func (*mysqlDialect) migrate(ctx context.Context, conn *sql.Conn, script string, record func(*sql.Tx) error) error {
	for statement := range strings.SplitSeq(script, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		_, err := conn.ExecContext(ctx, statement)
		if e, ok := errors.AsType[*mysql.MySQLError](err); ok && (e.Number == 1050 || e.Number == 1061 || e.Number == 1359) {
			continue // the table, the index or the trigger exists
		}
		if err != nil {
			return err
		}
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := record(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

var mysqlVerdicts = map[uint16]verdict{
	1021: {reason: history.UnavailableDiskFull},
	1114: {reason: history.UnavailableDiskFull}, // the table is full
	1040: {reason: history.UnavailableTooMany},
	1203: {reason: history.UnavailableTooMany},
	1044: {reason: history.UnavailableAccess},
	1045: {reason: history.UnavailableAccess},
	1049: {reason: history.UnavailableAccess},
	1053: {reason: history.UnavailableConnection}, // the server shuts down
	1062: {retry: true},                           // somebody else was first
	1146: {reason: history.UnavailableSchema},
	1205: {reason: history.UnavailableBusy},
	1213: {retry: true}, // deadlock
	1290: {reason: history.UnavailableReadOnly},
	1792: {reason: history.UnavailableReadOnly},
	1836: {reason: history.UnavailableReadOnly},
	3024: {reason: history.UnavailableBusy},
}

func (*mysqlDialect) classify(err error) verdict {
	if errors.Is(err, mysql.ErrInvalidConn) {
		return verdict{reason: history.UnavailableConnection}
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return mysqlVerdicts[e.Number]
	}
	return verdict{}
}
