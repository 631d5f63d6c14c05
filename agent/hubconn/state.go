// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"time"

	"github.com/go-logr/logr"
)

// State is what the connection to the hub is up to.
type State string

// The states. See the package's documentation for what leads from one to another.
const (
	// Joining means that there is no session yet.
	Joining State = "Joining"
	// Connected means that the last renewal of the Lease succeeded.
	Connected State = "Connected"
	// LockedOut means that the hub refuses the credentials.
	LockedOut State = "LockedOut"
	// HubUnreachable means that the hub cannot be reached or does not do its part.
	HubUnreachable State = "HubUnreachable"
	// Clone means that the identity in use belongs to another cluster.
	Clone State = "Clone"
	// Deleting means that the cluster leaves, or has left, the fleet.
	Deleting State = "Deleting"
)

// Status is a State with the cause.
type Status struct {
	State State
	// Reason says in a sentence why, and what to do where somebody has to act.
	Reason string
	// Since is when State took its value.
	Since time.Time
}

// setState moves to a state. A transition is logged once; a new reason for the
// same state is only of interest to who looks for it.
func (c *Connection) setState(state State, reason string) {
	c.mu.Lock()
	before := c.status
	if before.State == state {
		c.status.Reason = reason
	} else {
		c.status = Status{State: state, Reason: reason, Since: time.Now()}
	}
	c.mu.Unlock()

	switch {
	case before.State != state:
		c.log.Info("Connection to the hub changed", "state", state, "reason", reason, "previousState", before.State)
		signal(c.changed)
	case before.Reason != reason:
		c.log.V(1).Info("Connection to the hub is as before for another reason", "state", state, "reason", reason)
	}
}

// Status returns the present state.
func (c *Connection) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// signal fills a channel of capacity 1; a signal that nobody has taken yet
// stands for this one too.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// loggerOrDiscard makes the zero Logger usable.
func loggerOrDiscard(log logr.Logger) logr.Logger {
	if log.GetSink() == nil {
		return logr.Discard()
	}
	return log
}
