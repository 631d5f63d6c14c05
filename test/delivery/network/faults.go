// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package network

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// errFault: the agent's connection breaks.
var errFault = errors.New("something happened to the request")

// chosen is a fault and its measure, from 0 to 1.
type chosen struct {
	fault   Fault
	measure float64
	before  []byte
}

func (n *Network) choose(m *message) chosen {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := chosen{measure: n.random.Float64(), before: n.before[m.path]}
	if m.method == http.MethodPost {
		n.before[m.path] = m.body
		if n.random.IntN(100) < n.chance {
			c.fault = faults[n.random.IntN(len(faults))]
			n.counts[c.fault]++
		}
	}
	return c
}

// happen delivers a message, or does to it what is its lot.
func (n *Network) happen(ctx context.Context, m *message) (*reply, error) {
	c := n.choose(m)
	switch c.fault {
	case Lost:
		return nil, errFault
	case HalfArrived:
		half := len(m.body) / 2
		_, _ = n.deliver(ctx, m, io.MultiReader(bytes.NewReader(m.body[:half]), broken{}), int64(len(m.body))) // it fails
		return nil, errFault
	case AnswerLost:
		_, _ = n.deliverWhole(ctx, m) // nobody hears it
		return nil, errFault
	case Twice:
		return n.twice(ctx, m)
	case AgainLater:
		n.deliverLater(m, c.measure)
	case Later:
		n.deliverLater(m, c.measure)
		return nil, errFault
	case Slow:
		n.wait(time.Duration(c.measure * float64(500*time.Millisecond)))
	case Overlapping:
		if wider, ok := n.overlap(c.before, m.body, c.measure); ok {
			return n.deliverWhole(ctx, &message{m.method, m.path, m.header, wider})
		}
	case BackFirst:
		if back, ok := n.back(m.body); ok {
			_, _ = n.deliverWhole(ctx, &message{m.method, m.path, m.header, back}) // a gap, mostly
		}
	case Broken:
		n.breakConnections()
	}
	return n.deliverWhole(ctx, m)
}

// broken is a body that ends before its time.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errFault }

// twice delivers two copies at once. The agent gets one of the answers.
func (n *Network) twice(ctx context.Context, m *message) (*reply, error) {
	first := make(chan struct{})
	go func() {
		defer close(first)
		_, _ = n.deliverWhole(ctx, m) // the other one's answer counts
	}()
	answer, err := n.deliverWhole(ctx, m)
	<-first
	return answer, err
}

// deliverLater delivers a copy within two seconds, or when there is a hurry.
func (n *Network) deliverLater(m *message, measure float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.late++
	n.owned.Go(func() {
		n.wait(time.Duration(measure * float64(2*time.Second)))
		_, _ = n.deliverWhole(n.ctx, m) // nobody waits for the answer
		n.mu.Lock()
		defer n.mu.Unlock()
		n.late--
		close(n.changed)
		n.changed = make(chan struct{})
	})
}

// wait waits, unless there is a hurry.
func (n *Network) wait(d time.Duration) {
	n.mu.Lock()
	hurry := n.hurry
	n.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-n.ctx.Done():
	}
}

func (n *Network) breakConnections() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close() // that is the point
	}
}

// overlap returns a batch with the end of the one before and all of this one, if they
// follow each other.
func (n *Network) overlap(before, body []byte, measure float64) ([]byte, bool) {
	a, errA := n.decoder.Decode(before)
	b, errB := n.decoder.Decode(body)
	if errA != nil || errB != nil || a.Batch.Epoch != b.Batch.Epoch || a.Batch.LastSeq+1 != b.Batch.FirstSeq {
		return nil, false
	}
	records := a.Batch.Records[int(measure*float64(len(a.Batch.Records))):]
	records = append(slices.Clip(records), b.Batch.Records...)
	wider := telemetry.NewBatch(b.Batch.Stream, b.Batch.Epoch, records)
	out, err := n.encoder.Append(nil, &wider)
	return out, err == nil
}

// back returns the second half of a batch.
func (n *Network) back(body []byte) ([]byte, bool) {
	b, err := n.decoder.Decode(body)
	if err != nil || len(b.Batch.Records) < 2 {
		return nil, false
	}
	_, half := b.Batch.Halve()
	out, err := n.encoder.Append(nil, &half)
	return out, err == nil
}
