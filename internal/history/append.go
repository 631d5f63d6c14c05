// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// ClusterUID is the UID of a cluster's kube-system namespace, as the hub pinned
// it for a credential. Never take it from what an agent sends.
type ClusterUID string

// MaxAhead is how far a record's time may lie ahead of the hub's clock.
const MaxAhead = 5 * time.Minute

// MaxRefusedBytes is how much of a refused record is kept.
const MaxRefusedBytes = 4 << 10

// Appender stores telemetry.
type Appender interface {
	// Append stores the records of the batch that are not stored yet. Records
	// that break their bounds, or whose time is out of bounds, are quarantined
	// and count as accounted for, like those that the decoder has refused
	// already. The batch need not be contiguous where refused explains why.
	//
	// Every epoch of a stream is a sequence of its own that begins with 1.
	// Several may come side by side, in any order; what an older epoch says
	// late goes into the history and does not replace what a newer one said.
	//
	// The errors are *GapError, ErrContentMismatch,
	// ErrInvalidBatch, *UnavailableError, or that of the context. On any error
	// nothing was stored, unless the connection broke during the commit: then
	// nobody knows, and the same batch has to be sent again.
	Append(ctx context.Context, cluster ClusterUID, batch telemetry.Batch, refused ...Refused) (Ack, error)
}

// Refused is a record that could not be decoded and is kept for people to look at.
type Refused struct {
	// FirstSeq and LastSeq are the sequence numbers the record accounts for.
	FirstSeq, LastSeq uint64
	// Reason says what is wrong with it.
	Reason string
	// Raw is the record as it came, at most MaxRefusedBytes of it.
	Raw []byte
}

// Ack says what became of a batch.
type Ack struct {
	// LastSeq is the last sequence number that is accounted for in the epoch:
	// the sender may forget everything up to it.
	LastSeq uint64
	// Stored is how many records were stored by this call.
	Stored int
	// Duplicates is how many records had been stored before.
	Duplicates int
	// Quarantined is how many records were set aside by this call.
	Quarantined int
	// NewEpoch is true when the batch began an epoch that is higher than all
	// that the stream had before. That alone is no loss.
	NewEpoch bool
}

// MaxEpochs is how many epochs of a stream Offsets returns at most.
const MaxEpochs = 100

// Offset is how far an epoch of a stream has come.
type Offset struct {
	// Key names the stream and the epoch.
	Key telemetry.Key
	// LastSeq is the last sequence number that is accounted for.
	LastSeq uint64
	// Began is when its first batch was stored, on the hub's clock.
	Began time.Time
	// Updated is when it moved last, on the hub's clock.
	Updated time.Time
}

// OffsetReader reads how far the streams have come.
type OffsetReader interface {
	// Offset returns how far one epoch has come, or ErrNotFound before its first
	// batch, and after Retention.Epochs without one. It is cheap: it reads
	// one row by its key.
	Offset(ctx context.Context, cluster ClusterUID, stream telemetry.Stream, epoch telemetry.Epoch) (Offset, error)
	// Offsets returns the newest epochs of one cluster, by stream, the newest
	// first, at most MaxEpochs of each stream.
	Offsets(ctx context.Context, cluster ClusterUID) ([]Offset, error)
	// Clusters returns the clusters that history knows, by UID.
	Clusters(ctx context.Context) ([]ClusterUID, error)
}

// FreshnessReader reads when agents were heard last.
type FreshnessReader interface {
	// LastStored returns when a batch of each cluster moved an offset last, on the
	// hub's clock. It answers for the whole fleet with one query.
	LastStored(ctx context.Context) (map[ClusterUID]time.Time, error)
}

// Writer stores everything that is stored.
type Writer interface {
	Appender
	Auditor
}

// Change says that a stream of a cluster has new records.
type Change struct {
	// Cluster whose records are new.
	Cluster ClusterUID
	// Stream the records are of.
	Stream telemetry.Stream
}

// ChangeNotifier is the fast path from ingest to whoever decides. It is best
// effort: changes that follow each other quickly are told once, and while the
// database is away none are. Whoever needs certainty looks from time to time.
type ChangeNotifier interface {
	// Changes returns a channel that ends with the context, or when the
	// connection to the database breaks: then ask again. A reader that is slow
	// misses changes.
	Changes(ctx context.Context) (<-chan Change, error)
}
