// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const epoch3 = epoch2 + 1

// sendPayloads sends payloads of which the first has a number and a time, the
// others follow a second apart.
func (f *fixture) sendPayloads(stream telemetry.Stream, epoch telemetry.Epoch, first uint64, begin time.Time, payloads ...telemetry.Payload) {
	f.Helper()
	f.send(clusterA, stream, epoch, Records(first, payloads, func(i int) time.Time { return begin.Add(time.Duration(i) * time.Second) })...)
}

func testEpochs(f *fixture) {
	ctx, events, began := f.Context(), telemetry.StreamEvents, f.clock.Now()
	all := f.eventRecords(1, 20)
	lost := telemetry.Record{Seq: 1, Time: began, Payload: &telemetry.Gap{From: 1, To: 1, Reason: telemetry.GapEpochLost}}
	gaps := func() (reasons []string) {
		page, err := f.Gaps(ctx, history.LedgerQuery{Cluster: clusterA, Range: f.lately(time.Hour)})
		f.must(err)
		for _, g := range page.Items {
			reasons = append(reasons, fmt.Sprintf("%d %s", g.Key.Epoch-epoch1, g.Reason))
		}
		return reasons
	}
	f.same("the first", f.send(clusterA, events, epoch2, append([]telemetry.Record{lost}, all[1:10]...)...), history.Ack{LastSeq: 10, Stored: 10})
	f.same("an agent's first words are no loss", gaps(), []string(nil))
	f.same("one that the store never saw", f.send(clusterA, events, epoch1, all[0:5]...), history.Ack{LastSeq: 5, Stored: 5})
	f.clock.Advance(time.Minute)
	f.same("a newer one", f.send(clusterA, events, epoch3, lost), history.Ack{LastSeq: 1, Stored: 1, NewEpoch: true})
	f.same("what the agent calls a loss", gaps(), []string{"2 EpochLost"})

	for epoch, expected := range map[telemetry.Epoch]uint64{epoch1: 6, epoch2: 11, epoch3: 2, epoch3 + 1: 1} {
		_, err := f.Append(ctx, clusterA, telemetry.NewBatch(events, epoch, all[expected:expected+3]))
		if gap, ok := errors.AsType[*history.GapError](err); !ok || gap.Expected != expected {
			f.Errorf("a hole in epoch %d: %v, %d is expected", epoch-epoch1, err, expected)
		}
	}
	records := Records(1, []telemetry.Payload{Event("another", 1, 1, began)}, func(int) time.Time { return began })
	_, err := f.Append(ctx, clusterA, telemetry.NewBatch(events, epoch1, records))
	f.refused("other content in an older epoch", err, history.ErrContentMismatch)
	f.same("the older goes on", f.send(clusterA, events, epoch1, all[3:8]...), history.Ack{LastSeq: 8, Stored: 3, Duplicates: 2})
	f.same("the same numbers elsewhere", f.send(clusterA, events, epoch2, all[7:12]...), history.Ack{LastSeq: 12, Stored: 2, Duplicates: 3})

	offsets, err := f.Offsets(ctx, clusterA)
	f.must(err)
	want := make([]history.Offset, 0, 3)
	for i, o := range []history.Offset{{LastSeq: 1, Began: f.clock.Now()}, {LastSeq: 12, Began: began}, {LastSeq: 8, Began: began}} {
		o.Key = telemetry.Key{ClusterUID: string(clusterA), Stream: events, Epoch: epoch3 - telemetry.Epoch(i)}
		o.Updated = f.clock.Now()
		want = append(want, o)
		one, err := f.Offset(ctx, clusterA, events, o.Key.Epoch)
		f.must(err)
		f.same("one offset", one, o)
	}
	f.same("all offsets", offsets, want)
	f.refused("an epoch that never was", second(f.Offset(ctx, clusterA, events, epoch3+1)), history.ErrNotFound)
}

