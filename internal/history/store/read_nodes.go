// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/chunk"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Nodes implements history.MetricsReader.
func (s *Store) Nodes(ctx context.Context, cluster history.ClusterUID) ([]history.Node, error) {
	nodes, err := s.readNodes(ctx, cluster)
	return nodes, wrap(s.d, "reading the nodes", err)
}

func (s *Store) readNodes(ctx context.Context, cluster history.ClusterUID) ([]history.Node, error) {
	id, known, err := s.knownCluster(ctx, cluster)
	if err != nil || !known {
		return nil, err
	}
	var nodes []history.Node
	var silent []int // nodes without a sample that is not compacted
	var ids []int64
	err = s.snapshot(ctx, func(tx *gorm.DB) error {
		err := each(tx, "SELECT id, name, (SELECT MAX(at_ms) FROM node_samples WHERE node_id = nodes.id) FROM nodes WHERE cluster_id = ? ORDER BY name",
			[]any{id}, func(r *sql.Rows) error {
				var node history.Node
				var nodeID int64
				var last sql.NullInt64
				err := r.Scan(&nodeID, &node.Name, &last)
				if !last.Valid {
					silent = append(silent, len(nodes))
				}
				node.LastSample = moment(last.Int64)
				nodes = append(nodes, node)
				ids = append(ids, nodeID)
				return err
			})
		if err != nil {
			return err
		}
		for _, i := range silent {
			block, err := newestBlock(tx, ids[i], 0)
			if err != nil {
				return err
			}
			if n := len(block.Times); n > 0 {
				nodes[i].LastSample = moment(block.Times[n-1])
			}
		}
		return nil
	})
	return nodes, err
}

// newestBlock returns the newest block of samples of a group; it is empty when
// there is none.
func newestBlock(tx *gorm.DB, node int64, group chunk.Group) (chunk.Block, error) {
	var data []byte
	err := first(tx, "SELECT data FROM node_chunks WHERE node_id = ? AND grp = ? ORDER BY start_ms DESC LIMIT 1", []any{node, int64(group)}, &data)
	if errors.Is(err, errNoRows) {
		return chunk.Block{}, nil
	}
	if err != nil {
		return chunk.Block{}, err
	}
	return chunk.Decode(data, nil)
}

// NodeSeries implements history.MetricsReader.
func (s *Store) NodeSeries(ctx context.Context, cluster history.ClusterUID, node string) ([]telemetry.Series, error) {
	series, err := s.readSeries(ctx, cluster, node)
	return series, wrap(s.d, "reading the series of a node", err)
}

func (s *Store) readSeries(ctx context.Context, cluster history.ClusterUID, name string) ([]telemetry.Series, error) {
	node, known, err := s.knownNode(ctx, cluster, name)
	if err != nil {
		return nil, err
	}
	var series []telemetry.Series
	if known {
		err = s.snapshot(ctx, func(tx *gorm.DB) error {
			series, err = s.newestSeries(tx, node)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(series) == 0 {
		return nil, fmt.Errorf("%w: samples of node %q", history.ErrNotFound, telemetry.Clip(name, telemetry.MaxName))
	}
	slices.SortFunc(series, func(a, b telemetry.Series) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Label, b.Label))
	})
	return slices.Compact(series), nil
}

func (s *Store) newestSeries(tx *gorm.DB, node int64) ([]telemetry.Series, error) {
	var set int64
	err := first(tx, "SELECT set_id FROM node_samples WHERE node_id = ? ORDER BY at_ms DESC LIMIT 1", []any{node}, &set)
	if err == nil {
		series, err := s.seriesOf(tx, set)
		return slices.Clone(series), err
	}
	if !errors.Is(err, errNoRows) {
		return nil, err
	}
	var series []telemetry.Series
	for group := range chunk.Group(chunk.Groups) {
		block, err := newestBlock(tx, node, group)
		if err != nil {
			return nil, err
		}
		for _, c := range block.Columns {
			// Those of the last row only.
			if n := len(c.Rows); n == 0 || int(c.Rows[n-1]) == len(block.Times)-1 {
				series = append(series, c.Series)
			}
		}
	}
	return series, nil
}
