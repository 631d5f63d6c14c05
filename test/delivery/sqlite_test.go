// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/test/delivery/actor"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
)

// TestSQLiteDiskFull fills the disk of the file, also under a hub that is killed and
// starts while it is full.
func TestSQLiteDiskFull(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]bool{"and there is room again": false, "and the hub is killed": true} {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, 32<<20)
			l := newLab(t, "sqlite://"+filepath.Join(disk.dir, "history.db"), newSeed(t))
			config := l.shipper(busy("a", time.Now()))
			agent, hub := l.start(config)
			eventually(t, 3*time.Minute, "something is stored", func() bool { return l.status(agent).Answers["stored"] > 20 })
			l.must(disk.fill(0))
			eventually(t, 3*time.Minute, "the agent is sent away", func() bool { return strings.Contains(l.status(agent).Problem, "StoreUnavailable") })
			seen, err := ask[actor.Seen](t.Context(), hub, "/status")
			l.must(err)
			if log := contents(filepath.Join(l.dir, "hub-0", "log")); !strings.Contains(log, "DiskFull") {
				t.Errorf("the hub says %q, and its log:\n%s", seen.Unhealthy, log)
			}
			if kill {
				l.kill(hub)
				hub = l.startWaiting(disk.empty)
			} else {
				l.must(disk.empty())
			}
			stored := l.status(agent).Answers["stored"]
			eventually(t, 3*time.Minute, "it goes on", func() bool { return l.status(agent).Answers["stored"] > stored+5 })
			l.drain(agent)
			l.stop(agent, hub)
			t.Log(l.check(invariant.Rules{}, config))
		})
	}
}

// TestSQLiteReadOnly has a hub start on a file system that is read-only, as it is after
// an error of the disk. It waits, and works once somebody has repaired that.
func TestSQLiteReadOnly(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 64<<20)
	l := newLab(t, "sqlite://"+filepath.Join(disk.dir, "history.db"), newSeed(t))
	config := l.shipper(busy("a", time.Now()))
	agent, hub := l.start(config)
	eventually(t, 3*time.Minute, "something is stored", func() bool { return l.status(agent).Answers["stored"] > 20 })
	l.kill(hub)
	l.must(disk.readOnly(true))
	hub = l.startWaiting(func() error { return disk.readOnly(false) })
	stored := l.status(agent).Answers["stored"]
	eventually(t, 3*time.Minute, "it goes on", func() bool { return l.status(agent).Answers["stored"] > stored+5 })
	l.drain(agent)
	l.stop(agent, hub)
	t.Log(l.check(invariant.Rules{}, config))
}

// startWaiting starts a hub whose history cannot be opened, and repairs that once the
// hub has said so. A hub that opens it nevertheless will do.
func (l *lab) startWaiting(repair func() error) *life {
	l.Helper()
	config, dir := l.hub(7)
	hub, err := launch(l.program, dir, "receiver", config, "")
	l.must(err)
	l.Cleanup(hub.Kill)
	eventually(l.T, 3*time.Minute, "the hub says that it waits, or works", func() bool {
		return strings.Contains(hub.Tail(), "Waiting for the history") || contents(hub.ready) != ""
	})
	l.must(repair())
	l.must(hub.wait(l.Context()))
	l.network.Add(hub.Ingest)
	return hub
}
