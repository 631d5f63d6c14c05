// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Lane tells what is new from what is late.
type Lane uint8

// The lanes.
const (
	// Live is for the epochs that records are being added to.
	Live Lane = iota
	// Replay is for the epochs that ended before they were delivered.
	Replay

	lanes = 2
)

// String returns "live" or "replay".
func (l Lane) String() string {
	if l == Replay {
		return "replay"
	}
	return "live"
}

// Backlog is what the hub has not confirmed of a stream.
type Backlog struct {
	// Live and Replay are how many numbers are not confirmed, by lane.
	Live, Replay uint64
	// Bytes is about how large all of them are.
	Bytes int64
	// Oldest is the time of the oldest of them; zero when there is none or the
	// spool does not know.
	Oldest time.Time
	// Dropped is how many values the spool has given up since it was opened.
	Dropped uint64
}

// liveBytes is about how much of the backlog is for the live lane.
func (b *Backlog) liveBytes() int64 {
	if b.Live == 0 {
		return 0
	}
	return int64(float64(b.Bytes) * float64(b.Live) / float64(b.Live+b.Replay))
}

// Reader hands out what the spool holds. It is safe for concurrent use.
type Reader interface {
	// Changed returns a channel that is closed when there may be something new
	// to read.
	Changed() <-chan struct{}
	// Backlog returns what is not confirmed. It is asked at most every few
	// milliseconds.
	Backlog() map[telemetry.Stream]Backlog
	// Next hands out the next records of one epoch of the stream on the lane, at
	// most maxRecords and about maxBytes, but at least one. It returns an empty
	// batch when there is nothing. What was handed out is not handed out again
	// before Rewind, Expect or Discard.
	Next(lane Lane, stream telemetry.Stream, maxRecords int, maxBytes int64) (telemetry.Batch, error)
}

// Confirmer takes note of what became of records. An epoch that the spool does
// not hold any more is no error. It is safe for concurrent use.
type Confirmer interface {
	// Ack notes that the hub has stored everything of the epoch up to through.
	Ack(stream telemetry.Stream, epoch telemetry.Epoch, through uint64) error
	// Expect notes that the hub wants the epoch to go on at expected: less than
	// what was confirmed, or more. When the hub knows numbers that were never
	// given out, the epoch ends and what comes next begins a new one.
	Expect(stream telemetry.Stream, epoch telemetry.Epoch, expected uint64) error
	// Rewind makes Next hand out again what was not confirmed.
	Rewind(stream telemetry.Stream, epoch telemetry.Epoch) error
	// Discard gives up what was not confirmed up to through and puts a gap in
	// its place.
	Discard(stream telemetry.Stream, epoch telemetry.Epoch, through uint64) error
}

// Spool is the queue that is delivered from.
type Spool interface {
	Reader
	Confirmer
}

// Endpoint is where the hub takes telemetry.
type Endpoint struct {
	// URL is the base of the endpoint, https, with an optional path.
	URL string
	// CA are the certificates to trust, PEM. Empty means those of the system.
	CA string
}

// Hub says where to deliver and as whom. It is asked before each request and must
// be quick when nothing changed. It is safe for concurrent use.
type Hub interface {
	// Endpoint returns where the hub is now.
	Endpoint(ctx context.Context) (Endpoint, error)
	// Token returns a token for the ingest audience. When refused is not empty,
	// it is a token that the hub has just refused, and must not be returned if
	// another can be had.
	Token(ctx context.Context, refused string) (string, error)
}
