// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package network stands between agents and hubs, as networks do: it delivers late,
// twice, in another order, in other pieces, or not at all, and loses answers. It speaks
// the agents' protocol on both sides, so that what it does to batches is exact.
package network

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/wire"
)

// Fault is what can happen to a request.
type Fault string

// The faults.
const (
	// Lost: the request does not arrive, and the agent's connection breaks.
	Lost Fault = "lost"
	// HalfArrived: the hub gets half of the body.
	HalfArrived Fault = "half arrived"
	// AnswerLost: the hub answers, and the agent does not hear it.
	AnswerLost Fault = "answer lost"
	// Twice: it arrives twice at the same time, at two hubs if there are two.
	Twice Fault = "twice"
	// AgainLater: it arrives, and a copy of it much later.
	AgainLater Fault = "again later"
	// Later: the agent gives it up, and it arrives later nevertheless.
	Later Fault = "later"
	// Slow: it takes its time.
	Slow Fault = "slow"
	// Overlapping: it arrives together with the end of the batch before.
	Overlapping Fault = "overlapping"
	// BackFirst: its second half arrives first, and then all of it.
	BackFirst Fault = "back first"
	// Broken: all connections of the agent break while the hub works.
	Broken Fault = "broken"
)

var faults = []Fault{Lost, HalfArrived, AnswerLost, Twice, AgainLater, Later, Slow, Overlapping, BackFirst, Broken}

// Network forwards requests to hubs.
type Network struct {
	// Cert and Key are files with what it, and hubs, show in TLS.
	Cert, Key string
	// CA is the certificate to trust, PEM.
	CA string
	// URL is where agents find a hub.
	URL string

	server  *http.Server
	client  *http.Transport
	decoder *wire.Decoder
	encoder *wire.Encoder
	owned   sync.WaitGroup
	ctx     context.Context //nolint:containedctx // ends what arrives later, with the network
	stop    context.CancelFunc

	mu      sync.Mutex
	random  *mathrand.Rand
	hubs    []string
	away    bool
	chance  int // of a fault, in percent
	hurry   chan struct{}
	late    int
	changed chan struct{}
	before  map[string][]byte // the batch before, by path
	counts  map[Fault]int
	conns   map[net.Conn]bool
}

// New starts a network in a folder, on loopback.
func New(ctx context.Context, dir string, seed uint64) (*Network, error) {
	n := &Network{
		random: mathrand.New(mathrand.NewPCG(seed, 5)), //nolint:gosec // a schedule, not a secret
		hurry:  make(chan struct{}), changed: make(chan struct{}), before: map[string][]byte{}, counts: map[Fault]int{}, conns: map[net.Conn]bool{},
	}
	if err := n.certify(dir); err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(n.CA))
	n.client = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8}
	var err error
	if n.decoder, err = wire.NewDecoder(2); err != nil {
		return nil, err
	}
	if n.encoder, err = wire.NewEncoder(2); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	n.URL = "https://" + l.Addr().String()
	n.ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	n.server = &http.Server{
		Handler: n, ReadHeaderTimeout: 10 * time.Second, ConnState: n.connection,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), // processes that are killed break connections
	}
	n.owned.Go(func() { _ = n.server.ServeTLS(l, n.Cert, n.Key) }) // ends with Close
	return n, nil
}

// certify makes a certificate for loopback that is its own authority.
func (n *Network) certify(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "loopback"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	n.Cert, n.Key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	n.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return errors.Join(
		os.WriteFile(n.Cert, []byte(n.CA), 0o600),
		os.WriteFile(n.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// Close ends the network, and with it what has not arrived yet.
func (n *Network) Close() error {
	n.stop()
	err := n.server.Close()
	n.owned.Wait()
	n.client.CloseIdleConnections()
	n.decoder.Close()
	return err
}

// Away makes all hubs unreachable, or reachable again.
func (n *Network) Away(away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = away
}

// Add says that there is a hub at an address. Without any, no request arrives.
func (n *Network) Add(hub string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hubs = append(n.hubs, hub)
}

// Remove says that a hub is gone.
func (n *Network) Remove(hub string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hubs = slices.DeleteFunc(n.hubs, func(other string) bool { return other == hub })
}

// Misbehave makes faults happen to some percent of the requests.
func (n *Network) Misbehave(percent int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chance = percent
}

// Settle ends misbehaviour and waits until everything that was late has arrived.
func (n *Network) Settle(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chance, n.away = 0, false
	close(n.hurry)
	n.hurry = make(chan struct{})
	for n.late > 0 {
		changed := n.changed
		n.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		}
		n.mu.Lock()
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for %d late requests: %w", n.late, ctx.Err())
		}
	}
	return nil
}

// Missing are the faults that never happened.
func (n *Network) Missing() []Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return n.counts[f] > 0 })
}

// Counts is how often each fault happened.
func (n *Network) Counts() map[Fault]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.counts)
}

func (n *Network) connection(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state == http.StateClosed {
		delete(n.conns, c)
		return
	}
	n.conns[c] = true
}

// patience is how long a hub may take to answer: longer than an agent waits.
const patience = time.Minute

// errUnreachable: there is no hub.
var errUnreachable = errors.New("no hub can be reached")

// reply is what a hub answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// message is a request that may be delivered several times.
type message struct {
	method, path string
	header       http.Header
	body         []byte
}

// deliver brings a message to some hub.
func (n *Network) deliver(ctx context.Context, m *message, body io.Reader, length int64) (*reply, error) {
	n.mu.Lock()
	hub := ""
	if len(n.hubs) > 0 && !n.away {
		hub = n.hubs[n.random.IntN(len(n.hubs))]
	}
	n.mu.Unlock()
	if hub == "" {
		return nil, errUnreachable
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, m.method, "https://"+hub+m.path, body)
	if err != nil {
		return nil, err
	}
	r.Header, r.ContentLength = m.header.Clone(), length
	response, err := n.client.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &reply{response.StatusCode, response.Header, answer}, nil
}

func (n *Network) deliverWhole(ctx context.Context, m *message) (*reply, error) {
	return n.deliver(ctx, m, bytes.NewReader(m.body), int64(len(m.body)))
}

// ServeHTTP takes a request of an agent.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the agent is gone
	}
	m := &message{method: r.Method, path: r.URL.Path, header: r.Header, body: body}
	// What was sent arrives, whatever becomes of who sent it.
	answer, err := n.happen(context.WithoutCancel(r.Context()), m)
	if err != nil {
		panic(http.ErrAbortHandler) //nolint:forbidigo // how a handler breaks its connection
	}
	maps.Copy(w.Header(), answer.header)
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body) // the agent may be gone
}
