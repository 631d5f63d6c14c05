// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"fmt"
	"time"
)

// Bounds of queries.
const (
	// DefaultLimit is the size of a page when the query does not say.
	DefaultLimit = 100
	// MaxLimit is the size of the largest page.
	MaxLimit = 1000
	// MaxRange is the longest time range of a query.
	MaxRange = 401 * 24 * time.Hour
	// MaxFilter is how many values one filter may list.
	MaxFilter = 200
	// MaxCursor is the length of the longest cursor.
	MaxCursor = 4 << 10
)

// Range is a span of time: Start is in it, End is not.
type Range struct {
	// Start is the first moment.
	Start time.Time
	// End is the first moment after it.
	End time.Time
}

// Last returns the range of the given length that ends after now.
func Last(d time.Duration, now time.Time) Range {
	return Range{Start: now.Add(-d), End: now.Add(time.Millisecond)}
}

// Duration of the range.
func (r Range) Duration() time.Duration { return r.End.Sub(r.Start) }

// Check returns an error that wraps ErrInvalidQuery when the range is empty,
// backwards, before 1970, or longer than MaxRange.
func (r Range) Check() error {
	switch {
	case r.Start.IsZero() || r.End.IsZero():
		return fmt.Errorf("%w: the time range needs a start and an end", ErrInvalidQuery)
	case r.Start.UnixMilli() < 0:
		return fmt.Errorf("%w: the time range begins before 1970", ErrInvalidQuery)
	case !r.End.After(r.Start):
		return fmt.Errorf("%w: the time range ends before it begins", ErrInvalidQuery)
	case r.Duration() > MaxRange:
		return fmt.Errorf("%w: the time range is longer than %d days", ErrInvalidQuery, int(MaxRange.Hours()/24))
	}
	return nil
}

// Paging asks for one page.
type Paging struct {
	// Limit is the size of the page, at most MaxLimit; 0 means DefaultLimit.
	Limit int
	// Cursor continues after the page that returned it; empty for the first
	// page. It is opaque and belongs to the query it came from.
	Cursor string
}

// Size returns the size of the page, or an error that wraps ErrInvalidQuery.
func (p Paging) Size() (int, error) {
	switch {
	case p.Limit < 0 || p.Limit > MaxLimit:
		return 0, fmt.Errorf("%w: a limit of %d is not from 1 to %d", ErrInvalidQuery, p.Limit, MaxLimit)
	case len(p.Cursor) > MaxCursor:
		return 0, fmt.Errorf("%w: the cursor is longer than %d bytes", ErrInvalidQuery, MaxCursor)
	case p.Limit == 0:
		return DefaultLimit, nil
	}
	return p.Limit, nil
}

// Page is part of a result.
type Page[T any] struct {
	// Items of the page.
	Items []T
	// Next is the cursor of the next page; empty when this is the last one.
	Next string
}
