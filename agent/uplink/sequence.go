// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// sequence is how one stream fares on one lane: how large its batches may be, and
// whether it waits. It is a value with pure rules, and belongs to one goroutine.
type sequence struct {
	lane   Lane
	stream telemetry.Stream
	most   Size

	// size is the bound of the next batch. It shrinks when a batch is refused for
	// what is in it, and grows again with what is stored.
	size Size
	// holds is how often its lane had been held when it sent last.
	holds uint64
	// since is when the first of the waiting records was noticed; zero when none is.
	since time.Time
	// went is when the last batch that was stored was sent.
	went time.Time
	// until is the end of a pause of this sequence alone.
	until time.Time
	// refusals in a row, of anything; tries of the one record at hand.
	refusals, tries int
	// tried is that record.
	tried recordID
	// disputed is the epoch whose contradiction has been logged.
	disputed telemetry.Epoch
}

// recordID names a record of a stream.
type recordID struct {
	epoch telemetry.Epoch
	seq   uint64
}

// emptyPause is how long a sequence waits that has nothing to read.
const emptyPause = 100 * time.Millisecond

func newSequence(lane Lane, stream telemetry.Stream, most Size) sequence {
	return sequence{lane: lane, stream: stream, most: most, size: most}
}

// notice takes note of how much waits, and says when it is to be sent: in no time
// or less when it is due. It is false when nothing waits.
func (s *sequence) notice(records uint64, bytes int64, linger Linger, now time.Time) (time.Duration, bool) {
	if records == 0 {
		s.since = time.Time{}
		return 0, false
	}
	if s.since.IsZero() {
		s.since = now
		if linger.Eager {
			// As if it had waited since the last batch.
			if s.since = now.Add(-linger.Time); s.went.After(s.since) {
				s.since = s.went
			}
		}
	}
	wait := s.since.Add(linger.Time).Sub(now)
	if bytes >= linger.Bytes {
		wait = 0
	}
	return max(wait, s.until.Sub(now)), true
}

// firstBatch bounds a live batch after a pause of its lane.
var firstBatch = Size{Records: 200, Bytes: 32 << 10}

// resume notes how often the lane was held so far. What comes together on the live
// lane meanwhile moves to the replay lane as soon as the hub confirms something, and
// what is new waits for that: so what goes first after a pause is small.
func (s *sequence) resume(holds uint64) {
	if s.lane == Live && holds != s.holds {
		s.size = Size{Records: min(s.size.Records, firstBatch.Records), Bytes: min(s.size.Bytes, firstBatch.Bytes)}
	}
	s.holds = holds
}

// sent notes that what was noticed is on its way since began. What comes after it
// has not waited longer than that.
func (s *sequence) sent(began time.Time) { s.since, s.went = began, began }

// nothing notes that there was nothing to read, although something is unconfirmed:
// somebody else has it. It is looked for again, but not all the time.
func (s *sequence) nothing(now time.Time) {
	s.since, s.until = time.Time{}, now.Add(emptyPause)
}

// accept notes that a batch was stored.
func (s *sequence) accept() {
	s.refusals, s.tries, s.until = 0, 0, time.Time{}
	s.size = Size{Records: min(2*s.size.Records, s.most.Records), Bytes: min(2*s.size.Bytes, s.most.Bytes)}
}

// halve makes the next batch at most half of one with some records. It is false
// when that is impossible.
func (s *sequence) halve(records int) bool {
	if records < 2 {
		return false
	}
	s.limit(records / 2)
	return true
}

// limit bounds the next batch.
func (s *sequence) limit(records int) {
	s.size = Size{Records: max(records, 1), Bytes: max(s.size.Bytes/2, 1)}
}

// refuse notes that the record at the beginning of a batch of one was refused, and
// says whether to give it up.
func (s *sequence) refuse(id recordID) bool {
	if s.tried != id {
		s.tried, s.tries = id, 0
	}
	s.tries++
	return s.tries >= givenUpAfter
}

// pause holds the sequence for a while, longer with each refusal in a row.
func (s *sequence) pause(now time.Time, low, high time.Duration, random float64) {
	s.refusals++
	s.until = now.Add(fullJitter(s.refusals, low, high, random))
}
