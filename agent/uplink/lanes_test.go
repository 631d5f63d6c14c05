// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// inBubble runs a test in fake time with a network of 10 ms.
func inBubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.network.latency = func(request) time.Duration { return 10 * time.Millisecond }
		f(t, b)
	})
}

func says(o outcome) func(request) outcome { return func(request) outcome { return o } }

func TestLiveRecordsLingerAsLongAsTheirStreamAllows(t *testing.T) {
	const slack = 15 * time.Millisecond
	for stream, want := range map[telemetry.Stream][]time.Duration{
		// The first goes at once, and those after it when the first is 50 ms old.
		telemetry.StreamAnomalies:   {0, 50 * time.Millisecond},
		telemetry.StreamEvents:      {100 * time.Millisecond},
		telemetry.StreamNodeMetrics: {2 * time.Second},
	} {
		inBubble(t, func(t *testing.T, b *bench) {
			b.start()
			b.put(stream, 1) // begins with the gap of a fresh spool
			b.pass(time.Minute)
			start := time.Now()
			for range 5 {
				b.put(stream, 1)
				b.pass(10 * time.Millisecond)
			}
			b.pass(time.Minute)
			times := b.network.times(start, stream)
			if !slices.EqualFunc(times, want, func(at, due time.Duration) bool { return at >= due && at <= due+slack }) {
				t.Errorf("%s: requests at %v, want them within %s after %v", stream, times, slack, want)
			}
			b.lossless()
		})
	}
}

func TestSamplesGoWhenEnoughHasComeTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.options.Linger = map[telemetry.Stream]Linger{telemetry.StreamNodeMetrics: {Time: time.Hour, Bytes: 4 << 10}}
		b.start()
		start := time.Now()
		b.put(telemetry.StreamNodeMetrics, 200)
		b.pass(time.Second)
		if times := b.network.times(start, telemetry.StreamNodeMetrics); len(times) != 1 || times[0] > 10*time.Millisecond {
			t.Errorf("requests at %v, want one at once", times)
		}
		b.lossless()
	})
}

// TestLiveIsNotDelayedByReplay has a backlog that takes minutes on a slow lane, and
// looks at how long anomalies and events take meanwhile.
func TestLiveIsNotDelayedByReplay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.network.latency = func(r request) time.Duration {
			if r.lane == Replay {
				return 3 * time.Second
			}
			return 10 * time.Millisecond
		}
		b.options.ReplayBatch = Size{Records: 500, Bytes: 1 << 20}
		b.options.ReplayBytesPerSecond = 2 << 10
		b.put(telemetry.StreamEvents, 20_000)
		b.put(telemetry.StreamAnomalies, 5_000)
		if err := b.spool.Close(); err != nil {
			t.Fatal(err)
		}
		b.open()
		b.start()
		worst, during := time.Duration(0), 0
		for range 120 {
			replaying := b.uplink.Stats().Streams[telemetry.StreamEvents].ReplayRecords > 0
			at := time.Now()
			b.put(telemetry.StreamAnomalies, 1)
			b.put(telemetry.StreamEvents, 1)
			b.pass(500 * time.Millisecond)
			for _, stream := range []telemetry.Stream{telemetry.StreamAnomalies, telemetry.StreamEvents} {
				last := b.sent[stream][len(b.sent[stream])-1]
				stored := b.hub.stored(last)
				if stored.IsZero() {
					t.Fatalf("%s was not stored within half a second", last)
				}
				if replaying {
					worst, during = max(worst, stored.Sub(at)), during+1
				}
			}
		}
		if during < 50 || worst > 130*time.Millisecond {
			t.Errorf("%d records took up to %s while replaying", during, worst)
		}
		b.drain(time.Hour)
		b.lossless()
		if n := b.network.most[Replay]; n != 1 {
			t.Errorf("up to %d requests of the replay lane at the same time", n)
		}
	})
}

func TestReplayKeepsItsRate(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.options.ReplayBatch = Size{Records: 200, Bytes: 1 << 20}
		b.options.ReplayBytesPerSecond = 1000
		b.put(telemetry.StreamEvents, 10_000)
		if err := b.spool.Close(); err != nil {
			t.Fatal(err)
		}
		b.open()
		start := time.Now()
		b.start()
		b.drain(time.Hour)
		bytes, took := b.uplink.Stats().Lanes[Replay].Bytes, time.Since(start).Seconds()
		if rate := float64(bytes) / took; rate > 1100 || rate < 700 {
			t.Errorf("%d bytes in %.0f s are %.0f a second, want 1000", bytes, took, rate)
		}
		b.lossless()
	})
}

