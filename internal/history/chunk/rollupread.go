// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import "github.com/atlhyper/atlhyper/internal/telemetry"

// Rollup reads the rollup that the block holds. A block that was decoded for some
// series must have been decoded with WantRollup.
func (b *Block) Rollup(want func(telemetry.Series) bool) Rollup {
	out := Rollup{}
	var counts Column
	for i := 0; i < len(b.Columns); {
		series := b.Columns[i].Series
		var low, high, sum *Column
		for ; i < len(b.Columns) && b.Columns[i].Series == series; i++ {
			switch c := &b.Columns[i]; c.Stat {
			case StatCount:
				counts = *c
			case StatMin:
				low = c
			case StatMax:
				high = c
			case StatSum:
				sum = c
			case StatValue:
			}
		}
		if low == nil || want != nil && !want(series) || len(low.Values) != len(counts.Values) {
			continue
		}
		out[series] = b.buckets(&counts, low, high, sum)
	}
	return out
}

func (b *Block) buckets(counts, low, high, sum *Column) []Bucket {
	buckets := make([]Bucket, len(low.Values))
	for j, v := range low.Values {
		row := j
		if low.Rows != nil {
			row = int(low.Rows[j])
		}
		bucket := Bucket{At: b.Times[row], Count: uint64(counts.Values[j]), Min: v, Max: v}
		if high != nil && j < len(high.Values) {
			bucket.Max = high.Values[j]
		}
		bucket.Sum = bucket.derivedSum()
		if sum != nil && j < len(sum.Values) {
			bucket.Sum = sum.Values[j]
		}
		buckets[j] = bucket
	}
	return buckets
}

// WantRollup makes Decode take the given series and every count, which other
// series rely on.
func WantRollup(want func(telemetry.Series) bool) func(telemetry.Series, Stat) bool {
	return func(s telemetry.Series, stat Stat) bool { return stat == StatCount || want(s) }
}
