// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package actor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/agent/uplink"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

// Shipper configures an agent under test.
type Shipper struct {
	// Ready is the file that says that it works.
	Ready string
	// Spool and Ledger are folders.
	Spool string
	// Ledger says what was appended.
	Ledger string
	// Source is what it sees.
	Source source.Source
	// Speed is how many seconds pass in the source's cluster in one second.
	Speed float64
	// AtOnce: what happened until then is appended as fast as the spool takes it.
	AtOnce time.Time
	// Most is how many records one Append has at most.
	Most uint64
	// Measure notes how long each Append waits for the hub.
	Measure bool
	// Endpoint and Token are the hub's.
	Endpoint uplink.Endpoint
	// Token is what the hub knows the agent by.
	Token string
	// MaxBytes, SegmentBytes, SplitBytes and MemoryBytes are the spool's.
	MaxBytes, SegmentBytes, SplitBytes, MemoryBytes int64
	// RetryMin and RetryMax are the uplink's, and Linger its longest.
	RetryMin, RetryMax time.Duration
	// Linger is for all streams; 0 for the defaults.
	Linger time.Duration
	// Batch is the most records of a batch; 0 for the defaults.
	Batch int
}

// Status is how a shipper stands.
type Status struct {
	// Backlog is how many numbers the hub has not confirmed.
	Backlog uint64
	// Dropped is how many values the spool has given up.
	Dropped uint64
	// Refused is how many records Append did not take.
	Refused uint64
	// Trouble is what the spool's disk said last.
	Trouble string
	// Problem is why the last request did not succeed.
	Problem string
	// Answers counts the hub's answers.
	Answers map[string]uint64
	// CaughtUp is true when everything that was due has been appended.
	CaughtUp bool
	// Oldest is when the oldest Append that the hub has not confirmed returned, with
	// Measure; zero when there is none.
	Oldest time.Time
}

// shipping is a running shipper.
type shipping struct {
	Shipper
	spool  *spool.Spool
	uplink *uplink.Uplink
	meter  *meter
	// lost is told when the hub will not get some of the inventory.
	lost chan struct{}

	mu       sync.Mutex
	ledger   *ledger.Writer
	paused   bool
	caughtUp bool
	refused  uint64
	began    time.Time // when the source's clock showed origin
	origin   time.Time
}

// hub is a Hub that does not move.
type hub struct {
	endpoint uplink.Endpoint
	token    string
}

// Endpoint implements uplink.Hub.
func (h hub) Endpoint(context.Context) (uplink.Endpoint, error) { return h.endpoint, nil }

// Token implements uplink.Hub.
func (h hub) Token(context.Context, string) (string, error) { return h.token, nil }

// Run opens the spool, appends and delivers until the context ends.
func (c Shipper) Run(ctx context.Context) error {
	s := &shipping{Shipper: c, lost: make(chan struct{}, 1)}
	var err error
	s.spool, err = spool.Open(c.Spool, spool.Options{
		MaxBytes: c.MaxBytes, SegmentBytes: c.SegmentBytes, SplitBytes: c.SplitBytes, MemoryBytes: c.MemoryBytes,
		MaxAge: 1000 * time.Hour, MinFreeBytes: -1, SyncInterval: 20 * time.Millisecond,
		Lost: s.missed, LostInterval: 300 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	if s.ledger, err = ledger.Begin(c.Ledger); err != nil {
		return err
	}
	s.meter = &meter{Spool: uplink.FromDisk(s.spool)}
	options := uplink.Options{
		Spool: s.meter, Hub: hub{c.Endpoint, c.Token}, Logger: logger(), Version: "test", RetryMin: c.RetryMin, RetryMax: c.RetryMax,
		LiveBatch: uplink.Size{Records: c.Batch}, ReplayBatch: uplink.Size{Records: c.Batch},
	}
	if c.Linger > 0 {
		options.Linger = map[telemetry.Stream]uplink.Linger{}
		for stream := range telemetry.Streams() {
			options.Linger[stream] = uplink.Linger{Time: c.Linger}
		}
	}
	if s.uplink, err = uplink.New(options); err != nil {
		return err
	}
	s.begin()
	return errors.Join(s.work(ctx), s.spool.Close(), s.ledger.Close())
}

// work runs everything until the context ends or something fails.
func (s *shipping) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control, err := listen(ctx)
	if err != nil {
		return err
	}
	// An agent begins with a full list.
	if err := s.list(); err != nil {
		return err
	}
	var running sync.WaitGroup
	var failures [3]error
	for i, run := range []func(context.Context) error{
		s.uplink.Run, s.appendDue,
		func(ctx context.Context) error { return answer(ctx, control, s.questions()) },
	} {
		running.Go(func() {
			defer cancel()
			failures[i] = run(ctx)
		})
	}
	err = announce(s.Ready, Ready{Control: control.Addr().String()})
	if err != nil {
		cancel()
	}
	running.Wait()
	return errors.Join(append(failures[:], err)...)
}

// begin sets the source's clock to where the ledger goes on.
func (s *shipping) begin() {
	next := s.ledger.Position().Next
	for stream := range telemetry.Streams() {
		if s.Source.Due(stream, s.Source.Base.Add(1000*time.Hour)) == 0 {
			continue // there are none
		}
		if at := s.Source.Time(stream, next[stream]); s.origin.IsZero() || at.Before(s.origin) {
			s.origin = at
		}
	}
	if s.origin.Before(s.AtOnce) {
		s.origin = s.AtOnce
	}
	s.began = time.Now()
}

// now is what the source's clock shows, which is never ahead of ours.
func (s *shipping) now() time.Time {
	now := time.Now()
	simulated := s.origin.Add(time.Duration(float64(now.Sub(s.began)) * s.Speed))
	if simulated.After(now) {
		return now
	}
	return simulated
}

// missed asks for a full list after some of the inventory was lost, as agents do.
func (s *shipping) missed(stream telemetry.Stream) {
	if stream != telemetry.StreamInventory {
		return
	}
	select {
	case s.lost <- struct{}{}:
	default: // it is asked for already
	}
}

// appendDue appends what is due, again and again.
func (s *shipping) appendDue(ctx context.Context) error {
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.step(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.lost:
			if err := s.list(); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
}

// step appends up to a few hundred records of each stream.
func (s *shipping) step() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		return nil
	}
	now := s.now()
	caughtUp := true
	for stream := range telemetry.Streams() {
		for range 100 {
			next, due := s.ledger.Position().Next[stream], s.Source.Due(stream, now)
			if next >= due {
				break
			}
			if err := s.append(stream, next, min(due-next, s.Most)); err != nil {
				return err
			}
		}
		caughtUp = caughtUp && s.ledger.Position().Next[stream] >= s.Source.Due(stream, now)
	}
	s.caughtUp = caughtUp
	return nil
}

