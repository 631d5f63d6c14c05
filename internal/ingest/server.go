// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/connections"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// maxHeader is the size of the largest headers of a request.
const maxHeader = 16 << 10

// Windows of HTTP/2: what a connection and a request may send before it is read.
const (
	connectionWindow = 512 << 10
	streamWindow     = 256 << 10
)

const (
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

// Server is the hub's ingest endpoint. It is a manager.Runnable.
type Server struct {
	config   Config
	log      logr.Logger
	metrics  *metrics
	reviews  *bearer.Reviews[string] // names of clusters, "" for a token of no agent
	clusters *clusters
	budget   *budget
	gate     gate
	decoder  *wire.Decoder
	certs    certificates

	work     context.Context //nolint:containedctx // ends what Shutdown did not wait for; requests have contexts of their own
	quit     context.CancelFunc
	ready    atomic.Bool
	draining atomic.Bool
}

// New returns a server and registers its metrics. It does nothing until Start.
func New(c Config) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	decoder, err := wire.NewDecoder(runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, fmt.Errorf("creating the decoder of ingest: %w", err)
	}
	s := &Server{
		config: c, log: c.Log, budget: newBudget(c.Limits), decoder: decoder,
		certs: certificates{issue: c.Certificate, certFile: c.CertFile, keyFile: c.KeyFile},
	}
	if s.metrics, err = newMetrics(c.Registerer, s.budget); err != nil {
		decoder.Close()
		return nil, err
	}
	s.reviews = newReviews(c.Reviewer, c.Limits.Tokens, s.metrics.reviewed)
	s.clusters = newClusters(c.Limits, func(name string) { s.metrics.accepted.DeleteLabelValues(name) })
	return s, nil
}

// NeedLeaderElection returns false: every replica ingests.
func (*Server) NeedLeaderElection() bool { return false }

// Start serves until the context ends, which is no error, and then until the
// batches in flight are stored, at most Timeouts.Shutdown. It can be called once.
func (s *Server) Start(ctx context.Context) error {
	if _, err := s.certs.reload(); err != nil {
		return err
	}
	s.metrics.certificates.WithLabelValues(certificateLoaded).Inc()
	inner, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.begin(ctx)
	defer s.decoder.Close()
	defer s.quit()
	server := s.httpServer(ctx)
	l := connections.Listen(inner, connections.Limits{
		Total: s.config.Limits.Connections, PerOwner: s.config.Limits.ClusterConnections, Patience: s.config.Timeouts.Stranger, Shared: true,
	}, s.metrics.connected)

	watching, stop := context.WithCancel(ctx)
	var owned sync.WaitGroup
	owned.Go(func() { s.certs.watch(watching, s.config.Timeouts.Certificate, s.certificateRead) })
	served := make(chan error, 1)
	owned.Go(func() { served <- server.ServeTLS(l, "", "") })
	defer owned.Wait()
	defer stop()

	s.log.Info("Taking telemetry", "address", inner.Addr().String())
	s.ready.Store(true)
	defer s.ready.Store(false)
	select {
	case err := <-served:
		return fmt.Errorf("serving ingest: %w", errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	return s.shutdown(ctx, server)
}

// begin prepares for requests.
func (s *Server) begin(ctx context.Context) {
	s.work, s.quit = context.WithCancel(context.WithoutCancel(ctx))
}

func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	if s.config.Listener != nil {
		return s.config.Listener, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.config.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for ingest: %w", err)
	}
	return l, nil
}

func (s *Server) httpServer(ctx context.Context) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	base := context.WithoutCancel(ctx)
	return &http.Server{
		Handler:           s,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.certs.get},
		Protocols:         &protocols,
		ReadHeaderTimeout: s.config.Timeouts.Header,
		IdleTimeout:       s.config.Timeouts.Idle,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          s.config.Limits.StreamsPerConnection,
			MaxReceiveBufferPerConnection: connectionWindow,
			MaxReceiveBufferPerStream:     streamWindow,
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			WriteByteTimeout:              writeTimeout,
		},
		BaseContext: func(net.Listener) context.Context { return base },
		ConnContext: connections.Context,
		// What strangers do to the handshake is not worth more than this.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.log.V(2)), slog.LevelInfo),
	}
}

// shutdown ends the server: no new batches, then the answers to those in flight.
func (s *Server) shutdown(ctx context.Context, server *http.Server) error {
	s.log.Info("Ending, waiting for batches in flight", "batches", s.budget.inFlight().batches)
	s.draining.Store(true)
	s.ready.Store(false)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Timeouts.Shutdown)
	defer cancel()
	err := server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	s.log.Info("Ending with batches in flight, their agents will send them again", "batches", s.budget.inFlight().batches)
	s.quit()
	if err := server.Close(); err != nil {
		return fmt.Errorf("closing the ingest server: %w", err)
	}
	return nil
}

func (s *Server) certificateRead(_ bool, err error) {
	if err != nil {
		s.metrics.certificates.WithLabelValues(certificateBroken).Inc()
		s.log.Error(err, "Keeping the certificate, the new one cannot be used")
		return
	}
	s.metrics.certificates.WithLabelValues(certificateLoaded).Inc()
	s.log.Info("Using the new certificate for new connections")
}

// Ready is a health check: it returns an error while the server does not take
// requests.
func (s *Server) Ready(*http.Request) error {
	if !s.ready.Load() {
		return errors.New("ingest does not take requests")
	}
	return nil
}

// Activity returns what this replica has seen of the cluster with a name, and
// whether it has seen anything.
func (s *Server) Activity(cluster string) (Activity, bool) {
	state := s.clusters.find(cluster)
	if state == nil {
		return Activity{}, false
	}
	return state.report(time.Now()), true
}

// LastAccepted returns when this replica stored records of a cluster's stream last,
// or zero.
func (s *Server) LastAccepted(cluster string, stream telemetry.Stream) time.Time {
	state := s.clusters.find(cluster)
	if state == nil {
		return time.Time{}
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	return state.streams[stream]
}

// Forget drops what is remembered of a cluster, and its metric. Call it when the
// ManagedCluster is gone.
func (s *Server) Forget(cluster string) { s.clusters.forget(cluster) }
