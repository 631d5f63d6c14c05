// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"database/sql"
	"maps"
	"slices"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func (a *appending) storeSlices(records []*telemetry.Record) error {
	rows := map[sliceKey][]any{}
	dirty := map[sliceKey]bool{}
	var order, hours []sliceKey
	for _, r := range records {
		s, ok := r.Payload.(*telemetry.SLISlice)
		if !ok {
			continue
		}
		row := sliRowOf(s)
		k := sliceKey{a.routes[s.Route], s.Start.UnixMilli()}
		if rows[k] == nil {
			order = append(order, k)
		}
		rows[k] = []any{k.route, k.start, row.total, row.bad, a.version(0).epoch, row.pack()}
		if hour := (sliceKey{k.route, k.start - k.start%hourMS}); !dirty[hour] {
			dirty[hour] = true
			hours = append(hours, hour)
		}
	}
	newer, err := a.newerSlices(records)
	if err != nil {
		return err
	}
	fresh := make([][]any, 0, len(order))
	for _, k := range order {
		if !newer[k] {
			fresh = append(fresh, rows[k])
		}
	}
	columns := []string{"route_id", "start_ms", "total", "bad", "epoch", "data"}
	if err := a.t.upsert("sli_slices", columns, columns[:2], columns[2:], fresh); err != nil {
		return err
	}
	marks := make([][]any, len(hours))
	for i, k := range hours {
		marks[i] = []any{k.route, k.start}
	}
	// Updating a mark that is there locks it, so that no hour is summed without
	// the slices of this transaction and then loses its mark.
	return a.t.upsert("sli_dirty", columns[:2], columns[:2], columns[1:2], marks)
}

// sliceKey is a slice's route and its beginning.
type sliceKey struct{ route, start int64 }

// newerSlices returns the slices that a newer epoch has told already.
func (a *appending) newerSlices(records []*telemetry.Record) (map[sliceKey]bool, error) {
	newer := map[sliceKey]bool{}
	if !a.late {
		return newer, nil
	}
	starts := map[int64][]int64{}
	for _, r := range records {
		if s, ok := r.Payload.(*telemetry.SLISlice); ok {
			route := a.routes[s.Route]
			starts[route] = append(starts[route], s.Start.UnixMilli())
		}
	}
	for route, list := range starts {
		query := "SELECT start_ms FROM sli_slices WHERE route_id = ? AND start_ms >= ? AND start_ms <= ? AND epoch > ?"
		err := each(a.t.db, query, []any{route, slices.Min(list), slices.Max(list), a.version(0).epoch}, func(r *sql.Rows) error {
			k := sliceKey{route: route}
			err := r.Scan(&k.start)
			newer[k] = true
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return newer, nil
}

func (a *appending) storeAnomalies(records []*telemetry.Record) error {
	last := map[anomalyKey]*telemetry.Record{}
	var order []anomalyKey
	var transitions [][]any
	for _, r := range records {
		t, ok := r.Payload.(*telemetry.AnomalyTransition)
		if !ok {
			continue
		}
		transitions = append(transitions, []any{
			a.cluster, at(r), int64(a.plan.epoch), int64(r.Seq), t.Rule, t.Object.Namespace, int64(t.Severity), packAnomaly(t), //nolint:gosec // checked by newPlan
		})
		k := anomalyKey{t.Rule, t.Fingerprint}
		if last[k] == nil {
			order = append(order, k)
		}
		last[k] = r
	}
	err := a.t.d.insert(a.t, "anomaly_transitions", []string{"cluster_id", "at_ms", "epoch", "seq", "rule", "namespace", "severity", "detail"}, transitions)
	if err != nil {
		return err
	}
	newest, err := a.anomalyVersions(order)
	if err != nil {
		return err
	}
	var open, cleared [][]any
	for _, k := range order {
		r := last[k]
		v := a.version(r.Seq)
		if v.before(newest[k]) {
			continue
		}
		t := r.Payload.(*telemetry.AnomalyTransition) //nolint:forcetypeassert // chosen above
		if t.State != telemetry.AnomalyCleared {
			open = append(open, []any{a.cluster, t.Rule, t.Fingerprint, t.Object.Namespace, int64(t.Severity), at(r), v.epoch, v.seq, packAnomaly(t)})
			continue
		}
		cleared = append(cleared, []any{a.cluster, t.Rule, t.Fingerprint, v.epoch, v.seq, at(r)})
		err := a.t.exec("DELETE FROM anomalies_open WHERE cluster_id = ? AND rule = ? AND fingerprint = ?", a.cluster, k.rule, k.fingerprint)
		if err != nil {
			return err
		}
	}
	columns := []string{"cluster_id", "rule", "fingerprint", "epoch", "seq", "at_ms"}
	if err := a.t.upsert("anomalies_cleared", columns, columns[:3], columns[3:], cleared); err != nil {
		return err
	}
	columns = []string{"cluster_id", "rule", "fingerprint", "namespace", "severity", "at_ms", "epoch", "seq", "detail"}
	return a.t.upsert("anomalies_open", columns, columns[:3], columns[3:], open)
}

// anomalyKey is what makes an anomaly one.
type anomalyKey struct{ rule, fingerprint string }

// anomalyVersions returns what was said last of anomalies, where that may be newer
// than the records.
func (a *appending) anomalyVersions(keys []anomalyKey) (map[anomalyKey]version, error) {
	newest := map[anomalyKey]version{}
	if !a.late {
		return newest, nil
	}
	rules, fingerprints := map[string]bool{}, map[string]bool{}
	for _, k := range keys {
		rules[k.rule], fingerprints[k.fingerprint] = true, true
	}
	for _, table := range []string{"anomalies_open", "anomalies_cleared"} {
		query := "SELECT rule, fingerprint, epoch, seq FROM " + table + " WHERE cluster_id = ? AND rule IN ? AND fingerprint IN ?"
		err := inBatches(slices.Sorted(maps.Keys(rules)), func(rules []string) error {
			return inBatches(slices.Sorted(maps.Keys(fingerprints)), func(fingerprints []string) error {
				return each(a.t.db, query, []any{a.cluster, rules, fingerprints}, func(r *sql.Rows) error {
					var k anomalyKey
					var v version
					err := r.Scan(&k.rule, &k.fingerprint, &v.epoch, &v.seq)
					if newest[k].before(v) {
						newest[k] = v
					}
					return err
				})
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return newest, nil
}

func (a *appending) storeOutput(records []*telemetry.Record) error {
	type key struct {
		command, execution string
		index              uint32
	}
	seen := map[key]bool{}
	var rows [][]any
	for _, r := range records {
		o, ok := r.Payload.(*telemetry.CommandOutput)
		if !ok {
			continue
		}
		k := key{o.CommandUID, o.ExecutionID, o.Index}
		if seen[k] {
			continue
		}
		seen[k] = true
		rows = append(rows, []any{
			a.cluster, o.CommandUID, o.ExecutionID, int64(o.Index), int64(o.Source), number(o.Last), number(o.Truncated), at(r), blob(o.Data),
		})
	}
	// The first to arrive stays: the chunks of an execution never change.
	columns := []string{"cluster_id", "command_uid", "execution_id", "idx", "source", "is_last", "truncated", "at_ms", "data"}
	return a.t.upsert("command_output", columns, columns[:4], nil, rows)
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
