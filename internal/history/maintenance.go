// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"
	"time"
)

// Task is a part of the maintenance.
type Task string

// The tasks, in the order in which they are best run.
const (
	// TaskPartitions creates what records of the coming days are put into.
	TaskPartitions Task = "partitions"
	// TaskCompact turns the samples of closed hours into chunks and rollups.
	TaskCompact Task = "compact"
	// TaskSums sums the SLI slices of closed hours.
	TaskSums Task = "sums"
	// TaskRetention drops what has expired.
	TaskRetention Task = "retention"
)

// Tasks returns all tasks in order.
func Tasks() []Task { return []Task{TaskPartitions, TaskCompact, TaskSums, TaskRetention} }

// TaskReport says what a task did.
type TaskReport struct {
	// Done counts partitions created, hours compacted, hours summed, or
	// partitions dropped.
	Done int
	// Rows is how many rows were compacted, summed or deleted one by one.
	Rows int64
	// More is true when the task stopped at its bound and is to be run again.
	More bool
}

// Maintainer keeps the store in shape. One process at a time is enough, usually
// the leader; several at once are safe. Each step is a transaction of its own, so
// that a task that was interrupted continues where it stopped.
type Maintainer interface {
	// Migrate brings the schema to this program's version, under a lock. It
	// returns ErrSchemaTooNew when a newer program was here.
	Migrate(ctx context.Context) error
	// Maintain runs a task. An hour is closed CloseDelay after its end.
	Maintain(ctx context.Context, task Task, now time.Time) (TaskReport, error)
}

// CloseDelay is how long after its end an hour is compacted: most of what is late
// has arrived by then. What comes later is merged by the next run.
const CloseDelay = 10 * time.Minute

// Health says how the database is.
type Health struct {
	// Dialect is "postgres", "sqlite" or "mysql".
	Dialect string
	// Version is what the server calls itself.
	Version string
	// SchemaVersion is how far the schema is migrated.
	SchemaVersion int
	// Bytes is the size of the database; 0 when unknown.
	Bytes int64
	// Latency is what a small write took.
	Latency time.Duration
	// Connections is how many connections are in use.
	Connections int
}

// HealthChecker asks how the database is.
type HealthChecker interface {
	// Health writes and reads a row. The error is an *UnavailableError when the
	// database cannot be written to.
	Health(ctx context.Context) (Health, error)
}
