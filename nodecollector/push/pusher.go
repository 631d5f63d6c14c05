// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

const (
	// epochRandom is how many bits of an epoch are random.
	epochRandom = 22
	// refusalsAllowed is how often a sample may be refused alone before it is
	// given up.
	refusalsAllowed = 3
	// flushTimeout is how long the last attempt may take when the collector ends.
	flushTimeout = 5 * time.Second
)

// Pusher delivers samples to the agent. It is safe for concurrent use.
type Pusher struct {
	options Options
	epoch   telemetry.Epoch
	encoder *wire.Encoder
	link    *link
	wake    chan struct{}

	mu    sync.Mutex
	ring  ring
	pace  pace
	stats Stats
	// trouble is what the last failure was, if there were any in a row.
	trouble verdict
}

// Stats say what became of the samples since the start.
type Stats struct {
	// Collected is how many samples were added.
	Collected uint64
	// Sent is how many samples the agent has.
	Sent uint64
	// Dropped is how many were given up, and DroppedFor the same by reason.
	Dropped    uint64
	DroppedFor Drops
	// Buffered is how many wait, and BufferedBytes roughly what they take.
	Buffered, BufferedBytes int
	// Oldest is the moment of the oldest one that waits; zero when none does.
	Oldest time.Time
	// Failures is how many attempts in a row were in vain.
	Failures int
	// Problem says what went wrong last; empty while all is well.
	Problem string
}

// Drops are samples that were given up, by reason.
type Drops struct {
	// Overflow is for lack of room, Refused because the agent did not take them,
	// TooLarge because they are larger than it takes.
	Overflow, Refused, TooLarge uint64
}

// New returns a Pusher that sends nothing before Run.
func New(options Options) (*Pusher, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	link, err := newLink(&options)
	if err != nil {
		return nil, err
	}
	began := uint64(max(time.Now().UnixMilli(), 1))
	return &Pusher{
		options: options,
		epoch:   telemetry.Epoch(began<<epochRandom | rand.Uint64N(1<<epochRandom)), //nolint:gosec // makes it unique, guards nothing
		encoder: wire.NewSampleEncoder(), link: link, pace: newPace(),
		ring: newRing(options.samples(), options.MaxBytes, began/100+1),
		wake: make(chan struct{}, 1),
	}, nil
}

// Add takes a sample that was taken at a time. It sets the CollectorSeq and adds
// the metric collector_dropped. It never blocks; when there is no room for all
// samples, the oldest is given up.
func (p *Pusher) Add(at time.Time, sample telemetry.NodeSample) {
	p.mu.Lock()
	p.ring.add(at, sample)
	p.stats.Collected++
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Stats returns what became of the samples.
func (p *Pusher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Dropped, s.DroppedFor = p.ring.dropped, p.ring.droppedFor
	s.Buffered, s.BufferedBytes, s.Oldest = p.ring.heldSamples, p.ring.heldBytes, p.ring.oldest()
	return s
}

// Run delivers until ctx ends and then makes one last attempt, of at most 5 s, to
// deliver what is left. It can be called once.
func (p *Pusher) Run(ctx context.Context) error {
	defer p.link.close()
	for ctx.Err() == nil {
		var after <-chan time.Time
		wait, idle := p.step(ctx)
		if !idle {
			after = time.After(wait)
		}
		wake := p.wake
		if !idle {
			wake = nil // a pause is not cut short by more to send
		}
		select {
		case <-ctx.Done():
		case <-after:
		case <-wake:
		}
	}
	p.flush(ctx)
	return nil
}

// flush delivers what is left, until something fails.
func (p *Pusher) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for {
		batch := p.next()
		if len(batch) == 0 {
			return
		}
		o := p.deliver(ctx, batch)
		p.settle(batch, o)
		if o.verdict != stored || ctx.Err() != nil {
			if left := p.Stats().Buffered; left > 0 {
				p.options.Logger.Warn("Ending with samples that were not delivered", "samples", left, "reason", o.problem)
			}
			return
		}
	}
}

// step sends one batch, and returns how long to wait before the next. It is idle
// when there was nothing to send.
func (p *Pusher) step(ctx context.Context) (wait time.Duration, idle bool) {
	batch := p.next()
	if len(batch) == 0 {
		return 0, true
	}
	o := p.deliver(ctx, batch)
	if ctx.Err() != nil && o.verdict != stored {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ring.settle(false)
		return 0, false
	}
	return p.settle(batch, o), false
}

// next returns what to send.
func (p *Pusher) next() []entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ring.take(p.pace.limit)
}

// deliver encodes and sends a batch.
func (p *Pusher) deliver(ctx context.Context, batch []entry) outcome {
	records := make([]telemetry.Record, len(batch))
	for i := range batch {
		records[i] = batch[i].record()
	}
	b := telemetry.NewBatch(telemetry.StreamNodeMetrics, p.epoch, records)
	body, err := p.encoder.Append(nil, &b)
	if err != nil {
		o := outcome{verdict: unreadable, problem: clean(err.Error())}
		if errors.Is(err, wire.ErrTooLarge) {
			o.verdict = tooLarge
		}
		return o
	}
	return p.link.post(ctx, fmt.Sprintf("%x-%x-%x", uint64(p.epoch), b.FirstSeq, b.LastSeq), body)
}

// settle does what an answer calls for and returns how long to wait.
func (p *Pusher) settle(batch []entry, o outcome) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ring.settle(o.verdict == stored)
	if o.verdict == stored {
		for i := range batch {
			if batch[i].sample != nil {
				p.stats.Sent++
			}
		}
	}
	p.giveUp(batch, o)
	p.tell(o)
	return p.pace.settle(o, len(batch), len(p.ring.entries) > 0, p.options.random())
}

// giveUp makes a gap of a sample that is refused alone: at once when it can never
// fit, and otherwise after a few tries.
func (p *Pusher) giveUp(batch []entry, o outcome) {
	if o.verdict != tooLarge && o.verdict != unreadable || len(batch) > 1 || batch[0].sample == nil {
		return
	}
	reason := telemetry.GapRefused
	last := batch[0].refusals+1 >= refusalsAllowed
	if o.verdict == tooLarge {
		reason, last = telemetry.GapTooLarge, true
	}
	p.ring.refused(batch[0].first, last, reason)
	if last {
		p.options.Logger.Error("Giving up a sample that the agent does not take", "seq", batch[0].first, "reason", o.problem)
	}
}

// tell notes what became of a batch, and logs it when that is news.
func (p *Pusher) tell(o outcome) {
	log := p.options.Logger
	switch o.verdict {
	case stored:
		if p.stats.Failures > 0 {
			log.Info("Delivering samples again", "waiting", p.ring.heldSamples, "dropped", p.ring.dropped)
		}
		if o.refused > 0 {
			log.Warn("Agent set samples aside for good", "samples", o.refused)
		}
		p.stats.Failures, p.stats.Problem = 0, ""
	default:
		p.stats.Failures++
		if p.stats.Failures == 1 || o.verdict != p.trouble {
			log.Warn("Cannot deliver samples, keeping them", "reason", o.problem, "waiting", p.ring.heldSamples)
		}
		p.trouble, p.stats.Problem = o.verdict, o.problem
	}
}
