// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// A segment begins with its identity, numbers with the least byte first:
//
//	 0  8  magic "ATLSPL1\n"
//	 8  8  first sequence number
//	16  8  when it was created, in Unix milliseconds
//	24  4  CRC-32C over the bytes before, seeded with stream and epoch
//	28  4  0
//
// What the header says beyond the file's own place is only when it was created,
// so a damaged header costs no record.
const (
	segmentHeader = 32
	segmentMagic  = "ATLSPL1\n"
	segmentSuffix = ".seg"
)

// A gap is a file of its own and stands where the segment stood that was dropped:
//
//	 0  8  magic "ATLGAP1\n"
//	 8  8  first sequence number it stands for
//	16  8  last one
//	24  8  reason, and 256 when it lies within a segment
//	32  8  oldest time, 40 newest time, 48 time of the gap: Unix milliseconds, 0 unknown
//	56  4  CRC-32C over the bytes before, seeded with stream and epoch
const (
	gapSize   = 60
	gapInside = 256
	gapMagic  = "ATLGAP1\n"
	gapSuffix = ".gap"
)

// A file of acknowledgements has two slots, written in turn, so that a torn write
// leaves the one before:
//
//	0  8  number of writes
//	8  8  acknowledged sequence number
//	16 4  CRC-32C over the bytes before, seeded with stream and epoch
//	20 4  0
const (
	ackSlot = 24
	ackName = "acked"
)

// blockSize is what a file occupies at least. Small files count as what they cost.
const blockSize = 4096

// segment is a run of sequence numbers of one epoch: records in a file, or a gap.
type segment struct {
	// first is the number in the file's name. from is the first number that the
	// segment still stands for, to the last one.
	first, from, to uint64
	// gap is the reason when this stands for records that are gone; 0 otherwise.
	gap telemetry.GapReason
	// created, oldest, newest are Unix milliseconds; 0 when unknown. For a gap,
	// created is the time of its record.
	created, oldest, newest int64
	path                    string
	charged                 int64

	// file is open for writing until the segment is sealed and synced.
	file file
	// written bytes are in the file. buf holds what could not be written yet.
	written int64
	buf     []byte
	// synced is how many bytes are known to be on the disk.
	synced int64
	// noted is the highest sequence number whose loss by damage was counted.
	noted uint64
	// inside is a gap that lies within the segment before it.
	inside bool
	// unsaved is a gap that could not be written yet.
	unsaved bool
}

func (g *segment) size() int64 { return g.written + int64(len(g.buf)) }

// share returns how many bytes the numbers above seq take up.
func (g *segment) share(seq uint64) int64 {
	if seq < g.from || g.gap != 0 {
		return g.size()
	}
	if seq >= g.to {
		return 0
	}
	return int64(float64(g.size()) * float64(g.to-seq) / float64(g.to-g.from+1))
}

func blocks(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

func numbered(dir string, n uint64, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", n, suffix))
}

// parseNumber reads a name that numbered made. It accepts no other spelling.
func parseNumber(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0
}

func appendSegmentHeader(dst []byte, seed uint32, first uint64, created int64) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, first)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(created)) //nolint:gosec // read back the same way
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Update(seed, castagnoli, dst[start:]))
	return append(dst, 0, 0, 0, 0)
}

// parseCreated returns when a segment was created, 0 when its header is damaged.
func parseCreated(b []byte, seed uint32, first uint64) int64 {
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic || binary.LittleEndian.Uint64(b[8:]) != first ||
		crc32.Update(seed, castagnoli, b[:24]) != binary.LittleEndian.Uint32(b[24:]) {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b[16:])) //nolint:gosec // written the same way
}

// appendGap appends a gap as it was at first: the file's name says where it begins,
// and what of it was confirmed since, the acknowledgements say.
func appendGap(dst []byte, seed uint32, g *segment) []byte {
	start := len(dst)
	dst = append(dst, gapMagic...)
	reason := uint64(g.gap)
	if g.inside {
		reason |= gapInside
	}
	for _, n := range []uint64{g.first, g.to, reason, uint64(g.oldest), uint64(g.newest), uint64(g.created)} { //nolint:gosec // read back the same way
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Update(seed, castagnoli, dst[start:]))
}

// parseGap reads what appendGap wrote into g, and says whether it is whole.
func parseGap(b []byte, seed uint32, g *segment) bool {
	if len(b) != gapSize || string(b[:8]) != gapMagic || crc32.Update(seed, castagnoli, b[:56]) != binary.LittleEndian.Uint32(b[56:]) {
		return false
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	g.from, g.to = at(0), at(1)
	g.gap, g.inside = telemetry.GapReason(at(2)&0xff), at(2)&gapInside != 0
	g.oldest, g.newest, g.created = int64(at(3)), int64(at(4)), int64(at(5)) //nolint:gosec // written the same way
	return g.from == g.first && g.from <= g.to && g.gap != 0
}

func appendAck(dst []byte, seed uint32, count, acked uint64) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, count)
	dst = binary.LittleEndian.AppendUint64(dst, acked)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Update(seed, castagnoli, dst[start:]))
	return append(dst, 0, 0, 0, 0)
}

// parseAck returns the newest slot that is whole; 0, 0 when there is none.
func parseAck(b []byte, seed uint32) (count, acked uint64) {
	for ; len(b) >= 20; b = b[min(len(b), ackSlot):] {
		if crc32.Update(seed, castagnoli, b[:16]) != binary.LittleEndian.Uint32(b[16:]) {
			continue
		}
		if n := binary.LittleEndian.Uint64(b); n >= count {
			count, acked = n, binary.LittleEndian.Uint64(b[8:])
		}
	}
	return count, acked
}

// content returns all bytes of the segment, those in memory included.
func (g *segment) content() ([]byte, error) {
	if g.written == 0 {
		return g.buf, nil
	}
	b, err := os.ReadFile(g.path)
	if err != nil {
		return nil, err
	}
	return append(b[:min(int64(len(b)), g.written)], g.buf...), nil
}
