// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/chunk"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// drawing is how a range is drawn: from what, and in which steps.
type drawing struct {
	// table is node_chunks for samples, node_fine or node_coarse.
	table string
	// span is how much time a row of the table covers.
	span int64
	// begin, end and step are in milliseconds.
	begin, end, step int64
}

// draw chooses the finest source that gives no more than the wanted points and
// still has the beginning of the range.
func draw(r history.Range, points int, retention history.Retention, now time.Time) drawing {
	d := drawing{begin: ceilMillis(r.Start), end: ceilMillis(r.End)}
	age := now.Sub(r.Start)
	sources := []struct {
		table      string
		span       int64
		resolution int64
		kept       time.Duration
	}{
		{"node_chunks", hourMS, 1000, retention.Samples},
		{"node_fine", hourMS, history.FineStep.Milliseconds(), retention.Fine},
		{"node_coarse", dayMS, history.CoarseStep.Milliseconds(), retention.Coarse},
	}
	wanted := (d.end - d.begin + int64(points) - 1) / int64(points)
	for i, s := range sources {
		last := i == len(sources)-1
		if !last && (age > s.kept || 10*wanted >= 9*sources[i+1].resolution) { // a few points less, for a tenth of the reading
			continue
		}
		d.table, d.span = s.table, s.span
		d.begin -= d.begin % s.resolution
		step := (d.end - d.begin + int64(points) - 1) / int64(points)
		d.step = max(s.resolution, (step+s.resolution-1)/s.resolution*s.resolution)
		break
	}
	return d
}

// steps collects values by series and step.
type steps struct {
	drawing
	want func(telemetry.Series) bool
	out  map[telemetry.Series]map[int64]*chunk.Bucket
}

func (s *steps) add(series telemetry.Series, b chunk.Bucket) {
	if b.At < s.begin || b.At >= s.end {
		return
	}
	buckets := s.out[series]
	if buckets == nil {
		buckets = map[int64]*chunk.Bucket{}
		s.out[series] = buckets
	}
	i := (b.At - s.begin) / s.step
	if known := buckets[i]; known != nil {
		known.Merge(b)
		return
	}
	b.At = s.begin + i*s.step
	buckets[i] = &b
}

// NodePoints implements history.MetricsReader.
func (s *Store) NodePoints(ctx context.Context, q history.PointsQuery) (history.Points, error) {
	points, err := s.readPoints(ctx, q)
	return points, wrap(s.d, "reading node metrics", err)
}

func (s *Store) readPoints(ctx context.Context, q history.PointsQuery) (history.Points, error) {
	if err := checkPoints(q); err != nil {
		return history.Points{}, err
	}
	d := draw(q.Range, cmp.Or(q.Points, history.DefaultPoints), s.retention, s.now())
	answer := history.Points{Step: time.Duration(d.step) * time.Millisecond}
	node, known, err := s.knownNode(ctx, q.Cluster, q.Node)
	if err != nil || !known {
		return answer, err
	}
	collect := &steps{drawing: d, out: map[telemetry.Series]map[int64]*chunk.Bucket{}, want: func(series telemetry.Series) bool {
		return series.Metric == q.Metric && (len(q.Labels) == 0 || slices.Contains(q.Labels, series.Label))
	}}
	// One moment, so that no sample is missed or counted twice while its hour is
	// compacted.
	err = s.snapshot(ctx, func(tx *gorm.DB) error {
		if d.table == "node_chunks" {
			return s.collectSamples(tx, node, chunk.GroupOf(q.Metric), collect)
		}
		if err := collectRollup(tx, node, chunk.GroupOf(q.Metric), collect); err != nil {
			return err
		}
		return s.collectRows(tx, node, d, func(sample chunk.Sample) { collect.sample(sample) })
	})
	if err != nil {
		return answer, err
	}
	for _, series := range slices.SortedFunc(maps.Keys(collect.out), func(a, b telemetry.Series) int { return cmp.Compare(a.Label, b.Label) }) {
		if len(answer.Series) == history.MaxSeries {
			answer.Truncated = true
			break
		}
		answer.Series = append(answer.Series, history.SeriesPoints{Series: series, Points: pointsOf(collect.out[series])})
	}
	return answer, nil
}

func checkPoints(q history.PointsQuery) error {
	switch {
	case q.Cluster == "" || q.Node == "" || q.Metric == 0:
		return fmt.Errorf("%w: the cluster, the node and the metric are required", history.ErrInvalidQuery)
	case q.Points < 0 || q.Points > history.MaxPoints:
		return fmt.Errorf("%w: %d points are not from 1 to %d", history.ErrInvalidQuery, q.Points, history.MaxPoints)
	}
	if err := checkFilters(filters{"labels": len(q.Labels)}); err != nil {
		return err
	}
	return q.Range.Check()
}

func pointsOf(buckets map[int64]*chunk.Bucket) []history.Point {
	points := make([]history.Point, 0, len(buckets))
	for _, i := range slices.Sorted(maps.Keys(buckets)) {
		b := buckets[i]
		points = append(points, history.Point{At: moment(b.At), Count: b.Count, Min: b.Min, Max: b.Max, Sum: b.Sum})
	}
	return points
}