// testConcurrentEpochs has two replicas store two epochs at once, from the first
// batch on. The objects of both are the same.
func testConcurrentEpochs(f *fixture) {
	const n, size = 60, 5
	var wg sync.WaitGroup
	for i := range 4 {
		epoch, restarts := epoch1+telemetry.Epoch(i%2), int32(i%2+1)
		payloads := make([]telemetry.Payload, n)
		for j := range payloads {
			payloads[j] = Pod("shop", name("p", j), name("p", j), restarts)
		}
		at := f.clock.Now().Add(time.Duration(i%2-2) * time.Minute)
		log := Records(1, payloads, func(int) time.Time { return at })
		wg.Go(func() {
			for b := range n / size {
				_, err := f.Append(f.Context(), clusterA, telemetry.NewBatch(telemetry.StreamInventory, epoch, log[b*size:(b+1)*size]))
				if err != nil {
					f.Errorf("replica %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	objects := f.objects(history.ObjectQuery{})
	f.same("objects", len(objects), n)
	for i, o := range objects { // by name, in which order they were sent
		f.same("the newer epoch's state of "+o.UID, o.Restarts, int32(2))
		f.same("the history of "+o.UID, f.steps(o.UID), []string{fmt.Sprintf("0/%d upsert 1", i+1), fmt.Sprintf("1/%d upsert 2", i+1)})
	}
}

func testForgottenEpochs(f *fixture) {
	ctx, events := f.Context(), telemetry.StreamEvents
	f.send(clusterA, events, epoch1, f.eventRecords(1, 3)...)
	f.send(clusterA, events, epoch2, f.eventRecords(1, 3)...)
	f.send(clusterA, events, epoch3, f.eventRecords(1, 3)...)
	f.send(clusterB, events, epoch1, f.eventRecords(1, 3)...)
	f.clock.Advance(history.DefaultRetention().Epochs() - time.Hour)
	f.send(clusterA, events, epoch2, f.eventRecords(4, 5)...)
	epochs := func(cluster history.ClusterUID) (found []uint64) {
		offsets, err := f.Offsets(ctx, cluster)
		f.must(err)
		for _, o := range offsets {
			found = append(found, uint64(o.Key.Epoch-epoch1))
		}
		return found
	}
	f.maintain(history.TaskRetention)
	f.same("before", epochs(clusterA), []uint64{2, 1, 0})
	f.clock.Advance(2 * time.Hour)
	f.maintain(history.TaskRetention)
	f.same("the newest and those in use stay", epochs(clusterA), []uint64{2, 1})
	f.same("the only one stays", epochs(clusterB), []uint64{0})
	f.same("the newest goes on", f.send(clusterA, events, epoch3, f.eventRecords(4, 5)...), history.Ack{LastSeq: 5, Stored: 2})
}

func testContentMemory(f *fixture) {
	const epochs = history.MaxEpochs + 20
	events := telemetry.StreamEvents
	f.send(clusterA, events, epoch1, f.eventRecords(1, 1)...)
	for i := range telemetry.Epoch(epochs) {
		f.send(clusterA, events, epoch2+i, f.eventRecords(1, 1)...)
	}
	offsets, err := f.Offsets(f.Context(), clusterA)
	f.must(err)
	f.same("offsets are bounded", []any{len(offsets), offsets[0].Key.Epoch}, []any{history.MaxEpochs, epoch2 + epochs - 1})
	other := func() telemetry.Record {
		return Records(1, []telemetry.Payload{Event("other", 1, 1, f.clock.Now())}, func(int) time.Time { return f.clock.Now() })[0]
	}
	_, err = f.Append(f.Context(), clusterA, telemetry.NewBatch(events, epoch2+epochs-1, []telemetry.Record{other()}))
	f.refused("what was stored lately is remembered", err, history.ErrContentMismatch)
	f.same("what was stored long ago is not", f.send(clusterA, events, epoch1, other()), history.Ack{LastSeq: 1, Duplicates: 1})
}

// steps returns what is known of the life of an object, oldest first.
func (f *fixture) steps(uid string) []string {
	f.Helper()
	page, err := f.ObjectChanges(f.Context(), history.ObjectChangeQuery{Cluster: clusterA, UID: uid, Range: f.lately(3 * time.Hour)})
	f.must(err)
	steps := make([]string, 0, len(page.Items))
	for _, c := range slices.Backward(page.Items) {
		steps = append(steps, fmt.Sprintf("%d/%d %s %d", c.Epoch-epoch1, c.Seq, c.Op, c.Restarts))
	}
	return steps
}

func testReplayedInventory(f *fixture) {
	ctx, inventory := f.Context(), telemetry.StreamInventory
	old, now := f.clock.Now().Add(-time.Hour), f.clock.Now().Add(-time.Minute)
	pod := func(uid string, restarts int32) *telemetry.ObjectDelta { return Pod("shop", uid, uid, restarts) }
	f.sendPayloads(inventory, epoch2, 1, now, pod("a", 5), pod("b", 7))
	// The backlog comes in two batches, around more that is new.
	f.sendPayloads(inventory, epoch1, 1, old, pod("a", 1), pod("a", 1), pod("b", 2), pod("c", 1))
	f.sendPayloads(inventory, epoch2, 3, now.Add(2*time.Second), pod("a", 6))
	f.sendPayloads(inventory, epoch1, 5, old.Add(4*time.Second), pod("a", 3), Marker(telemetry.OpDelete, "b", "b"), pod("c", 2))
	restarts := map[string]int32{}
	for _, o := range f.objects(history.ObjectQuery{}) {
		restarts[o.UID] = o.Restarts
	}
	f.same("the present is the newest epoch's", restarts, map[string]int32{"a": 6, "b": 7, "c": 2})
	o, err := f.Object(ctx, clusterA, "a")
	f.must(err)
	f.same("its history begins with the older", []any{o.FirstSeen, o.Changed}, []any{old, now.Add(2 * time.Second)})
	f.same("the history of a", f.steps("a"), []string{"0/1 upsert 1", "0/5 upsert 3", "1/1 upsert 5", "1/3 upsert 6"})
	f.same("the history of b", f.steps("b"), []string{"0/3 upsert 2", "0/6 delete 0", "1/2 upsert 7"})
	f.same("the history of c", f.steps("c"), []string{"0/4 upsert 1", "0/7 upsert 2"})
}

func testReplayedDeletions(f *fixture) {
	ctx, inventory := f.Context(), telemetry.StreamInventory
	old, now := f.clock.Now().Add(-time.Hour), f.clock.Now().Add(-time.Minute)
	begin, end := Marker(telemetry.OpSnapshotBegin, "", ""), Marker(telemetry.OpSnapshotEnd, "", "")
	pod := func(uid string) *telemetry.ObjectDelta { return Pod("shop", uid, uid, 0) }
	f.sendPayloads(inventory, epoch1, 1, old, pod("known"), begin)
	f.sendPayloads(inventory, epoch2, 1, now, Marker(telemetry.OpDelete, "deleted", "deleted"), begin, pod("stays"), end)
	f.same("before the replay", f.names(history.ObjectQuery{Deleted: true}), []string{"known", "stays"})
	f.refused("a deletion alone is no object", second(f.Object(ctx, clusterA, "deleted")), history.ErrNotFound)
	f.sendPayloads(inventory, epoch1, 3, old.Add(2*time.Second), pod("known"), pod("deleted"), pod("missed"), pod("ended"), Marker(telemetry.OpDelete, "ended", "ended"))
	f.sendPayloads(inventory, epoch1, 8, old.Add(7*time.Second), end, pod("late"))
	f.same("after the replay", f.names(history.ObjectQuery{}), []string{"stays"})
	f.same("what existed", f.names(history.ObjectQuery{Deleted: true}), []string{"deleted", "ended", "known", "late", "missed", "stays"})
	gone := map[string]time.Time{}
	for _, o := range f.objects(history.ObjectQuery{Deleted: true}) {
		gone[o.UID] = o.Gone
	}
	f.same("when they went", gone, map[string]time.Time{
		"stays": {}, "deleted": now, "known": now.Add(3 * time.Second), "missed": now.Add(3 * time.Second),
		"late": now.Add(3 * time.Second), "ended": old.Add(6 * time.Second),
	})
	f.same("the history of deleted", f.steps("deleted"), []string{"0/4 upsert 0", "1/1 delete 0"})
	f.same("the history of missed", f.steps("missed"), []string{"0/5 upsert 0", "1/4 delete 0"})
	f.same("the history of late", f.steps("late"), []string{"0/9 upsert 0", "1/4 delete 0"})
	f.same("the history of stays", f.steps("stays"), []string{"1/3 upsert 0"})

	f.sendPayloads(inventory, epoch2, 5, now.Add(10*time.Second), pod("known"))
	f.same("the newest epoch may bring one back", f.names(history.ObjectQuery{}), []string{"known", "stays"})
}

func testReplayedSnapshots(f *fixture) {
	inventory := telemetry.StreamInventory
	old, now := f.clock.Now().Add(-time.Hour), f.clock.Now().Add(-time.Minute)
	begin, end := Marker(telemetry.OpSnapshotBegin, "", ""), Marker(telemetry.OpSnapshotEnd, "", "")
	pod := func(uid string) *telemetry.ObjectDelta { return Pod("shop", uid, uid, 0) }
	f.sendPayloads(inventory, epoch1, 1, old, pod("before"), begin, pod("listed"))
	f.sendPayloads(inventory, epoch2, 1, now, pod("new"), &telemetry.Gap{From: 2, To: 2, Reason: telemetry.GapSourceOverflow})
	f.sendPayloads(inventory, epoch1, 4, old.Add(4*time.Second), end)
	f.same("an older snapshot concerns what is older", f.names(history.ObjectQuery{}), []string{"listed", "new"})

	f.sendPayloads(inventory, epoch2, 3, now.Add(3*time.Second), begin, pod("new"), end)
	f.same("a newer one concerns all", f.names(history.ObjectQuery{}), []string{"new"})
	f.sendPayloads(inventory, epoch1, 5, old.Add(5*time.Second), begin, end, pod("late"))
	f.same("an older one does not replace it", f.names(history.ObjectQuery{}), []string{"new"})
	f.same("the history of before", f.steps("before"), []string{"0/1 upsert 0", "0/4 delete 0"})
	f.same("the history of listed", f.steps("listed"), []string{"0/3 upsert 0", "1/5 delete 0"})
}

func testReplayedAnomalies(f *fixture) {
	anomalies := telemetry.StreamAnomalies
	old, now := f.clock.Now().Add(-time.Hour), f.clock.Now().Add(-time.Minute)
	anomaly := func(fingerprint string, state telemetry.AnomalyState) *telemetry.AnomalyTransition {
		return Transition("Crash", fingerprint, state, telemetry.SeverityWarning)
	}
	f.sendPayloads(anomalies, epoch2, 1, now,
		anomaly("cleared", telemetry.AnomalyCleared), anomaly("worse", telemetry.AnomalyEscalated), anomaly("new", telemetry.AnomalyRaised))
	f.sendPayloads(anomalies, epoch1, 1, old,
		anomaly("cleared", telemetry.AnomalyRaised), anomaly("worse", telemetry.AnomalyRaised), anomaly("new", telemetry.AnomalyCleared),
		anomaly("old", telemetry.AnomalyRaised), anomaly("over", telemetry.AnomalyRaised), anomaly("over", telemetry.AnomalyCleared))
	open := func() (found []string) {
		page, err := f.OpenAnomalies(f.Context(), history.AnomalyQuery{Cluster: clusterA})
		f.must(err)
		for _, a := range page.Items {
			found = append(found, a.Fingerprint+" "+a.State.String())
		}
		return found
	}
	f.same("open", open(), []string{"new raised", "old raised", "worse escalated"})
	f.sendPayloads(anomalies, epoch2, 4, now.Add(4*time.Second), anomaly("cleared", telemetry.AnomalyRaised), anomaly("old", telemetry.AnomalyCleared))
	f.same("open later", open(), []string{"cleared raised", "new raised", "worse escalated"})
	f.sendPayloads(anomalies, epoch1, 7, old.Add(time.Minute), anomaly("old", telemetry.AnomalyEscalated), anomaly("cleared", telemetry.AnomalyCleared))
	f.same("open in the end", open(), []string{"cleared raised", "new raised", "worse escalated"})
	page, err := f.AnomalyTransitions(f.Context(), history.AnomalyQuery{Cluster: clusterA, Range: f.lately(2 * time.Hour)})
	f.must(err)
	f.same("the history is complete", len(page.Items), 13)
}

func testReplayedSlices(f *fixture) {
	sli, now := telemetry.StreamSLI, f.clock.Now()
	minute := now.Truncate(time.Minute).Add(-time.Hour)
	f.sendPayloads(sli, epoch2, 1, now, Slice(route, minute, 50, 5))
	f.sendPayloads(sli, epoch1, 1, now.Add(-time.Minute), Slice(route, minute.Add(-time.Minute), 7, 0), Slice(route, minute, 10, 0))
	f.sendPayloads(sli, epoch1, 3, now.Add(-time.Minute), Slice(route, minute.Add(-time.Minute), 8, 0))
	sum, err := f.SumSlices(f.Context(), history.SliceQuery{Cluster: clusterA, Route: route, Range: f.lately(2 * time.Hour)})
	f.must(err)
	f.same("slices, all and bad", []any{int(sum.Slices), sum.Total, sum.Bad}, []any{2, 58.0, 5.0}) //nolint:gosec // small
}
