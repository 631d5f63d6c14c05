// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound says that what was asked for is not stored.
	ErrNotFound = errors.New("not found in history")
	// ErrUnavailable says that the database cannot do it now and may later.
	// Callers answer 503 and try again; the error is an *UnavailableError.
	ErrUnavailable = errors.New("history is unavailable")
	// ErrInvalidQuery says that the query breaks a bound; trying again is useless.
	ErrInvalidQuery = errors.New("invalid history query")
	// ErrInvalidBatch says that the batch as a whole cannot be stored, such as one whose
	// sequence numbers have holes that nothing explains. Nothing was stored.
	ErrInvalidBatch = errors.New("invalid batch")
	// ErrContentMismatch says that a sequence number that is stored came again with
	// other content. Nothing was stored.
	ErrContentMismatch = errors.New("a stored sequence number came again with other content")
	// ErrSchemaTooNew says that the database was migrated by a newer version.
	ErrSchemaTooNew = errors.New("the database's schema is newer than this program")
	// ErrLocked says that another process owns the database, which allows for one only.
	ErrLocked = errors.New("the database is in use by another process")
)

// GapError says that records before the batch are missing. Nothing was stored.
type GapError struct {
	// Expected is the sequence number that the epoch continues with.
	Expected uint64
	// Got is the first one of the batch.
	Got uint64
}

// Error names both sequence numbers.
func (e *GapError) Error() string {
	return fmt.Sprintf("the batch begins at sequence number %d, %d is expected", e.Got, e.Expected)
}

// UnavailableReason says in one word why the database cannot do it now.
type UnavailableReason string

// The reasons.
const (
	// UnavailableConnection: nobody answers, or the connection broke.
	UnavailableConnection UnavailableReason = "ConnectionFailed"
	// UnavailableTooMany: the server takes no more connections.
	UnavailableTooMany UnavailableReason = "TooManyConnections"
	// UnavailableReadOnly: the server, or the file, takes no writes.
	UnavailableReadOnly UnavailableReason = "ReadOnly"
	// UnavailableDiskFull: there is no space left.
	UnavailableDiskFull UnavailableReason = "DiskFull"
	// UnavailableBusy: a lock or a statement took too long, or transactions
	// kept colliding.
	UnavailableBusy UnavailableReason = "Busy"
	// UnavailableAccess: the server refuses the credentials.
	UnavailableAccess UnavailableReason = "AccessDenied"
	// UnavailableDamaged: the file or its device is damaged.
	UnavailableDamaged UnavailableReason = "Damaged"
	// UnavailableSchema: the database has not been migrated yet.
	UnavailableSchema UnavailableReason = "NotMigrated"
)

// UnavailableError says why the database cannot do it now.
type UnavailableError struct {
	// Reason fits a condition.
	Reason UnavailableReason
	// Err is what the driver said, without credentials.
	Err error
}

// Error begins with the reason.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("history is unavailable (%s): %v", e.Reason, e.Err)
}

// Unwrap returns ErrUnavailable and the driver's error.
func (e *UnavailableError) Unwrap() []error { return []error{ErrUnavailable, e.Err} }
