// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// TestContradictionIsSettledByTheEpochsOwnOffset has a hub that has other records under
// the numbers of the live epoch, and that knows a newer epoch: the list of the newest
// epochs lacks the one in question.
func TestContradictionIsSettledByTheEpochsOwnOffset(t *testing.T) {
	r := newRig(t, Options{})
	r.put(telemetry.StreamEvents, 10)
	r.delivered()
	hub := r.bench.hub
	hub.mu.Lock()
	epochs := hub.epochs[telemetry.StreamEvents]
	newest := slices.Max(slices.Collect(maps.Keys(epochs)))
	for range 5 {
		epochs[newest].last++
		epochs[newest].records[epochs[newest].last] = "somebody else's"
	}
	epochs[newest+1] = &modelEpoch{records: map[uint64]string{}}
	hub.mu.Unlock()
	r.put(telemetry.StreamEvents, 20)
	r.until("all is delivered", func() bool { return r.uplink.Stats().Streams[telemetry.StreamEvents].BacklogRecords == 0 })
	if hub.stored("event-30").IsZero() || !hub.stored("event-15").IsZero() || hub.stored("event-16").IsZero() {
		t.Error("the records whose numbers were free are not stored, or others are")
	}
	if dropped := r.uplink.Stats().Streams[telemetry.StreamEvents].Dropped; dropped != 5 {
		t.Errorf("%d values are counted as dropped, want 5", dropped)
	}
}

// TestNothingIsGivenUpForAnAnswerThatDoesNotSay has a hub that says for a while that
// records contradict, and not how far it is.
func TestNothingIsGivenUpForAnAnswerThatDoesNotSay(t *testing.T) {
	for name, offsets := range map[string]string{
		"a list without the epoch": `{"offsets":[{"stream":"events","epoch":1,"acked":5}]}`, "nothing": `{"offsets":[]}`, "another answer": `[]`,
		"a portal's page": `<html>`, "the stream without a number": `{"offsets":[{"stream":"events"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			r.put(telemetry.StreamEvents, 10)
			r.delivered()
			var asked atomic.Int64
			r.broken(func(w http.ResponseWriter, q *http.Request) bool {
				if q.Method == http.MethodPost {
					w.WriteHeader(http.StatusConflict)
					_, _ = w.Write([]byte(`{"reason":"Mismatch"}`))
					return true
				}
				asked.Add(1)
				_, _ = w.Write([]byte(offsets))
				return true
			})
			r.put(telemetry.StreamEvents, 20)
			r.until("the offset was asked for several times", func() bool { return asked.Load() > 3 })
			r.until("the problem is told", func() bool {
				return strings.Contains(r.uplink.Stats().Streams[telemetry.StreamEvents].Problem, "asking the hub for an offset")
			})
			stats := r.uplink.Stats().Streams[telemetry.StreamEvents]
			if diff := cmp.Diff([]uint64{20, 0}, []uint64{stats.BacklogRecords, stats.Dropped}); diff != "" {
				t.Errorf("backlog and dropped (-want +got):\n%s", diff)
			}
			r.repaired()
			r.delivered()
		})
	}
}
