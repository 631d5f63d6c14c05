// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/actor"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
)

// mismatches is how many contradictions hubs have seen.
func (l *lab) mismatches(hubs ...*life) (n int) {
	l.Helper()
	for _, hub := range hubs {
		seen, err := ask[actor.Seen](l.Context(), hub, "/status")
		l.must(err)
		n += seen.Mismatches
	}
	return n
}

// TestTwoAgentsWithOneIdentity has two agents of one cluster, each with a spool of its
// own, as when an old one does not go away. They number in epochs of their own, and
// everything that both say is stored.
func TestTwoAgentsWithOneIdentity(t *testing.T) {
	t.Parallel()
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, dsn(t), newSeed(t))
			l.network.Misbehave(20)
			hub := l.startReceiver(0)
			configs := []actor.Shipper{l.shipper(busy("a", time.Now())), l.shipper(busy("b", time.Now()))}
			for i := range configs {
				configs[i].SplitBytes = 1 << 20 // epochs as rare as they are
			}
			agents := []*life{l.startShipper(configs[0]), l.startShipper(configs[1])}
			eventually(t, 3*time.Minute, "both have said something", func() bool {
				return min(l.status(agents[0]).Answers["stored"], l.status(agents[1]).Answers["stored"]) > 100
			})
			l.must(l.network.Settle(t.Context()))
			l.drain(agents...)
			// Both may begin an epoch in the same millisecond, and then contest it.
			t.Logf("%d contradictions", l.mismatches(hub))
			l.stop(append(agents, hub)...)
			// Each of them lists what the other does not know, so only what happened is compared.
			t.Log(l.check(invariant.Rules{Contested: true}, configs...))
		})
	}
}

// TestCopiedSpool has two agents that continue from copies of one spool, as when a
// volume is restored beside the agent that still runs. Where both give one number to
// different records the hub refuses the second, says so, and stores nothing of it under
// that number.
func TestCopiedSpool(t *testing.T) {
	t.Parallel()
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, dsn(t), newSeed(t))
			hub := l.startReceiver(0)
			configs := []actor.Shipper{l.shipper(busy("a", time.Now())), l.shipper(busy("b", time.Now()))}
			var agents []*life
			for i := range configs {
				// The epoch before has a number of the future, so both go on with the next.
				l.must(plantEpochs(configs[i].Spool, time.Now().Add(time.Hour).Truncate(time.Hour)))
				agents = append(agents, l.startShipper(configs[i]))
			}
			eventually(t, 3*time.Minute, "the hub has noticed", func() bool { return l.mismatches(hub) >= 3 })
			for i, agent := range agents {
				answers := l.status(agent).Answers
				t.Logf("agent %s: %v", configs[i].Source.Name, answers)
			}
			l.drain(agents...)
			t.Logf("%d contradictions", l.mismatches(hub))
			l.stop(append(agents, hub)...)
			t.Log(l.check(invariant.Rules{Contested: true}, configs...))
		})
	}
}

// plantEpochs makes a spool of which each stream had an epoch with the number of a
// moment.
func plantEpochs(dir string, at time.Time) error {
	for stream := range telemetry.Streams() {
		path := filepath.Join(dir, stream.String(), fmt.Sprintf("%020d", at.UnixMilli()))
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("atlhyper spool 1\n"), 0o600)
}
