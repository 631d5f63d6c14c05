// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// network stands between an uplink and a model hub, in fake time.
type network struct {
	hub *modelHub
	ctx context.Context
	rng *rand.Rand
	// latency of each way.
	latency func(r request) time.Duration
	// chance of a fault, by percent, while it is bad.
	chance int
	bad    bool
	// away answers nothing.
	away bool
	// script answers in the hub's place while there is something in it.
	script []func(r request) outcome

	mu       sync.Mutex
	late     sync.WaitGroup
	requests []sentRequest
	active   map[Lane]int
	most     map[Lane]int
}

type sentRequest struct {
	at   time.Time
	lane Lane
	path string
}

func (*network) close() {}

func (n *network) post(ctx context.Context, r request) outcome {
	n.mu.Lock()
	n.requests = append(n.requests, sentRequest{time.Now(), r.lane, r.path})
	n.active[r.lane]++
	n.most[r.lane] = max(n.most[r.lane], n.active[r.lane])
	var scripted func(r request) outcome
	if len(n.script) > 0 {
		scripted, n.script = n.script[0], n.script[1:]
	}
	latency := time.Duration(0)
	if n.latency != nil {
		latency = n.latency(r)
	}
	dice := n.rng.IntN(100)
	away, bad := n.away, n.bad && n.rng.IntN(100) < n.chance
	delay := time.Duration(n.rng.Int64N(int64(90 * time.Second)))
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.active[r.lane]--
		n.mu.Unlock()
	}()
	if sleepFor(ctx, latency) != nil {
		return outcome{problem: "canceled"}
	}
	switch {
	case scripted != nil:
		if o := scripted(r); o.verdict != stored {
			return o
		}
	case away:
		return outcome{problem: "connection refused"}
	case bad:
		return n.mishap(ctx, r, dice, delay)
	}
	return n.arrive(r)
}

// mishap is one of the things that can happen to a request.
func (n *network) mishap(ctx context.Context, r request, dice int, delay time.Duration) outcome {
	switch {
	case dice < 20: // the request is lost
		return outcome{problem: "connection reset"}
	case dice < 40: // the answer is lost
		n.arrive(r)
		return outcome{problem: "connection reset"}
	case dice < 55: // it arrives twice, the second time late and out of order
		n.arriveLate(r, delay)
		return n.arrive(r)
	case dice < 70: // it arrives after the sender has given it up
		n.arriveLate(r, delay)
		return outcome{problem: "no answer"}
	case dice < 75: // nothing happens for very long
		_ = sleepFor(ctx, r.timeout)
		return outcome{problem: "no answer"}
	case dice < 85:
		return judge(http.StatusServiceUnavailable, http.Header{"Retry-After": {strconv.Itoa(dice % 7)}}, nil, time.Now())
	case dice < 90:
		return judge(http.StatusTooManyRequests, http.Header{"Retry-After": {"2"}}, nil, time.Now())
	case dice < 93 && n.hub.records(r.body) > 1: // one record alone would be given up
		return judge(http.StatusRequestEntityTooLarge, nil, []byte(`{"reason":"BatchTooLarge"}`), time.Now())
	case dice < 96:
		return judge(http.StatusBadRequest, nil, []byte(`{"reason":"Checksum"}`), time.Now())
	case dice < 98:
		return judge(http.StatusUnauthorized, nil, nil, time.Now())
	}
	return judge(http.StatusBadGateway, nil, []byte("bad gateway"), time.Now())
}

func (n *network) arrive(r request) outcome {
	var stream string
	if _, err := fmt.Sscanf(r.path, "/v1/streams/%s", &stream); err != nil {
		return outcome{problem: err.Error()}
	}
	status, header, body := n.hub.take(stream[:len(stream)-len("/batches")], r.body)
	return judge(status, header, body, time.Now())
}

func (n *network) arriveLate(r request, delay time.Duration) {
	n.late.Go(func() {
		if sleepFor(n.ctx, delay) == nil {
			n.arrive(r)
		}
	})
}

func (n *network) offset(_ context.Context, stream telemetry.Stream, epoch telemetry.Epoch, _ time.Duration) (uint64, error) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	if e := n.hub.epochs[stream][epoch]; e != nil {
		return e.last, nil
	}
	return 0, nil
}

// times returns when the requests of the live lane began, since start, for the
// given streams or all.
func (n *network) times(start time.Time, streams ...telemetry.Stream) (out []time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.requests {
		if r.lane == Live && !r.at.Before(start) && (len(streams) == 0 || slices.ContainsFunc(streams, func(s telemetry.Stream) bool { return strings.Contains(r.path, s.String()) })) {
			out = append(out, r.at.Sub(start))
		}
	}
	return out
}

func sleepFor(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	return sleep(ctx, d, nil)
}

// nobody is a Hub that is not asked.
type nobody struct{ Hub }

// bench holds what a test in fake time needs.
type bench struct {
	t       testing.TB
	dir     string
	on      spool.Options
	spool   *spool.Spool
	hub     *modelHub
	network *network
	options Options
	uplink  *Uplink
	sent    map[telemetry.Stream][]string
	stop    func()
}

