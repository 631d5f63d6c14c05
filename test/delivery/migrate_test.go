// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/test/delivery/invariant"
)

// TestMigrationIsKilled ends hubs while they make the tables of a new database, one
// after the other and two at once. The next one goes on where they stopped.
func TestMigrationIsKilled(t *testing.T) {
	t.Parallel()
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			reached := slices.DeleteFunc(sites(t, "receiver"), func(site string) bool { return !migrating(site) && site != "store.migrate.begun" })
			if len(reached) != 3 {
				t.Fatalf("the sites of a migration are %v", reached)
			}
			for i, site := range reached {
				l := newLab(t, dsn(t), newSeed(t))
				if name == "sqlite" {
					l.dsn = fmt.Sprintf("sqlite://%s", filepath.Join(l.dir, fmt.Sprintf("%d.db", i)))
					l.receiver.DSN = l.dsn
				}
				for range 2 { // the second one finds what the first left
					one, err := l.receive(t.Context(), 0, site+":1")
					if !errors.Is(err, errEnded) && (site != "store.migrate.applied" || err != nil) {
						t.Fatalf("a hub that was to end at %s did not: %v", site, err)
					}
					l.kill(one)
				}
				config := l.shipper(busy("a", time.Now()))
				config.Ledger, config.Spool = filepath.Join(l.dir, "ledger", site), filepath.Join(l.dir, "spool", site)
				agent := l.startShipper(config)
				hubs := []*life{l.startReceiver(0)}
				if name == "postgres" {
					hubs = append(hubs, l.startReceiver(1))
				}
				eventually(t, 3*time.Minute, "the agent has said something", func() bool { return l.status(agent).Answers["stored"] > 10 })
				l.drain(agent)
				l.stop(append(hubs, agent)...)
				if report := l.check(invariant.Rules{}, config); report.Taken < 20 {
					t.Error(report)
				}
			}
		})
	}
}
