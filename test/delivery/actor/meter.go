// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package actor

import (
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/agent/uplink"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Wait is how long the hub took to confirm an Append.
type Wait struct {
	// Stream of the records.
	Stream telemetry.Stream
	// At is when Append returned.
	At time.Time
	// For is how long it took from then.
	For time.Duration
	// Lag is how old the records were when they were confirmed, by the source's
	// clock.
	Lag time.Duration
}

// meter notes when the hub confirms what.
type meter struct {
	uplink.Spool

	mu      sync.Mutex
	waiting map[telemetry.Stream][]waiting
	acked   map[epoch]uint64
	waits   []Wait
}

type epoch struct {
	stream telemetry.Stream
	number telemetry.Epoch
}

type waiting struct {
	got      spool.Appended
	at, seen time.Time
}

func (m *meter) appended(stream telemetry.Stream, got spool.Appended, seen time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting == nil {
		m.waiting = map[telemetry.Stream][]waiting{}
	}
	m.waiting[stream] = append(m.waiting[stream], waiting{got, time.Now(), seen})
	if through := m.acked[epoch{stream, got.Epoch}]; through >= got.Last { // it was quicker
		m.confirmed(stream, got.Epoch, through)
	}
}

// Ack implements uplink.Confirmer.
func (m *meter) Ack(stream telemetry.Stream, number telemetry.Epoch, through uint64) error {
	err := m.Spool.Ack(stream, number, through)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.acked == nil {
		m.acked = map[epoch]uint64{}
	}
	m.acked[epoch{stream, number}] = max(m.acked[epoch{stream, number}], through)
	m.confirmed(stream, number, through)
	return err
}

func (m *meter) confirmed(stream telemetry.Stream, number telemetry.Epoch, through uint64) {
	now := time.Now()
	if m.waiting == nil {
		return // nothing is measured
	}
	m.waiting[stream] = slices.DeleteFunc(m.waiting[stream], func(w waiting) bool {
		if w.got.Epoch != number || w.got.Last > through {
			return false
		}
		m.waits = append(m.waits, Wait{Stream: stream, At: w.at, For: now.Sub(w.at), Lag: now.Sub(w.seen)})
		return true
	})
}

func (m *meter) oldest() (at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, all := range m.waiting {
		for _, w := range all {
			if at.IsZero() || w.at.Before(at) {
				at = w.at
			}
		}
	}
	return at
}

func (m *meter) all() []Wait {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.waits)
}
