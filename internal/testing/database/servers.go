// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	"github.com/jackc/pgx/v5"
)

// Postgres starts a Postgres server with the given settings, such as
// "max_connections=20", on top of defaults that keep what a commit promises. The
// caller has to Close it.
func Postgres(ctx context.Context, settings ...string) (*Server, error) {
	return PostgresIn(ctx, "", settings...)
}

// PostgresIn is Postgres with its folder inside another one, such as a disk of its
// own.
func PostgresIn(ctx context.Context, parent string, settings ...string) (_ *Server, err error) {
	bin, err := binaries(ctx, "postgres")
	if err != nil {
		return nil, err
	}
	dir, as, err := prepare(parent, "postgres")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, scheme: "postgres"}
	defer func() { err = cleanUp(s, err) }()
	data := filepath.Join(dir, "data")
	path, args := as(filepath.Join(bin, "initdb"), "-D", data, "-U", "atlhyper", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initialising Postgres: %w\n%s", err, out)
	}
	if s.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	args = []string{"-D", data, "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", dir}
	for _, setting := range append([]string{"shared_buffers=128MB", "max_wal_size=1GB", "max_connections=60", "log_min_messages=warning"}, settings...) {
		args = append(args, "-c", setting)
	}
	s.path, s.args = as(filepath.Join(bin, "postgres"), args...)
	s.create = func(ctx context.Context, name string) error {
		conn, err := connectPostgres(ctx, s.dsn("postgres"))
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
		return errors.Join(err, conn.Close(ctx))
	}
	err = s.Start(ctx)
	return s, err
}

// connectPostgres tries again while the server says that it is starting up.
func connectPostgres(ctx context.Context, dsn string) (*pgx.Conn, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil || tries == 1200 {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// MariaDB starts a MariaDB server with the given settings, such as
// "max-connections=20". It takes any password. The caller has to Close it.
func MariaDB(ctx context.Context, settings ...string) (_ *Server, err error) {
	bin, err := binaries(ctx, "mariadb")
	if err != nil {
		return nil, err
	}
	dir, as, err := prepare("", "mariadb")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, scheme: "mysql"}
	defer func() { err = cleanUp(s, err) }()
	path, args := as("/bin/mkdir", filepath.Join(dir, "data"))
	if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making MariaDB's folder: %w\n%s", err, out)
	}
	if s.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	args = []string{
		"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--skip-grant-tables", "--skip-networking=0", "--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(s.port), "--socket=" + filepath.Join(dir, "socket"), "--innodb-buffer-pool-size=64M",
	}
	for _, setting := range settings {
		args = append(args, "--"+setting)
	}
	s.path, s.args = as(filepath.Join(bin, "mariadbd"), args...)
	s.create = func(ctx context.Context, name string) error {
		db, err := sql.Open("mysql", fmt.Sprintf("root:secret@tcp(127.0.0.1:%d)/", s.port))
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
		return errors.Join(err, db.Close())
	}
	err = s.Start(ctx)
	return s, err
}

// cleanUp leaves nothing behind of a server that did not start.
func cleanUp(s *Server, err error) error {
	if err == nil {
		return nil
	}
	if s.process != nil {
		s.process.Kill()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
