// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package historytest is the contract that every implementation of the history
// ports keeps: a suite of tests to run against a store.
package historytest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Clock is a clock that tests move.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows 17 minutes past the last full hour: recent
// enough for whatever a database compares with its own clock.
func NewClock() *Clock {
	return &Clock{now: time.Now().UTC().Truncate(time.Hour).Add(17 * time.Minute)}
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Options are how a store under test is opened.
type Options struct {
	// Clock is the store's clock.
	Clock *Clock
	// Retention is what it keeps.
	Retention history.Retention
}

// Open opens a new and migrated store that the test's cleanup closes.
type Open func(t *testing.T, o Options) history.Store

// fixture is a store and what tests do with it.
type fixture struct {
	*testing.T
	history.Store
	clock *Clock
}

func setUp(t *testing.T, open Open) *fixture {
	t.Helper()
	clock := NewClock()
	return &fixture{T: t, clock: clock, Store: open(t, Options{Clock: clock, Retention: history.DefaultRetention()})}
}

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*fixture){
		"append stores each record once":                  testAppend,
		"append explains what it refuses":                 testRefusals,
		"append sets poison aside":                        testQuarantine,
		"append survives random delivery":                 testRandomDelivery,
		"append takes turns":                              testConcurrentDelivery,
		"epochs come side by side":                        testEpochs,
		"epochs take turns":                               testConcurrentEpochs,
		"epochs are forgotten when nothing can come":      testForgottenEpochs,
		"epochs share a bounded memory of content":        testContentMemory,
		"an older epoch does not change the present":      testReplayedInventory,
		"an older epoch does not undo a deletion":         testReplayedDeletions,
		"an older epoch has snapshots of its own":         testReplayedSnapshots,
		"an older epoch does not reopen anomalies":        testReplayedAnomalies,
		"an older epoch does not undo a correction":       testReplayedSlices,
		"inventory follows deltas":                        testInventory,
		"inventory believes whole snapshots only":         testSnapshots,
		"inventory pages and filters":                     testInventoryPages,
		"events keep the newest state":                    testEvents,
		"anomalies are open until they are cleared":       testAnomalies,
		"samples are drawn as they came":                  testPoints,
		"compaction loses nothing":                        testCompaction,
		"late samples are merged":                         testLateSamples,
		"rollups are what the samples say":                testRollups,
		"slices add up":                                   testSlices,
		"output comes back byte for byte":                 testOutput,
		"the audit log is kept":                           testAudit,
		"retention drops what has expired and no more":    testRetention,
		"queries are bounded":                             testBounds,
		"text from outside is data":                       testInjection,
		"clusters do not see each other":                  testIsolation,
		"changes are told":                                testChanges,
		"health is measured":                              testHealth,
		"maintenance can be repeated and runs beside use": testMaintenanceRepeats,
	} {
		t.Run(name, func(t *testing.T) { test(setUp(t, open)) })
	}
}

const (
	clusterA = history.ClusterUID("6f1c2a0e-0000-4000-8000-00000000000a")
	clusterB = history.ClusterUID("6f1c2a0e-0000-4000-8000-00000000000b")
	epoch1   = telemetry.Epoch(1_700_000_000_000)
	epoch2   = telemetry.Epoch(1_700_000_000_001)
)

// must stops the test when there is an error.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// same fails the test when values differ. Nil and empty lists are the same.
func (f *fixture) same(what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// refused fails the test unless the error is the wanted one.
func (f *fixture) refused(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s: got the error %v, want %v", what, err, want)
	}
}

// send appends records as a batch and fails the test on an error.
func (f *fixture) send(cluster history.ClusterUID, stream telemetry.Stream, epoch telemetry.Epoch, records ...telemetry.Record) history.Ack {
	f.Helper()
	ack, err := f.Append(f.Context(), cluster, telemetry.NewBatch(stream, epoch, records))
	f.must(err)
	return ack
}

// maintain runs tasks until they have nothing left to do.
func (f *fixture) maintain(tasks ...history.Task) history.TaskReport {
	f.Helper()
	var total history.TaskReport
	for _, task := range tasks {
		for more := true; more; {
			report, err := f.Maintain(f.Context(), task, f.clock.Now())
			f.must(err)
			total.Done += report.Done
			total.Rows += report.Rows
			more = report.More
		}
	}
	return total
}

// lately is the range of the last hours, up to a little ahead of the clock.
func (f *fixture) lately(d time.Duration) history.Range {
	now := f.clock.Now()
	return history.Range{Start: now.Add(-d), End: now.Add(10 * time.Minute)}
}

// all reads every page of a query.
func all[T any](f *fixture, read func(cursor string) (history.Page[T], error)) []T {
	f.Helper()
	var items []T
	cursor := ""
	for range 10_000 {
		page, err := read(cursor)
		f.must(err)
		items = append(items, page.Items...)
		if page.Next == "" {
			return items
		}
		cursor = page.Next
	}
	f.Fatal("the pages do not end")
	return nil
}
