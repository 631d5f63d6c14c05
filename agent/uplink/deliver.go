// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// deliver sends one batch of a sequence, when its lane may, and does what the
// answer calls for. The error is that of the context.
func (u *Uplink) deliver(ctx context.Context, s *sequence) error {
	if err := u.gate.enter(ctx, s.lane); err != nil {
		return err
	}
	s.resume(u.gate.holds(s.lane))
	began := time.Now()
	batch, err := u.options.Spool.Next(s.lane, s.stream, s.size.Records, s.size.Bytes)
	if err != nil || len(batch.Records) == 0 {
		u.gate.abandon(s.lane)
		if err != nil {
			u.trouble(s, fmt.Sprintf("reading the spool: %v", err))
			u.pause(s)
		} else {
			s.nothing(began)
		}
		return ctx.Err()
	}
	body, err := u.encoder.Append(nil, &batch)
	if err != nil {
		u.gate.abandon(s.lane)
		u.unencodable(s, &batch, err)
		return ctx.Err()
	}
	crash.At("uplink.send.before")
	o := u.client.post(ctx, batchRequest(s.lane, s.stream, body, u.options.timeout(len(body))))
	if ctx.Err() != nil {
		u.gate.abandon(s.lane)
		u.rewind(s, batch.Epoch) // for whoever reads this spool next
		return ctx.Err()
	}
	if s.lane == Replay {
		u.owed.spend(len(body), time.Now())
	}
	pause := u.gate.leave(s.lane, o, began)
	u.tell(s, &batch, &o, len(body), pause)
	if o.verdict == stored {
		s.sent(began)
	}
	crash.At("uplink.answer.read")
	u.apply(ctx, s, &batch, &o)
	crash.At("uplink.answer.applied")
	return ctx.Err()
}

// apply does what an answer calls for.
func (u *Uplink) apply(ctx context.Context, s *sequence, b *telemetry.Batch, o *outcome) {
	if o.verdict == stored && o.acked < b.LastSeq { // it has less than was sent
		o.verdict, o.expected = gapped, o.acked+1
	}
	switch o.verdict {
	case stored:
		s.accept()
		u.note(s, "confirming records", u.options.Spool.Ack(s.stream, b.Epoch, b.LastSeq))
	case gapped:
		u.note(s, "going on where the hub expects it", u.options.Spool.Expect(s.stream, b.Epoch, o.expected))
		if o.expected == b.FirstSeq || s.refusals > 0 { // the same again would not help at once
			u.pause(s)
		} else {
			s.refusals++
		}
	case mismatched:
		u.contradicted(ctx, s, b)
		u.pause(s)
	case tooLarge:
		u.narrow(s, b, o.problem, true)
	case unreadable:
		u.narrow(s, b, o.problem, false)
	case damaged:
		u.rewind(s, b.Epoch)
		u.pause(s)
	case failed, busy, unauthenticated, forbidden:
		u.rewind(s, b.Epoch) // until the gate opens
	}
}

// narrow sends less at a time after a batch was refused for what is in it. What is
// refused alone is discarded: at once when it is certain that it never fits, and
// else after a few tries, ever more slowly. The gap that takes its place is never
// given up, so that a hub that refuses everything does not empty the spool.
func (u *Uplink) narrow(s *sequence, b *telemetry.Batch, problem string, certain bool) {
	switch {
	case s.halve(len(b.Records)):
	case isRefused(&b.Records[0]):
		u.pause(s)
	case certain || s.refuse(recordID{b.Epoch, b.FirstSeq}):
		u.discard(s, b, b.LastSeq, problem)
		if !certain {
			u.pause(s)
		}
		return
	default:
		u.pause(s)
	}
	u.rewind(s, b.Epoch)
}

// isRefused says whether a record stands for what was discarded before.
func isRefused(r *telemetry.Record) bool {
	gap, ok := r.Payload.(*telemetry.Gap)
	return ok && gap.Reason == telemetry.GapRefused
}

// unencodable does about a batch that cannot be encoded what there is to do.
func (u *Uplink) unencodable(s *sequence, b *telemetry.Batch, err error) {
	if record, ok := errors.AsType[*wire.RecordError](err); ok && record.Index < len(b.Records) {
		if record.Index > 0 {
			s.limit(record.Index)
			u.rewind(s, b.Epoch)
			return
		}
		if !isRefused(&b.Records[0]) {
			u.discard(s, b, b.Records[0].Seq, err.Error())
			return
		}
	}
	u.trouble(s, clean(err.Error()))
	u.narrow(s, b, err.Error(), errors.Is(err, wire.ErrTooLarge))
}

// discard gives up the records of a batch up to through.
func (u *Uplink) discard(s *sequence, b *telemetry.Batch, through uint64, problem string) {
	u.log.Error(nil, "Giving up records that cannot be delivered; a gap takes their place", "stream", s.stream.String(),
		"epoch", b.Epoch, "firstSeq", b.FirstSeq, "lastSeq", through, "reason", problem)
	u.note(s, "discarding records", u.options.Spool.Discard(s.stream, b.Epoch, through))
}

// contradicted gives up the numbers under which the hub has other content. When
// the hub has more of them than were ever given out, the epoch ends with that, and
// the next record begins a new one.
func (u *Uplink) contradicted(ctx context.Context, s *sequence, b *telemetry.Batch) {
	acked, err := u.client.offset(ctx, s.stream, b.Epoch, u.options.timeout(0))
	if err != nil {
		u.trouble(s, describeError(err))
		u.rewind(s, b.Epoch)
		return
	}
	if s.disputed != b.Epoch {
		s.disputed = b.Epoch
		u.log.Error(nil, "Hub has other records under the numbers of this spool, which are given up: two agents share the spool, or it was restored from a copy",
			"stream", s.stream.String(), "epoch", b.Epoch, "firstSeq", b.FirstSeq, "lastSeq", b.LastSeq, "hubSeq", acked)
	}
	if acked < b.FirstSeq { // it contradicts itself, or was restored in between
		u.narrow(s, b, "the hub has other records under these numbers", false)
		return
	}
	u.note(s, "discarding records", u.options.Spool.Discard(s.stream, b.Epoch, acked))
	u.note(s, "going on behind them", u.options.Spool.Expect(s.stream, b.Epoch, acked+1))
}

func (u *Uplink) rewind(s *sequence, epoch telemetry.Epoch) {
	u.note(s, "rewinding", u.options.Spool.Rewind(s.stream, epoch))
}

func (u *Uplink) pause(s *sequence) {
	s.pause(time.Now(), u.options.RetryMin, u.options.RetryMax, u.random())
}

// note reports an error of the spool, which has no better idea than to go on.
func (u *Uplink) note(s *sequence, doing string, err error) {
	if err != nil {
		u.trouble(s, fmt.Sprintf("%s: %v", doing, err))
		u.log.Error(err, "Spool did not take what became of its records", "stream", s.stream.String(), "lane", s.lane.String())
		u.pause(s)
	}
}
