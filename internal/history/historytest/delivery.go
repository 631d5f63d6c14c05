// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// walk is a source of records and a network that delivers them badly.
type walk struct {
	f      *fixture
	random *rand.Rand
	stream telemetry.Stream
	epoch  telemetry.Epoch
	// log is what the agent has to say in this epoch; log[i] has Seq i+1.
	log []telemetry.Record
	// acked is how far the hub has acknowledged.
	acked uint64
}

// step delivers one batch: mostly the next records, but also some again, some
// that are not due yet, and some of which the hub dies halfway.
func (w *walk) step() {
	first := w.acked + 1
	switch w.random.IntN(6) {
	case 0:
		first = 1 + w.random.Uint64N(w.acked+1)
	case 1:
		first += w.random.Uint64N(3)
	}
	if first > uint64(len(w.log)) {
		return
	}
	last := min(uint64(len(w.log)), first+w.random.Uint64N(12))
	ctx, cancel := w.f.Context(), context.CancelFunc(func() {})
	crash := w.random.IntN(4) == 0
	if crash { // the transaction ends where it is
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.random.IntN(2500))*time.Microsecond)
	}
	defer cancel()
	ack, err := w.f.Append(ctx, clusterA, telemetry.NewBatch(w.stream, w.epoch, w.log[first-1:last]))
	gap, isGap := errors.AsType[*history.GapError](err)
	switch {
	case err == nil:
		if ack.LastSeq < last || ack.LastSeq < w.acked {
			w.f.Fatalf("%d to %d was acknowledged up to %d, %d had been before", first, last, ack.LastSeq, w.acked)
		}
		w.acked = ack.LastSeq
	case isGap:
		if gap.Expected > first || gap.Expected <= w.acked {
			w.f.Fatalf("a gap before %d, %d expected, although %d was acknowledged", first, gap.Expected, w.acked)
		}
		w.acked = gap.Expected - 1
	case crash && (ctx.Err() != nil || errors.Is(err, history.ErrUnavailable)): // nobody knows whether it was stored
	default:
		w.f.Fatal(err)
	}
}

// deliver delivers everything of all epochs of a stream side by side.
func deliver(random *rand.Rand, walks []*walk) {
	open := slices.Clone(walks)
	for steps := 0; len(open) > 0; steps++ {
		w := open[random.IntN(len(open))]
		if steps > 100*len(walks)*len(w.log) {
			w.f.Fatalf("%s does not get beyond %d of %d", w.stream, w.acked, len(w.log))
		}
		w.step()
		open = slices.DeleteFunc(open, func(w *walk) bool { return w.acked >= uint64(len(w.log)) })
	}
}

func testRandomDelivery(f *fixture) {
	seed := uint64(f.clock.Now().Unix()) //nolint:gosec // after 1970
	f.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // test data
	events, objects := map[string]uint64{}, map[string]int32{}
	transitions, samples := make([]uint64, 0, 240), make([]uint64, 0, 240)
	node := NewNode("node-1", seed)
	walks := map[telemetry.Stream][]*walk{}
	for _, epoch := range []telemetry.Epoch{epoch1, epoch2} {
		const n = 120
		logs := map[telemetry.Stream][]telemetry.Payload{}
		for i := range n {
			uid := name("u", random.IntN(30))
			rv := random.Uint64N(50)
			logs[telemetry.StreamEvents] = append(logs[telemetry.StreamEvents], Event(uid, rv, 1, f.clock.Now().Add(-time.Minute)))
			events[uid] = max(events[uid], rv)

			pod := Pod("shop", uid, uid, int32(random.IntN(5))) //nolint:gosec // small
			objects[uid] = pod.Restarts
			if random.IntN(5) == 0 {
				pod = Marker(telemetry.OpDelete, uid, uid)
				delete(objects, uid)
			}
			logs[telemetry.StreamInventory] = append(logs[telemetry.StreamInventory], pod)
			logs[telemetry.StreamAnomalies] = append(logs[telemetry.StreamAnomalies], Transition("Rule", uid, telemetry.AnomalyRaised, telemetry.SeverityInfo))
			transitions = append(transitions, uint64(epoch)*1000+uint64(i)+1)
			logs[telemetry.StreamNodeMetrics] = append(logs[telemetry.StreamNodeMetrics], node.Next())
			samples = append(samples, node.seq)
		}
		for _, stream := range slices.Sorted(maps.Keys(logs)) {
			at := func(i int) time.Time {
				return f.clock.Now().Add(-time.Hour + time.Duration(i)*time.Second + time.Duration(epoch-epoch1)*n*time.Second) //nolint:gosec // small
			}
			walks[stream] = append(walks[stream], &walk{f: f, random: random, stream: stream, epoch: epoch, log: Records(1, logs[stream], at)})
		}
	}
	for _, stream := range slices.Sorted(maps.Keys(walks)) {
		deliver(random, walks[stream])
	}
	f.checkEvents(events)
	f.checkObjects(objects)
	f.checkTransitions(transitions)
	f.checkSamples(samples)
}

