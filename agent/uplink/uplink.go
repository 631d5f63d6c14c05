// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// lookInterval is the least time between two looks at a spool that keeps changing.
const lookInterval = 5 * time.Millisecond

// Uplink delivers what a spool holds.
type Uplink struct {
	options Options
	log     logr.Logger
	random  func() float64
	encoder *wire.Encoder
	client  sender
	gate    *gate
	// owed is what the replay lane has sent ahead of its rate. It belongs to the
	// replay lane's goroutine.
	owed debt
	// pokes wake the senders: those of the live lane by their stream, and that of
	// the replay lane at 0.
	pokes map[telemetry.Stream]chan struct{}

	mu      sync.Mutex
	backlog map[telemetry.Stream]Backlog
	stats   Stats
}

// sender sends requests to the hub; replaced in tests.
type sender interface {
	post(ctx context.Context, r request) outcome
	offset(ctx context.Context, stream telemetry.Stream, epoch telemetry.Epoch, timeout time.Duration) (acked uint64, err error)
	close()
}

// New returns an Uplink that does nothing before Run.
func New(options Options) (*Uplink, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	encoder, err := wire.NewEncoder(2)
	if err != nil {
		return nil, fmt.Errorf("making the uplink's encoder: %w", err)
	}
	u := &Uplink{
		options: options,
		log:     options.Logger,
		random:  random,
		encoder: encoder,
		client:  &client{hub: options.Hub, userAgent: "atlhyper-agent/" + options.Version},
		pokes:   map[telemetry.Stream]chan struct{}{0: make(chan struct{}, 1)},
		backlog: map[telemetry.Stream]Backlog{},
		stats:   Stats{Streams: map[telemetry.Stream]StreamStats{}},
	}
	u.gate = newGate(pauses{options.RetryMin, options.RetryMax, options.RefusedMin, options.RefusedMax}, func() float64 { return u.random() })
	u.owed.perSecond = float64(max(options.ReplayBytesPerSecond, 0))
	for stream := range telemetry.Streams() {
		u.pokes[stream] = make(chan struct{}, 1)
		u.stats.Streams[stream] = StreamStats{}
	}
	return u, nil
}

func random() float64 { return rand.Float64() } //nolint:gosec // jitter, not a secret

// Run delivers until ctx ends, and returns nil then. It is called once. What is
// under way when ctx ends is not confirmed and will be sent again.
func (u *Uplink) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer u.client.close()
	defer senders.Wait()
	u.look()
	for stream := range telemetry.Streams() {
		senders.Go(func() { u.sendLive(ctx, stream) })
	}
	senders.Go(func() { u.sendReplay(ctx) })
	for ctx.Err() == nil {
		changed := u.options.Spool.Changed()
		u.look()
		u.poke()
		if sleep(ctx, 0, changed) != nil {
			break
		}
		// What changes often is looked at in intervals.
		_ = sleep(ctx, lookInterval, nil)
	}
	return nil
}

// look sees what is waiting. The lock makes later looks see later states.
func (u *Uplink) look() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.backlog = u.options.Spool.Backlog()
}

// poke wakes all senders.
func (u *Uplink) poke() {
	for _, c := range u.pokes {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (u *Uplink) waiting(stream telemetry.Stream) Backlog {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.backlog[stream]
}

// sendLive delivers what is new of a stream until ctx ends.
func (u *Uplink) sendLive(ctx context.Context, stream telemetry.Stream) {
	s := newSequence(Live, stream, u.options.LiveBatch)
	poke := u.pokes[stream]
	for {
		b := u.waiting(stream)
		wait, due := s.notice(b.Live, b.liveBytes(), u.options.Linger[stream], time.Now())
		var err error
		switch {
		case !due:
			err = sleep(ctx, 0, poke)
		case wait > 0:
			err = sleep(ctx, wait, poke)
		default:
			err = u.deliver(ctx, &s)
			u.look()
		}
		if err != nil {
			return
		}
	}
}

// sendReplay delivers the backlog of all streams until ctx ends, one batch at a
// time, the stream that is kept longest first.
func (u *Uplink) sendReplay(ctx context.Context) {
	var sequences []*sequence
	for stream := range telemetry.Streams() {
		s := newSequence(Replay, stream, u.options.ReplayBatch)
		sequences = append(sequences, &s)
	}
	slices.SortFunc(sequences, func(a, b *sequence) int { return int(b.stream.Priority()) - int(a.stream.Priority()) })
	poke := u.pokes[0]
	for {
		now := time.Now()
		s, wait := u.nextReplay(sequences, now)
		if s != nil {
			wait = u.owed.wait(now)
		}
		var err error
		switch {
		case s != nil && wait == 0:
			err = u.deliver(ctx, s)
			u.look()
		case s != nil:
			err = sleep(ctx, wait, nil)
		default:
			err = sleep(ctx, wait, poke)
		}
		if err != nil {
			return
		}
	}
}

// nextReplay returns the sequence to send from, or how long to wait at most; 0 for
// until something changes.
func (u *Uplink) nextReplay(sequences []*sequence, now time.Time) (*sequence, time.Duration) {
	least := time.Duration(0)
	for _, s := range sequences {
		b := u.waiting(s.stream)
		wait, due := s.notice(b.Replay, anySize, Linger{}, now)
		switch {
		case !due:
		case wait <= 0:
			return s, 0
		case least == 0 || wait < least:
			least = wait
		}
	}
	return nil, least
}

// anySize is more than any linger waits for: backlog has no need of company.
const anySize = 1 << 62
