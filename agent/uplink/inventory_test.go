// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// modelVersion is the place of a record in its stream, over all epochs.
type modelVersion struct {
	epoch telemetry.Epoch
	seq   uint64
}

func (v modelVersion) before(w modelVersion) bool {
	return v.epoch < w.epoch || v.epoch == w.epoch && v.seq < w.seq
}

type modelObject struct {
	kind telemetry.Kind
	seen modelVersion
	gone bool
}

// modelCluster is what a hub makes of the inventory: what is told later counts, in
// whatever order it comes, and the end of a snapshot says what is gone, unless its
// beginning was in another epoch or something is missing in between.
type modelCluster struct {
	objects map[string]modelObject
	open    map[telemetry.Epoch]map[telemetry.Kind]modelVersion
	floors  map[telemetry.Kind]modelVersion
	// ignored counts the ends of snapshots of which nothing could be made.
	ignored int
}

func (c *modelCluster) apply(v modelVersion, p telemetry.Payload) {
	if c.objects == nil {
		c.objects = map[string]modelObject{}
		c.open = map[telemetry.Epoch]map[telemetry.Kind]modelVersion{}
		c.floors = map[telemetry.Kind]modelVersion{}
	}
	d, ok := p.(*telemetry.ObjectDelta)
	if !ok {
		delete(c.open, v.epoch)
		return
	}
	switch d.Op {
	case telemetry.OpSnapshotBegin:
		if c.open[v.epoch] == nil {
			c.open[v.epoch] = map[telemetry.Kind]modelVersion{}
		}
		c.open[v.epoch][d.Kind] = v
	case telemetry.OpSnapshotEnd:
		c.end(v, d.Kind)
	case telemetry.OpUpsert, telemetry.OpDelete:
		o, known := c.objects[d.UID]
		if !known || !v.before(o.seen) {
			o = modelObject{kind: d.Kind, seen: v, gone: d.Op == telemetry.OpDelete}
		}
		o.gone = o.gone || o.seen.before(c.floors[d.Kind])
		c.objects[d.UID] = o
	}
}

func (c *modelCluster) end(v modelVersion, kind telemetry.Kind) {
	begin, ok := c.open[v.epoch][kind]
	if !ok {
		c.ignored++
		return
	}
	delete(c.open[v.epoch], kind)
	for uid, o := range c.objects {
		if o.kind == kind && o.seen.before(begin) {
			o.gone = true
			c.objects[uid] = o
		}
	}
	if c.floors[kind].before(begin) {
		c.floors[kind] = begin
	}
}

// present returns what exists, as far as the hub knows.
func (h *modelHub) present() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for uid, o := range h.cluster.objects {
		if !o.gone {
			out = append(out, uid)
		}
	}
	slices.Sort(out)
	return out
}

// member is a cluster whose objects come and go, and an agent that tells of them as
// the inventory does.
type member struct {
	*bench
	rng    *rand.Rand
	kinds  []telemetry.Kind
	next   uint64
	exists map[telemetry.Kind]map[string]bool
	lost   chan struct{}
	// resyncs counts what was lost.
	resyncs int

	// What the present process of the agent knows: which objects the hub was told of,
	// which have changed since, and what snapshots still have to tell.
	told, changed map[telemetry.Kind]map[string]bool
	due           map[telemetry.Kind]bool
	list          map[telemetry.Kind][]string
}

func newMember(t *testing.T, seed uint64) *member {
	m := &member{bench: newBench(t, seed), rng: rand.New(rand.NewPCG(seed, 4)), exists: map[telemetry.Kind]map[string]bool{}, lost: make(chan struct{}, 1)}
	m.kinds = []telemetry.Kind{telemetry.KindPod, telemetry.KindService, telemetry.KindNode}
	for _, kind := range m.kinds {
		m.exists[kind] = map[string]bool{}
	}
	m.on.SegmentBytes, m.on.SplitBytes, m.on.MaxBytes = 4<<10, 4<<10, 96<<10
	m.on.Lost = func(stream telemetry.Stream) {
		if stream == telemetry.StreamInventory {
			m.lost <- struct{}{} // taken before time goes on
		}
	}
	return m
}

// begin is the start of a process of the agent.
func (m *member) begin() {
	if err := m.spool.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.open()
	m.told, m.changed = map[telemetry.Kind]map[string]bool{}, map[telemetry.Kind]map[string]bool{}
	m.due, m.list = map[telemetry.Kind]bool{}, map[telemetry.Kind][]string{}
	m.resync()
	m.start()
}

func (m *member) resync() {
	for _, kind := range m.kinds {
		m.due[kind] = true
	}
}

// heard takes note of a loss.
func (m *member) heard() bool {
	synctest.Wait()
	select {
	case <-m.lost:
		m.resyncs++
		m.resync()
		return true
	default:
		return false
	}
}

