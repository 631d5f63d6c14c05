// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package keeper keeps a history open for a program that must live without it.
//
// It opens the store in the background and tries again for as long as the database
// is away, migrates it, notices when it becomes unavailable and when it is back,
// and runs its maintenance. Meanwhile a Keeper stands in for the store: while there
// is none, everything answers history.ErrUnavailable.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Store is what a Keeper keeps.
type Store interface {
	history.Appender
	Reader
	history.Maintainer
	history.HealthChecker
	io.Closer
}

// Reader is what a Keeper reads.
type Reader interface {
	history.OffsetReader
	history.FreshnessReader
	history.ChangeNotifier
}

// Reasons of a State, besides those of history.UnavailableReason.
const (
	// ReasonOpening: the first attempt is under way.
	ReasonOpening = "Opening"
	// ReasonLocked: another process owns a database that allows for one only.
	ReasonLocked = "Locked"
	// ReasonSchemaTooNew: the database was migrated by a newer version.
	ReasonSchemaTooNew = "SchemaTooNew"
	// ReasonMigrationFailed: the schema could not be brought to this version.
	ReasonMigrationFailed = "MigrationFailed"
	// ReasonCheckFailed: the check failed for another reason.
	ReasonCheckFailed = "CheckFailed"
)

// State says whether the history can be used.
type State struct {
	// Available is true when the last check succeeded.
	Available bool
	// Reason is one word, a history.UnavailableReason or one of this package's;
	// empty when available.
	Reason string
	// Message says more to people; empty when available.
	Message string
	// Since is when Available took its value.
	Since time.Time
}

// Opening says that nobody knows yet.
func (s State) Opening() bool { return s.Reason == ReasonOpening }

// Options are what a Keeper works with. A zero duration takes its default.
type Options struct {
	// Open opens the store. An error that is neither history.ErrUnavailable nor
	// history.ErrLocked means that trying again is useless. Required.
	Open func(context.Context) (Store, error)
	// Retry is the time between two attempts, and between two checks, while the
	// history is not available. Default 2 s.
	Retry time.Duration
	// Check is the time between two checks while it is. Default 30 s.
	Check time.Duration
	// Timeout bounds a check and an attempt to open. Default 10 s.
	Timeout time.Duration
	// Every is the time between two rounds of maintenance. Default 5 min.
	Every time.Duration
	// Now is the hub's clock. Default time.Now.
	Now func() time.Time
	// Log receives changes of the state and failures. Default: nowhere.
	Log logr.Logger
	// Registerer takes the metrics. Required.
	Registerer prometheus.Registerer
}

// Keeper keeps a Store. It is safe for concurrent use.
type Keeper struct {
	options Options
	log     logr.Logger
	metrics *metrics
	// trouble and changed have capacity 1.
	trouble chan struct{}
	changed chan struct{}
	opened  chan struct{}
	store   atomic.Pointer[open]

	mu    sync.Mutex
	state State
}

// open wraps the interface for the atomic pointer.
type open struct{ Store }

var (
	_ history.Appender = (*Keeper)(nil)
	_ Reader           = (*Keeper)(nil)
)

// New returns a Keeper that does nothing before Run.
func New(o Options) (*Keeper, error) {
	if o.Open == nil || o.Registerer == nil {
		return nil, errors.New("making the keeper of the history: Open and Registerer are required")
	}
	for d, standard := range map[*time.Duration]time.Duration{
		&o.Retry: 2 * time.Second, &o.Check: 30 * time.Second, &o.Timeout: 10 * time.Second, &o.Every: 5 * time.Minute,
	} {
		if *d <= 0 {
			*d = standard
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	k := &Keeper{
		options: o, log: o.Log, trouble: make(chan struct{}, 1), changed: make(chan struct{}, 1), opened: make(chan struct{}),
		state: State{Reason: ReasonOpening, Message: "the first attempt to open it is under way", Since: o.Now()},
	}
	var err error
	k.metrics, err = newMetrics(o.Registerer)
	return k, err
}

// State returns whether the history can be used at the moment.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Changed receives after State changed. It has capacity 1 and is meant for one
// receiver.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// Run opens the store, watches over it until ctx ends, and closes it. It returns
// nil then, and an error when Open says that trying again is useless.
func (k *Keeper) Run(ctx context.Context) error {
	store, err := k.open(ctx)
	if store == nil {
		return err
	}
	defer func() {
		if err := store.Close(); err != nil {
			k.log.Error(err, "Cannot close the history")
		}
	}()
	migrated := false
	failures := 0
	for {
		if !migrated {
			migrated = k.migrate(ctx, store)
		}
		pause := k.options.Retry
		if migrated {
			switch err := k.check(ctx, store); {
			case ctx.Err() != nil:
				return nil
			case err == nil:
				failures, pause = 0, k.options.Check
			default:
				failures++
				// The database may have been replaced by an empty one.
				unavailable, _ := errors.AsType[*history.UnavailableError](err)
				migrated = unavailable == nil || unavailable.Reason != history.UnavailableSchema
				// One failure may be a lock that took long.
				if failures > 1 || !k.State().Available {
					k.set(unavailableState(err, ReasonCheckFailed))
				}
			}
		}
		if !k.wait(ctx, pause) {
			return nil
		}
	}
}

// open returns the store, or nil when ctx ended or trying is useless.
func (k *Keeper) open(ctx context.Context) (Store, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, k.options.Timeout)
		store, err := k.options.Open(attempt)
		cancel()
		switch {
		case err == nil:
			k.store.Store(&open{store})
			close(k.opened)
			return store, nil
		case ctx.Err() != nil:
			return nil, nil //nolint:nilnil,nilerr // documented: ctx ended
		case errors.Is(err, history.ErrUnavailable), errors.Is(err, history.ErrLocked), errors.Is(err, context.DeadlineExceeded):
			k.set(unavailableState(err, string(history.UnavailableConnection)))
		default:
			return nil, fmt.Errorf("opening the history: %w", err)
		}
		if !k.wait(ctx, k.options.Retry) {
			return nil, nil //nolint:nilnil // documented: ctx ended
		}
	}
}

