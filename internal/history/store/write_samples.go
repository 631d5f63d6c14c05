// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/atlhyper/atlhyper/internal/history/chunk"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// noSeries stands for the samples that have no series.
var noSeries = &telemetry.Series{}

func seriesKey(s *telemetry.NodeSample) *telemetry.Series {
	if len(s.Series) == 0 {
		return noSeries
	}
	return &s.Series[0]
}

func (a *appending) prepareSample(ctx context.Context, s *telemetry.NodeSample) (err error) {
	a.nodes[s.Node] = 0 // numbered by numberNodes
	if _, ok := a.sets[seriesKey(s)]; !ok {
		a.sets[seriesKey(s)], err = a.s.nodeSetID(ctx, nodeKey{a.cluster, s.Node}, s.Series)
	}
	return err
}

// numberNodes numbers the nodes of the batch, new ones in one statement.
func (a *appending) numberNodes(ctx context.Context) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(a.nodes)) {
		id, ok := recall(a.s.dict, a.s.dict.nodes, nodeKey{a.cluster, name})
		if !ok {
			unknown = append(unknown, name)
		}
		a.nodes[name] = id
	}
	if len(unknown) == 0 {
		return nil
	}
	rows := make([][]any, len(unknown))
	for i, name := range unknown {
		rows[i] = []any{a.cluster, name}
	}
	columns := []string{"cluster_id", "name"}
	err := a.s.transact(ctx, func(t *txn) error { return t.upsert("nodes", columns, columns, nil, rows) })
	if err != nil {
		return err
	}
	return inBatches(unknown, func(part []string) error {
		return each(a.s.write.WithContext(ctx), "SELECT name, id FROM nodes WHERE cluster_id = ? AND name IN ?", []any{a.cluster, part}, func(r *sql.Rows) error {
			var name string
			var id int64
			if err := r.Scan(&name, &id); err != nil {
				return err
			}
			a.nodes[name] = id
			remember(a.s.dict, a.s.dict.nodes, nodeKey{a.cluster, name}, id)
			return nil
		})
	})
}

func (a *appending) storeSamples(records []*telemetry.Record) error {
	rows := make([][]any, 0, len(records))
	cells := make([]any, 4*len(records))
	var data []byte
	for _, r := range records {
		s, ok := r.Payload.(*telemetry.NodeSample)
		if !ok {
			continue
		}
		begin := len(data)
		data = chunk.AppendSample(data, s)
		row := cells[:4:4]
		cells = cells[4:]
		row[0], row[1], row[2], row[3] = a.nodes[s.Node], a.sets[seriesKey(s)], at(r), data[begin:len(data):len(data)]
		rows = append(rows, row)
	}
	return a.t.d.insert(a.t, "node_samples", []string{"node_id", "set_id", "at_ms", "data"}, rows)
}