// live makes and removes objects, which the agent sees.
func (m *member) live() {
	kind := m.kinds[m.rng.IntN(len(m.kinds))]
	for range 1 + m.rng.IntN(20) {
		m.next++
		uid := fmt.Sprintf("%s-%d", kind, m.next)
		m.exists[kind][uid] = true
		m.see(kind, uid)
	}
	for _, uid := range slices.Sorted(maps.Keys(m.exists[kind])) {
		if m.rng.IntN(4) == 0 || len(m.exists[kind]) > 60 {
			delete(m.exists[kind], uid)
			m.see(kind, uid)
		}
	}
}

func (m *member) see(kind telemetry.Kind, uid string) {
	if m.changed[kind] == nil {
		m.changed[kind] = map[string]bool{}
	}
	m.changed[kind][uid] = true
}

// tell appends what there is to tell of a kind, at most some values, and says whether
// there was anything.
func (m *member) tell(kind telemetry.Kind, most int) bool {
	var values []telemetry.ObjectDelta
	if m.due[kind] {
		m.due[kind] = false
		m.told[kind], m.changed[kind] = map[string]bool{}, nil
		m.list[kind] = append(slices.Sorted(maps.Keys(m.exists[kind])), "")
		values = append(values, telemetry.ObjectDelta{Op: telemetry.OpSnapshotBegin})
	}
	switch list := m.list[kind]; {
	case len(list) > 0:
		n := min(most, len(list))
		m.list[kind] = list[n:]
		for _, uid := range list[:n] {
			if uid == "" {
				values = append(values, telemetry.ObjectDelta{Op: telemetry.OpSnapshotEnd})
			} else if m.exists[kind][uid] {
				delete(m.changed[kind], uid)
				values = append(values, m.object(kind, uid))
			}
		}
	default:
		for _, uid := range slices.Sorted(maps.Keys(m.changed[kind]))[:min(most, len(m.changed[kind]))] {
			delete(m.changed[kind], uid)
			switch {
			case m.exists[kind][uid]:
				values = append(values, m.object(kind, uid))
			case m.told[kind][uid]:
				values = append(values, telemetry.ObjectDelta{Op: telemetry.OpDelete, Name: uid, UID: uid})
			}
		}
	}
	now := time.Now()
	items := make([]spool.Item, len(values))
	for i := range values {
		m.next++
		values[i].Kind, values[i].ResourceVersion = kind, m.next
		items[i] = spool.Item{Time: now, Payload: &values[i]}
	}
	if _, err := m.spool.Append(telemetry.StreamInventory, items...); err != nil {
		m.t.Fatal(err)
	}
	return len(values) > 0
}

func (m *member) object(kind telemetry.Kind, uid string) telemetry.ObjectDelta {
	m.told[kind][uid] = true
	return telemetry.ObjectDelta{Op: telemetry.OpUpsert, Name: uid, UID: uid, Message: fmt.Sprintf("%0*d", m.rng.IntN(400), m.next)}
}

// settle goes on until the hub was told everything and nothing of it was lost.
func (m *member) settle() {
	for range 50 {
		for again := true; again; {
			again = false
			for _, kind := range m.kinds {
				again = m.tell(kind, 30) || len(m.list[kind]) > 0 || again
			}
		}
		m.drain(2 * time.Hour)
		m.pass(time.Hour)
		if !m.heard() {
			return
		}
	}
	m.t.Fatal("something is lost for ever")
}

// TestTheHubKnowsTheClusterInTheEnd walks with outages that are too long for the
// spool, snapshots that are torn apart, and objects that are deleted meanwhile.
func TestTheHubKnowsTheClusterInTheEnd(t *testing.T) {
	resyncs, ignored := 0, 0
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMember(t, seed)
				m.network.chance = m.rng.IntN(50)
				m.network.latency = func(request) time.Duration { return time.Duration(m.network.rng.Int64N(int64(2 * time.Second))) }
				m.options.LiveBatch, m.options.ReplayBatch = Size{Records: 40, Bytes: 2 << 10}, Size{Records: 60, Bytes: 4 << 10}
				m.begin()
				for range 300 {
					m.live()
					for _, kind := range m.kinds {
						m.tell(kind, 1+m.rng.IntN(20))
					}
					m.network.mu.Lock()
					switch m.rng.IntN(20) {
					case 0:
						m.network.away = !m.network.away
					case 1, 2:
						m.network.bad = !m.network.bad
					}
					m.network.mu.Unlock()
					if m.rng.IntN(60) == 0 {
						m.stop()
						m.begin()
					}
					m.pass(time.Duration(m.rng.Int64N(int64(10 * time.Second))))
					m.heard()
				}
				m.network.mu.Lock()
				m.network.away, m.network.bad = false, false
				m.network.mu.Unlock()
				m.settle()
				var want []string
				for _, objects := range m.exists {
					want = slices.AppendSeq(want, maps.Keys(objects))
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, m.hub.present()); diff != "" {
					t.Errorf("what exists (-cluster +hub):\n%s", diff)
				}
				resyncs, ignored = resyncs+m.resyncs, ignored+m.hub.cluster.ignored
			})
		})
	}
	t.Logf("%d resyncs, %d snapshots of which nothing could be made", resyncs, ignored)
	if resyncs < 10 || ignored == 0 {
		t.Errorf("%d resyncs, %d snapshots that came in pieces: this shows nothing", resyncs, ignored)
	}
}
