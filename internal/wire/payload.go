// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The tables of a payload, in the order in which they must stand.
var tableReaders = [payloadRecords]func(*decoding, string) error{
	payloadDictionary: func(d *decoding, data string) error { d.words = append(d.words, data); return nil },
	payloadLabelSets:  (*decoding).addLabelSet,
	payloadLayouts:    (*decoding).addLayout,
	payloadSeriesSets: (*decoding).addSeriesSet,
	payloadBases:      (*decoding).addBase,
	payloadSpans:      (*decoding).addSpan,
}

// walk calls yield for each field of a payload.
func walk(payload []byte, yield func(num protowire.Number, typ protowire.Type, number uint64, data []byte) error) error {
	for len(payload) > 0 {
		num, typ, n := protowire.ConsumeTag(payload)
		if n < 0 {
			return malformed("a field of the payload has no valid tag")
		}
		payload = payload[n:]
		var number uint64
		var data []byte
		switch typ {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(payload)
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(payload)
		case protowire.Fixed32Type, protowire.Fixed64Type:
			n = protowire.ConsumeFieldValue(num, typ, payload)
		default:
			n = -1
		}
		if n < 0 {
			return malformed("field %d of the payload is cut off or of the wire type %d", num, typ)
		}
		payload = payload[n:]
		if err := yield(num, typ, number, data); err != nil {
			return err
		}
	}
	return nil
}

// survey checks, before anything is allocated, that the payload is a message, that
// its fields stand in order, that no table is too long and that it has as many
// records as were declared.
func survey(payload []byte, records int) error {
	var counts [payloadRecords + 1]int
	last := protowire.Number(0)
	err := walk(payload, func(num protowire.Number, typ protowire.Type, _ uint64, data []byte) error {
		if num > payloadRecords {
			return nil
		}
		want := protowire.BytesType
		if num == payloadBaseTime {
			want = protowire.VarintType
		}
		if typ != want || num < last {
			return malformed("field %d of the payload has the wire type %d or is out of order", num, typ)
		}
		last = num
		counts[num]++
		if num == payloadRecords {
			return within(LimitRecords, counts[num], MaxRecords)
		}
		if num == payloadDictionary && len(data) > MaxString {
			return within(LimitString, len(data), MaxString)
		}
		return within(LimitTable, counts[num], MaxTable)
	})
	if err == nil && counts[payloadRecords] != records {
		return malformed("it has %d records, %d were declared", counts[payloadRecords], records)
	}
	return err
}

// Poison is a record that was refused while the rest of its batch was not.
type Poison struct {
	// Index is the place of the record in the batch.
	Index int
	// FirstSeq and LastSeq are the sequence numbers that the record accounts for.
	FirstSeq, LastSeq uint64
	// Err says what is wrong. It wraps ErrMalformed or telemetry.ErrInvalid, or is a
	// *LimitError. It never contains text of the record.
	Err error
	// Raw is the record's protobuf message, at most PoisonBytes of it. Its
	// references to tables of the batch cannot be followed.
	Raw []byte
}

// PoisonBytes is how much of a poison record is kept.
const PoisonBytes = 4 << 10

// Decoded is a batch as it was received.
type Decoded struct {
	// Header is the envelope.
	Header Header
	// Batch holds the good records, each valid, in order. Where a record is
	// missing, Poison has it.
	Batch telemetry.Batch
	// Poison holds the records that were refused, in order.
	Poison []Poison
	// UnknownFields is how many fields were skipped because this version does
	// not know them: the sender is newer.
	UnknownFields int
}

// read fills the batch from a payload.
func (d *decoding) read(out *Decoded, payload []byte) error {
	if err := survey(payload, out.Header.Records); err != nil {
		return err
	}
	out.Batch.Records = make([]telemetry.Record, 0, out.Header.Records)
	seqs := sequence{next: out.Header.FirstSeq, last: out.Header.LastSeq}
	err := walk(payload, func(num protowire.Number, _ protowire.Type, number uint64, data []byte) error {
		switch {
		case num == payloadBaseTime:
			d.baseMillis = protowire.DecodeZigZag(number)
			if d.baseMillis > maxMillis || d.baseMillis < -maxMillis {
				return malformed("the base time is out of range")
			}
		case num < payloadRecords:
			return tableReaders[num](d, string(data))
		case num == payloadRecords:
			if seqs.index == 0 {
				if err := seqs.begin(d.spans, out.Header.Records); err != nil {
					return err
				}
			}
			d.readRecord(out, &seqs, data)
		default:
			d.unknown++
		}
		return nil
	})
	out.UnknownFields = d.unknown
	return err
}

func (d *decoding) readRecord(out *Decoded, seqs *sequence, data []byte) {
	index := seqs.index
	first, last := seqs.take()
	err := within(LimitRecord, len(data), d.stream.MaxRecordBytes())
	var r telemetry.Record
	if err == nil {
		r, err = d.record(string(data), last, last-first+1)
	}
	if err != nil {
		raw := bytes.Clone(data[:min(len(data), PoisonBytes)])
		out.Poison = append(out.Poison, Poison{Index: index, FirstSeq: first, LastSeq: last, Err: err, Raw: raw})
		return
	}
	out.Batch.Records = append(out.Batch.Records, r)
}

// sequence deals out the sequence numbers of a batch to its records.
type sequence struct {
	next, last uint64
	index      int
	spans      []span
}

// begin checks that the spans and the number of records make up exactly the
// sequence numbers of the envelope.
func (s *sequence) begin(spans []span, records int) error {
	extra := s.last - s.next - uint64(records-1) //nolint:gosec // the header was checked
	for _, sp := range spans {
		if sp.record >= records || sp.width-1 > extra {
			return malformed("a span lies outside of the batch")
		}
		extra -= sp.width - 1
	}
	if extra != 0 {
		return malformed("%d sequence numbers have no record", extra)
	}
	s.spans = spans
	return nil
}

func (s *sequence) take() (first, last uint64) {
	first = s.next
	last = first
	if len(s.spans) > 0 && s.spans[0].record == s.index {
		last = first + s.spans[0].width - 1
		s.spans = s.spans[1:]
	}
	s.next = last + 1
	s.index++
	return first, last
}

// recordWidth returns how many sequence numbers the only record of a payload
// stands for.
func recordWidth(payload []byte) (uint64, error) {
	if err := within(LimitPayload, len(payload), MaxPayload); err != nil {
		return 0, err
	}
	if err := survey(payload, 1); err != nil {
		return 0, err
	}
	var d decoding
	err := walk(payload, func(num protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
		if num == payloadSpans {
			return d.addSpan(string(data))
		}
		return nil
	})
	if err != nil || len(d.spans) == 0 {
		return 1, err
	}
	return d.spans[0].width, nil
}
