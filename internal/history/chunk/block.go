// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const blockVersion = 1

// Bounds of a block.
const (
	// MaxRows is the most rows of a block.
	MaxRows = 16384
	// MaxColumns is the most columns of a block.
	MaxColumns = 4 * telemetry.MaxValues
	// maxValues bounds what a block unfolds to.
	maxValues = 1 << 23
)

// Stat says what the values of a column are.
type Stat uint8

// The stats.
const (
	// StatValue is the values as they were measured.
	StatValue Stat = 0
	// StatCount is how many values a rollup sums up.
	StatCount Stat = 1
	// StatMin is the smallest of them.
	StatMin Stat = 2
	// StatMax is the largest of them.
	StatMax Stat = 3
	// StatSum is their sum.
	StatSum Stat = 4
)

// Column is one series over the rows of a block.
type Column struct {
	// Series is the metric and the label.
	Series telemetry.Series
	// Stat says what the values are.
	Stat Stat
	// Rows are the rows that have a value, ascending; nil when all have.
	Rows []int32
	// Values belong to Rows.
	Values []float64
}

// Head is what a sample has besides its time and its values.
type Head struct {
	// Boot, Seq, IntervalMS and Scope are those of telemetry.NodeSample.
	Boot string
	// Seq is the collector's.
	Seq uint64
	// IntervalMS is in milliseconds.
	IntervalMS int64
	// Scope of the network.
	Scope telemetry.NetworkScope
}

// Block is columns over common times.
type Block struct {
	// Times are the rows, in Unix milliseconds, ascending.
	Times []int64
	// Heads belong to Times; nil when the block has none.
	Heads []Head
	// Columns are ordered by metric, label and stat.
	Columns []Column
}

func compareColumns(a, b Column) int {
	return cmp.Or(cmp.Compare(a.Series.Metric, b.Series.Metric), cmp.Compare(a.Series.Label, b.Series.Label), cmp.Compare(a.Stat, b.Stat))
}

// Encode packs a block. It sorts the columns in place.
func (b *Block) Encode() []byte {
	s := &scratch{}
	slices.SortFunc(b.Columns, compareColumns)
	flags := byte(0)
	if b.Heads != nil {
		flags = 1
	}
	dst := []byte{blockVersion, flags}
	dst = binary.AppendUvarint(dst, uint64(len(b.Times)))
	if len(b.Times) > 0 {
		dst = s.appendColumn(dst, func(dst []byte) []byte { return appendInts(dst, b.Times, &s.codes) })
		if b.Heads != nil {
			dst = b.appendHeads(dst, s)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Columns)))
	label := ""
	for i := range b.Columns {
		c := &b.Columns[i]
		dst = binary.AppendUvarint(dst, uint64(c.Series.Metric))
		if c.Series.Label == label {
			dst = append(dst, 0)
		} else {
			label = c.Series.Label
			dst = binary.AppendUvarint(dst, uint64(len(label))+1)
			dst = append(dst, label...)
		}
		dst = append(dst, byte(c.Stat))
		dst = s.appendColumn(dst, func(dst []byte) []byte {
			dst = appendRows(dst, c.Rows, len(b.Times))
			if len(c.Values) == 0 {
				return dst
			}
			return appendFloats(dst, c.Values, s)
		})
	}
	return dst
}

// appendColumn appends the length of a column and the column.
func (s *scratch) appendColumn(dst []byte, column func([]byte) []byte) []byte {
	s.column = column(s.column[:0])
	return append(binary.AppendUvarint(dst, uint64(len(s.column))), s.column...)
}

func (b *Block) appendHeads(dst []byte, s *scratch) []byte {
	for _, field := range []func(Head) int64{
		func(h Head) int64 { return int64(h.Seq) }, //nolint:gosec // a bit pattern
		func(h Head) int64 { return h.IntervalMS },
		func(h Head) int64 { return int64(h.Scope) },
	} {
		ints := make([]int64, len(b.Heads))
		for i, h := range b.Heads {
			ints[i] = field(h)
		}
		dst = s.appendColumn(dst, func(dst []byte) []byte { return appendInts(dst, ints, &s.codes) })
	}
	for i := 0; i < len(b.Heads); {
		run := 1
		for i+run < len(b.Heads) && b.Heads[i+run].Boot == b.Heads[i].Boot {
			run++
		}
		dst = binary.AppendUvarint(dst, uint64(run))
		dst = binary.AppendUvarint(dst, uint64(len(b.Heads[i].Boot)))
		dst = append(dst, b.Heads[i].Boot...)
		i += run
	}
	return dst
}

// appendRows appends which rows have a value, as the lengths of runs: the first
// of rows with a value, the second without, and so on.
func appendRows(dst []byte, rows []int32, n int) []byte {
	if rows == nil {
		return append(dst, 0)
	}
	var runs []uint64
	next := int32(0)
	for i := 0; i < len(rows); {
		length := int32(1)
		for i+int(length) < len(rows) && rows[i+int(length)] == rows[i]+length {
			length++
		}
		if rows[i] > next || len(runs) > 0 {
			if len(runs) == 0 {
				runs = append(runs, 0)
			}
			runs = append(runs, uint64(rows[i]-next)) //nolint:gosec // ascending
		}
		runs = append(runs, uint64(length))
		next = rows[i] + length
		i += int(length)
	}
	if len(runs) == 0 {
		runs = append(runs, 0)
	}
	if int(next) < n {
		runs = append(runs, uint64(n)-uint64(next)) //nolint:gosec // positive
	}
	dst = binary.AppendUvarint(dst, uint64(len(runs)))
	for _, r := range runs {
		dst = binary.AppendUvarint(dst, r)
	}
	return dst
}

// rows reads what appendRows wrote and returns the rows and how many there are.
func (in *input) rows(n int) ([]int32, int) {
	count := in.count("runs", n+2)
	if count == 0 || in.err != nil {
		return nil, n
	}
	rows := make([]int32, 0, min(n, 64))
	next := 0
	for i := range count {
		length := in.count("rows", n-next)
		if i%2 == 0 {
			for j := range length {
				rows = append(rows, int32(next+j))
			}
		}
		next += length
	}
	if next != n {
		in.fail("runs of %d rows, there are %d", next, n)
	}
	return rows, len(rows)
}
