// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Gap is a place where telemetry is missing, as the agent said: only it knows what
// it had. That a stream began a new epoch is no gap; the epochs are in Offsets.
type Gap struct {
	// Key is the stream and the epoch.
	Key telemetry.Key
	// Noted is when the hub learnt of it, on its clock.
	Noted time.Time
	// Gap says what is missing.
	telemetry.Gap
}

// Quarantined is a record that was set aside.
type Quarantined struct {
	// Key is the stream and the epoch.
	Key telemetry.Key
	// Noted is when, on the hub's clock.
	Noted time.Time
	// Refused is the record and what is wrong with it.
	Refused
}

// LedgerQuery asks for gaps or quarantined records.
type LedgerQuery struct {
	// Cluster is required.
	Cluster ClusterUID
	// Range of Noted is required.
	Range Range
	// Stream asks for one stream; 0 for all.
	Stream telemetry.Stream
	// Paging bounds the result, newest first.
	Paging
}

// LedgerReader reads what is not in the history although it should be.
type LedgerReader interface {
	// Gaps returns where telemetry is missing.
	Gaps(ctx context.Context, q LedgerQuery) (Page[Gap], error)
	// Quarantine returns what was set aside.
	Quarantine(ctx context.Context, q LedgerQuery) (Page[Quarantined], error)
}

// OutputChunk is a piece of a command's output.
type OutputChunk struct {
	// At is when the agent sent it off.
	At time.Time
	// CommandOutput is the piece.
	telemetry.CommandOutput
}

// OutputQuery asks for the output of one execution.
type OutputQuery struct {
	// Cluster and CommandUID are required.
	Cluster ClusterUID
	// CommandUID is the UID of the RemoteCommand.
	CommandUID string
	// ExecutionID is required.
	ExecutionID string
	// Paging bounds the result, by index. Pages are at most 64 chunks.
	Paging
}

// CommandReader reads the output of commands.
type CommandReader interface {
	// CommandOutput returns pieces of output. The output is complete when the
	// piece with Last is there and no index before it is missing.
	CommandOutput(ctx context.Context, q OutputQuery) (Page[OutputChunk], error)
}

// AuditEntry says who did what. Entries are never changed; they expire.
type AuditEntry struct {
	// At is when, on the hub's clock.
	At time.Time
	// Cluster it was done to; empty for the hub itself.
	Cluster ClusterUID
	// Actor is the user, as the API server knows them.
	Actor string
	// Action is what was done, such as "RemoteCommand.Approve".
	Action string
	// Object is what it was done to, such as "RemoteCommand ns/name".
	Object string
	// Outcome is "allowed", "denied", or how it ended.
	Outcome string
	// Detail is further facts, redacted, at most telemetry.MaxString bytes.
	Detail string
}

// Auditor writes the audit log.
type Auditor interface {
	// Audit appends entries, all or none.
	Audit(ctx context.Context, entries ...AuditEntry) error
}

// AuditQuery asks for audit entries. Empty filters match everything.
type AuditQuery struct {
	// Range is required.
	Range Range
	// Cluster asks for one cluster.
	Cluster ClusterUID
	// Actor asks for one user.
	Actor string
	// Actions asks for some actions.
	Actions []string
	// Paging bounds the result, newest first.
	Paging
}

// AuditReader reads the audit log.
type AuditReader interface {
	// AuditLog returns entries.
	AuditLog(ctx context.Context, q AuditQuery) (Page[AuditEntry], error)
}
