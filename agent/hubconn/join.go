// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// credentialState is what Run knows between two sessions.
type credentialState struct {
	// session is the last known session; nil when there is none.
	session *Credentials
	// fresh says that session came from a join in this process and is not stored yet.
	fresh bool
	// usedJoin is the join-id that led to the last session: its token is dead or
	// about to be.
	usedJoin string
	// refusedJoin is the join token that the hub refused last.
	refusedJoin Credentials
	// lockedOut says that the hub refused session.
	lockedOut bool
	// retryAt is when a refused session is tried again.
	retryAt time.Time
	again   *wait.Backoff
}

// Run keeps the connection until ctx ends. It fails only when ClusterID does.
func (c *Connection) Run(ctx context.Context) error {
	c.setState(Joining, "waiting for this cluster's API server")
	id, err := c.options.ClusterID(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ctx ended, which is no failure
		}
		return fmt.Errorf("finding out which cluster this is: %w", err)
	}
	c.mu.Lock()
	c.clusterID = id
	c.mu.Unlock()

	state := &credentialState{}
	if state.session, err = c.loadSession(ctx); err != nil {
		return nil //nolint:nilerr // ctx ended
	}
	if state.session != nil {
		state.usedJoin = state.session.JoinID
	}
	for c.acquire(ctx, state) {
		err := c.serve(ctx, *state.session, state.fresh)
		c.transport.use(nil)
		c.setView(nil)
		state.fresh = false
		if refusal, ok := errors.AsType[*lockedOutError](err); ok {
			state.session = &refusal.session
			state.lockedOut = true
			state.again = retry(min(c.timing.LockedOutRetry, 30*time.Second), c.timing.LockedOutRetry)
			state.retryAt = time.Now().Add(state.again.Step())
			c.setState(LockedOut, refusal.Error())
		} else if errors.Is(err, errLeftFleet) {
			*state = credentialState{usedJoin: state.usedJoin, refusedJoin: state.refusedJoin}
			c.setState(Deleting, "the cluster was removed from the hub; to bring it back, create the ManagedCluster again and apply what `kubectl atlhyper join` prints")
		} else if err != nil {
			c.setState(HubUnreachable, err.Error())
			sleep(ctx, c.timing.RetryMax)
		}
	}
	return nil
}

// loadSession reads the stored session; nil when there is none. It waits for the
// member's API server, and fails only when ctx ends.
func (c *Connection) loadSession(ctx context.Context) (*Credentials, error) {
	backoff := retry(c.timing.RetryMin, c.timing.RetryMax)
	for {
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		session, err := c.options.Store.Load(bounded)
		cancel()
		switch {
		case err == nil:
			return &session, nil
		case errors.Is(err, ErrNoSession):
			c.log.V(1).Info("Starting without a session", "reason", err.Error())
			return nil, nil
		}
		c.setState(Joining, err.Error())
		if !sleep(ctx, backoff.Step()) {
			return nil, ctx.Err()
		}
	}
}

// acquire returns when state holds a session that is worth serving; it is false
// when ctx ended first.
func (c *Connection) acquire(ctx context.Context, state *credentialState) bool {
	backoff := retry(c.timing.RetryMin, c.timing.RetryMax)
	for ctx.Err() == nil {
		pause := c.timing.JoinPoll
		join, err := ReadJoinDir(c.options.JoinDir)
		switch {
		case err != nil:
			c.explainNoJoin(state, err)
		case join.JoinID != state.usedJoin && join != state.refusedJoin:
			var joined bool
			if joined, pause = c.tryJoin(ctx, state, join, backoff); joined {
				return true
			}
		}
		if state.session != nil && !state.lockedOut {
			return true
		}
		if state.lockedOut && !time.Now().Before(state.retryAt) {
			if c.probe(ctx, *state.session) {
				state.lockedOut = false
				return true
			}
			state.retryAt = time.Now().Add(state.again.Step())
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
	return false
}

// explainNoJoin puts into words that there is no join token, where that is what
// the agent waits for.
func (c *Connection) explainNoJoin(state *credentialState, err error) {
	if state.session == nil && c.Status().State != Deleting && c.Status().State != LockedOut {
		c.setState(Joining, err.Error())
		return
	}
	if !errors.Is(err, ErrNoJoinToken) {
		c.log.V(1).Info("Join folder is of no use", "reason", err.Error())
	}
}

// tryJoin exchanges a join token for a session. When it did not, it says how
// long to wait before the next try.
func (c *Connection) tryJoin(ctx context.Context, state *credentialState, join Credentials, backoff *wait.Backoff) (bool, time.Duration) {
	session, err := c.exchange(ctx, join)
	if err == nil {
		*state = credentialState{session: &session, fresh: true, usedJoin: join.JoinID}
		c.log.Info("Joined the hub", "cluster", session.Cluster, "hub", session.Endpoint.URL)
		return true, 0
	}
	if isRefused(err) {
		state.refusedJoin = join
		reason := fmt.Sprintf("the hub at %s refused the join token for cluster %q: it was used already, has expired or was revoked; run `kubectl atlhyper join %s` again and apply what it prints",
			join.Endpoint.URL, join.Cluster, join.Cluster)
		if state.session == nil || state.lockedOut {
			c.setState(LockedOut, reason)
		} else {
			c.log.Info("Going on with the stored session", "reason", reason)
		}
		return false, c.timing.JoinPoll
	}
	reason := fmt.Sprintf("joining as cluster %q at %s: %v", join.Cluster, join.Endpoint.URL, err)
	if state.session == nil || state.lockedOut {
		c.setState(HubUnreachable, reason)
	} else {
		c.log.Info("Going on with the stored session", "reason", reason)
	}
	return false, backoff.Step()
}

// exchange gets a session token for a join token.
func (c *Connection) exchange(ctx context.Context, join Credentials) (Credentials, error) {
	l, err := c.newLink(join, 0)
	if err != nil {
		return Credentials{}, err
	}
	defer l.rt.CloseIdleConnections()
	core, _, err := builtinClients(clientConfig(c.options.Version, linkRoundTripper{l}))
	if err != nil {
		return Credentials{}, err
	}
	answer, err := requestToken(ctx, core, join.Cluster, "", c.timing.SessionLifetime)
	if err != nil {
		return Credentials{}, err
	}
	session := join
	session.Token = answer.Token
	return session, nil
}

// probe says whether the hub accepts credentials, by reading the own Lease.
func (c *Connection) probe(ctx context.Context, credentials Credentials) bool {
	l, err := c.newLink(credentials, 0)
	if err != nil {
		return false
	}
	defer l.rt.CloseIdleConnections()
	_, err = c.leaseUID(ctx, l)
	return err == nil
}

// setView replaces what is known of the own ManagedCluster.
func (c *Connection) setView(cluster *v1alpha1.ManagedCluster) {
	c.mu.Lock()
	c.view = cluster
	c.mu.Unlock()
	signal(c.changed)
}
