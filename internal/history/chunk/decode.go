// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"math"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Decode unpacks a block. Columns for which want is false are left out without
// being unpacked; a nil want takes all.
func Decode(data []byte, want func(telemetry.Series, Stat) bool) (Block, error) {
	in := &input{rest: data}
	if v := in.byte(); v != blockVersion {
		in.fail("version %d of a block is unknown", v)
	}
	flags := in.byte()
	if flags > 1 {
		in.fail("flags %d of a block are unknown", flags)
	}
	n := in.count("rows", MaxRows)
	if in.err != nil {
		return Block{}, in.err
	}
	var b Block
	s := &scratch{}
	if n > 0 {
		b.Times = make([]int64, n)
		in.column(func(c *input) { c.ints(b.Times) })
		if flags == 1 {
			b.Heads = in.heads(n)
		}
	}
	in.columns(&b, want, s)
	if in.err == nil && len(in.rest) > 0 {
		in.fail("%d bytes follow the last column", len(in.rest))
	}
	if in.err != nil {
		return Block{}, in.err
	}
	return b, nil
}

// column reads a length and hands that many bytes to read, which has to take all.
func (in *input) column(read func(*input)) {
	c := input{rest: in.bytes(in.count("bytes", len(in.rest)))}
	if in.err != nil {
		return
	}
	read(&c)
	if c.err == nil && len(c.rest) > 0 {
		c.fail("%d bytes follow a column", len(c.rest))
	}
	if in.err = c.err; in.err != nil {
		in.rest = nil
	}
}

func (in *input) heads(n int) []Head {
	heads := make([]Head, n)
	ints := make([]int64, n)
	for _, set := range []func(*Head, int64){
		func(h *Head, v int64) { h.Seq = uint64(v) }, //nolint:gosec // a bit pattern
		func(h *Head, v int64) { h.IntervalMS = v },
		func(h *Head, v int64) { h.Scope = telemetry.NetworkScope(v) }, //nolint:gosec // was one
	} {
		in.column(func(c *input) { c.ints(ints) })
		for i, v := range ints {
			set(&heads[i], v)
		}
	}
	for i := 0; i < n && in.err == nil; {
		run := in.count("rows of a boot", n-i)
		boot := string(in.bytes(in.count("bytes of a boot ID", telemetry.MaxUID)))
		if run == 0 {
			in.fail("a boot has no rows")
		}
		for range run {
			heads[i].Boot = boot
			i++
		}
	}
	return heads
}

func (in *input) columns(b *Block, want func(telemetry.Series, Stat) bool, s *scratch) {
	count := in.count("columns", MaxColumns)
	total, label := 0, ""
	for range count {
		metric := telemetry.MetricID(in.count("as a metric", math.MaxUint16)) //nolint:gosec // bounded
		if length := in.count("bytes of a label", telemetry.MaxLabelValue+1); length > 0 {
			label = string(in.bytes(length - 1))
		}
		column := Column{Series: telemetry.Series{Metric: metric, Label: label}, Stat: Stat(in.byte())}
		if in.err != nil {
			return
		}
		if want != nil && !want(column.Series, column.Stat) {
			in.bytes(in.count("bytes", len(in.rest)))
			continue
		}
		in.column(func(c *input) {
			var n int
			column.Rows, n = c.rows(len(b.Times))
			if total += n; total > maxValues {
				c.fail("more than %d values", maxValues)
			}
			if n == 0 || c.err != nil {
				return
			}
			column.Values = make([]float64, n)
			c.floats(column.Values, s)
		})
		if in.err != nil {
			return
		}
		b.Columns = append(b.Columns, column)
	}
}
