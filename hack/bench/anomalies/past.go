// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// How often history is asked: that, and the time that the answer takes, is what a
// latency may be too long by.
const (
	pollOften  = 2 * time.Millisecond
	pollStorms = 5 * time.Millisecond
)

// row is a row of history, and when it could be read.
type row struct {
	history.Anomaly

	seen time.Time
}

// past reads what is new in history.
type past struct {
	store   *store.Store
	cluster history.ClusterUID
	// last is the latest moment that was read, had what was read of it.
	last time.Time
	had  map[rowID]bool
	// polls and polling are how often history was asked while something was waited
	// for, and for how long that went on.
	polls   int
	polling time.Duration
}

type rowID struct {
	epoch telemetry.Epoch
	seq   uint64
}

// news returns the rows that were not returned before, oldest first.
func (p *past) news(ctx context.Context) (rows []row, err error) {
	from := p.last
	if from.IsZero() {
		from = time.Now().Add(-time.Hour)
	}
	// Transitions of one moment come in one piece, which is read again with the next.
	q := history.AnomalyQuery{
		Cluster: p.cluster, Range: history.Range{Start: from.Truncate(time.Millisecond), End: time.Now().Add(time.Minute)},
		Paging: history.Paging{Limit: history.MaxLimit},
	}
	for {
		page, err := p.store.AnomalyTransitions(ctx, q)
		if err != nil {
			return nil, err
		}
		seen := time.Now()
		for _, a := range page.Items {
			if !p.had[rowID{a.Epoch, a.Seq}] {
				rows = append(rows, row{a, seen})
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	slices.Reverse(rows)
	for i := range rows {
		r := &rows[i]
		if moment := r.At.Truncate(time.Millisecond); moment.After(p.last) {
			p.last, p.had = moment, map[rowID]bool{}
		}
		p.had[rowID{r.Epoch, r.Seq}] = true
	}
	return rows, nil
}

// gather reads rows until enough says so, which sees each once.
func (p *past) gather(ctx context.Context, every time.Duration, enough func(*row) bool) (rows []row, err error) {
	began := time.Now()
	err = until(ctx, every, func() (done bool, err error) {
		p.polls++
		fresh, err := p.news(ctx)
		for i := range fresh {
			done = enough(&fresh[i]) || done
		}
		rows = append(rows, fresh...)
		return done, err
	})
	p.polling += time.Since(began)
	if err != nil {
		return nil, fmt.Errorf("waiting for rows, of which %d came: %w", len(rows), err)
	}
	return rows, nil
}

// wait returns the first row that is wanted.
func (p *past) wait(ctx context.Context, every time.Duration, wanted func(*row) bool) (found row, err error) {
	_, err = p.gather(ctx, every, func(r *row) bool {
		if found.seen.IsZero() && wanted(r) {
			found = *r
		}
		return !found.seen.IsZero()
	})
	return found, err
}

// resolution is the time between two looks at history so far.
func (p *past) resolution() time.Duration { return p.polling / time.Duration(max(p.polls, 1)) }
