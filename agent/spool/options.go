// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// Options bound a spool. A zero field takes its default.
type Options struct {
	// MaxBytes is what the spool may occupy on the disk, at least two segments.
	// Default 256 MiB. Each file counts as at least 4 KiB.
	MaxBytes int64
	// MaxAge is how old a record may grow before it is dropped, at least a
	// second. Default 24 h. It is kept to within an eighth.
	MaxAge time.Duration
	// MinFreeBytes is what the spool leaves free on the file system: below it the
	// spool does not grow beyond four segments and drops as much as it takes in.
	// Default 64 MiB, negative for none.
	MinFreeBytes int64
	// SegmentBytes is the size at which a segment is closed, from 4 KiB. What is
	// dropped is dropped in segments. Default 1 MiB.
	SegmentBytes int64
	// SplitBytes is the backlog of a live epoch above which the rest of it moves
	// to the replay lane once the hub acknowledges again. Default 1 MiB. A snapshot of
	// the inventory is not torn apart that way, as the hub makes nothing of its end
	// without its beginning: it waits until no snapshot is open, or for a backlog of
	// 8 times as much, as a snapshot may have been abandoned. Then Lost is called.
	SplitBytes int64
	// MemoryBytes bounds what is kept in memory while the disk takes nothing.
	// Default 4 MiB.
	MemoryBytes int64
	// SyncInterval is how long a record may wait for the disk's confirmation, and
	// thus what the loss of power can cost. Default 100 ms.
	SyncInterval time.Duration
	// Lost, when set, is called with a stream of which the hub will not get
	// everything that this process appended, so that the source can tell it what it
	// has missed: when
	//
	//   - a gap stands for values that were dropped for space or age, were damaged,
	//     were refused (Discard), did not fit into memory or were too large
	//   - the hub wants numbers again that are not held any more (Expect)
	//   - an epoch ended because the hub has numbers of it that were never given out,
	//     and thus perhaps other records under those that were
	//   - a snapshot of the inventory was torn apart, see SplitBytes
	//
	// It is not called for what an earlier process left, lost now or found lost by
	// Open, as a process tells everything at its start; nor for a gap that the
	// source appended itself. Nor is it called at once: only when the hub has
	// confirmed something of the stream, or refused a hole, after the loss. While the
	// hub is away it would do no good, and in a spool that is full it would cost
	// what is still there.
	//
	// Losses of a stream until the call are one call. The next one of the same
	// stream is at least LostInterval later. What the source tells again may be what
	// is lost again, so each further call waits twice as long as the one before, up to
	// 16 times LostInterval, until there was none for twice the time that it would
	// have waited. No loss is forgotten meanwhile, its call is only late; Close
	// forgets it.
	//
	// The calls come one at a time from a goroutine of the spool that ends with
	// Close, without any of its locks. Lost may use the spool, but must not wait for
	// a Close, which waits for it.
	Lost func(stream telemetry.Stream)
	// LostInterval is the least time between two calls of Lost for the same
	// stream. Default 1 min.
	LostInterval time.Duration
	// Codec is the binary form of records. Default: that of package wire.
	Codec Codec

	// create opens a new file for writing, and syncDir makes a directory's entries
	// durable; replaced in tests.
	create  func(path string) (file, error)
	syncDir func(dir string) error
}

// Codec gives records their binary form. It must be safe for concurrent use.
type Codec interface {
	// AppendRecord appends the record without its sequence number. An error that
	// wraps wire.ErrTooLarge says that the record exceeds its stream's limit.
	AppendRecord(dst []byte, stream telemetry.Stream, r *telemetry.Record) ([]byte, error)
	// DecodeRecord reads what AppendRecord wrote.
	DecodeRecord(stream telemetry.Stream, seq uint64, data []byte) (telemetry.Record, error)
}

// wireCodec is the default.
type wireCodec struct {
	*wire.Encoder
	*wire.Decoder
}

func newWireCodec() (wireCodec, error) {
	encoder, err := wire.NewEncoder(1)
	if err != nil {
		return wireCodec{}, fmt.Errorf("making the spool's encoder: %w", err)
	}
	decoder, err := wire.NewDecoder(1)
	if err != nil {
		return wireCodec{}, fmt.Errorf("making the spool's decoder: %w", err)
	}
	return wireCodec{encoder, decoder}, nil
}

var (
	// ErrInUse says that another process, or another Spool of this one, has the directory.
	ErrInUse = errors.New("spool directory in use")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("spool closed")
	// ErrUnknownEpoch says that the spool holds no such epoch of the stream (any more).
	ErrUnknownEpoch = errors.New("unknown epoch")
	// ErrFull is what every *FullError wraps.
	ErrFull = errors.New("spool full")
)

// FullError says that records were not taken, because the disk refuses them and
// the memory that is set aside for such times is used up. They are counted, and a
// gap will say so in their place. The spool recovers by itself.
type FullError struct {
	// Stream of the records.
	Stream telemetry.Stream
	// Dropped is how many records of this call were not taken.
	Dropped int
	// Err is what the disk said last.
	Err error
}

// Error says what was dropped and why.
func (e *FullError) Error() string {
	return fmt.Sprintf("spooling %s: %d records dropped: %v; free some space or lower the spool's size", e.Stream, e.Dropped, e.Err)
}

// Unwrap returns ErrFull and the disk's error.
func (e *FullError) Unwrap() []error { return []error{ErrFull, e.Err} }

// RecordError says that one of the items given to Append was refused.
type RecordError struct {
	// Index of the item in the call.
	Index int
	// Err says what is wrong with it.
	Err error
}

// Error names the item and the problem.
func (e *RecordError) Error() string { return fmt.Sprintf("spooling record %d: %v", e.Index, e.Err) }

// Unwrap returns the problem.
func (e *RecordError) Unwrap() error { return e.Err }

func (o *Options) complete() error {
	o.MaxBytes = orDefault(o.MaxBytes, 256<<20)
	o.MaxAge = orDefault(o.MaxAge, 24*time.Hour)
	o.MinFreeBytes = max(orDefault(o.MinFreeBytes, 64<<20), 0)
	o.SegmentBytes = orDefault(o.SegmentBytes, 1<<20)
	o.SplitBytes = orDefault(o.SplitBytes, 1<<20)
	o.MemoryBytes = orDefault(o.MemoryBytes, 4<<20)
	o.SyncInterval = orDefault(o.SyncInterval, 100*time.Millisecond)
	o.LostInterval = orDefault(o.LostInterval, time.Minute)
	if o.create == nil {
		o.create = createFile
	}
	if o.syncDir == nil {
		o.syncDir = syncDir
	}
	switch {
	case o.SegmentBytes < blockSize:
		return fmt.Errorf("opening the spool: segments of %d bytes are too small, %d is the least", o.SegmentBytes, blockSize)
	case o.MaxBytes < 2*o.SegmentBytes:
		return fmt.Errorf("opening the spool: %d bytes do not hold two segments of %d; raise the size", o.MaxBytes, o.SegmentBytes)
	case o.MaxAge < time.Second:
		return fmt.Errorf("opening the spool: an age of %s is too low, a second is the least", o.MaxAge)
	case o.SplitBytes < 0 || o.MemoryBytes < 0 || o.SyncInterval < 0 || o.LostInterval < 0:
		return errors.New("opening the spool: a bound is negative")
	}
	return nil
}

func orDefault[T int64 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}
