// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

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
	perCluster int
	patience   time.Duration
	metrics    *metrics
	slots      chan struct{}

	mu     sync.Mutex
	owners map[string]int // connections by cluster
}

func newListener(inner net.Listener, limits Limits, patience time.Duration, m *metrics) *listener {
	return &listener{
		Listener: inner, perCluster: limits.ClusterConnections, patience: patience, metrics: m,
		slots: make(chan struct{}, limits.Connections), owners: map[string]int{},
	}
}

// Accept returns the next connection there is a place for. Others are closed at
// once: an agent that is turned away quickly tries another replica.
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
			l.metrics.turnedAway.Inc()
			_ = inner.Close() // nothing was sent that could be lost
		}
	}
}

func (l *listener) welcome(inner net.Conn) *connection {
	l.metrics.connections.Inc()
	c := &connection{Conn: inner, listener: l}
	c.leave = sync.OnceFunc(func() {
		l.disown(c)
		l.metrics.connections.Dec()
		<-l.slots
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	c.stranger = time.AfterFunc(l.patience, func() {
		l.metrics.strangers.Inc()
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

// known says that a cluster has authenticated on the connection. It returns false
// when the cluster has too many. The cluster that was first counts: a proxy may
// send requests of several over one connection.
func (c *connection) known(cluster string) bool {
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.owner != "" || c.left:
		return true
	case l.owners[cluster] >= l.perCluster:
		return false
	}
	c.stranger.Stop()
	c.owner = cluster
	l.owners[cluster]++
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
func known(ctx context.Context, cluster string) bool {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	return !ok || c.known(cluster)
}
