// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/test/delivery/actor"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
)

// TestDamagedSpool damages the files of a spool between two lives of its agent, again
// and again: cuts them short, flips bits, removes them. What cannot be delivered any
// more is in a gap, or the next epoch begins by saying so; all else is delivered.
func TestDamagedSpool(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	random := rand.New(rand.NewPCG(seed, 21))
	l := newLab(t, dsns["sqlite"](t), seed)
	config := l.shipper(busy("a", time.Now()))
	config.SegmentBytes = 4 << 10
	hub := l.startReceiver(0)
	rounds, harmed := 12, map[string]int{}
	for round := range rounds {
		l.network.Away(true)
		agent := l.startShipper(config)
		eventually(t, 3*time.Minute, "the agent has a backlog", func() bool { return l.status(agent).Backlog > 300 })
		if round%2 == 0 {
			l.kill(agent)
		} else {
			l.stop(agent)
		}
		l.must(harm(config.Spool, random, harmed))
		l.network.Away(false)
		agent = l.startShipper(config)
		l.drain(agent)
		l.stop(agent)
	}
	l.stop(hub)
	report := l.check(invariant.Rules{Drops: true, Torn: true}, config)
	t.Logf("%v in %d rounds; %s", harmed, rounds, report)
	if report.Covered == 0 || report.Torn == 0 {
		t.Error("nothing was damaged that anybody noticed")
	}
	if lost := report.Covered + report.Torn; lost > report.Taken/2 {
		t.Errorf("%d of %d records were lost to a few damaged files", lost, report.Taken)
	}
}

// harm damages a few files of a spool.
func harm(dir string, random *rand.Rand, done map[string]int) error {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasSuffix(path, ".seg") || strings.HasSuffix(path, ".gap") || d.Name() == "acked" || d.Name() == "CLEAN") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("there is nothing to damage"))
	}
	for range 3 {
		i := random.IntN(len(files))
		what, err := harmFile(files[i], random)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed before
		}
		if err != nil {
			return err
		}
		done[what+" "+filepath.Ext(files[i])]++
	}
	return nil
}

func harmFile(path string, random *rand.Rand) (what string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	switch what := random.IntN(6); {
	case what == 0 || len(b) == 0:
		return "removed", os.Remove(path)
	case what <= 2:
		return "cut", os.Truncate(path, random.Int64N(int64(len(b))))
	case what == 3:
		return "lengthened", os.WriteFile(path, append(b, b[:1+random.IntN(len(b))]...), 0o600)
	}
	for range 1 + random.IntN(3) {
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
	}
	return "flipped", os.WriteFile(path, b, 0o600)
}

// TestSpoolDiskFull fills the disk of a spool while no hub can be reached. The agent
// keeps what is worth most, refuses what it cannot keep, says so, and goes on by itself
// once there is room.
func TestSpoolDiskFull(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]bool{"and there is room again": false, "and the agent is killed": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, dsns["sqlite"](t), newSeed(t))
			disk := smallDisk(t, 4<<20)
			config := l.shipper(busy("a", time.Now()))
			config.Spool, config.SegmentBytes, config.MemoryBytes, config.Most = filepath.Join(disk.dir, "spool"), 8<<10, 32<<10, 1
			l.network.Away(true)
			agent, hub := l.start(config)
			eventually(t, 3*time.Minute, "the agent has a backlog", func() bool { return l.status(agent).Backlog > 100 })
			l.must(disk.fill(0))
			var full actor.Status
			eventually(t, 3*time.Minute, "the agent refuses records", func() bool {
				full = l.status(agent)
				return full.Refused > 50
			})
			if !strings.Contains(full.Trouble, "no space left") {
				t.Errorf("the agent says %q", full.Trouble)
			}
			if kill {
				l.kill(agent)
				agent = l.startShipper(config)
			}
			l.must(disk.empty())
			l.network.Away(false)
			eventually(t, 3*time.Minute, "the disk takes records again", func() bool { return l.status(agent).Trouble == "" })
			l.drain(agent)
			l.stop(agent, hub)
			// What was in memory when the agent was killed is lost, and the next epoch says so.
			report := l.check(invariant.Rules{Drops: true, Torn: kill}, config)
			t.Log(report)
			if report.Refused == 0 || report.Gaps == 0 {
				t.Error("nothing was refused, or nobody said so")
			}
		})
	}
}