// newBench makes a spool, a hub and a network between them. It does not start.
func newBench(t testing.TB, seed uint64) *bench {
	hub := newModelHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{t: t, dir: t.TempDir(), hub: hub, sent: map[telemetry.Stream][]string{}, stop: func() {}}
	b.on = spool.Options{SegmentBytes: 8 << 10, SplitBytes: 16 << 10, SyncInterval: 20 * time.Second, MinFreeBytes: -1}
	b.network = &network{hub: hub, ctx: ctx, rng: rand.New(rand.NewPCG(seed, 2)), active: map[Lane]int{}, most: map[Lane]int{}}
	b.open()
	t.Cleanup(func() {
		b.stop()
		cancel()
		b.network.late.Wait()
		if err := b.spool.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) open() {
	s, err := spool.Open(b.dir, b.on)
	if err != nil {
		b.t.Fatal(err)
	}
	b.spool = s
}

// start runs an uplink until stop is called.
func (b *bench) start() {
	options := b.options
	options.Spool, options.Hub = FromDisk(b.spool), nobody{}
	u, err := New(options)
	if err != nil {
		b.t.Fatal(err)
	}
	u.client = b.network
	u.random = func() float64 {
		b.network.mu.Lock()
		defer b.network.mu.Unlock()
		return b.network.rng.Float64()
	}
	b.uplink = u
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("the uplink ended with %v", err)
		}
	})
}

// put appends n records to a stream.
func (b *bench) put(stream telemetry.Stream, n int) {
	items := make([]spool.Item, n)
	now := time.Now()
	for i := range items {
		id := len(b.sent[stream]) + 1
		var p telemetry.Payload
		switch stream {
		case telemetry.StreamAnomalies:
			p = &telemetry.AnomalyTransition{Rule: "r", Fingerprint: fmt.Sprintf("anomaly-%d", id), State: telemetry.AnomalyRaised, Severity: telemetry.SeverityInfo, Since: now}
		case telemetry.StreamNodeMetrics:
			p = &telemetry.NodeSample{Node: "n", BootID: "b", CollectorSeq: uint64(id), Series: []telemetry.Series{{Metric: 1}}, Values: []float64{float64(id % 100)}}
		default:
			stream = telemetry.StreamEvents
			p = &telemetry.Event{UID: fmt.Sprintf("event-%d", id), Type: telemetry.EventWarning, Count: 1, LastSeen: now, Message: "a message of some length, as events have it"}
		}
		items[i] = spool.Item{Time: now, Payload: p}
		b.sent[stream] = append(b.sent[stream], name(p))
	}
	if _, err := b.spool.Append(stream, items...); err != nil {
		b.t.Fatal(err)
	}
}

// pass lets time go by.
func (b *bench) pass(d time.Duration) {
	if err := sleepFor(b.t.Context(), d); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// drain waits until nothing is left.
func (b *bench) drain(limit time.Duration) {
	b.t.Helper()
	for deadline := time.Now().Add(limit); ; {
		left := uint64(0)
		for _, s := range b.uplink.Stats().Streams {
			left += s.BacklogRecords
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("after %s there are %d records left: %+v", limit, left, b.uplink.Stats())
		}
		b.pass(time.Second)
	}
}

// lossless checks that all that was put is stored once and in order.
func (b *bench) lossless() {
	b.t.Helper()
	for _, problem := range b.hub.check(b.sent, telemetry.GapEpochLost) {
		b.t.Error(problem)
	}
}

// TestNothingIsLostOrDoubled walks through faults with a seed each: a network that
// loses, repeats, delays and reorders; a hub that is away; an agent that ends
// and starts again, with and without a clean end of its spool's process.
func TestNothingIsLostOrDoubled(t *testing.T) {
	seeds := 10
	if v := os.Getenv("ATLHYPER_SEEDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("reading ATLHYPER_SEEDS: %v", err)
		}
		seeds = n
	}
	if testing.Short() {
		seeds = 3
	}
	duplicates := 0
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { duplicates += walk(t, uint64(seed)) }) //nolint:gosec // not negative
		})
	}
	if duplicates < seeds {
		t.Errorf("%d duplicates in %d walks: too smooth to show anything", duplicates, seeds)
	}
}

func walk(t *testing.T, seed uint64) (duplicates int) {
	b := newBench(t, seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	b.options.LiveBatch = Size{Records: 40, Bytes: 4 << 10}
	b.options.ReplayBatch = Size{Records: 60, Bytes: 8 << 10}
	b.options.ReplayBytesPerSecond = 16 << 10
	b.network.chance = 10 + rng.IntN(60)
	b.network.latency = func(request) time.Duration { return time.Duration(b.network.rng.Int64N(int64(300 * time.Millisecond))) }
	streams := []telemetry.Stream{telemetry.StreamAnomalies, telemetry.StreamEvents, telemetry.StreamNodeMetrics}
	b.start()
	for range 120 {
		for range rng.IntN(6) {
			b.put(streams[rng.IntN(3)], 1+rng.IntN(40))
			b.pass(time.Duration(rng.Int64N(int64(time.Second))))
		}
		b.network.mu.Lock()
		switch rng.IntN(8) {
		case 0:
			b.network.away = !b.network.away
		case 1, 2:
			b.network.bad = !b.network.bad
		}
		b.network.mu.Unlock()
		if rng.IntN(15) == 0 {
			b.stop()
			if rng.IntN(2) == 0 {
				if err := b.spool.Close(); err != nil {
					t.Fatal(err)
				}
				b.open()
			}
			b.start()
		}
		b.pass(time.Duration(rng.Int64N(int64(8 * time.Second))))
	}
	b.network.mu.Lock()
	b.network.away, b.network.bad = false, false
	b.network.mu.Unlock()
	b.drain(2 * time.Hour)
	b.lossless()
	if n := b.network.most[Replay]; n > 1 {
		t.Errorf("%d requests of the replay lane at the same time", n)
	}
	return b.hub.duplicates
}
