// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// A frame is one record in a segment, numbers with the least byte first:
//
//	 0  4  CRC-32C over the rest, seeded with stream and epoch
//	 4  4  length of the data
//	 8  8  sequence number
//	16  8  time of the record in Unix milliseconds
//	24  …  the record in its binary form
const frameHeader = 24

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// layout is what it takes to tell the frames of one segment from other bytes.
type layout struct {
	// seed makes frames of another stream or epoch invalid here: blocks that a
	// file system brings back from another file do not pass.
	seed uint32
	// maxData is the largest record of the stream, with the words that it uses.
	maxData int
	// first and last are the sequence numbers that may occur.
	first, last uint64
}

func newLayout(stream telemetry.Stream, epoch telemetry.Epoch, first, last uint64) layout {
	return layout{seed: seed(stream, epoch), maxData: maxData(stream), first: first, last: last}
}

// maxWords is how much room there is for the words of a record. The stream's bound
// does not count them, as the records of a batch share theirs.
const maxWords = 256 << 10

func maxData(stream telemetry.Stream) int { return stream.MaxRecordBytes() + maxWords }

func seed(stream telemetry.Stream, epoch telemetry.Epoch) uint32 {
	var b [9]byte
	b[0] = byte(stream)
	binary.LittleEndian.PutUint64(b[1:], uint64(epoch))
	return crc32.Checksum(b[:], castagnoli)
}

// frame is one record as it was read. The data shares the memory it was read from.
type frame struct {
	seq    uint64
	millis int64
	data   []byte
}

func (f *frame) size() int { return frameHeader + len(f.data) }

func appendFrame(dst []byte, seed uint32, seq uint64, millis int64, data []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(data))) //nolint:gosec // at most maxData
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(millis)) //nolint:gosec // read back the same way
	dst = append(dst, data...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Update(seed, castagnoli, dst[start+4:]))
	return dst
}

// verdict is what stands at the beginning of some bytes.
type verdict uint8

const (
	// whole is a frame that passes every check.
	whole verdict = iota
	// short is the beginning of what could be a frame.
	short
	// damaged is anything else.
	damaged
)

// parse reads the frame at the beginning of b.
func (l *layout) parse(b []byte) (frame, verdict) {
	if len(b) < frameHeader {
		return frame{}, short
	}
	n := binary.LittleEndian.Uint32(b[4:])
	seq := binary.LittleEndian.Uint64(b[8:])
	if uint64(n) > uint64(l.maxData) || seq < l.first || seq > l.last { //nolint:gosec // not negative
		return frame{}, damaged
	}
	end := frameHeader + int(n)
	if len(b) < end {
		return frame{}, short
	}
	if crc32.Update(l.seed, castagnoli, b[4:end]) != binary.LittleEndian.Uint32(b) {
		return frame{}, damaged
	}
	return frame{seq: seq, millis: int64(binary.LittleEndian.Uint64(b[16:])), data: b[frameHeader:end:end]}, whole //nolint:gosec // written the same way
}

// find returns where the first frame of b begins that passes every check, or len(b).
// Damage thus costs the records that it hit, and not those behind them.
func (l *layout) find(b []byte) int {
	for i := 0; i+frameHeader <= len(b); i++ {
		if _, v := l.parse(b[i:]); v == whole {
			return i
		}
	}
	return len(b)
}

// extent is what a segment turned out to hold.
type extent struct {
	// end is where the last good frame ends.
	end int
	// last is its sequence number; 0 when there is none.
	last uint64
	// oldest and newest are the bounds of the records' times; 0 when unknown.
	oldest, newest int64
	// records is how many good frames there are.
	records int
}

// measure walks over everything behind the segment's header.
func (l *layout) measure(b []byte) extent {
	var x extent
	for at := min(len(b), segmentHeader); at < len(b); {
		f, v := l.parse(b[at:])
		if v != whole {
			at++
			at += l.find(b[at:])
			continue
		}
		at += f.size()
		if f.seq <= x.last {
			continue
		}
		if x.records == 0 || f.millis < x.oldest {
			x.oldest = f.millis
		}
		x.newest = max(x.newest, f.millis)
		x.end, x.last = at, f.seq
		x.records++
	}
	return x
}
