// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"errors"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// deltas sends inventory deltas behind those that were sent before, a second
// apart, and returns when the first was seen.
func (f *fixture) deltas(deltas ...*telemetry.ObjectDelta) time.Time {
	f.Helper()
	first := uint64(1)
	if o, err := f.Offset(f.Context(), clusterA, telemetry.StreamInventory, epoch1); err == nil {
		first = o.LastSeq + 1
	} else if !errors.Is(err, history.ErrNotFound) {
		f.Fatal(err)
	}
	payloads := make([]telemetry.Payload, len(deltas))
	for i, d := range deltas {
		payloads[i] = d
	}
	begin := f.clock.Now().Add(-30*time.Minute + time.Duration(first)*time.Second)
	f.send(clusterA, telemetry.StreamInventory, epoch1, Records(first, payloads, func(i int) time.Time { return begin.Add(time.Duration(i) * time.Second) })...)
	return begin
}

func (f *fixture) objects(q history.ObjectQuery) []history.Object {
	f.Helper()
	q.Cluster = clusterA
	return all(f, func(cursor string) (history.Page[history.Object], error) {
		q.Paging = history.Paging{Limit: 3, Cursor: cursor}
		return f.Objects(f.Context(), q)
	})
}

func (f *fixture) names(q history.ObjectQuery) []string {
	f.Helper()
	objects := f.objects(q)
	names := make([]string, 0, len(objects))
	for _, o := range objects {
		names = append(names, o.Name)
	}
	return names
}

func testInventory(f *fixture) {
	ctx := f.Context()
	first, second := Pod("shop", "a", "uid-a", 0), Pod("shop", "a", "uid-a", 1)
	second.Phase, second.Reason, second.Message, second.Ready = "Pending", "CrashLoopBackOff", "back-off <script>", telemetry.ReadyFalse
	begin := f.deltas(first, first, second, Marker(telemetry.OpDelete, "never-seen", "uid-x"))
	o, err := f.Object(ctx, clusterA, "uid-a")
	f.must(err)
	f.same("object", o, history.Object{Cluster: clusterA, ObjectDelta: *second, FirstSeen: begin, Changed: begin.Add(2 * time.Second)})

	gone := f.deltas(Marker(telemetry.OpDelete, "a", "uid-a"), Marker(telemetry.OpDelete, "a", "uid-a"))
	o, err = f.Object(ctx, clusterA, "uid-a")
	f.must(err)
	f.same("it is gone", []any{o.Gone, o.Op, o.Restarts}, []any{gone, telemetry.OpDelete, int32(1)})
	f.same("what exists", f.names(history.ObjectQuery{}), []string{})
	f.same("what existed", f.names(history.ObjectQuery{Deleted: true}), []string{"a"})

	back := f.deltas(second)
	o, err = f.Object(ctx, clusterA, "uid-a")
	f.must(err)
	f.same("it is back", []any{o.Gone, o.FirstSeen, o.Changed}, []any{time.Time{}, begin, back})

	changes := all(f, func(cursor string) (history.Page[history.ObjectChange], error) {
		return f.ObjectChanges(ctx, history.ObjectChangeQuery{
			Cluster: clusterA, UID: "uid-a", Range: f.lately(time.Hour), Paging: history.Paging{Limit: 1, Cursor: cursor},
		})
	})
	var steps []any
	for _, c := range slices.Backward(changes) {
		steps = append(steps, []any{c.Op, c.Seq, c.Restarts})
	}
	f.same("steps", steps, []any{
		[]any{telemetry.OpUpsert, uint64(1), int32(0)},
		[]any{telemetry.OpUpsert, uint64(3), int32(1)},
		[]any{telemetry.OpDelete, uint64(5), int32(0)},
		[]any{telemetry.OpUpsert, uint64(7), int32(1)},
	})
	_, err = f.Object(ctx, clusterA, "uid-x")
	f.refused("an object that never was", err, history.ErrNotFound)
}

