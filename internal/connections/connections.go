// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package connections bounds what the connections of an endpoint's clients cost it.
package connections

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Event is something that happens to a connection.
type Event int

// The events.
const (
	// Opened: a connection got a place. Closed follows.
	Opened Event = iota
	// Closed: it gave the place back.
	Closed
	// TurnedAway: there was no place.
	TurnedAway
	// Stranger: it was closed because nobody authenticated in time.
	Stranger
)

// Limits bound the connections.
type Limits struct {
	// Total is how many there may be.
	Total int
	// PerOwner is how many one owner may have.
	PerOwner int
	// Patience is how long a connection may stay without an owner.
	Patience time.Duration
	// Shared lets requests of several owners come over one connection, as a proxy may
	// send them. It counts for the first.
	Shared bool
}

// Listen returns a listener that accepts a limited number of connections and closes
// those on which nobody authenticates in time: idle strangers cannot use up the
// places. Without a place, a connection is closed at once: whoever is turned away
// quickly tries elsewhere. Note is told of every event, unless it is nil, and must
// not block.
func Listen(inner net.Listener, limits Limits, note func(Event)) net.Listener {
	if note == nil {
		note = func(Event) {}
	}
	return &listener{Listener: inner, limits: limits, note: note, places: make(chan struct{}, limits.Total), owners: map[string]int{}}
}

type listener struct {
	net.Listener
	limits Limits
	note   func(Event)
	places chan struct{}

	mu     sync.Mutex
	owners map[string]int // connections by owner
}

// Accept returns the next connection there is a place for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return l.welcome(inner), nil
		default:
			l.note(TurnedAway)
			_ = inner.Close() // nothing was sent that could be lost
		}
	}
}

func (l *listener) welcome(inner net.Conn) *connection {
	l.note(Opened)
	c := &connection{Conn: inner, listener: l}
	c.leave = sync.OnceFunc(func() {
		l.disown(c)
		l.note(Closed)
		<-l.places
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	c.stranger = time.AfterFunc(l.limits.Patience, func() {
		l.note(Stranger)
		// What waits for the connection fails, and whoever serves it ends.
		_ = c.Close() // the server closes it again and is told
	})
	return c
}

// connection is a connection that has a place.
type connection struct {
	net.Conn
	listener *listener
	leave    func()

	// Guarded by listener.mu.
	stranger *time.Timer
	owner    string
	left     bool
}

func (c *connection) claim(owner string) bool {
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.left || c.owner == owner || c.owner != "" && l.limits.Shared:
		return true
	case c.owner != "" || l.owners[owner] >= l.limits.PerOwner:
		return false
	}
	c.stranger.Stop()
	c.owner = owner
	l.owners[owner]++
	return true
}

func (l *listener) disown(c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.stranger.Stop()
	c.left = true
	if c.owner == "" {
		return
	}
	l.owners[c.owner]--
	if l.owners[c.owner] == 0 {
		delete(l.owners, c.owner)
	}
}

// Close gives the place back.
func (c *connection) Close() error {
	c.leave()
	return c.Conn.Close()
}

type connectionKey struct{}

// Context lets a request find its connection: it is for http.Server.ConnContext.
func Context(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// Claim says that an owner, who is not "", has authenticated in a request whose
// context this is. It returns false when the owner has too many connections, or when
// the connection is another's and not Shared. A request that did not come through a
// listener of this package is nobody's and always true.
func Claim(ctx context.Context, owner string) bool {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	return !ok || c.claim(owner)
}
