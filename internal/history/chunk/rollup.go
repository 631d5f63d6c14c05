// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"cmp"
	"math"
	"slices"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Bucket sums up the values of one series in one step.
type Bucket struct {
	// At is the beginning of the step, in Unix milliseconds.
	At int64
	// Count is how many values there are, never 0.
	Count uint64
	// Min, Max and Sum are those of the values.
	Min, Max, Sum float64
}

// Merge adds the values that o sums up. At stays.
func (b *Bucket) Merge(o Bucket) {
	b.Min, b.Max = min(b.Min, o.Min), max(b.Max, o.Max)
	b.Sum = add(b.Sum, o.Sum)
	b.Count += o.Count
}

// Add adds one value to the bucket, which may be new.
func (b *Bucket) Add(v float64) {
	if b.Count == 0 {
		b.Min, b.Max, b.Sum, b.Count = v, v, v, 1
		return
	}
	b.Merge(Bucket{Count: 1, Min: v, Max: v, Sum: v})
}

// add adds two numbers. Where both have few decimals it adds them as decimals: the
// sum of ten times 0.1 is 1, and packs as well as the values do.
func add(a, b float64) float64 {
	for _, d := range [...]int{0, 2, maxDecimals} {
		x, ok := scaled(a, d)
		y, ok2 := scaled(b, d)
		if ok && ok2 && x+y < maxScaled && x+y > -maxScaled {
			return float64(x+y) / powers[d]
		}
	}
	return a + b
}

// Rollup is the buckets of each series, ascending by time.
type Rollup map[telemetry.Series][]Bucket

// Add puts a value into the bucket that it belongs to. Values of one series come
// in the order of their times.
func (r Rollup) Add(series telemetry.Series, at int64, v float64, step int64) {
	r.merge(series, Bucket{At: at - at%step, Count: 1, Min: v, Max: v, Sum: v})
}

// Coarser returns the rollup with wider steps: a multiple of the ones it has.
func (r Rollup) Coarser(step int64) Rollup {
	coarse := Rollup{}
	for series, buckets := range r {
		for _, b := range buckets {
			b.At -= b.At % step
			coarse.merge(series, b)
		}
	}
	return coarse
}

func (r Rollup) merge(series telemetry.Series, b Bucket) {
	buckets := r[series]
	if last := len(buckets) - 1; last >= 0 && buckets[last].At == b.At {
		buckets[last].Merge(b)
		return
	}
	r[series] = append(buckets, b)
}

// Blocks turns a rollup into one block for each group. A maximum that is always
// the minimum and a sum that follows from them are left out; so is a count that is
// the same as that of the series before.
func (r Rollup) Blocks() map[Group]*Block {
	order := slices.SortedFunc(func(yield func(telemetry.Series) bool) {
		for s := range r {
			if !yield(s) {
				return
			}
		}
	}, func(a, b telemetry.Series) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Label, b.Label))
	})
	blocks := map[Group]*Block{}
	times := map[Group][]int64{}
	for _, s := range order {
		for _, b := range r[s] {
			g := GroupOf(s.Metric)
			times[g] = append(times[g], b.At)
		}
	}
	rows := map[Group]map[int64]int32{}
	for g, all := range times {
		slices.Sort(all)
		all = slices.Compact(all)
		blocks[g] = &Block{Times: all}
		rows[g] = make(map[int64]int32, len(all))
		for i, at := range all {
			rows[g][at] = int32(i)
		}
	}
	counts := map[Group]Column{}
	for _, s := range order {
		g := GroupOf(s.Metric)
		columns := r.columns(s, rows[g], len(blocks[g].Times))
		if last, ok := counts[g]; ok && slices.Equal(last.Rows, columns[0].Rows) && slices.Equal(last.Values, columns[0].Values) {
			columns = columns[1:]
		} else {
			counts[g] = columns[0]
		}
		blocks[g].Columns = append(blocks[g].Columns, columns...)
	}
	return blocks
}

// columns returns the columns of a series, the count first.
func (r Rollup) columns(s telemetry.Series, rows map[int64]int32, n int) []Column {
	buckets := r[s]
	column := func(stat Stat, value func(Bucket) float64) Column {
		c := Column{Series: s, Stat: stat, Values: make([]float64, len(buckets))}
		for i, b := range buckets {
			c.Values[i] = value(b)
			if len(buckets) < n {
				c.Rows = append(c.Rows, rows[b.At])
			}
		}
		return c
	}
	columns := []Column{
		column(StatCount, func(b Bucket) float64 { return float64(b.Count) }),
		column(StatMin, func(b Bucket) float64 { return b.Min }),
	}
	if slices.ContainsFunc(buckets, func(b Bucket) bool { return !same(b.Max, b.Min) }) {
		columns = append(columns, column(StatMax, func(b Bucket) float64 { return b.Max }))
	}
	if slices.ContainsFunc(buckets, func(b Bucket) bool { return !same(b.Sum, b.derivedSum()) }) {
		columns = append(columns, column(StatSum, func(b Bucket) float64 { return b.Sum }))
	}
	return columns
}

// derivedSum is the sum when all values are the minimum.
func (b *Bucket) derivedSum() float64 { return b.Min * float64(b.Count) }

func same(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
