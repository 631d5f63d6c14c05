// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package keeper

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// scripted is a database that does what the test says.
type scripted struct {
	mu         sync.Mutex
	openErr    error
	migrateErr error
	err        error // of everything else
	maintain   func(history.Task) (history.TaskReport, error)

	opened, migrated, checked, closed int
	maintained                        []history.Task
}

func (s *scripted) set(change func(*scripted)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *scripted) open(context.Context) (Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	if s.openErr != nil {
		return nil, s.openErr
	}
	return s, nil
}

func (s *scripted) Migrate(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.migrated++
	return s.migrateErr
}

func (s *scripted) Maintain(_ context.Context, task history.Task, _ time.Time) (history.TaskReport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maintained = append(s.maintained, task)
	if s.maintain != nil {
		return s.maintain(task)
	}
	return history.TaskReport{}, nil
}

func (s *scripted) Health(context.Context) (history.Health, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked++
	return history.Health{Bytes: 42}, s.err
}

func (s *scripted) Close() error { s.set(func(s *scripted) { s.closed++ }); return nil }

func (s *scripted) Append(context.Context, history.ClusterUID, telemetry.Batch, ...history.Refused) (history.Ack, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return history.Ack{LastSeq: 7}, s.err
}

func (*scripted) Offset(context.Context, history.ClusterUID, telemetry.Stream, telemetry.Epoch) (history.Offset, error) {
	return history.Offset{}, nil
}

func (*scripted) Offsets(context.Context, history.ClusterUID) ([]history.Offset, error) {
	return nil, nil
}
func (*scripted) Clusters(context.Context) ([]history.ClusterUID, error) { return nil, nil }

func (*scripted) LastStored(context.Context) (map[history.ClusterUID]time.Time, error) {
	return nil, nil
}

func (*scripted) Changes(context.Context) (<-chan history.Change, error) { return nil, nil }

func away(reason history.UnavailableReason) error {
	return &history.UnavailableError{Reason: reason, Err: errors.New("scripted")}
}

// run starts a keeper in a bubble and returns how it ends.
func run(t *testing.T, db *scripted) (*Keeper, <-chan error) {
	t.Helper()
	k, err := New(Options{Open: db.open, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	maintained := make(chan error, 1)
	go func() { maintained <- k.Maintain(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-maintained; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return k, ended
}

func pass(t *testing.T, d time.Duration) {
	t.Helper()
	sleep(t.Context(), d)
	synctest.Wait()
}

func appends(t *testing.T, k *Keeper) error {
	t.Helper()
	_, err := k.Append(t.Context(), "c", telemetry.Batch{})
	return err
}

func TestOpensWhenTheDatabaseArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &scripted{openErr: away(history.UnavailableConnection)}
		k, _ := run(t, db)
		if s := k.State(); s.Available || s.Reason != "ConnectionFailed" || s.Opening() {
			t.Errorf("state %+v", s)
		}
		if err := appends(t, k); !errors.Is(err, history.ErrUnavailable) {
			t.Errorf("appending says %v", err)
		}
		db.set(func(db *scripted) { db.openErr = history.ErrLocked })
		pass(t, 3*time.Second)
		if s := k.State(); s.Reason != ReasonLocked {
			t.Errorf("state %+v", s)
		}
		db.set(func(db *scripted) { db.openErr, db.migrateErr = nil, history.ErrSchemaTooNew })
		pass(t, 3*time.Second)
		if s := k.State(); s.Reason != ReasonSchemaTooNew || len(db.maintained) != 0 {
			t.Errorf("state %+v, maintained %v", s, db.maintained)
		}
		db.set(func(db *scripted) { db.migrateErr = nil })
		pass(t, 5*time.Second)
		if s := k.State(); !s.Available || s.Message != "" {
			t.Errorf("state %+v", s)
		}
		if err := appends(t, k); err != nil {
			t.Error(err)
		}
		if len(db.maintained) != len(history.Tasks()) {
			t.Errorf("maintained %v", db.maintained)
		}
	})
}

func TestEndsWhenTryingIsUseless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ended := run(t, &scripted{openErr: errors.New("the scheme is unknown")})
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "the scheme is unknown") {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestNoticesWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &scripted{}
		k, _ := run(t, db)
		<-k.Changed()
		began := k.State().Since
		pass(t, time.Hour)
		if n := db.checked; n < 115 || n > 125 {
			t.Errorf("%d checks in an idle hour", n)
		}
		db.set(func(db *scripted) { db.err = away(history.UnavailableDiskFull) })
		if err := appends(t, k); err == nil {
			t.Fatal("appended to a full disk")
		}
		pass(t, 3*time.Second)
		if s := k.State(); s.Available || s.Reason != "DiskFull" || !s.Since.After(began) {
			t.Errorf("state %+v", s)
		}
		<-k.Changed()
		if got := testutil.ToFloat64(k.metrics.available); got != 0 {
			t.Errorf("the metric says %v", got)
		}
		// A storm of failures must not become a storm of checks.
		before := db.checked
		for range 1000 {
			_ = appends(t, k)
		}
		pass(t, 10*time.Second)
		if n := db.checked - before; n > 6 {
			t.Errorf("%d checks in 10 s", n)
		}
		db.set(func(db *scripted) { db.err = nil })
		pass(t, 3*time.Second)
		if s := k.State(); !s.Available {
			t.Errorf("state %+v", s)
		}
		<-k.Changed()
	})
}

func TestForgivesOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &scripted{}
		k, _ := run(t, db)
		<-k.Changed()
		db.set(func(db *scripted) { db.err = away(history.UnavailableBusy) })
		_ = appends(t, k)
		synctest.Wait()
		db.set(func(db *scripted) { db.err = nil })
		pass(t, time.Minute)
		select {
		case <-k.Changed():
			t.Error("one failure changed the state")
		default:
		}
	})
}

// Somebody who restores an empty database gets the schema again.
func TestMigratesAReplacedDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &scripted{}
		k, _ := run(t, db)
		db.set(func(db *scripted) { db.err = away(history.UnavailableSchema) })
		_ = appends(t, k)
		pass(t, time.Second)
		db.set(func(db *scripted) { db.err = nil })
		pass(t, 5*time.Second)
		if db.migrated < 2 || !k.State().Available {
			t.Errorf("migrated %d times, state %+v", db.migrated, k.State())
		}
	})
}

func TestMaintains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := 0
		db := &scripted{maintain: func(task history.Task) (history.TaskReport, error) {
			switch task { //nolint:exhaustive // the others do nothing
			case history.TaskCompact:
				steps++
				return history.TaskReport{Done: 1, More: steps%3 != 0}, nil
			case history.TaskSums:
				return history.TaskReport{}, errors.New("scripted")
			}
			return history.TaskReport{}, nil
		}}
		k, _ := run(t, db)
		pass(t, 12*time.Minute)
		count := map[history.Task]int{}
		for _, task := range db.maintained {
			count[task]++
		}
		// Three rounds: at once and about every five minutes.
		if count[history.TaskCompact] != 9 || count[history.TaskSums] != 3 || count[history.TaskRetention] != 3 {
			t.Errorf("maintained %v", count)
		}
		if got := testutil.ToFloat64(k.metrics.failed.WithLabelValues(string(history.TaskSums))); got != 3 {
			t.Errorf("%v failures were counted", got)
		}
		problems, err := testutil.GatherAndLint(k.options.Registerer.(*prometheus.Registry))
		if err != nil || len(problems) != 0 {
			t.Errorf("%v %v", problems, err)
		}
	})
}

func TestCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &scripted{}
		k, err := New(Options{Open: db.open, Registerer: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil || db.closed != 1 {
			t.Errorf("ended with %v, closed %d times", err, db.closed)
		}
	})
}
