// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/authority"
	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/bearer/tokenreview"
	"github.com/atlhyper/atlhyper/internal/connections"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

const (
	// maxHeader is the size of the largest headers of a request.
	maxHeader = 16 << 10
	// memberQPS and memberBurst are for TokenReviews: each collector's token is
	// reviewed once in 50 s.
	memberQPS, memberBurst = 150, 300
)

// Receiver takes samples of node collectors. All methods may be called at any time
// from any goroutine; Run once.
type Receiver struct {
	options  Options
	limits   *limits
	log      logr.Logger
	reviews  *bearer.Reviews[identity]
	decoder  *wire.Decoder
	certs    *certificates
	slots    chan struct{}
	working  chan struct{}
	draining atomic.Bool
	changes  chan struct{}
	// arrived wakes watch when it has nothing to wait for.
	arrived chan struct{}

	// sinking is held while the sink is called.
	sinking sync.Mutex

	mu    sync.Mutex
	nodes map[string]*node
	sets  seriesSets
	shown shown
	// totals are as of the last look.
	totals totals
	stats  Stats
	idle   bool
	// refusing is true while the sink takes nothing.
	refusing     bool
	warnedNoNode time.Time
}

// New returns a Receiver that asks the API server that cfg leads to. It makes no
// request and does not listen before Run. It uses cfg's address and credentials, not
// its rate limits.
func New(cfg *rest.Config, options Options) (*Receiver, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst, cfg.RateLimiter = memberQPS, memberBurst, nil
	core, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client for the node collectors' certificates: %w", err)
	}
	authentication, err := authenticationv1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client for the node collectors' tokens: %w", err)
	}
	l := options.limits
	decoder, err := wire.NewDecoder(l.working)
	if err != nil {
		return nil, fmt.Errorf("making the decoder of node samples: %w", err)
	}
	return &Receiver{
		options: options, limits: l, log: options.Logger, decoder: decoder,
		reviews: newReviews(tokenreview.Reviewer{Creator: authentication.TokenReviews(), Audience: v1alpha1.NodesAudience}),
		certs: &certificates{
			core: core, namespace: options.Namespace, collectors: v1alpha1.MemberNodesNamespace, log: options.Logger,
			serving: authority.NewServing(options.hosts()),
		},
		slots: make(chan struct{}, l.inFlight), working: make(chan struct{}, l.working),
		changes: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
		nodes: map[string]*node{}, sets: newSeriesSets(), idle: true,
		stats: Stats{Answers: map[Reason]uint64{}},
	}, nil
}

// Run takes samples until ctx ends, and then until what is in flight is handed on.
// It fails only when it cannot listen. It can be called once.
func (r *Receiver) Run(ctx context.Context) error {
	defer r.decoder.Close()
	inner := r.options.Listener
	if inner == nil {
		var err error
		if inner, err = new(net.ListenConfig).Listen(ctx, "tcp", r.options.Address); err != nil {
			return fmt.Errorf("listening for node collectors: %w", err)
		}
	}
	server := r.server(ctx)
	r.log.Info("Taking samples of node collectors", "address", inner.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { r.certs.run(ctx); return nil })
	group.Go(func() error { r.watch(ctx); return nil })
	group.Go(func() error {
		if err := server.ServeTLS(r.limits.listen(inner), "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving node collectors: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return r.shutdown(ctx, server)
	})
	return group.Wait()
}

func (r *Receiver) server(ctx context.Context) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	base := context.WithoutCancel(ctx)
	return &http.Server{
		Handler:           r,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: r.certs.serving.Certificate, SessionTicketsDisabled: true},
		Protocols:         &protocols,
		ReadHeaderTimeout: r.limits.header,
		IdleTimeout:       r.limits.idle,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       connections.Context,
		// What strangers do to the handshake is not worth more than this.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(r.log.V(2)), slog.LevelInfo),
	}
}

// shutdown ends the server: no new batches, then the answers to those in flight.
func (r *Receiver) shutdown(ctx context.Context, server *http.Server) error {
	r.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.limits.shutdown)
	defer cancel()
	if server.Shutdown(ctx) == nil {
		return nil
	}
	if err := server.Close(); err != nil {
		return fmt.Errorf("ending the server for node collectors: %w", err)
	}
	return nil
}

// take hands on what is new of a batch.
func (r *Receiver) take(n *node, decoded *wire.Decoded, sent time.Time) (taken, error) {
	now := time.Now()
	n.taking.Lock()
	defer n.taking.Unlock()
	n.clock.observe(sent, now)
	t := taking{node: n, life: n.lives.of(decoded.Batch.Epoch), now: now, hand: r.hand}
	t.seen = func(epoch telemetry.Epoch, record *telemetry.Record, moment time.Time) {
		r.see(n, epoch, record, moment, now)
	}
	t.lost = func(lost uint64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stats.Lost += lost
	}
	poison := make([][2]uint64, len(decoded.Poison))
	for i, p := range decoded.Poison {
		poison[i] = [2]uint64{p.FirstSeq, p.LastSeq}
	}
	err := t.take(decoded.Batch.Records, poison)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Accepted += uint64(t.out.accepted)     //nolint:gosec // not negative
	r.stats.Duplicates += uint64(t.out.duplicates) //nolint:gosec // not negative
	r.stats.Refused += uint64(t.out.refused)       //nolint:gosec // not negative
	return t.out, err
}

// hand gives a value to the sink.
func (r *Receiver) hand(at time.Time, p telemetry.Payload) error {
	r.sinking.Lock()
	defer r.sinking.Unlock()
	err := r.options.Sink.Append(telemetry.StreamNodeMetrics, at, p)
	if errors.Is(err, ErrUnwanted) {
		return nil
	}
	return err
}

// Stats say what became of what arrived since the start.
type Stats struct {
	// Nodes is how many nodes' collectors were heard within an hour, and Fresh how
	// many of them are not silent.
	Nodes, Fresh int32
	// Accepted is how many records were handed on, gaps included.
	Accepted uint64
	// Duplicates is how many came once more.
	Duplicates uint64
	// Refused is how many can never be kept: malformed, or of another time.
	Refused uint64
	// Lost is how many samples never come: those that collectors dropped, and Refused.
	Lost uint64
	// Answers counts requests by what became of them.
	Answers map[Reason]uint64
}

// Stats returns what became of what arrived.
func (r *Receiver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Nodes, s.Fresh, s.Answers = r.totals.nodes, r.totals.fresh, maps.Clone(s.Answers)
	return s
}

func (r *Receiver) note(reason Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Answers[reason]++
}
