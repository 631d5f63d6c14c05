// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// listener accepts a limited number of connections and closes those on which
// nobody authenticates in time: idle strangers cannot use up the places.
type listener struct {
	net.Listener
	perNode  int
	patience time.Duration
	slots    chan struct{}

	mu     sync.Mutex
	owners map[string]int // connections by node
}

func newListener(inner net.Listener, l *limits) *listener {
	return &listener{Listener: inner, perNode: l.nodeConnections, patience: l.stranger, slots: make(chan struct{}, l.connections), owners: map[string]int{}}
}

// Accept returns the next connection there is a place for. Others are closed at
// once.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return l.welcome(inner), nil
		default:
			_ = inner.Close() // nothing was sent that could be lost
		}
	}
}

func (l *listener) welcome(inner net.Conn) *connection {
	c := &connection{Conn: inner, listener: l}
	c.leave = sync.OnceFunc(func() {
		l.disown(c)
		<-l.slots
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	// What waits for the connection fails then, and whoever serves it ends.
	c.stranger = time.AfterFunc(l.patience, func() { _ = c.Close() }) // the server closes it again and is told
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

// known says that the collector of a node has authenticated on the connection. It
// returns false when the node has too many, or when the connection is another's.
func (c *connection) known(node string) bool {
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.left || c.owner == node:
		return true
	case c.owner != "" || l.owners[node] >= l.perNode:
		return false
	}
	c.stranger.Stop()
	c.owner = node
	l.owners[node]++
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

// withConnection lets a request find its connection.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// known tells the connection of a request, if it is one of a listener, whose it is.
func known(ctx context.Context, node string) bool {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	return !ok || c.known(node)
}