func TestRetryAfterHoldsBothLanes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(telemetry.StreamEvents, 100)
		if err := b.spool.Close(); err != nil {
			t.Fatal(err)
		}
		b.open()
		b.start()
		b.drain(time.Minute)
		b.network.script = []func(request) outcome{says(outcome{verdict: busy, retryAfter: 30 * time.Second, problem: "busy"})}
		start := time.Now()
		for range 60 {
			b.put(telemetry.StreamAnomalies, 1)
			b.pass(500 * time.Millisecond)
		}
		b.pass(10 * time.Second)
		times := b.network.times(start, telemetry.StreamAnomalies)
		if pause := times[1] - times[0]; pause < 30*time.Second || pause > 33*time.Second+20*time.Millisecond {
			t.Errorf("the second request came after %s, the hub asked for 30 s", pause)
		}
		b.lossless()
	})
}

// TestALaneThatIsHeldHoldsTheOtherOneWayOnly asks the gate itself.
func TestALaneThatIsHeldHoldsTheOtherOneWayOnly(t *testing.T) {
	now := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	g := newGate(pauses{}, func() float64 { return 0 })
	g.lanes[Live].proven, g.lanes[Replay].proven = true, true
	g.lanes[Replay].until = now.Add(time.Minute)
	if ok, _ := g.may(Live, now); !ok {
		t.Error("a held replay lane holds the live lane")
	}
	if ok, wait := g.may(Replay, now); ok || wait != time.Minute {
		t.Errorf("the replay lane may send %v, in %s", ok, wait)
	}
	g.lanes[Live].until = now.Add(2 * time.Minute)
	if ok, wait := g.may(Replay, now); ok || wait != 2*time.Minute {
		t.Errorf("while the live lane is held, the replay lane may send %v, in %s", ok, wait)
	}
	g.lanes[Live], g.lanes[Replay] = hold{inFlight: 1}, hold{}
	if ok, wait := g.may(Replay, now); ok || wait != 0 {
		t.Errorf("while the live lane finds out about the hub, the replay lane may send %v, in %s", ok, wait)
	}
}

func TestNetworkErrorsBackOffAndOneRequestProbes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.network.away = true
		b.start()
		start := time.Now()
		for range 600 {
			b.put(telemetry.StreamAnomalies, 1)
			b.put(telemetry.StreamEvents, 1)
			b.pass(time.Second)
		}
		times := b.network.times(start)
		if len(times) < 15 || len(times) > 60 {
			t.Errorf("%d requests in 10 minutes without a hub: %v", len(times), times)
		}
		if n := b.network.most[Live]; n > 1 {
			t.Errorf("%d requests at the same time to a hub that is away", n)
		}
		stats := b.uplink.Stats()
		lane := stats.Lanes[Live]
		if !strings.Contains(lane.Problem, "connection refused") || time.Since(lane.Since) < 9*time.Minute || stats.Streams[telemetry.StreamEvents].OldestAge < 9*time.Minute {
			t.Errorf("10 minutes without a hub look like this: %+v", stats)
		}
		b.network.away = false
		b.drain(5 * time.Minute)
		b.lossless()
		if lane := b.uplink.Stats().Lanes[Live]; lane.Problem != "" || !lane.Since.IsZero() {
			t.Errorf("after the hub came back: %+v", lane)
		}
	})
}

func TestRefusalsAreReportedAndRare(t *testing.T) {
	for _, v := range []verdict{forbidden, unauthenticated} {
		inBubble(t, func(t *testing.T, b *bench) {
			for range 5 {
				b.network.script = append(b.network.script, says(outcome{verdict: v, problem: "the hub answered 403 NotAccepted"}))
			}
			b.start()
			start := time.Now()
			b.put(telemetry.StreamAnomalies, 1)
			b.pass(10 * time.Minute)
			if times := b.network.times(start); len(times) < 2 || len(times) > 5 {
				t.Errorf("%s: requests at %v", v, times)
			}
			lane := b.uplink.Stats().Lanes[Live]
			if lane.Problem != "the hub answered 403 NotAccepted" || lane.HeldUntil.IsZero() {
				t.Errorf("%s: %+v", v, lane)
			}
			b.drain(2 * time.Hour)
			b.lossless()
		})
	}
}

