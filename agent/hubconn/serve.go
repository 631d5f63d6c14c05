// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// lockedOutError ends a session that the hub refuses.
type lockedOutError struct {
	session Credentials
	expired time.Time
}

func (e *lockedOutError) Error() string {
	why := "it was revoked: the ManagedCluster was denied or removed, or its session deleted"
	if !e.expired.IsZero() {
		why = "it expired at " + e.expired.UTC().Format(time.RFC3339) + " before the hub could be reached to renew it"
	}
	return fmt.Sprintf("the hub at %s refuses the session of cluster %q, %s; run `kubectl atlhyper join %s` against the hub and apply what it prints",
		e.session.Endpoint.URL, e.session.Cluster, why, e.session.Cluster)
}

// session is the time from a join, or a start with a stored session, until the
// hub refuses it or the cluster leaves the fleet.
type session struct {
	*Connection
	cluster   string
	namespace string
	id        string // this cluster's UID

	// Signals, each of capacity 1 and with one receiver.
	seen    chan struct{} // the ManagedCluster was seen or changed: heartbeat
	moved   chan struct{} // another endpoint or token is in use: heartbeat
	saved   chan struct{} // the session was stored: heartbeat
	dirty   chan struct{} // the session needs storing: keepStored
	bundled chan struct{} // the bundle changed: followEndpoints
	trouble chan struct{} // the Lease could not be renewed: followEndpoints

	// stored is true while the store holds this session's present token.
	stored atomic.Bool

	// storing is held while the store is written; nothing is saved once cleared.
	storing sync.Mutex
	cleared bool

	state      sync.Mutex
	current    Credentials
	sawCluster bool
	candidates []Endpoint
	heldLease  types.UID
}

// serve lives a session. It returns a *lockedOutError, errLeftFleet, or nil when
// ctx ended; every goroutine it started has ended by then.
func (c *Connection) serve(ctx context.Context, credentials Credentials, fresh bool) error {
	c.serial++
	l, err := c.newLink(credentials, c.serial)
	if err != nil {
		return err
	}
	s := &session{
		Connection: c,
		cluster:    credentials.Cluster,
		id:         c.clusterID,
		namespace:  v1alpha1.ClusterNamespacePrefix + credentials.Cluster,
		current:    credentials,
		seen:       make(chan struct{}, 1),
		moved:      make(chan struct{}, 1),
		saved:      make(chan struct{}, 1),
		dirty:      make(chan struct{}, 1),
		bundled:    make(chan struct{}, 1),
		trouble:    make(chan struct{}, 1),
	}
	if fresh {
		signal(s.dirty)
	} else {
		s.stored.Store(true)
	}
	drain(c.transport.refused)
	c.transport.use(l)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.heartbeat(ctx) })
	group.Go(func() error { return s.renewTokens(ctx) })
	group.Go(func() error { return s.keepStored(ctx) })
	group.Go(func() error { return s.watchCluster(ctx) })
	group.Go(func() error { return s.watchBundle(ctx) })
	group.Go(func() error { return s.followEndpoints(ctx) })
	return group.Wait()
}

func (s *session) credentials() Credentials {
	s.state.Lock()
	defer s.state.Unlock()
	return s.current
}

// rhythm is what the ManagedCluster, as far as it was seen, demands.
func (s *session) rhythm() rhythm {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rhythmOf(s.view, s.id)
}

// hasView says whether the ManagedCluster was seen in this session.
func (s *session) hasView() bool {
	s.state.Lock()
	defer s.state.Unlock()
	return s.sawCluster
}

// renewTokens renews the session token at half of its life, and at once when the
// hub refuses it. It returns a *lockedOutError when the hub refuses that too.
func (s *session) renewTokens(ctx context.Context) error {
	backoff := retry(s.timing.RetryMin, s.timing.RetryMax)
	delay := s.untilRenewal(time.Now())
	for {
		if !awaitTimeOr(ctx, delay, s.transport.refused) {
			return nil
		}
		err := s.renewToken(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // ctx ended, which is no failure
		case err == nil:
			delay = s.untilRenewal(time.Now())
		case isRefused(err):
			if s.confirmRefusal(ctx) {
				return s.lockedOut(time.Now())
			}
			delay = 0
		default:
			s.log.V(1).Info("Renewing the session token later", "reason", err.Error())
			delay = 0
		}
		if err == nil {
			backoff = retry(s.timing.RetryMin, s.timing.RetryMax)
		}
		// Even a hub that refuses every new token is not asked in a hot loop.
		if !sleep(ctx, backoff.Step()) {
			return nil
		}
	}
}

// untilRenewal plans the next renewal of the present token. A token that does
// not say how long it lives is renewed at once.
func (s *session) untilRenewal(now time.Time) time.Duration {
	issued, expires, err := tokenLife(s.credentials().Token)
	if err != nil {
		s.log.V(1).Info("Renewing the session token at once", "reason", err.Error())
		return 0
	}
	return renewalDelay(issued, expires, now, s.timing.RenewFraction, random())
}

func (s *session) renewToken(ctx context.Context) error {
	answer, err := requestToken(ctx, s.core, s.cluster, "", s.timing.SessionLifetime)
	if err != nil {
		return err
	}
	s.state.Lock()
	s.current.Token = answer.Token
	s.transport.use(s.transport.current().withToken(answer.Token))
	s.state.Unlock()
	s.stored.Store(false)
	signal(s.dirty)
	signal(s.moved)
	// What the old token was answered does not concern the new one.
	drain(s.transport.refused)
	s.log.V(1).Info("Renewed the session token", "expires", answer.ExpirationTimestamp.Time)
	return nil
}

// confirmRefusal asks a second time, after a pause, whether the hub refuses both
// to renew the token and to show the Lease to it.
func (s *session) confirmRefusal(ctx context.Context) bool {
	if !sleep(ctx, s.timing.LockOutConfirm) {
		return false
	}
	if _, err := s.leaseUID(ctx, s.transport.current()); !isRefused(err) {
		return false
	}
	return isRefused(s.renewToken(ctx))
}

func (s *session) lockedOut(now time.Time) error {
	e := &lockedOutError{session: s.credentials()}
	if _, expires, err := tokenLife(e.session.Token); err == nil && now.After(expires) {
		e.expired = expires
	}
	return e
}

// keepStored stores the session whenever it changes, however long the member's
// API server is away.
func (s *session) keepStored(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.dirty:
		}
		backoff := retry(s.timing.RetryMin, s.timing.LockedOutRetry)
		for tries := 0; ; tries++ {
			err := s.store(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return nil //nolint:nilerr // ctx ended, which is no failure
			}
			if tries == 0 {
				s.log.Error(err, "Session is kept in memory only for now: a restart would need a new join token")
			}
			if !sleep(ctx, backoff.Step()) {
				return nil
			}
		}
		signal(s.saved)
	}
}

func (s *session) store(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s.storing.Lock()
	defer s.storing.Unlock()
	if s.cleared {
		return nil
	}
	credentials := s.credentials()
	if err := s.options.Store.Save(ctx, credentials); err != nil {
		return err
	}
	s.stored.Store(credentials == s.credentials())
	return nil
}

// awaitTimeOr waits for d or a signal; it is false when ctx ended first.
func awaitTimeOr(ctx context.Context, d time.Duration, ch <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-ch:
		return true
	}
}

func drain(ch chan struct{}) {
	select {
	case <-ch:
	default:
	}
}
