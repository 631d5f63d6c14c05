// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// batchSize is how many values one Append gets at most.
	batchSize = 256
	// shipRetryFirst and shipRetryMax are the shortest and longest wait between
	// two attempts while the sink refuses.
	shipRetryFirst = 100 * time.Millisecond
	shipRetryMax   = 10 * time.Second
)

// source is what a shipper takes values from.
type source interface {
	// take returns the values to be sent next, none when there are none, and
	// counts them as sent.
	take(limit int, now time.Time) []telemetry.Payload
	// failed says that it is unknown whether the values that were taken last, at
	// a time, were sent.
	failed(values []telemetry.Payload, at time.Time)
	// again asks for everything to be sent again.
	again()
}

// shipper moves the values of one stream from their sources to the sink. It
// takes a batch from each source in turn, so that none waits for another's storm.
type shipper struct {
	stream  telemetry.Stream
	sink    Sink
	logger  logr.Logger
	sources []source
	// first is the source that the next round begins with.
	first int
	wake  chan struct{}
}

func newShipper(stream telemetry.Stream, sink Sink, logger logr.Logger) *shipper {
	return &shipper{stream: stream, sink: sink, logger: logger.WithValues("stream", stream.String()), wake: make(chan struct{}, 1)}
}

// nudge says that a source may have something.
func (s *shipper) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shipper) resync() {
	for _, source := range s.sources {
		source.again()
	}
}

// run ships until ctx ends. What was not shipped by then is seen again by the
// next process.
func (s *shipper) run(ctx context.Context) {
	limit, wait := batchSize, shipRetryFirst
	for {
		sent, err := s.round(ctx, limit)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if limit == batchSize {
				s.logger.Error(err, "Cannot hand over telemetry, what changed waits")
			}
			// One value is enough to learn whether the sink works again.
			limit = 1
			if !pause(ctx, wait) {
				return
			}
			wait = min(2*wait, shipRetryMax)
			continue
		case sent && limit != batchSize:
			s.logger.Info("Can hand over telemetry again")
			limit, wait = batchSize, shipRetryFirst
		}
		if sent {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// round takes one batch from each source and says whether there was any. It ends
// at the first error. The next round begins with the source that was refused,
// so that an outage makes a snapshot of one kind and not of all; any other round
// begins one further, so that a source that is refused again and again holds up
// no other.
func (s *shipper) round(ctx context.Context, limit int) (sent bool, err error) {
	first := s.first
	for n := range s.sources {
		if ctx.Err() != nil {
			return sent, ctx.Err()
		}
		turn := (first + n) % len(s.sources)
		source := s.sources[turn]
		now := time.Now()
		values := s.valid(source.take(limit, now))
		if len(values) == 0 {
			continue
		}
		if err := s.sink.Append(s.stream, now, values...); err != nil {
			source.failed(values, now)
			s.first = turn
			return sent, err
		}
		sent = true
	}
	s.first = (first + 1) % max(len(s.sources), 1)
	return sent, nil
}

// valid leaves out what no sink could take. Conversions keep every bound, so
// that this finds something only when one of them is wrong; without it such a
// value would be refused again and again.
func (s *shipper) valid(values []telemetry.Payload) []telemetry.Payload {
	kept := values[:0]
	for _, value := range values {
		if _, gap := value.(*telemetry.Gap); !gap { // the sink numbers it
			if err := value.Validate(); err != nil {
				s.logger.Error(err, "Leaving out a value that breaks a bound")
				continue
			}
		}
		kept = append(kept, value)
	}
	return kept
}