func TestBatchesThatAreTooLargeAreHalved(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		for range 4 {
			b.network.script = append(b.network.script, says(outcome{verdict: tooLarge, problem: "413"}))
		}
		b.start()
		b.put(telemetry.StreamEvents, 1000)
		b.drain(time.Minute)
		b.lossless()
		if n := len(b.network.requests); n < 8 || n > 20 {
			t.Errorf("%d requests for 1000 records after 4 times too large", n)
		}
	})
}

// TestOneRecordThatIsRefusedForeverIsGivenUp has a hub that cannot read whatever
// contains one record, for the two reasons there are.
func TestOneRecordThatIsRefusedForeverIsGivenUp(t *testing.T) {
	for _, v := range []verdict{tooLarge, unreadable} {
		inBubble(t, func(t *testing.T, b *bench) {
			for range 500 {
				b.network.script = append(b.network.script, func(r request) outcome {
					decoded, err := b.hub.decoder.Decode(r.body)
					if err != nil {
						t.Error(err)
					}
					for _, record := range decoded.Batch.Records {
						if name(record.Payload) == "event-137" {
							return outcome{verdict: v, problem: "refused"}
						}
					}
					return outcome{verdict: stored}
				})
			}
			b.start()
			b.put(telemetry.StreamEvents, 300)
			b.drain(time.Hour)
			want := append(append([]string{}, b.sent[telemetry.StreamEvents][:136]...), b.sent[telemetry.StreamEvents][137:]...)
			for _, problem := range b.hub.check(map[telemetry.Stream][]string{telemetry.StreamEvents: want}, telemetry.GapEpochLost, telemetry.GapRefused) {
				t.Errorf("%s: %s", v, problem)
			}
			if dropped := b.uplink.Stats().Streams[telemetry.StreamEvents].Dropped; dropped != 1 {
				t.Errorf("%s: %d values are counted as dropped, want 1", v, dropped)
			}
		})
	}
}

// TestAHubThatRefusesEverythingDoesNotEmptyTheSpool has a hub with a fault.
func TestAHubThatRefusesEverythingDoesNotEmptyTheSpool(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		for range 10_000 {
			b.network.script = append(b.network.script, says(outcome{verdict: unreadable, problem: "400"}))
		}
		b.start()
		b.put(telemetry.StreamEvents, 1000)
		b.pass(time.Hour)
		if dropped := b.uplink.Stats().Streams[telemetry.StreamEvents].Dropped; dropped > 1 {
			t.Errorf("%d of 1000 records were given up within an hour", dropped)
		}
		b.network.script = nil
		b.drain(time.Hour)
	})
}

// TestARestoredHubGetsAgainWhatIsStillHeld takes back what the hub has stored.
func TestARestoredHubGetsAgainWhatIsStillHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.start()
		b.put(telemetry.StreamEvents, 500)
		b.drain(time.Minute)
		for _, e := range b.hub.epochs[telemetry.StreamEvents] {
			for seq := uint64(300); seq <= e.last; seq++ {
				delete(e.records, seq)
			}
			e.last = 299
		}
		b.put(telemetry.StreamEvents, 10)
		b.drain(10 * time.Minute)
		stored := 0
		for _, e := range b.hub.epochs[telemetry.StreamEvents] {
			stored += len(e.records) - len(e.gaps)
		}
		if problems := b.hub.check(nil); len(problems) > 0 || b.hub.stored("event-510").IsZero() || stored < 305 {
			t.Errorf("%d records are stored: %v", stored, problems)
		}
	})
}

// TestContradictedNumbersAreGivenUp has a hub that got other records under the
// numbers of this spool.
func TestContradictedNumbersAreGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.start()
		b.put(telemetry.StreamEvents, 10)
		b.drain(time.Minute)
		for _, e := range b.hub.epochs[telemetry.StreamEvents] {
			for range 5 {
				e.last++
				e.records[e.last] = "somebody else's"
			}
		}
		b.put(telemetry.StreamEvents, 20)
		b.drain(10 * time.Minute)
		b.hub.wrong = nil // the contradiction is the point
		if at := b.hub.stored("event-30"); at.IsZero() || !b.hub.stored("event-15").IsZero() || b.hub.stored("event-16").IsZero() {
			t.Errorf("stored: %v", b.hub.storedAt)
		}
		if dropped := b.uplink.Stats().Streams[telemetry.StreamEvents].Dropped; dropped != 5 {
			t.Errorf("%d values are counted as dropped, want 5", dropped)
		}
	})
}
