// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import "time"

// Key names one sequence of records.
type Key struct {
	// ClusterUID is the UID of the cluster's kube-system namespace, as pinned by
	// the hub for the credential in use.
	ClusterUID string
	// Stream is the kind of telemetry.
	Stream Stream
	// Epoch is the life of the spool that numbers the records.
	Epoch Epoch
}

// Epoch is the life of one spool, for one stream. An agent that lost its spool
// starts a new epoch, at sequence number 1. A later epoch has a higher number:
// agents use the Unix time in milliseconds at which the spool was created, and
// at least one more than the last epoch they know of. 0 is no epoch.
type Epoch uint64

// Batch is a run of records of one stream and epoch, in the order of their
// sequence numbers and without a hole.
type Batch struct {
	// Stream is the kind of telemetry of all records.
	Stream Stream
	// Epoch is the life of the spool.
	Epoch Epoch
	// FirstSeq is the first sequence number that the batch accounts for. It is
	// lower than Records[0].Seq only when that record is a Gap.
	FirstSeq uint64
	// LastSeq is the last sequence number: that of the last record.
	LastSeq uint64
	// Records are at least one and at most MaxRecords. A batch that was decoded
	// lacks the records that were refused.
	Records []Record
}

// Record is one numbered value.
type Record struct {
	// Seq is the record's sequence number, from 1.
	Seq uint64
	// Time is when the agent saw what the record says, on the agent's clock, to
	// the millisecond. For a NodeSample it is the moment of the sample, for an
	// SLISlice the end of the slice.
	Time time.Time
	// Payload is one of the pointers that the stream carries, or a *Gap.
	Payload Payload
}

// First returns the first sequence number that the record accounts for: its own,
// or the beginning of the gap that it marks.
func (r *Record) First() uint64 {
	if gap, ok := r.Payload.(*Gap); ok && gap != nil && gap.From > 0 && gap.From <= r.Seq {
		return gap.From
	}
	return r.Seq
}

// Validate checks the record as part of a stream: that the stream carries such a
// payload and that every field keeps its bounds. The error wraps ErrInvalid.
func (r *Record) Validate(stream Stream) error {
	var c checker
	if r.Seq == 0 {
		c.fail("seq", "is 0, the first sequence number is 1")
	}
	c.requiredTime("time", r.Time)
	if c.err != nil {
		return c.err
	}
	if !stream.carries(r.Payload) {
		return invalid("payload", "the stream %s does not carry %T", stream, r.Payload)
	}
	if gap, ok := r.Payload.(*Gap); ok && gap.To != r.Seq {
		return invalid("gap.to", "is %d, not the record's sequence number %d", gap.To, r.Seq)
	}
	return r.Payload.Validate()
}

// carries reports whether records of the stream may have the payload, which must
// not be a nil pointer.
func (s Stream) carries(p Payload) bool {
	switch p := p.(type) {
	case *ObjectDelta:
		return p != nil && s == StreamInventory
	case *AnomalyTransition:
		return p != nil && s == StreamAnomalies
	case *Event:
		return p != nil && s == StreamEvents
	case *NodeSample:
		return p != nil && s == StreamNodeMetrics
	case *SLISlice:
		return p != nil && s == StreamSLI
	case *CommandOutput:
		return p != nil && s == StreamCommandOutput
	case *Gap:
		return p != nil && s.Known()
	default:
		return false
	}
}

// Payload is the value of a record: *ObjectDelta, *AnomalyTransition, *Event,
// *NodeSample, *SLISlice, *CommandOutput or *Gap. There are no others.
type Payload interface {
	// Validate checks every field against its bounds. The error is a
	// *FieldError and wraps ErrInvalid.
	Validate() error

	payload()
}

// Validate checks the batch as a whole: the stream, the epoch, the number of
// records, that the sequence numbers are contiguous and reach from FirstSeq to
// LastSeq. It does not look into the records; Record.Validate does.
func (b *Batch) Validate() error {
	var c checker
	if !b.Stream.Known() {
		c.fail("stream", "%s is unknown", b.Stream)
	}
	if b.Epoch == 0 {
		c.fail("epoch", "is required")
	}
	if len(b.Records) == 0 {
		c.fail("records", "the batch is empty")
	}
	c.count("records", len(b.Records), MaxRecords)
	if b.FirstSeq == 0 {
		c.fail("firstSeq", "is 0, the first sequence number is 1")
	}
	next := b.FirstSeq
	for i := range b.Records {
		if c.err != nil {
			return c.err
		}
		r := &b.Records[i]
		if next == 0 || r.First() != next || r.Seq < next { // 0: the numbers are used up
			c.fail("records", "record %d begins at sequence number %d, %d was expected", i, r.First(), next)
		}
		next = r.Seq + 1
	}
	if next != b.LastSeq+1 {
		c.fail("lastSeq", "is %d, the last record has %d", b.LastSeq, next-1)
	}
	return c.err
}

// NewBatch returns the batch of records that are contiguous and belong to one
// stream and epoch, with FirstSeq and LastSeq taken from them. It keeps the slice.
func NewBatch(stream Stream, epoch Epoch, records []Record) Batch {
	b := Batch{Stream: stream, Epoch: epoch, Records: records}
	if len(records) > 0 {
		b.FirstSeq, b.LastSeq = records[0].First(), records[len(records)-1].Seq
	}
	return b
}

// Halve splits a batch of two or more records, for a sender whose batch turned
// out too large. Both halves share the records of the whole.
func (b *Batch) Halve() (first, second Batch) {
	middle := len(b.Records) / 2
	return NewBatch(b.Stream, b.Epoch, b.Records[:middle:middle]), NewBatch(b.Stream, b.Epoch, b.Records[middle:])
}
