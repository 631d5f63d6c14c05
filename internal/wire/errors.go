// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"errors"
	"fmt"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Limits of a batch. Each is checked before the memory is allocated.
const (
	// MaxBody is the largest body (compressed payload), in bytes.
	MaxBody = 4 << 20
	// MaxPayload is the largest payload (after decompression), in bytes.
	MaxPayload = 32 << 20
	// MaxRatio is how many times larger than its body a payload may be.
	MaxRatio = 100
	// MaxTable is the largest number of entries of the dictionary and of each
	// other table of a payload.
	MaxTable = 1 << 18
	// MaxElements is the largest sum of the lengths of all lists (labels,
	// attributes, series, values, buckets) of a payload. An element takes up to
	// 32 bytes of memory. A small batch may have fewer: MaxRatio for each byte
	// of its body, and what the largest node sample has besides.
	MaxElements = 2 << 20
	// MaxRecords is the largest number of records of a batch.
	MaxRecords = telemetry.MaxRecords
	// MaxString is the longest string, in bytes.
	MaxString = telemetry.MaxString
)

var (
	// ErrMalformed says that bytes are not what the format calls for.
	ErrMalformed = errors.New("malformed batch")
	// ErrChecksum says that bytes changed on the way. Sending them again may help.
	ErrChecksum = errors.New("checksum of the batch does not match")
	// ErrTooLarge is what every *LimitError wraps.
	ErrTooLarge = errors.New("batch too large")
	// ErrVersion is what every *VersionError wraps.
	ErrVersion = errors.New("version of the batch format not supported")
)

// Limit names one of the limits.
type Limit string

// The limits.
const (
	// LimitBody is MaxBody, in bytes.
	LimitBody Limit = "body"
	// LimitPayload is MaxPayload, in bytes.
	LimitPayload Limit = "payload"
	// LimitRatio is MaxRatio.
	LimitRatio Limit = "ratio"
	// LimitRecords is MaxRecords.
	LimitRecords Limit = "records"
	// LimitTable is MaxTable.
	LimitTable Limit = "table"
	// LimitElements is MaxElements, or less for small bodies.
	LimitElements Limit = "elements"
	// LimitString is MaxString, in bytes.
	LimitString Limit = "string"
	// LimitRecord is the stream's MaxRecordBytes.
	LimitRecord Limit = "record"
)

// LimitError says which limit is exceeded. An encoder's caller halves the batch;
// a hub answers 413.
type LimitError struct {
	// Limit is the limit.
	Limit Limit
	// Max is its value.
	Max uint64
	// Got is what was found, or declared, and is more.
	Got uint64
}

// Error names the limit, its value and what was found.
func (e *LimitError) Error() string {
	return fmt.Sprintf("batch too large: %s is %d, at most %d is allowed", e.Limit, e.Got, e.Max)
}

// Unwrap returns ErrTooLarge.
func (*LimitError) Unwrap() error { return ErrTooLarge }

// VersionError says that a batch has another version than this package reads.
type VersionError struct {
	// Got is the version of the batch.
	Got uint8
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("version %d of the batch format is not supported, only version %d is", e.Got, Version)
}

// Unwrap returns ErrVersion.
func (*VersionError) Unwrap() error { return ErrVersion }

// RecordError says which record of a batch cannot be encoded. The agent replaces
// it by a gap.
type RecordError struct {
	// Index of the record in the batch.
	Index int
	// Err wraps telemetry.ErrInvalid or is a *LimitError.
	Err error
}

// Error names the record and the reason.
func (e *RecordError) Error() string { return fmt.Sprintf("encoding record %d: %v", e.Index, e.Err) }

// Unwrap returns the reason.
func (e *RecordError) Unwrap() error { return e.Err }

// elementsFor is how many elements a body of so many bytes may have: a few bytes
// that say much must not cost much.
func elementsFor(body int) int {
	return min(MaxElements, 2*telemetry.MaxValues+MaxRatio*body)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// within returns a *LimitError when got is more than limit.
func within[N int | uint64](name Limit, got, limit N) error {
	if got > limit {
		return &LimitError{Limit: name, Max: uint64(limit), Got: uint64(got)}
	}
	return nil
}
