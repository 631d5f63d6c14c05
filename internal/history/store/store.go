// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/atlhyper/atlhyper/internal/history"
)

// Options are how a store is opened.
type Options struct {
	// Now is the hub's clock; time.Now when nil.
	Now func() time.Time
	// Retention is what is kept; history.DefaultRetention when zero.
	Retention history.Retention
	// ReadOnly opens the store for a program that only reads, such as the
	// dashboard. It may run beside the hub on the same SQLite file. Writing is
	// an error, and nothing is migrated.
	ReadOnly bool
	// Connections is how many connections to open at most; 10 when zero.
	Connections int
}

// Store is the history. It is safe for use by several goroutines.
type Store struct {
	d         dialect
	write     *gorm.DB
	read      *gorm.DB
	pools     []*sql.DB
	now       func() time.Time
	retention history.Retention
	readOnly  bool
	dict      *dictionary
	fan       *fan
	stop      context.CancelFunc
	closing   sync.Once
}

var _ history.Store = (*Store)(nil)

// Open connects to the database that the DSN names and checks that it answers. It
// does not migrate: see Migrate. The errors are *history.UnavailableError,
// history.ErrLocked, or say what is wrong with the DSN; none shows the password.
// The caller has to Close the store.
func Open(ctx context.Context, dsn string, options Options) (_ *Store, err error) {
	a, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Retention == (history.Retention{}) {
		options.Retention = history.DefaultRetention()
	}
	if err := options.Retention.Check(); err != nil {
		return nil, err
	}
	if options.Connections == 0 {
		options.Connections = 10
	}
	s := &Store{now: options.Now, retention: options.Retention, readOnly: options.ReadOnly, dict: newDictionary(), fan: newFan()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.open(ctx, a, options); err != nil {
		if s.d != nil {
			err = wrap(s.d, "opening the history", err)
		}
		return nil, err
	}
	if options.ReadOnly {
		return s, nil
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.startTelling(background)
	return s, nil
}

func (s *Store) open(ctx context.Context, a address, options Options) error {
	switch a.dialect {
	case dialectSQLite:
		return s.openSQLite(ctx, a, options)
	case dialectMySQL:
		d, err := openMySQL(a)
		if err != nil {
			return err
		}
		s.d = d
		pool, err := d.pool()
		if err != nil {
			return err
		}
		return s.connect(ctx, pool, options, d.gorm)
	default:
		d, err := openPostgres(a)
		if err != nil {
			return err
		}
		s.d = d
		return s.connect(ctx, d.pool(), options, d.gorm)
	}
}

// connect uses one pool for reading and writing.
func (s *Store) connect(ctx context.Context, pool *sql.DB, options Options, g func(*sql.DB) gorm.Dialector) error {
	s.pools = append(s.pools, pool)
	pool.SetMaxOpenConns(options.Connections)
	pool.SetMaxIdleConns(options.Connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := pool.PingContext(ctx); err != nil {
		return err
	}
	db, err := gorm.Open(g(pool), gormConfig())
	s.write, s.read = db, db
	return err
}

func (s *Store) openSQLite(ctx context.Context, a address, options Options) error {
	d, err := openSQLite(a.path, options.ReadOnly)
	if err != nil {
		return err
	}
	s.d = d
	for _, write := range []bool{true, false} {
		if write && options.ReadOnly {
			continue
		}
		pool, err := d.pool(write)
		if err != nil {
			return err
		}
		s.pools = append(s.pools, pool)
		if err := pool.PingContext(ctx); err != nil {
			return err
		}
		db, err := gorm.Open(d.gorm(pool), gormConfig())
		if err != nil {
			return err
		}
		if write {
			s.write = db
			continue
		}
		pool.SetMaxOpenConns(min(options.Connections, 4))
		s.read = db
	}
	if options.ReadOnly {
		s.write = s.read
	}
	return nil
}

// gormConfig keeps gorm to what is asked of it: no transaction around single
// statements, and no log, which would show values.
func gormConfig() *gorm.Config {
	return &gorm.Config{SkipDefaultTransaction: true, DisableAutomaticPing: true, Logger: logger.Discard}
}

// Close stops what the store runs in the background and closes its connections.
// Closing again does nothing.
func (s *Store) Close() (err error) {
	s.closing.Do(func() { err = s.shut() })
	return err
}

func (s *Store) shut() error {
	if s.stop != nil {
		s.stop()
	}
	s.fan.close()
	var errs []error
	for _, p := range s.pools {
		errs = append(errs, p.Close())
	}
	if s.d != nil {
		errs = append(errs, s.d.close())
	}
	return errors.Join(errs...)
}

// snapshot runs do on what the database holds at one moment.
func (s *Store) snapshot(ctx context.Context, do func(*gorm.DB) error) error {
	return s.read.WithContext(ctx).Transaction(do, s.repeatable())
}

// repeatable are the options of a transaction that sees one moment. SQLite's
// always do.
func (s *Store) repeatable() *sql.TxOptions {
	if s.d.name() == dialectSQLite {
		return &sql.TxOptions{}
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead}
}

// transact runs do in a transaction, again when it collides with another one.
func (s *Store) transact(ctx context.Context, do func(*txn) error, options ...*sql.TxOptions) error {
	if len(options) == 0 && s.d.name() == dialectMySQL {
		// What Postgres does by itself; MySQL's own default locks gaps.
		options = []*sql.TxOptions{{Isolation: sql.LevelReadCommitted}}
	}
	if s.readOnly {
		return &history.UnavailableError{Reason: history.UnavailableReadOnly, Err: errors.New("the store is open for reading only")}
	}
	for attempt := 1; ; attempt++ {
		err := s.write.WithContext(ctx).Connection(func(c *gorm.DB) error {
			conn, ok := c.Statement.ConnPool.(*sql.Conn)
			if !ok {
				return fmt.Errorf("beginning a transaction: gorm's connection is a %T", c.Statement.ConnPool)
			}
			return c.Transaction(func(tx *gorm.DB) error {
				return do(&txn{db: tx, conn: conn, d: s.d})
			}, options...)
		})
		if err == nil || attempt == attempts || !judge(s.d, err).retry {
			return err
		}
		timer := time.NewTimer(time.Duration(attempt*attempt) * 5 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