// append appends records, and writes down before what it does and after what came of
// it.
func (s *shipping) append(stream telemetry.Stream, first, count uint64) error {
	items := make([]spool.Item, count)
	for i := range items {
		items[i].Time, items[i].Payload = s.Source.Record(stream, first+uint64(i))
	}
	if err := s.ledger.Appending(stream, count); err != nil {
		return err
	}
	got, err := s.spool.Append(stream, items...)
	if full, ok := errors.AsType[*spool.FullError](err); ok && uint64(full.Dropped) == count { //nolint:gosec // not negative
		s.refused += count
		return s.ledger.NotAppended(stream, count)
	}
	if err != nil {
		return fmt.Errorf("appending %d records of %s: %w", count, stream, err)
	}
	if s.Measure {
		s.meter.appended(stream, got, s.Source.Time(stream, first))
	}
	return s.ledger.Appended(stream, count, got.Epoch, got.Last)
}

// list appends a snapshot of the inventory.
func (s *shipping) list() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Source.ObjectEvery == 0 {
		return nil
	}
	now := s.now()
	payloads := s.Source.Snapshot(s.ledger.Position().Next[telemetry.StreamInventory])
	items := make([]spool.Item, len(payloads))
	for i, p := range payloads {
		items[i] = spool.Item{Time: now, Payload: p}
	}
	if err := s.ledger.Listing(); err != nil {
		return err
	}
	got, err := s.spool.Append(telemetry.StreamInventory, items...)
	if _, full := errors.AsType[*spool.FullError](err); full {
		return nil // it stays doubtful
	}
	if err != nil {
		return fmt.Errorf("appending a snapshot: %w", err)
	}
	return s.ledger.Listed(got.Epoch, got.Last-uint64(len(items))+1, got.Last)
}

func (s *shipping) questions() map[string]func(context.Context) (any, error) {
	return map[string]func(context.Context) (any, error){
		"/status": func(context.Context) (any, error) { return s.status(), nil },
		// How long each Append waited that the hub has confirmed, with Measure.
		"/waits": func(context.Context) (any, error) { return s.meter.all(), nil },
		// The last thing that is appended is a full list.
		"/seal": func(context.Context) (any, error) {
			s.mu.Lock()
			s.paused = true
			s.mu.Unlock()
			return nil, s.list()
		},
	}
}

func (s *shipping) status() Status {
	out := Status{Answers: map[string]uint64{}, Oldest: s.meter.oldest()}
	stats := s.spool.Stats()
	for _, one := range stats.Streams {
		out.Backlog += one.Records
		for _, n := range one.Dropped {
			out.Dropped += n
		}
	}
	if stats.Trouble != nil {
		out.Trouble = stats.Trouble.Error()
	}
	for _, lane := range s.uplink.Stats().Lanes {
		for answer, n := range lane.Requests {
			out.Answers[answer] += n
		}
		out.Problem += lane.Problem
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.CaughtUp, out.Refused = s.caughtUp, s.refused
	return out
}
