// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const redacted = "[redacted]"

// redactedError says what another error says, without what is secret. It does not
// unwrap to it, so that nobody prints the original by accident.
type redactedError struct {
	text string
	err  error
}

// Error returns the text without secrets.
func (e *redactedError) Error() string { return e.text }

// Is reports what the original error is.
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }

// redact takes the DSN, and the passwords in it, out of an error. It looks for
// them in every form in which drivers and parsers quote them.
func redact(err error, dsn string) error {
	if err == nil || dsn == "" {
		return err
	}
	text := err.Error()
	for _, secret := range secrets(dsn) {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	if text == err.Error() {
		return err
	}
	return &redactedError{text: text, err: err}
}

// parameter is a password that is given as a parameter: of a URL's query, or in
// the form "host=db password='a b'".
var parameter = regexp.MustCompile(`(?i)\w*password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&;]+))`)

// secrets returns what must not be shown of a DSN, the longest form first.
func secrets(dsn string) []string {
	scheme, rest, ok := strings.Cut(dsn, "://")
	if !ok {
		rest = dsn
	}
	if strings.EqualFold(scheme, "sqlite") || strings.EqualFold(scheme, "file") {
		return nil // a path, which people need to see
	}
	var raw []string
	// A password may contain any character, also those that should have been encoded:
	// it reaches from the first colon to the last at-sign.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if _, password, ok := strings.Cut(rest[:at], ":"); ok {
			raw = append(raw, password)
		}
	}
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			raw = append(raw, password)
		}
	}
	for _, m := range parameter.FindAllStringSubmatch(rest, -1) {
		raw = append(raw, m[1]+m[2])
	}
	all := []string{dsn, quoted(dsn)}
	for _, s := range raw {
		if s == "" {
			continue
		}
		all = append(all, s, quoted(s), url.QueryEscape(s), url.PathEscape(s), url.UserPassword("", s).String()[1:])
		if plain, err := url.PathUnescape(s); err == nil {
			all = append(all, plain, quoted(plain))
		}
		if plain, err := url.QueryUnescape(s); err == nil {
			all = append(all, plain, quoted(plain))
		}
	}
	return all
}

// quoted returns a string as %q shows it, without the quotes.
func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
