// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/testing/database"
	"github.com/atlhyper/atlhyper/test/delivery/actor"
	"github.com/atlhyper/atlhyper/test/delivery/invariant"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
)

// ward is a Postgres server that something is going to be done to, a hub that uses it
// through a proxy, and an agent.
type ward struct {
	*lab
	server *database.Server
	admin  string // the address without the proxy
	proxy  *toxiproxy.Proxy
	agent  *life
	hub    *life
}

// through returns a proxy in front of a database, and the address with it.
func through(t *testing.T, dsn string) (*toxiproxy.Proxy, string) {
	t.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "postgres", "127.0.0.1:0", address.Host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	address.Host = proxy.Listen
	return proxy, address.String()
}

// poison adds a toxic to the proxy, such as {"type": "latency", ...}.
func (w *ward) poison(toxic string) {
	w.Helper()
	_, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	w.must(err)
}

func (w *ward) heal() { w.proxy.Toxics.ResetToxics(w.Context()) }

// run runs statements as the administrator.
func (w *ward) run(statements ...string) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.admin)
	w.must(err)
	for _, statement := range statements {
		_, err := conn.Exec(w.Context(), statement)
		w.must(err)
	}
	w.must(conn.Close(w.Context()))
}

// maxConnections is how many connections the server takes that runs out of them.
const maxConnections = 20

