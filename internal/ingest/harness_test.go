// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

const (
	uidA = "7c0e1f0a-0000-4000-8000-00000000000a"
	uidB = "7c0e1f0a-0000-4000-8000-00000000000b"
)

// harness is a server on loopback with fakes behind it. Clusters a and b are
// members.
type harness struct {
	tb       testing.TB
	server   *Server
	registry *prometheus.Registry
	reviewer *fakeReviewer
	members  *fakeMembers
	store    *fakeStore
	encoder  *wire.Encoder
	dir      string
	addr     string
	roots    *x509.CertPool
	client   *http.Client
	http1    *http.Client
	stop     context.CancelFunc
	done     chan error

	mu         sync.Mutex
	mismatches []Mismatch
}

// prepare makes a server with fakes that does not serve yet.
func prepare(tb testing.TB, change func(*Config)) *harness {
	tb.Helper()
	h := &harness{
		tb: tb, registry: prometheus.NewPedanticRegistry(), dir: tb.TempDir(), store: newFakeStore(), roots: x509.NewCertPool(),
		reviewer: &fakeReviewer{users: map[string]string{}}, members: &fakeMembers{members: map[string]Member{}},
	}
	for name, uid := range map[string]string{"a": uidA, "b": uidB} {
		h.reviewer.users[tokenOf(name, "sig")] = userPrefix + name + userSuffix
		h.members.members[name] = Member{ClusterID: uid, Accepted: true}
	}
	h.writeCertificate("first")
	var err error
	h.encoder, err = wire.NewEncoder(1)
	h.must(err)
	config := Config{
		Addr: "unused", CertFile: filepath.Join(h.dir, "tls.crt"), KeyFile: filepath.Join(h.dir, "tls.key"),
		Appender: h.store, Offsets: h.store, Members: h.members, Reviewer: h.reviewer, Registerer: h.registry, Log: logr.Discard(),
		Limits: DefaultLimits(), Timeouts: DefaultTimeouts(),
		OnMismatch: func(m Mismatch) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.mismatches = append(h.mismatches, m)
		},
	}
	if change != nil {
		change(&config)
	}
	h.server, err = New(config)
	h.must(err)
	return h
}

// start makes a server with fakes and serves.
func start(tb testing.TB, change func(*Config)) *harness {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h := prepare(tb, func(c *Config) {
		c.Listener = l
		if change != nil {
			change(c)
		}
	})
	h.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	h.stop, h.done = cancel, make(chan error, 1)
	go func() { h.done <- h.server.Start(ctx) }()
	h.client, h.http1 = h.newClient(true), h.newClient(false)
	tb.Cleanup(func() {
		h.client.CloseIdleConnections()
		h.http1.CloseIdleConnections()
		h.end()
	})
	return h
}

// end ends the server and waits for it. It can be called twice.
func (h *harness) end() {
	h.stop()
	select {
	case err := <-h.done:
		h.must(err)
		h.done <- nil
	case <-time.After(time.Minute):
		h.tb.Error("the server did not end")
	}
}

func (h *harness) must(err error) {
	h.tb.Helper()
	if err != nil {
		h.tb.Fatal(err)
	}
}

func (h *harness) newClient(http2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: h.tlsConfig(), Protocols: &protocols, MaxIdleConnsPerHost: 100},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

func (h *harness) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: h.roots, ServerName: "ingest.test"}
}

