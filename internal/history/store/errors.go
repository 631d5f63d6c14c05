// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/atlhyper/atlhyper/internal/history"
)

// verdict is what an error of a driver means.
type verdict struct {
	// retry: the transaction collided with another one and may work at once.
	retry bool
	// reason is set when the database cannot do it now.
	reason history.UnavailableReason
}

// attempts is how often a transaction that collides is run.
const attempts = 4

// wrap says what was being done, and turns what the driver says into the errors of
// the ports. An error of the ports, and that of an ended context, stay what they
// are.
func wrap(d dialect, doing string, err error) error {
	if err == nil {
		return nil
	}
	v := judge(d, err)
	if v.retry && v.reason == "" {
		v.reason = history.UnavailableBusy
	}
	if v.reason != "" {
		err = &history.UnavailableError{Reason: v.reason, Err: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func judge(d dialect, err error) verdict {
	switch {
	case ours(err), errors.Is(err, context.Canceled):
		return verdict{}
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return verdict{reason: history.UnavailableConnection}
	}
	if v := d.classify(err); v != (verdict{}) {
		return v
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return verdict{reason: history.UnavailableConnection}
	}
	return verdict{}
}

// ours reports whether an error is one of the ports already.
func ours(err error) bool {
	for _, target := range []error{
		history.ErrNotFound, history.ErrUnavailable, history.ErrInvalidQuery, history.ErrInvalidBatch, history.ErrContentMismatch,
		history.ErrSchemaTooNew, history.ErrLocked,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	_, gap := errors.AsType[*history.GapError](err)
	return gap
}
