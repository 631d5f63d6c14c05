// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"cmp"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Sample is a sample and its time, in Unix milliseconds.
type Sample struct {
	// At is the sample's time.
	At int64
	// NodeSample is the sample. Its node is known from where it is kept.
	telemetry.NodeSample
}

// Group is a family of metrics that is kept in a block of its own, so that a chart
// of one reads no others.
type Group int16

// Groups is how many groups there are; they are numbered from 0.
const Groups = 7

// GroupOf returns the group of a metric. It never changes: stored blocks rely on it.
func GroupOf(metric telemetry.MetricID) Group {
	switch {
	case metric < 30:
		return 0 // CPU
	case metric < 40:
		return 1 // pressure
	case metric < 70:
		return 2 // memory
	case metric < 90:
		return 3 // filesystems
	case metric < 110:
		return 4 // disks
	case metric < 130:
		return 5 // network
	}
	return 6 // the rest
}

// Unique orders samples by time and leaves one of each moment: of those with the
// same time, the last. A node has one collector, so two samples of one moment are
// one sample that was sent twice.
func Unique(samples []Sample) []Sample {
	slices.SortStableFunc(samples, func(a, b Sample) int { return cmp.Compare(a.At, b.At) })
	kept := samples[:0]
	for _, s := range samples {
		if len(kept) > 0 && kept[len(kept)-1].At == s.At {
			kept[len(kept)-1] = s
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// Blocks turns samples, which Unique has ordered, into one block for each group.
// The block of group 0 has the heads and is there even without columns, so that
// the samples can be put together again.
func Blocks(samples []Sample) map[Group]*Block {
	times := make([]int64, len(samples))
	heads := make([]Head, len(samples))
	columns := map[telemetry.Series]*Column{}
	for row, s := range samples {
		times[row] = s.At
		heads[row] = Head{Boot: s.BootID, Seq: s.CollectorSeq, IntervalMS: s.Interval.Milliseconds(), Scope: s.Scope}
		for i, series := range s.Series {
			c := columns[series]
			if c == nil {
				c = &Column{Series: series, Values: make([]float64, 0, len(samples)), Rows: make([]int32, 0, len(samples))}
				columns[series] = c
			}
			if last := len(c.Rows) - 1; last >= 0 && c.Rows[last] == int32(row) {
				c.Values[last] = s.Values[i] // a series that occurs twice: the later value wins
				continue
			}
			c.Rows = append(c.Rows, int32(row))
			c.Values = append(c.Values, s.Values[i])
		}
	}
	blocks := map[Group]*Block{0: {Times: times, Heads: heads}}
	for series, c := range columns {
		group := GroupOf(series.Metric)
		if blocks[group] == nil {
			blocks[group] = &Block{Times: times}
		}
		if len(c.Rows) == len(samples) {
			c.Rows = nil
		}
		blocks[group].Columns = append(blocks[group].Columns, *c)
	}
	for _, b := range blocks {
		slices.SortFunc(b.Columns, compareColumns)
	}
	return blocks
}

// Samples puts the samples together again, ordered by time. The series of each
// are ordered by metric and label.
func Samples(blocks map[Group]*Block) []Sample {
	head := blocks[0]
	if head == nil || len(head.Heads) != len(head.Times) {
		return nil
	}
	samples := make([]Sample, len(head.Times))
	rows := make(map[int64]int, len(head.Times))
	for i, h := range head.Heads {
		samples[i] = Sample{At: head.Times[i], NodeSample: telemetry.NodeSample{
			BootID: h.Boot, CollectorSeq: h.Seq, Interval: time.Duration(h.IntervalMS) * time.Millisecond, Scope: h.Scope,
		}}
		rows[head.Times[i]] = i
	}
	for group := range Group(Groups) {
		if b := blocks[group]; b != nil {
			b.Each(func(series telemetry.Series, _ Stat, at int64, v float64) {
				if i, ok := rows[at]; ok {
					samples[i].Series = append(samples[i].Series, series)
					samples[i].Values = append(samples[i].Values, v)
				}
			})
		}
	}
	return samples
}

// Each calls yield for every value, column by column and in each by time.
func (b *Block) Each(yield func(series telemetry.Series, stat Stat, at int64, v float64)) {
	for i := range b.Columns {
		c := &b.Columns[i]
		for j, v := range c.Values {
			row := j
			if c.Rows != nil {
				row = int(c.Rows[j])
			}
			yield(c.Series, c.Stat, b.Times[row], v)
		}
	}
}