// writeCertificate replaces the certificate by one that is valid and trusted.
func (h *harness) writeCertificate(name string) {
	h.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"ingest.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	h.must(err)
	parsed, err := x509.ParseCertificate(der)
	h.must(err)
	h.roots.AddCert(parsed)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	h.must(err)
	h.must(os.WriteFile(filepath.Join(h.dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	h.must(os.WriteFile(filepath.Join(h.dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

// event returns a record of the stream of events.
func event(seq uint64, at time.Time, message string) telemetry.Record {
	return telemetry.Record{Seq: seq, Time: at.Truncate(time.Millisecond).UTC(), Payload: &telemetry.Event{
		UID: fmt.Sprintf("event-%d", seq), Type: telemetry.EventWarning, Reason: "BackOff", Message: message, Count: 1,
		LastSeen: at.Truncate(time.Millisecond).UTC(), Regarding: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-1"},
	}}
}

// began is the time of records that do not say otherwise: the same number has the
// same content.
var began = time.Now()

// events returns records with the sequence numbers first to last.
func events(first, last uint64) []telemetry.Record {
	var records []telemetry.Record
	for seq := first; seq <= last; seq++ {
		records = append(records, event(seq, began, "container web"))
	}
	return records
}

// encode returns a batch of the stream of events in epoch 1.
func (h *harness) encode(records []telemetry.Record) []byte {
	h.tb.Helper()
	return h.encodeBatch(telemetry.NewBatch(telemetry.StreamEvents, 1, records))
}

func (h *harness) encodeBatch(batch telemetry.Batch) []byte {
	h.tb.Helper()
	data, err := h.encoder.Append(nil, &batch)
	h.must(err)
	return data
}

const eventsPath = "/v1/streams/events/batches"

// request returns a request of a cluster's agent.
func (h *harness) request(cluster, method, path string, body io.Reader) *http.Request {
	h.tb.Helper()
	if cluster != "" {
		return h.requestAs(tokenOf(cluster, "sig"), method, path, body)
	}
	return h.requestAs("", method, path, body)
}

// requestAs returns a request with a token.
func (h *harness) requestAs(token, method, path string, body io.Reader) *http.Request {
	h.tb.Helper()
	r, err := http.NewRequestWithContext(h.tb.Context(), method, "https://"+h.addr+path, body)
	h.must(err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", wire.ContentType)
	}
	return r
}

// response is an answer as the agent sees it.
type response struct {
	status int
	header http.Header
	body   string
	reply  Reply
}

func (h *harness) do(client *http.Client, r *http.Request) response {
	h.tb.Helper()
	res, err := client.Do(r)
	h.must(err)
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	h.must(err)
	out := response{status: res.StatusCode, header: res.Header, body: string(data)}
	h.must(json.Unmarshal(data, &out.reply))
	return out
}

// post sends a batch of events for a cluster.
func (h *harness) post(cluster string, batch []byte) response {
	h.tb.Helper()
	return h.do(h.client, h.request(cluster, http.MethodPost, eventsPath, bytes.NewReader(batch)))
}

// expect checks the status and the reason of an answer.
func (h *harness) expect(got response, status int, reason Reason) {
	h.tb.Helper()
	if got.status != status || got.reply.Reason != reason {
		h.tb.Fatalf("got %d %s, want %d with reason %q", got.status, got.body, status, reason)
	}
}

// expectAcked checks that a batch was accepted.
func (h *harness) expectAcked(got response, acked uint64, quarantined int) {
	h.tb.Helper()
	if got.status != http.StatusOK || got.reply.Acked == nil || *got.reply.Acked != acked || got.reply.Quarantined != quarantined {
		h.tb.Fatalf("got %d %s, want 200 with %d acked and %d quarantined", got.status, got.body, acked, quarantined)
	}
}

// metric returns the sum of a metric's series whose labels contain the given ones.
func (h *harness) metric(name string, labels ...string) float64 {
	h.tb.Helper()
	families, err := h.registry.Gather()
	h.must(err)
	sum, found := 0.0, false
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			match := true
			for pair := range slices.Chunk(labels, 2) {
				match = match && have[pair[0]] == pair[1]
			}
			if match {
				found = true
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	if !found {
		h.tb.Fatalf("there is no metric %s with %v", name, labels)
	}
	return sum
}

// eventually waits until a condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			tb.Fatal("waited in vain: " + what)
		case <-tick.C:
		}
	}
}
