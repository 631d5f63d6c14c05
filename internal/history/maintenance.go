// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"
	"fmt"
	"time"
)

// Retention is how long history keeps what, by the time of what happened.
type Retention struct {
	// Samples is for node samples, as rows and compacted.
	Samples time.Duration
	// Fine is for rollups of FineStep.
	Fine time.Duration
	// Coarse is for rollups of CoarseStep.
	Coarse time.Duration
	// Events is for events, by LastSeen.
	Events time.Duration
	// Changes is for the changes of objects, and for objects that are gone.
	Changes time.Duration
	// SLI is for SLI slices and their sums.
	SLI time.Duration
	// Anomalies is for transitions. What is open stays.
	Anomalies time.Duration
	// Output is for the output of commands.
	Output time.Duration
	// Ledger is for gaps and quarantined records.
	Ledger time.Duration
	// Audit is for the audit log; at least MinAudit.
	Audit time.Duration
}

// Epochs is how long an epoch is remembered in which nothing comes any more: as
// long as anything that Append takes, so that an epoch that is forgotten has nothing
// left that could be stored twice. The newest epoch of a stream is never forgotten.
func (r Retention) Epochs() time.Duration {
	return max(r.Samples, r.Events, r.Changes, r.SLI, r.Anomalies, r.Output, r.Ledger)
}

// MinAudit is the shortest time that audit entries are kept: the databases
// themselves refuse to delete younger ones.
const MinAudit = 90 * 24 * time.Hour

// DefaultRetention returns what is kept unless somebody says otherwise.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{
		Samples: 48 * time.Hour, Fine: 35 * day, Coarse: 400 * day, Events: 30 * day, Changes: 30 * day, SLI: 180 * day,
		Anomalies: 180 * day, Output: 30 * day, Ledger: 180 * day, Audit: 400 * day,
	}
}

// Check returns an error that says which time is out of bounds.
func (r Retention) Check() error {
	for name, d := range map[string]time.Duration{
		"samples": r.Samples, "fine": r.Fine, "coarse": r.Coarse, "events": r.Events, "changes": r.Changes, "sli": r.SLI,
		"anomalies": r.Anomalies, "output": r.Output, "ledger": r.Ledger, "audit": r.Audit,
	} {
		if d < 2*time.Hour || d > MaxRange {
			return fmt.Errorf("checking the retention: %s is %s, it has to be from 2h to %s", name, d, MaxRange)
		}
	}
	if r.Audit < MinAudit {
		return fmt.Errorf("checking the retention: audit is %s, it has to be at least %s", r.Audit, MinAudit)
	}
	return nil
}

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