func testSnapshots(f *fixture) {
	begin, end := Marker(telemetry.OpSnapshotBegin, "", ""), Marker(telemetry.OpSnapshotEnd, "", "")
	node := &telemetry.ObjectDelta{Op: telemetry.OpUpsert, Kind: telemetry.KindNode, Name: "node-1", UID: "n1"}
	f.deltas(Pod("shop", "a", "a", 0), Pod("shop", "b", "b", 0), node)
	f.deltas(begin, Pod("shop", "a", "a", 0))
	f.deltas(Pod("shop", "c", "c", 0), end)
	f.same("after a snapshot without b", f.names(history.ObjectQuery{}), []string{"node-1", "a", "c"})
	f.same("b is gone", f.names(history.ObjectQuery{Deleted: true}), []string{"node-1", "a", "b", "c"})

	f.deltas(end)
	f.same("an end without a beginning", f.names(history.ObjectQuery{}), []string{"node-1", "a", "c"})

	f.deltas(begin, Pod("shop", "a", "a", 0))
	o, err := f.Offset(f.Context(), clusterA, telemetry.StreamInventory, epoch1)
	f.must(err)
	f.send(clusterA, telemetry.StreamInventory, epoch1, telemetry.Record{
		Seq: o.LastSeq + 3, Time: f.clock.Now(), Payload: &telemetry.Gap{From: o.LastSeq + 1, To: o.LastSeq + 3, Reason: telemetry.GapSpoolFull},
	})
	f.deltas(end)
	f.same("an end after a gap", f.names(history.ObjectQuery{}), []string{"node-1", "a", "c"})

	f.deltas(begin, end)
	f.same("an empty snapshot", f.names(history.ObjectQuery{}), []string{"node-1"})

	changes, err := f.ObjectChanges(f.Context(), history.ObjectChangeQuery{
		Cluster: clusterA, Range: f.lately(time.Hour), Kinds: []telemetry.Kind{telemetry.KindPod},
	})
	f.must(err)
	deleted := 0
	for _, c := range changes.Items {
		if c.Op == telemetry.OpDelete {
			deleted++
		}
	}
	f.same("changes and deletions of pods", []int{len(changes.Items), deleted}, []int{6, 3})
}

func testInventoryPages(f *fixture) {
	deltas := make([]*telemetry.ObjectDelta, 0, 21)
	for i := range 20 {
		p := Pod([]string{"shop", "bank"}[i%2], name("p", 19-i), name("uid", i), 0)
		p.Node = name("node", i%3)
		if i%4 == 0 {
			p.Phase, p.Ready = "Failed", telemetry.ReadyFalse
		}
		deltas = append(deltas, p)
	}
	odd := Pod("shop", "100%_odd", "odd", 0)
	odd.Numbers, odd.Labels, odd.Attributes, odd.Replicas = nil, nil, nil, telemetry.Replicas{Desired: 3, Ready: 1, Failed: 2}
	f.deltas(append(deltas, odd)...)
	f.same("all", len(f.names(history.ObjectQuery{})), 21)
	f.same("in order", slices.IsSorted(f.names(history.ObjectQuery{Namespaces: []string{"bank"}})), true)
	f.same("namespace", len(f.names(history.ObjectQuery{Namespaces: []string{"bank"}})), 10)
	f.same("node", len(f.names(history.ObjectQuery{Node: "node0001"})), 7)
	f.same("phase", len(f.names(history.ObjectQuery{Phases: []string{"Failed"}})), 5)
	f.same("ready", len(f.names(history.ObjectQuery{Ready: new(telemetry.ReadyFalse)})), 5)
	f.same("kind", len(f.names(history.ObjectQuery{Kinds: []telemetry.Kind{telemetry.KindNode}})), 0)
	f.same("prefix", f.names(history.ObjectQuery{NamePrefix: "p001", Namespaces: []string{"shop"}}), []string{"p0011", "p0013", "p0015", "p0017", "p0019"})
	f.same("a prefix is no pattern", f.names(history.ObjectQuery{NamePrefix: "100%_"}), []string{"100%_odd"})
	f.same("a prefix is no pattern", f.names(history.ObjectQuery{NamePrefix: "p00_"}), []string{})
	o, err := f.Object(f.Context(), clusterA, "odd")
	f.must(err)
	f.same("fields", o.ObjectDelta, *odd)
}
