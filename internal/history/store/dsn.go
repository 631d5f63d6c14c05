// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// address is a parsed DSN.
type address struct {
	dialect string
	// url is set for Postgres and MySQL.
	url *url.URL
	// path is set for SQLite.
	path string
}

// parseDSN chooses the dialect by the scheme. Its errors never show the DSN: it
// contains a password.
func parseDSN(dsn string) (address, error) {
	scheme, rest, ok := strings.Cut(dsn, "://")
	if !ok {
		return address{}, errors.New("parsing the history DSN: it has no scheme; use sqlite:///path, postgres://... or mysql://")
	}
	switch strings.ToLower(scheme) {
	case "sqlite", "sqlite3", "file":
		path, query, _ := strings.Cut(rest, "?")
		if !filepath.IsAbs(path) {
			return address{}, errors.New("parsing the history DSN: SQLite needs an absolute path: sqlite:///var/lib/atlhyper/history.db")
		}
		if query != "" {
			return address{}, errors.New("parsing the history DSN: SQLite takes no parameters after the path")
		}
		return address{dialect: dialectSQLite, path: filepath.Clean(path)}, nil
	case "postgres", "postgresql":
		u, err := parseURL(dsn)
		return address{dialect: dialectPostgres, url: u}, err
	case "mysql", "mariadb":
		u, err := parseURL(dsn)
		return address{dialect: dialectMySQL, url: u}, err
	}
	if len(scheme) > 20 {
		scheme = scheme[:20] + "..."
	}
	return address{}, fmt.Errorf("parsing the history DSN: the scheme %q is unknown; use sqlite, postgres or mysql", scheme)
}

func parseURL(dsn string) (*url.URL, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("parsing the history DSN: it is no valid URL; characters such as @ / : # % in the password have to be percent-encoded")
	}
	if strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("parsing the history DSN: it names no database after the host")
	}
	return u, nil
}

// CheckDSN says what is wrong with a DSN, as far as that can be told without
// connecting. Its errors do not show it.
func CheckDSN(dsn string) error {
	_, err := parseDSN(dsn)
	return err
}

// Redact returns the DSN for people to read: without its password.
func Redact(dsn string) string {
	a, err := parseDSN(dsn)
	switch {
	case err != nil:
		return "(invalid)"
	case a.url == nil:
		return "sqlite://" + a.path
	}
	u := url.URL{Scheme: a.dialect, Host: a.url.Host, Path: a.url.Path}
	if a.url.User != nil {
		u.User = url.User(a.url.User.Username())
	}
	return u.String()
}
