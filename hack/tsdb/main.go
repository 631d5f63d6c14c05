// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Command tsdb stores a day of a node's samples with Prometheus' own storage and
// prints what a value takes, for comparison with
//
//	go test ./internal/history/store -run xxx -bench BytesPerSample
//
// which stores the same values.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/atlhyper/atlhyper/internal/history/historytest"
)

const (
	hours    = 24
	interval = 15 * time.Second
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "tsdb:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "atlhyper-tsdb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	options := tsdb.DefaultOptions()
	options.RetentionDuration = (48 * time.Hour).Milliseconds()
	db, err := tsdb.Open(dir, promslog.NewNopLogger(), nil, options, nil)
	if err != nil {
		return fmt.Errorf("opening the storage: %w", err)
	}
	values, err := fill(ctx, db)
	if err != nil {
		return err
	}
	if err := db.CompactHead(tsdb.NewRangeHead(db.Head(), math.MinInt64, math.MaxInt64)); err != nil {
		return fmt.Errorf("writing the last block: %w", err)
	}
	if err := db.Compact(ctx); err != nil {
		return fmt.Errorf("compacting: %w", err)
	}
	if err := db.Close(); err != nil {
		return fmt.Errorf("closing the storage: %w", err)
	}
	blocks, err := size(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d values of %d h in %d bytes of blocks: %.3f B/value\n", values, hours, blocks, float64(blocks)/float64(values))
	return nil
}

// fill stores a day of one node, each metric with the labels it would be scraped with.
func fill(ctx context.Context, db *tsdb.DB) (values int, err error) {
	node := historytest.NewNode("node-0", 0)
	refs := map[int]storage.SeriesRef{}
	begin := time.Now().Add(-hours * time.Hour).Truncate(2 * time.Hour)
	for i := range hours * int(time.Hour/interval) {
		sample, at := node.Next(), begin.Add(time.Duration(i)*interval)
		app := db.Appender(ctx)
		for j, v := range sample.Values {
			series := labels.EmptyLabels()
			if refs[j] == 0 {
				series = labels.FromStrings(labels.MetricName, "metric_"+strconv.Itoa(int(sample.Series[j].Metric)),
					"instance", "node-0:9100", "job", "node", "label", sample.Series[j].Label)
			}
			if refs[j], err = app.Append(refs[j], series, at.UnixMilli(), v); err != nil {
				return values, fmt.Errorf("appending: %w", err)
			}
			values++
		}
		if err := app.Commit(); err != nil {
			return values, fmt.Errorf("committing: %w", err)
		}
	}
	return values, nil
}

// size is what the blocks take, without the log of what is not in a block yet.
func size(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "wal" || entry.Name() == "chunks_head" || entry.Name() == "wbl") {
			return filepath.SkipDir
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes, err
}
