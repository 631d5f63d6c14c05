// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/agent/uplink"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/test/delivery/actor"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
	"github.com/atlhyper/atlhyper/test/delivery/network"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

const (
	clusterName = "east"
	clusterUID  = "7c0e1f0a-0000-4000-8000-0000000000ea"
)

// lab is a history, a network, and the configurations of those who use them.
type lab struct {
	*testing.T
	dir      string
	dsn      string
	program  string
	network  *network.Network
	receiver actor.Receiver
}

// newLab makes a lab for an empty database.
func newLab(t *testing.T, dsn string, seed uint64) *lab {
	t.Helper()
	l := &lab{T: t, dir: t.ArtifactDir(), dsn: dsn, program: program(t)}
	var err error
	if l.network, err = network.New(t.Context(), l.dir, seed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.network.Close(); err != nil {
			t.Error(err)
		}
	})
	l.receiver = actor.Receiver{
		DSN: dsn, CertFile: l.network.Cert, KeyFile: l.network.Key, Clusters: map[string]string{clusterName: clusterUID}, Maintain: 100 * time.Millisecond, Generous: true,
	}
	return l
}

// busy is a cluster in which much happens, hours ago.
func busy(name string, now time.Time) source.Source {
	return source.Source{
		Name: name, Base: now.Add(-40 * time.Hour).UTC().Truncate(time.Hour), Nodes: 4, SampleEvery: 5 * time.Second, Values: 6, Routes: 4, Padding: 300,
		EventEvery: 2 * time.Second, AnomalyEvery: 4 * time.Second, ObjectEvery: 2500 * time.Millisecond, OutputEvery: 5 * time.Second,
	}
}

// shipper is the configuration of an agent whose files are in a folder of its own.
func (l *lab) shipper(from source.Source) actor.Shipper {
	dir := filepath.Join(l.dir, "agent-"+from.Name)
	return actor.Shipper{
		Ready: filepath.Join(dir, "ready"), Spool: filepath.Join(dir, "spool"), Ledger: filepath.Join(dir, "ledger"), Source: from,
		Speed: 400, Most: 6, Endpoint: uplink.Endpoint{URL: l.network.URL, CA: l.network.CA}, Token: actor.Token(clusterName),
		MaxBytes: 64 << 20, SegmentBytes: 8 << 10, SplitBytes: 1 << 10, MemoryBytes: 1 << 20,
		RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, Linger: 5 * time.Millisecond, Batch: 200,
	}
}

// ship starts an agent.
func (l *lab) ship(ctx context.Context, config actor.Shipper, site string) (*life, error) {
	return begin(ctx, l.program, filepath.Dir(config.Ready), "shipper", config, site)
}

// receive starts a hub with a number and tells the network of it.
func (l *lab) receive(ctx context.Context, number int, site string) (*life, error) {
	config, dir := l.hub(number)
	one, err := begin(ctx, l.program, dir, "receiver", config, site)
	if err == nil {
		l.network.Add(one.Ingest)
	}
	return one, err
}

// hub is the configuration of a hub with a number, and its folder.
func (l *lab) hub(number int) (config actor.Receiver, dir string) {
	config = l.receiver
	dir = filepath.Join(l.dir, fmt.Sprintf("hub-%d", number))
	config.Ready = filepath.Join(dir, "ready")
	return config, dir
}

// must stops the test when there is an error.
func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// start starts an agent and a hub that nobody kills. The test's cleanup does, when
// nobody stopped them before.
func (l *lab) start(config actor.Shipper) (agent, hub *life) {
	l.Helper()
	return l.startShipper(config), l.startReceiver(0)
}

func (l *lab) startShipper(config actor.Shipper) *life {
	l.Helper()
	agent, err := l.ship(l.Context(), config, "")
	l.must(err)
	l.Cleanup(agent.Kill)
	return agent
}

func (l *lab) startReceiver(number int) *life {
	l.Helper()
	hub, err := l.receive(l.Context(), number, "")
	l.must(err)
	l.Cleanup(hub.Kill)
	return hub
}

// status asks an agent how it stands.
func (l *lab) status(agent *life) actor.Status {
	l.Helper()
	status, err := ask[actor.Status](l.Context(), agent, "/status")
	if err != nil {
		l.Fatalf("%v\n%s", err, agent.Tail())
	}
	return status
}

// drain has agents append a last list and waits until the hub has everything.
func (l *lab) drain(agents ...*life) {
	l.Helper()
	const within = 3 * time.Minute
	for _, agent := range agents {
		if _, err := ask[any](l.Context(), agent, "/seal"); err != nil {
			l.Fatalf("%v\n%s", err, agent.Tail())
		}
	}
	var last actor.Status
	ctx, cancel := context.WithTimeout(l.Context(), within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(agents) > 0 {
		if last = l.status(agents[0]); last.Backlog == 0 {
			agents = agents[1:]
			continue
		}
		select {
		case <-ctx.Done():
			l.Fatalf("after %s an agent still has %d records: %+v\n%s", within, last.Backlog, last, agents[0].Tail())
		case <-tick.C:
		}
	}
}

// stop ends processes in an orderly way. They have to manage.
func (l *lab) stop(lives ...*life) {
	l.Helper()
	var stopping sync.WaitGroup
	for _, one := range lives {
		l.network.Remove(one.Ingest)
		stopping.Go(func() {
			if err := one.Stop(time.Minute); err != nil {
				l.Errorf("%v\n%s", err, one.Tail())
			}
		})
	}
	stopping.Wait()
}

// kill ends a process as it is.
func (l *lab) kill(one *life) {
	l.network.Remove(one.Ingest)
	one.Kill()
}

// check finishes the maintenance and compares the history with the agents' ledgers.
// All processes must have ended.
func (l *lab) check(rules invariant.Rules, configs ...actor.Shipper) *invariant.Report {
	l.Helper()
	agents := make([]invariant.Agent, len(configs))
	for i := range configs {
		written, err := ledger.Read(configs[i].Ledger)
		l.must(err)
		agents[i] = invariant.Agent{Source: &configs[i].Source, Ledger: written}
	}
	return l.judge(agents, rules)
}

// judge finishes the maintenance and compares the history with ledgers.
func (l *lab) judge(agents []invariant.Agent, rules invariant.Rules) *invariant.Report {
	l.Helper()
	s, err := store.Open(l.Context(), l.dsn, store.Options{})
	l.must(err)
	defer func() { l.must(s.Close()) }()
	l.must(finish(l.Context(), s, time.Now()))
	stored, err := invariant.Read(l.Context(), s, clusterUID, agents, time.Now())
	l.must(err)
	report := invariant.Judge(agents, stored, rules)
	if !report.OK() {
		l.Error(report)
	}
	return report
}

// finish runs the maintenance until nothing is left to do. What a killed hub was doing
// may be in the way for a moment.
func finish(ctx context.Context, s history.Maintainer, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	tasks := history.Tasks()
	for len(tasks) > 0 {
		report, err := s.Maintain(ctx, tasks[0], now)
		switch {
		case err == nil && !report.More:
			tasks = tasks[1:]
		case err != nil && (!errors.Is(err, history.ErrUnavailable) || ctx.Err() != nil):
			return err
		case err != nil:
			select {
			case <-ctx.Done():
				return err
			case <-tick.C:
			}
		}
	}
	return nil
}