func (f *fixture) checkEvents(want map[string]uint64) {
	f.Helper()
	got := map[string]uint64{}
	for _, e := range all(f, func(cursor string) (history.Page[history.Event], error) {
		return f.Events(f.Context(), history.EventQuery{Cluster: clusterA, Range: f.lately(24 * time.Hour), Paging: history.Paging{Cursor: cursor}})
	}) {
		if _, twice := got[e.UID]; twice {
			f.Errorf("the event %s is there twice", e.UID)
		}
		got[e.UID] = e.ResourceVersion
	}
	f.same("events by resource version", got, want)
}

func (f *fixture) checkObjects(want map[string]int32) {
	f.Helper()
	got := map[string]int32{}
	for _, o := range all(f, func(cursor string) (history.Page[history.Object], error) {
		return f.Objects(f.Context(), history.ObjectQuery{Cluster: clusterA, Paging: history.Paging{Cursor: cursor}})
	}) {
		got[o.UID] = o.Restarts
	}
	f.same("objects by restarts", got, want)
}

func (f *fixture) checkTransitions(want []uint64) {
	f.Helper()
	got := make([]uint64, 0, len(want))
	for _, a := range all(f, func(cursor string) (history.Page[history.Anomaly], error) {
		return f.AnomalyTransitions(f.Context(), history.AnomalyQuery{Cluster: clusterA, Range: f.lately(24 * time.Hour), Paging: history.Paging{Cursor: cursor}})
	}) {
		got = append(got, uint64(a.Epoch)*1000+a.Seq)
	}
	slices.Sort(got)
	f.same("transitions by epoch and number", got, want)
}

// checkSamples counts samples through a series that every one of them has, before
// and after compaction.
func (f *fixture) checkSamples(want []uint64) {
	f.Helper()
	for _, when := range []string{"as rows", "compacted"} {
		points, err := f.NodePoints(f.Context(), history.PointsQuery{
			Cluster: clusterA, Node: "node-1", Metric: telemetry.MetricUptime, Range: f.lately(2 * time.Hour), Points: history.MaxPoints,
		})
		f.must(err)
		count := uint64(0)
		for _, s := range points.Series {
			for _, p := range s.Points {
				count += p.Count
			}
		}
		f.same("samples "+when, count, uint64(len(want)))
		f.clock.Advance(2 * time.Hour)
		f.maintain(history.TaskCompact)
		f.clock.Advance(-2 * time.Hour)
	}
}

func testConcurrentDelivery(f *fixture) {
	log := f.eventRecords(1, 200)
	var wg sync.WaitGroup
	for i := range uint64(4) { // as if two agents and two replicas had the same to say
		wg.Go(func() {
			random := rand.New(rand.NewPCG(i, 3)) //nolint:gosec // test data
			w := &walk{stream: telemetry.StreamEvents, epoch: epoch1}
			for w.acked < uint64(len(log)) {
				last := min(uint64(len(log)), w.acked+1+random.Uint64N(9))
				ack, err := f.Append(f.Context(), clusterA, telemetry.NewBatch(w.stream, w.epoch, log[w.acked:last]))
				if err != nil {
					f.Errorf("replica %d: %v", i, err)
					return
				}
				w.acked = ack.LastSeq
			}
		})
	}
	wg.Wait()
	f.same("events", f.countEvents(clusterA), 200)
}
