// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/actor"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

// What is asked of a hub that comes back: see B8 of the design.
const (
	leastReplay = 20 // times real time
	mostLag     = 5 * time.Second
)

// large is a cluster of 100 nodes and some 3,000 pods, an hour ago.
func large(now time.Time) source.Source {
	return source.Source{
		Name: "large", Base: now.Add(-time.Hour).UTC().Truncate(5 * time.Minute), Nodes: 100, SampleEvery: 15 * time.Second, Values: 40, Routes: 40,
		EventEvery: 250 * time.Millisecond, AnomalyEvery: time.Second, ObjectEvery: 250 * time.Millisecond, OutputEvery: 2 * time.Second, Padding: 200,
	}
}

// TestHubAwayForAnHour has an agent tell what happened in an hour while no hub can be
// reached, and go on telling what happens now when one can. Both sides are set as
// they are shipped.
func TestHubAwayForAnHour(t *testing.T) {
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			// A machine that stalls makes both worse. Once in a few times is enough.
			const tries = 3
			for try := 1; ; try++ {
				var speed float64
				var worst time.Duration
				t.Run(fmt.Sprintf("try %d", try), func(t *testing.T) { speed, worst = replayAnHour(t, name, dsn(t)) })
				if t.Failed() || speed >= leastReplay && worst <= mostLag {
					return
				}
				t.Logf("try %d: %.1f times as fast as real time, live records up to %s late", try, speed, worst)
				if try == tries {
					t.Errorf("%d times as fast as real time and %s are asked for", leastReplay, mostLag)
					return
				}
			}
		})
	}
}

// replayAnHour returns how much faster than real time the backlog was delivered, and
// how late live records were meanwhile at most.
func replayAnHour(t *testing.T, name, dsn string) (speed float64, worst time.Duration) {
	t.Helper()
	l := newLab(t, dsn, newSeed(t))
	l.receiver.Generous = false
	now := time.Now()
	config := l.shipper(large(now))
	config.Speed, config.AtOnce, config.Most, config.Measure = 1, now, 50, true
	config.SegmentBytes, config.SplitBytes, config.MaxBytes, config.Batch, config.Linger, config.RetryMin, config.RetryMax = 0, 0, 0, 0, 0, 0, 0
	hour := now.Sub(config.Source.Base)

	l.network.Away(true)
	agent, hub := l.start(config)
	eventually(t, 3*time.Minute, "the agent has told of the hour", func() bool { return l.status(agent).CaughtUp })
	backlog := l.status(agent).Backlog

	l.network.Away(false)
	// The agent does not know yet: it tries again when its pause is over.
	eventually(t, 3*time.Minute, "the agent finds the hub", func() bool { return l.status(agent).Answers["stored"] > 0 })
	back := time.Now()
	eventually(t, 5*time.Minute, "the backlog is delivered", func() bool {
		oldest := l.status(agent).Oldest
		return oldest.IsZero() || oldest.After(back)
	})
	took := time.Since(back)
	waits, err := ask[[]actor.Wait](t.Context(), agent, "/waits")
	l.must(err)
	l.drain(agent)
	l.stop(agent, hub)
	report := l.check(invariant.Rules{}, config)

	speed = hour.Seconds() / took.Seconds()
	t.Logf("%s: %s of %d records delivered in %s, %.0f times real time", name, hour.Round(time.Second), backlog, took.Round(time.Millisecond), speed)
	t.Logf("%s: live during the replay: %s", name, lags(waits, back, back.Add(took)))
	t.Log(report)
	return speed, worstLag(waits, back, back.Add(took))
}

// lingering streams wait for company by design, for up to 15 s.
func lingering(stream telemetry.Stream) bool {
	return stream == telemetry.StreamNodeMetrics || stream == telemetry.StreamSLI
}

// during are how long records were on their way that were appended in a span of time.
func during(waits []actor.Wait, stream telemetry.Stream, from, to time.Time) (out []time.Duration) {
	for _, w := range waits {
		if w.Stream == stream && w.At.After(from) && w.At.Before(to) {
			out = append(out, w.For)
		}
	}
	slices.Sort(out)
	return out
}

func worstLag(waits []actor.Wait, from, to time.Time) (worst time.Duration) {
	for stream := range telemetry.Streams() {
		all := during(waits, stream, from, to)
		if len(all) > 0 && !lingering(stream) {
			worst = max(worst, all[len(all)-1])
		}
	}
	return worst
}

func lags(waits []actor.Wait, from, to time.Time) string {
	var b strings.Builder
	for stream := range telemetry.Streams() {
		all := during(waits, stream, from, to)
		if len(all) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n  %-14s %4d appends, p50 %6s, worst %6s", stream, len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
		if lingering(stream) {
			b.WriteString(" (waits for company by design)")
		}
	}
	return b.String()
}
