// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// maxUnsent is how many transitions may wait. Beyond it, of each anomaly only
	// the last one is kept.
	maxUnsent = 8 << 10
	// shipBatch is how many transitions one Append gets at most.
	shipBatch = 256
	// shipRetryFirst and shipRetryMax are the shortest and longest wait between
	// two attempts while the sink refuses.
	shipRetryFirst = 100 * time.Millisecond
	shipRetryMax   = 10 * time.Second
)

// outbox holds the transitions that the sink has not taken, in their order.
type outbox struct {
	sink  Sink
	log   logr.Logger
	limit int
	wake  chan struct{}

	mu      sync.Mutex
	waiting []anomaly.Transition
	// flying is how many of the first are being handed over.
	flying int
	// lost stands for those that were given up, nil for none.
	lost *telemetry.Gap
}

func newOutbox(sink Sink, log logr.Logger) *outbox {
	return &outbox{sink: sink, log: log, limit: maxUnsent, wake: make(chan struct{}, 1)}
}

// push takes transitions that come after all before. What breaks a bound of
// telemetry is left out: no sink could take it.
func (o *outbox) push(transitions []anomaly.Transition) {
	if len(transitions) == 0 {
		return
	}
	o.mu.Lock()
	for i := range transitions {
		if err := transitions[i].Validate(); err != nil {
			o.log.Error(err, "Leaving out a transition that breaks a bound", "rule", transitions[i].Rule)
			continue
		}
		o.waiting = append(o.waiting, transitions[i])
	}
	if len(o.waiting) > o.limit {
		o.shrink()
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// shrink makes room, with mu held: of each anomaly it keeps the last transition, and
// if those are too many, the newest. What is given up becomes a gap.
func (o *outbox) shrink() {
	seen := map[string]bool{}
	var last []anomaly.Transition
	for _, t := range slices.Backward(o.waiting[o.flying:]) {
		key := t.Rule + "/" + t.Fingerprint
		if seen[key] || o.flying+len(last) >= o.limit {
			o.lose(t.At)
			continue
		}
		seen[key] = true
		last = append(last, t)
	}
	slices.Reverse(last)
	o.waiting = slices.Concat(o.waiting[:o.flying], last)
}

func (o *outbox) lose(at time.Time) {
	if o.lost == nil {
		o.lost = &telemetry.Gap{Reason: telemetry.GapSourceOverflow, Start: at, End: at}
	}
	o.lost.Dropped++
	if at.Before(o.lost.Start) {
		o.lost.Start = at
	}
	if at.After(o.lost.End) {
		o.lost.End = at
	}
}

// unsent returns a copy of what waits.
func (o *outbox) unsent() []anomaly.Transition {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.waiting)
}

// run hands over until ctx ends.
func (o *outbox) run(ctx context.Context) {
	limit, wait := shipBatch, shipRetryFirst
	for {
		sent, err := o.hand(limit)
		switch {
		case err != nil:
			if limit == shipBatch {
				o.log.Error(err, "Cannot hand over anomalies, they wait")
			}
			// One is enough to learn whether the sink works again, and then it is
			// known whether it was taken.
			limit = 1
			if !pause(ctx, wait) {
				return
			}
			wait = min(2*wait, shipRetryMax)
			continue
		case sent && limit != shipBatch:
			o.log.Info("Can hand over anomalies again")
			limit, wait = shipBatch, shipRetryFirst
		}
		if sent && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
	}
}

// flush hands over what it can without waiting.
func (o *outbox) flush() {
	for {
		if sent, err := o.hand(shipBatch); !sent || err != nil {
			return
		}
	}
}

// hand hands over the first transitions that are of one moment, and before them
// what was lost. It says whether there were any.
func (o *outbox) hand(limit int) (sent bool, err error) {
	o.mu.Lock()
	lost := o.lost
	o.lost = nil
	n := 0
	for n < min(limit, len(o.waiting)) && o.waiting[n].At.Equal(o.waiting[0].At) {
		n++
	}
	batch := o.waiting[:n:n]
	o.flying = n
	o.mu.Unlock()

	if lost != nil {
		if err = o.sink.Append(telemetry.StreamAnomalies, time.Now(), lost); err == nil {
			lost, sent = nil, true
		}
	}
	if err == nil && n > 0 {
		payloads := make([]telemetry.Payload, n)
		for i := range batch {
			payloads[i] = &batch[i].AnomalyTransition
		}
		err = o.sink.Append(telemetry.StreamAnomalies, batch[0].At, payloads...)
	}

	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying = 0
	switch {
	case err == nil && n > 0:
		if o.waiting = o.waiting[n:]; len(o.waiting) == 0 {
			o.waiting = nil
		}
		sent = true
	case err != nil && lost != nil:
		more := o.lost
		if o.lost = lost; more != nil {
			o.lost.Dropped += more.Dropped
			o.lost.End = more.End
		}
	}
	return sent, err
}

// pause waits for d and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