// takeConnections takes all connections of the server, those of the hub included, and
// returns what gives them back.
func (w *ward) takeConnections(ctx context.Context) (giveBack func()) {
	w.Helper()
	var taken []*pgx.Conn
	first, err := pgx.Connect(ctx, w.admin)
	w.must(err)
	taken = append(taken, first)
	eventually(w.T, 3*time.Minute, "all connections are taken", func() bool {
		for {
			conn, err := pgx.Connect(ctx, w.admin)
			if err != nil {
				break
			}
			taken = append(taken, conn)
		}
		var left int
		w.must(first.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'atlhyper'").Scan(&left))
		_, err := first.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atlhyper'")
		w.must(err)
		// One of the hub's that is just beginning has no name yet, but a place.
		return left == 0 && len(taken) == maxConnections
	})
	return func() {
		for _, conn := range taken {
			_ = conn.Close(context.WithoutCancel(ctx)) // what was taken is free then
		}
	}
}

// refused waits until the agent is told that the history cannot store.
func (w *ward) refused() {
	w.Helper()
	eventually(w.T, 3*time.Minute, "the agent is sent away", func() bool {
		return strings.Contains(w.status(w.agent).Problem, "StoreUnavailable")
	})
}

// TestPostgresFaults does to Postgres what happens to databases. Each time the hub
// tells the agent to come back, stays small, says that its history is not healthy, and
// goes on by itself; the agent keeps what it has. In the end nothing is missing.
func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	server, err := database.Postgres(t.Context(), fmt.Sprintf("max_connections=%d", maxConnections), "superuser_reserved_connections=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{server: server, admin: dsn}
	w.proxy, dsn = through(t, dsn)
	w.lab = newLab(t, dsn, newSeed(t))
	w.receiver.StoreTimeout, w.receiver.Connections = 4*time.Second, 8
	config := w.shipper(busy("a", time.Now()))
	config.Speed = 150
	w.agent, w.hub = w.start(config)
	var giveBack func()
	for _, fault := range []struct {
		name        string
		cause, cure func()
		// slow: the hub goes on storing, or does now and then.
		slow bool
	}{
		{name: "stopped", cause: func() { w.must(server.Stop()) }, cure: func() { w.must(server.Start(t.Context())) }},
		{name: "crashed", cause: server.Crash, cure: func() { w.must(server.Start(t.Context())) }},
		{name: "frozen", cause: func() { w.must(server.Pause()) }, cure: func() { w.must(server.Resume()) }},
		{
			name: "read-only",
			cause: func() {
				w.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			},
			cure: func() { w.run("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()") },
		},
		{name: "out of connections", cause: func() { giveBack = w.takeConnections(t.Context()) }, cure: func() { giveBack() }},
		{
			name: "slow", slow: true,
			cause: func() {
				w.poison(`{"type": "latency", "stream": "downstream", "attributes": {"latency": 40, "jitter": 30}}`)
				w.poison(`{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 200}}`)
			},
			cure: w.heal,
		},
		{
			name:  "cut off",
			cause: func() { w.poison(`{"type": "reset_peer", "stream": "downstream", "attributes": {"timeout": 20}}`) },
			cure:  w.heal,
		},
	} {
		stored := w.status(w.agent).Answers["stored"]
		eventually(t, 3*time.Minute, "all is well before it is "+fault.name, func() bool { return w.status(w.agent).Answers["stored"] > stored+5 })
		fault.cause()
		if fault.slow {
			stored = w.status(w.agent).Answers["stored"]
			eventually(t, 3*time.Minute, "something is stored while it is "+fault.name, func() bool { return w.status(w.agent).Answers["stored"] > stored+10 })
		} else {
			w.refused()
		}
		var seen actor.Seen
		eventually(t, time.Minute, "the hub calls its history unhealthy while it is "+fault.name, func() bool {
			var err error
			seen, err = ask[actor.Seen](t.Context(), w.hub, "/status")
			w.must(err)
			return fault.slow || seen.Unhealthy != ""
		})
		if seen.Goroutines > 300 {
			t.Errorf("%s: the hub has %d goroutines", fault.name, seen.Goroutines)
		}
		fault.cure()
		cured := time.Now()
		stored = w.status(w.agent).Answers["stored"]
		eventually(t, 3*time.Minute, "it goes on after it was "+fault.name, func() bool {
			now := w.status(w.agent)
			return now.Answers["stored"] > stored && now.Problem == ""
		})
		t.Logf("%s: %d goroutines, %q; going on %s after", fault.name, seen.Goroutines, seen.Unhealthy, time.Since(cured).Round(10*time.Millisecond))
	}
	w.drain(w.agent)
	w.stop(w.agent, w.hub)
	w.dsn = w.admin
	t.Log(w.check(invariant.Rules{}, config))
}

// TestConnectionBreaksAnywhere breaks the connection to Postgres after any number of
// bytes in either direction, so also when the commit has been sent and its answer has
// not come. Then nobody knows, and the same batch is sent again.
func TestConnectionBreaksAnywhere(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	random := rand.New(rand.NewPCG(seed, 31))
	dsn := dsns["postgres"](t)
	proxy, through := through(t, dsn)
	s, err := store.Open(t.Context(), through, store.Options{Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // its connections may be broken
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	from := busy("a", time.Now())
	written := &ledger.Ledger{Position: ledger.Position{Next: map[telemetry.Stream]uint64{}}}
	const each, batches = 10, 250
	breaks, doubts := 0, 0
	for n := uint64(0); n < each*batches; n += each {
		for _, stream := range []telemetry.Stream{telemetry.StreamAnomalies, telemetry.StreamNodeMetrics} {
			var records []telemetry.Record
			for i := n; i < n+each; i++ {
				at, payload := from.Record(stream, i)
				records = append(records, telemetry.Record{Seq: i + 1, Time: at, Payload: payload})
			}
			if random.IntN(3) > 0 {
				toxic := fmt.Sprintf(`{"type": "limit_data", "stream": %q, "attributes": {"bytes": %d}}`,
					[]string{"upstream", "downstream"}[random.IntN(2)], 1+random.IntN(1200))
				if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
					t.Fatal(err)
				}
			}
			for {
				ack, err := s.Append(t.Context(), clusterUID, telemetry.NewBatch(stream, 1, records))
				proxy.Toxics.ResetToxics(t.Context())
				if err == nil {
					if ack.Duplicates > 0 {
						doubts++ // it was stored, and the answer got lost
					}
					break
				}
				if !errors.Is(err, history.ErrUnavailable) {
					t.Fatal(err)
				}
				breaks++
			}
			written.Next[stream] = n + each
			written.Appends = append(written.Appends, ledger.Append{Stream: stream, N: n, Count: each, State: ledger.Taken, Epoch: 1, Last: n + each})
		}
	}
	l := &lab{T: t, dsn: dsn}
	report := l.judge([]invariant.Agent{{Source: &from, Ledger: written}}, invariant.Rules{})
	t.Logf("%d connections broke, %d times after the commit; %s", breaks, doubts, report)
	if breaks < batches/4 {
		t.Errorf("%d connections broke", breaks)
	}
}

// TestPostgresDiskFull fills the disk of the server. It may end when it cannot write its
// log any more; then somebody has to start it again when there is room.
func TestPostgresDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 256<<20)
	server, err := database.PostgresIn(t.Context(), disk.dir, "shared_buffers=16MB", "min_wal_size=32MB", "max_wal_size=48MB", "max_connections=20")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{lab: newLab(t, dsn, newSeed(t)), server: server, admin: dsn}
	config := w.shipper(busy("a", time.Now()))
	w.agent, w.hub = w.start(config)
	eventually(t, 3*time.Minute, "something is stored", func() bool { return w.status(w.agent).Answers["stored"] > 20 })
	w.must(disk.fill(0))
	w.refused()
	seen, err := ask[actor.Seen](t.Context(), w.hub, "/status")
	w.must(err)
	t.Logf("the hub says %q", seen.Unhealthy)
	w.must(disk.empty())
	if err := server.Stop(); err != nil { // it may have ended already
		t.Log(err)
	}
	w.must(server.Start(t.Context()))
	stored := w.status(w.agent).Answers["stored"]
	eventually(t, 3*time.Minute, "it goes on", func() bool { return w.status(w.agent).Answers["stored"] > stored+5 })
	w.drain(w.agent)
	w.stop(w.agent, w.hub)
	t.Log(w.check(invariant.Rules{}, config))
}