func (s *steps) sample(sample chunk.Sample) {
	for i, series := range sample.Series {
		if s.want(series) {
			v := sample.Values[i]
			s.add(series, chunk.Bucket{At: sample.At, Count: 1, Min: v, Max: v, Sum: v})
		}
	}
}

// collectSamples reads the samples of closed hours and those that are not
// compacted yet. Where both have the same moment it is the same sample.
func (s *Store) collectSamples(tx *gorm.DB, node int64, group chunk.Group, collect *steps) error {
	type place struct {
		series telemetry.Series
		at     int64
	}
	values := map[place]float64{}
	err := blocksOf(tx, "node_chunks", node, group, collect.begin-collect.begin%hourMS, collect.end, func(_ int64, data []byte) error {
		block, err := chunk.Decode(data, func(series telemetry.Series, _ chunk.Stat) bool { return collect.want(series) })
		block.Each(func(series telemetry.Series, _ chunk.Stat, at int64, v float64) { values[place{series, at}] = v })
		return err
	})
	if err != nil {
		return err
	}
	err = s.collectRows(tx, node, collect.drawing, func(sample chunk.Sample) {
		for i, series := range sample.Series {
			if collect.want(series) {
				values[place{series, sample.At}] = sample.Values[i]
			}
		}
	})
	if err != nil {
		return err
	}
	// In order, so that sums do not depend on the order of a map.
	for _, p := range slices.SortedFunc(maps.Keys(values), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.series.Label, b.series.Label), cmp.Compare(a.at, b.at))
	}) {
		v := values[p]
		collect.add(p.series, chunk.Bucket{At: p.at, Count: 1, Min: v, Max: v, Sum: v})
	}
	return nil
}

func collectRollup(tx *gorm.DB, node int64, group chunk.Group, collect *steps) error {
	return blocksOf(tx, collect.table, node, group, collect.begin-collect.begin%collect.span, collect.end, func(_ int64, data []byte) error {
		block, err := chunk.Decode(data, chunk.WantRollup(collect.want))
		for series, buckets := range block.Rollup(collect.want) {
			for _, b := range buckets {
				collect.add(series, b)
			}
		}
		return err
	})
}

// blocksOf reads the blocks of a group that begin in [from, to).
func blocksOf(tx *gorm.DB, table string, node int64, group chunk.Group, from, to int64, use func(start int64, data []byte) error) error {
	return each(tx, "SELECT start_ms, data FROM "+table+" WHERE node_id = ? AND grp = ? AND start_ms >= ? AND start_ms < ? ORDER BY start_ms",
		[]any{node, int64(group), from, to}, func(r *sql.Rows) error {
			var start int64
			var data []byte
			if err := r.Scan(&start, &data); err != nil {
				return err
			}
			return use(start, data)
		})
}

// rawRow is a sample that is not compacted yet.
type rawRow struct {
	set, at int64
	data    []byte
}

// collectRows reads the samples that are not compacted yet.
func (s *Store) collectRows(tx *gorm.DB, node int64, d drawing, use func(chunk.Sample)) error {
	samples, err := s.rawSamples(tx, node, d.begin, d.end, "")
	for _, sample := range chunk.Unique(samples) {
		use(sample)
	}
	return err
}

// rawSamples reads samples in [from, to) in the order in which they arrived, as
// far as the database tells.
func (s *Store) rawSamples(tx *gorm.DB, node, from, to int64, ending string) ([]chunk.Sample, error) {
	var rows []rawRow
	err := each(tx, "SELECT set_id, at_ms, data FROM node_samples WHERE node_id = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms"+ending,
		[]any{node, from, to}, func(r *sql.Rows) error {
			var row rawRow
			err := r.Scan(&row.set, &row.at, &row.data)
			rows = append(rows, row)
			return err
		})
	if err != nil {
		return nil, err
	}
	samples := make([]chunk.Sample, 0, len(rows))
	for _, row := range rows {
		series, err := s.seriesOf(tx, row.set)
		if err != nil {
			return nil, fmt.Errorf("reading the series of a sample: %w", err)
		}
		sample, err := chunk.ParseSample(row.data, series)
		if err != nil {
			return nil, err
		}
		samples = append(samples, chunk.Sample{At: row.at, NodeSample: sample})
	}
	return samples, nil
}

func (s *Store) knownNode(ctx context.Context, cluster history.ClusterUID, name string) (int64, bool, error) {
	id, known, err := s.knownCluster(ctx, cluster)
	if err != nil || !known {
		return 0, false, err
	}
	key := nodeKey{id, name}
	if node, ok := recall(s.dict, s.dict.nodes, key); ok {
		return node, true, nil
	}
	node, err := find(s.read.WithContext(ctx), "SELECT id FROM nodes WHERE cluster_id = ? AND name = ?", []any{id, name}, nil)
	if errors.Is(err, errNoRows) {
		return 0, false, nil
	}
	if err == nil {
		remember(s.dict, s.dict.nodes, key, node)
	}
	return node, err == nil, err
}