func (k *Keeper) migrate(ctx context.Context, store Store) bool {
	err := store.Migrate(ctx)
	if err != nil && ctx.Err() == nil {
		k.set(unavailableState(err, ReasonMigrationFailed))
	}
	return err == nil
}

func (k *Keeper) check(ctx context.Context, store Store) error {
	ctx, cancel := context.WithTimeout(ctx, k.options.Timeout)
	defer cancel()
	health, err := store.Health(ctx)
	if err != nil {
		return err
	}
	k.metrics.observe(health)
	k.set(State{Available: true})
	return nil
}

// wait waits for d, or until somebody met trouble, and says whether ctx let it.
func (k *Keeper) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-k.trouble:
		// Many requests fail at once; one look per retry is enough.
		if d > k.options.Retry {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
	}
	return true
}

func unavailableState(err error, otherwise string) State {
	s := State{Reason: otherwise, Message: err.Error()}
	if unavailable, ok := errors.AsType[*history.UnavailableError](err); ok {
		s.Reason = string(unavailable.Reason)
	}
	switch {
	case errors.Is(err, history.ErrLocked):
		s.Reason = ReasonLocked
	case errors.Is(err, history.ErrSchemaTooNew):
		s.Reason = ReasonSchemaTooNew
	}
	return s
}

// set takes over a state and tells of it when it differs from the one before.
func (k *Keeper) set(s State) {
	k.mu.Lock()
	before := k.state
	s.Since = k.options.Now()
	if s.Available == before.Available && !before.Opening() {
		s.Since = before.Since
	}
	k.state = s
	k.mu.Unlock()
	k.metrics.setAvailable(s.Available)
	if s.Available == before.Available && s.Reason == before.Reason {
		return
	}
	if s.Available {
		k.log.Info("History is available")
	} else {
		k.log.Info("History is not available, everything else goes on without it", "reason", s.Reason, "message", s.Message)
	}
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// use returns the store, or an error that wraps history.ErrUnavailable.
func (k *Keeper) use() (Store, error) {
	if store := k.store.Load(); store != nil {
		return store, nil
	}
	state := k.State()
	return nil, &history.UnavailableError{Reason: history.UnavailableReason(state.Reason), Err: errors.New("it is not open yet")}
}

// noticed has the state looked at when what somebody met contradicts it.
func (k *Keeper) noticed(err error) error {
	if errors.Is(err, history.ErrUnavailable) == k.State().Available {
		select {
		case k.trouble <- struct{}{}:
		default:
		}
	}
	return err
}

// Append implements history.Appender.
func (k *Keeper) Append(ctx context.Context, cluster history.ClusterUID, batch telemetry.Batch, refused ...history.Refused) (history.Ack, error) {
	store, err := k.use()
	if err != nil {
		return history.Ack{}, err
	}
	ack, err := store.Append(ctx, cluster, batch, refused...)
	return ack, k.noticed(err)
}

// Offset implements history.OffsetReader.
func (k *Keeper) Offset(ctx context.Context, cluster history.ClusterUID, stream telemetry.Stream, epoch telemetry.Epoch) (history.Offset, error) {
	store, err := k.use()
	if err != nil {
		return history.Offset{}, err
	}
	offset, err := store.Offset(ctx, cluster, stream, epoch)
	return offset, k.noticed(err)
}

// Offsets implements history.OffsetReader.
func (k *Keeper) Offsets(ctx context.Context, cluster history.ClusterUID) ([]history.Offset, error) {
	store, err := k.use()
	if err != nil {
		return nil, err
	}
	offsets, err := store.Offsets(ctx, cluster)
	return offsets, k.noticed(err)
}

// Clusters implements history.OffsetReader.
func (k *Keeper) Clusters(ctx context.Context) ([]history.ClusterUID, error) {
	store, err := k.use()
	if err != nil {
		return nil, err
	}
	clusters, err := store.Clusters(ctx)
	return clusters, k.noticed(err)
}

// LastStored implements history.FreshnessReader.
func (k *Keeper) LastStored(ctx context.Context) (map[history.ClusterUID]time.Time, error) {
	store, err := k.use()
	if err != nil {
		return nil, err
	}
	stored, err := store.LastStored(ctx)
	return stored, k.noticed(err)
}

// Changes implements history.ChangeNotifier.
func (k *Keeper) Changes(ctx context.Context) (<-chan history.Change, error) {
	store, err := k.use()
	if err != nil {
		return nil, err
	}
	changes, err := store.Changes(ctx)
	return changes, k.noticed(err)
}

// jitter is d give or take a tenth, so that replicas do not step together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // no secret
}
