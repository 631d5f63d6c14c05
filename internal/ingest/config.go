// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/bucket"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// maxBatchBytes is what the largest batch counts in the memory budget.
const maxBatchBytes = wire.HeaderSize + wire.MaxBody + wire.MaxPayload

// Offsets reads how far the streams of a cluster have come.
type Offsets interface {
	// Offset returns how far one epoch has come, or history.ErrNotFound.
	Offset(ctx context.Context, cluster history.ClusterUID, stream telemetry.Stream, epoch telemetry.Epoch) (history.Offset, error)
	// Offsets returns the newest offsets of one cluster, by stream, at most
	// history.MaxEpochs of each.
	Offsets(ctx context.Context, cluster history.ClusterUID) ([]history.Offset, error)
}

// Mismatch says that an agent sent other content for a sequence number that is
// stored: two agents use one identity, or somebody alters what was captured.
type Mismatch struct {
	// Cluster is the name of the ManagedCluster.
	Cluster string
	// Key is the stream and the epoch.
	Key telemetry.Key
	// FirstSeq and LastSeq are those of the refused batch.
	FirstSeq, LastSeq uint64
	// At is when, on the hub's clock.
	At time.Time
}

// Rate is how much is allowed per second, and how much at once.
type Rate = bucket.Rate

// Limits bound what agents can cost the hub.
type Limits struct {
	// Connections is the largest number of connections.
	Connections int
	// StreamsPerConnection is the largest number of concurrent requests of one
	// connection.
	StreamsPerConnection int
	// MemoryBytes is the sum of the declared sizes, compressed and not, of all
	// batches in flight. Decoding and storing takes up to three times as much.
	MemoryBytes int64
	// InFlight is how many batches all clusters together may have in flight.
	InFlight int
	// ClusterConnections is how many connections one cluster may have.
	ClusterConnections int
	// ClusterInFlight is how many batches one cluster may have in flight.
	ClusterInFlight int
	// ClusterRequests is how many requests one cluster may send.
	ClusterRequests Rate
	// ClusterBytes is how many decompressed bytes one cluster may send.
	ClusterBytes Rate
	// ClusterNames is how many different things one cluster may name.
	ClusterNames Names
	// Tokens is how many tokens are remembered, good and bad ones each.
	Tokens int
	// Clusters is how many clusters are remembered.
	Clusters int
}

// DefaultLimits fit a hub of a thousand clusters.
func DefaultLimits() Limits {
	return Limits{
		Connections: 12_000, StreamsPerConnection: 16, MemoryBytes: 256 << 20, InFlight: 512,
		ClusterConnections: 32, ClusterInFlight: 8, ClusterRequests: Rate{PerSecond: 50, Burst: 200}, ClusterBytes: Rate{PerSecond: 16 << 20, Burst: 128 << 20},
		ClusterNames: Names{Objects: 300_000, Nodes: 10_000, SeriesSets: 30_000, Routes: 20_000, Anomalies: 50_000},
		Tokens:       20_000, Clusters: 10_000,
	}
}

// Timeouts bound how long agents can hold something.
type Timeouts struct {
	// Header is for the handshake and the headers of a request.
	Header time.Duration
	// Body is how long a body may take before it has to have come at
	// BodyBytesPerSecond on the whole.
	Body time.Duration
	// BodyBytesPerSecond is the slowest a body may come.
	BodyBytesPerSecond int
	// Idle is for connections without a request.
	Idle time.Duration
	// Stranger is how long a connection may stay without a request that is
	// authenticated.
	Stranger time.Duration
	// Store is for storing a batch.
	Store time.Duration
	// Shutdown is how long batches in flight may take when the server ends.
	Shutdown time.Duration
	// Certificate is how often the certificate's files are read.
	Certificate time.Duration
}

// DefaultTimeouts suit agents on slow lines.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Header: 10 * time.Second, Body: 15 * time.Second, BodyBytesPerSecond: 32 << 10, Idle: 2 * time.Minute, Stranger: 20 * time.Second,
		Store: 30 * time.Second, Shutdown: 25 * time.Second, Certificate: 10 * time.Second,
	}
}

// Config is what a server needs.
type Config struct {
	// Addr is where to listen, such as ":8443". Listener takes precedence.
	Addr string
	// Listener is listened on, and closed, by the server.
	Listener net.Listener
	// CertFile and KeyFile are PEM files. They are read again when they change.
	CertFile, KeyFile string
	// Certificate replaces the files: it is asked at each connection, as
	// tls.Config.GetCertificate is.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Appender stores batches.
	Appender history.Appender
	// Offsets reads what is stored.
	Offsets Offsets
	// Members says who is in the fleet.
	Members Members
	// Reviewer says whose a token is.
	Reviewer TokenReviewer
	// Retention is how long what is kept. The zero value means the default.
	Retention history.Retention
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Log takes what a human may act on. Nothing of a request's content is
	// logged, and no token.
	Log logr.Logger
	// Limits bound the cost. The zero value means DefaultLimits.
	Limits Limits
	// Timeouts bound the time. The zero value means DefaultTimeouts.
	Timeouts Timeouts
	// OnMismatch is called, when set, for each batch that contradicts what is
	// stored. It must not block.
	OnMismatch func(Mismatch)
}

func (c *Config) complete() error {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	if c.Timeouts == (Timeouts{}) {
		c.Timeouts = DefaultTimeouts()
	}
	if c.Retention == (history.Retention{}) {
		c.Retention = history.DefaultRetention()
	}
	switch {
	case c.Addr == "" && c.Listener == nil:
		return errors.New("checking the ingest configuration: an address is required")
	case c.Certificate == nil && (c.CertFile == "" || c.KeyFile == ""):
		return errors.New("checking the ingest configuration: a certificate and its key are required")
	case c.Appender == nil || c.Offsets == nil || c.Members == nil || c.Reviewer == nil || c.Registerer == nil:
		return errors.New("checking the ingest configuration: Appender, Offsets, Members, Reviewer and Registerer are required")
	}
	return errors.Join(c.Limits.check(), c.Timeouts.check())
}

func (l *Limits) check() error {
	n := l.ClusterNames
	switch {
	case min(l.Connections, l.StreamsPerConnection, l.InFlight, l.ClusterConnections, l.ClusterInFlight, l.Tokens, l.Clusters) < 1,
		min(n.Objects, n.Nodes, n.SeriesSets, n.Routes, n.Anomalies) < 1,
		min(l.ClusterRequests.PerSecond, l.ClusterRequests.Burst, l.ClusterBytes.PerSecond, l.ClusterBytes.Burst) < 1:
		return errors.New("checking the ingest limits: each has to be at least 1")
	case l.MemoryBytes < 2*maxBatchBytes:
		return fmt.Errorf("checking the ingest limits: %d bytes of memory are less than two batches, %d", l.MemoryBytes, 2*maxBatchBytes)
	}
	return nil
}

func (t *Timeouts) check() error {
	if min(t.Header, t.Body, t.Idle, t.Stranger, t.Store, t.Shutdown, t.Certificate) <= 0 || t.BodyBytesPerSecond < 1 {
		return errors.New("checking the ingest timeouts: each has to be more than 0")
	}
	return nil
}
