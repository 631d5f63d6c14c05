// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/atlhyper/atlhyper/internal/history"
)

const (
	// MaxRows is the most rows that one run prints.
	MaxRows = 50_000
	// maxScanned is how many rows are read for filters that the store does not
	// apply itself.
	maxScanned = 100_000
	// minPage is the smallest page that is asked for when many clusters are read
	// side by side.
	minPage = 20
)

// errSamePage is what a store has done that would be read forever.
var errSamePage = errors.New("the store returned the cursor of the page that was asked for")

// fetch reads one page of one cluster.
type fetch[T any] func(ctx context.Context, cluster history.ClusterUID, paging history.Paging) (history.Page[T], error)

// feed reads a query of one cluster page by page, as far as it is asked for.
type feed[T any] struct {
	page   func(history.Paging) (history.Page[T], error)
	limit  int
	items  []T
	cursor string
	done   bool
}

// peek returns the next item, and false after the last one.
func (f *feed[T]) peek() (*T, bool, error) {
	for len(f.items) == 0 {
		if f.done {
			return nil, false, nil
		}
		page, err := f.page(history.Paging{Limit: f.limit, Cursor: f.cursor})
		if err != nil {
			return nil, false, err
		}
		if page.Next != "" && page.Next == f.cursor {
			return nil, false, errSamePage
		}
		f.items, f.cursor, f.done = page.Items, page.Next, page.Next == ""
	}
	return &f.items[0], true, nil
}

func (f *feed[T]) drop() { f.items = f.items[1:] }

// pageSize is one row more than is printed, to know whether there are more.
func (s *session) pageSize() int {
	if s.filtering {
		return history.MaxLimit
	}
	return min(s.limit+1, history.MaxLimit)
}

// feeds returns a feed for each cluster.
func feeds[T any](ctx context.Context, s *session, limit int, read fetch[T]) []*feed[T] {
	all := make([]*feed[T], len(s.clusters))
	for i, c := range s.clusters {
		all[i] = &feed[T]{limit: limit, page: func(p history.Paging) (history.Page[T], error) {
			page, err := read(ctx, c.uid, p)
			if err != nil {
				err = fmt.Errorf("reading cluster %s: %w", c.title(), err)
			}
			return page, err
		}}
	}
	return all
}

// inTurn yields what the clusters have, one cluster after the other.
func inTurn[T any](ctx context.Context, s *session, read fetch[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, f := range feeds(ctx, s, s.pageSize(), read) {
			if !f.drain(yield) {
				return
			}
		}
	}
}

// drain yields the rest of a feed and reports whether to go on.
func (f *feed[T]) drain(yield func(T, error) bool) bool {
	for {
		item, ok, err := f.peek()
		if err != nil {
			var none T
			yield(none, err)
			return false
		}
		if !ok {
			return true
		}
		if !yield(*item, nil) {
			return false
		}
		f.drop()
	}
}

// merged yields what the clusters have in one order, in which each cluster's own
// answer is sorted already. With many clusters the pages are small, for a page of
// each is held at once.
func merged[T any](ctx context.Context, s *session, read fetch[T], compare func(a, b T) int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		limit := s.pageSize()
		if n := len(s.clusters); n > 1 {
			limit = min(limit, max(minPage, 2*limit/n))
		}
		all := feeds(ctx, s, limit, read)
		for {
			var best *feed[T]
			var first *T
			for _, f := range all {
				item, ok, err := f.peek()
				if err != nil {
					var none T
					yield(none, err)
					return
				}
				if ok && (first == nil || compare(*item, *first) < 0) {
					best, first = f, item
				}
			}
			if best == nil || !yield(*first, nil) {
				return
			}
			best.drop()
		}
	}
}

// kept yields the rows that keep says yes to. It reads at most maxScanned rows and
// then leaves a note.
func kept[T any](s *session, rows iter.Seq2[T, error], keep func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		scanned := 0
		for row, err := range rows {
			if err == nil && scanned == maxScanned {
				s.notes = append(s.notes, fmt.Sprintf("Stopped after looking at %d rows: narrow the search by time, cluster or namespace.", maxScanned))
				return
			}
			scanned++
			if (err != nil || keep(row)) && !yield(row, err) {
				return
			}
		}
	}
}

// mapped yields what to makes of each row.
func mapped[T, V any](rows iter.Seq2[T, error], to func(T) V) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		for row, err := range rows {
			if err != nil {
				var none V
				yield(none, err)
				return
			}
			if !yield(to(row), nil) {
				return
			}
		}
	}
}
