// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/chunk"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// compact puts the samples of closed hours into blocks, one node and hour at a
// time, the oldest first.
func (s *Store) compact(ctx context.Context, now time.Time) (history.TaskReport, error) {
	var report history.TaskReport
	for report.Done < compactMost {
		hours, err := openHours(s.read.WithContext(ctx), closedBefore(now), compactMost-report.Done)
		if err != nil || len(hours) == 0 {
			return report, err
		}
		for _, node := range slices.Sorted(maps.Keys(hours)) {
			rows, err := s.compactHour(ctx, node, hours[node])
			if err != nil {
				return report, err
			}
			report.Done++
			report.Rows += rows
		}
	}
	report.More = true
	return report, nil
}

// compactHour merges the samples of one node and hour into its blocks and takes
// them from the rows.
func (s *Store) compactHour(ctx context.Context, node, hour int64) (int64, error) {
	_, err := s.d.ensure(ctx, s.write, []slot{slotOf("node_chunks", hour), slotOf("node_fine", hour), slotOf("node_coarse", hour)})
	if err != nil {
		return 0, err
	}
	var rows int64
	// The transaction sees one moment: samples that arrive meanwhile are neither
	// compacted nor deleted. MySQL's DELETE looks at the present nevertheless,
	// so there the rows and the space between them are locked.
	ending := ""
	if s.d.name() == dialectMySQL {
		ending = " FOR UPDATE"
	}
	err = s.transact(ctx, func(t *txn) error {
		var id int64
		if err := first(t.db, "SELECT id FROM nodes WHERE id = ?"+t.d.lockClause(), []any{node}, &id); err != nil {
			return err
		}
		fresh, err := s.rawSamples(t.db, node, hour, hour+hourMS, ending)
		if err != nil || len(fresh) == 0 {
			return err
		}
		known, err := loadBlocks(t, "node_chunks", node, hour)
		if err != nil {
			return err
		}
		samples := thin(chunk.Unique(append(chunk.Samples(known), fresh...)))
		if err := saveHour(t, node, hour, samples); err != nil {
			return err
		}
		crash.At("store.compact.before-delete")
		rows, err = t.affected("DELETE FROM node_samples WHERE node_id = ? AND at_ms >= ? AND at_ms < ?", node, hour, hour+hourMS)
		return err
	}, s.repeatable())
	crash.At("store.compact.after-hour")
	return rows, err
}

// thin leaves out every other sample until no more are left than a block holds:
// one each quarter of a second, which no collector comes near to.
func thin(samples []chunk.Sample) []chunk.Sample {
	for len(samples) > chunk.MaxRows {
		kept := samples[:0]
		for i := 0; i < len(samples); i += 2 {
			kept = append(kept, samples[i])
		}
		samples = kept
	}
	return samples
}

// saveHour writes the blocks of an hour and the rollups that follow from them.
func saveHour(t *txn, node, hour int64, samples []chunk.Sample) error {
	blocks := chunk.Blocks(samples)
	fine := rollup(blocks)
	if err := saveBlocks(t, "node_chunks", node, hour, blocks); err != nil {
		return err
	}
	crash.At("store.compact.before-rollup")
	if err := saveBlocks(t, "node_fine", node, hour, fine.Blocks()); err != nil {
		return err
	}
	day := hour - hour%dayMS
	known, err := loadBlocks(t, "node_coarse", node, day)
	if err != nil {
		return err
	}
	coarse := fine.Coarser(history.CoarseStep.Milliseconds())
	for _, b := range known {
		for series, buckets := range b.Rollup(nil) {
			kept := coarse[series]
			for _, bucket := range buckets {
				if bucket.At != hour {
					kept = append(kept, bucket)
				}
			}
			slices.SortFunc(kept, func(a, b chunk.Bucket) int { return int((a.At - b.At) / hourMS) })
			coarse[series] = kept
		}
	}
	return saveBlocks(t, "node_coarse", node, day, coarse.Blocks())
}

// rollup sums up the samples of blocks in steps of history.FineStep.
func rollup(blocks map[chunk.Group]*chunk.Block) chunk.Rollup {
	fine := chunk.Rollup{}
	step := history.FineStep.Milliseconds()
	for _, b := range blocks {
		b.Each(func(series telemetry.Series, _ chunk.Stat, at int64, v float64) { fine.Add(series, at, v, step) })
	}
	return fine
}

func loadBlocks(t *txn, table string, node, start int64) (map[chunk.Group]*chunk.Block, error) {
	blocks := map[chunk.Group]*chunk.Block{}
	err := each(t.db, "SELECT grp, data FROM "+table+" WHERE node_id = ? AND start_ms = ?", []any{node, start}, func(r *sql.Rows) error {
		var group chunk.Group
		var data []byte
		if err := r.Scan(&group, &data); err != nil {
			return err
		}
		block, err := chunk.Decode(data, nil)
		blocks[group] = &block
		return err
	})
	return blocks, err
}

func saveBlocks(t *txn, table string, node, start int64, blocks map[chunk.Group]*chunk.Block) error {
	rows := make([][]any, 0, len(blocks))
	for _, group := range slices.Sorted(maps.Keys(blocks)) {
		rows = append(rows, []any{node, int64(group), start, blocks[group].Encode()})
	}
	columns := []string{"node_id", "grp", "start_ms", "data"}
	return t.upsert(table, columns, columns[:3], columns[3:], rows)
}
