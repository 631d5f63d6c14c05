// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

const boot = "0a8e6f0e-7f4c-4c0e-9d0e-8a7f5f3a1b2c"

// series are shared by all samples, as a collector's are.
var series = []telemetry.Series{
	{Metric: telemetry.MetricCPUUsage}, {Metric: telemetry.MetricMemoryUsed}, {Metric: telemetry.MetricNetReceive, Label: "eth0"},
}

func sample(n uint64) telemetry.NodeSample {
	return telemetry.NodeSample{
		Node: "node-1", BootID: boot, Interval: 15 * time.Second, Scope: telemetry.NetworkHost, CollectorSeq: 1,
		Series: series, Values: []float64{float64(n % 100), float64(1000 + n), float64(n)},
	}
}

// request is what the scripted agent got.
type request struct {
	at    time.Time
	batch telemetry.Batch
	sent  time.Time
	token string
}

// agent is a scripted agent. It remembers every sequence number it got.
type agent struct {
	t       *testing.T
	decoder *wire.Decoder
	// answer returns what to answer; nil means 200.
	answer func(r request) *http.Response

	mu       sync.Mutex
	requests []request
	got      map[uint64]telemetry.Record // samples, by number
	lost     map[uint64]telemetry.GapReason
	twice    int
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	decoder, err := wire.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(decoder.Close)
	return &agent{t: t, decoder: decoder, got: map[uint64]telemetry.Record{}, lost: map[uint64]telemetry.GapReason{}}
}

// RoundTrip implements http.RoundTripper.
func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/v1/streams/node-metrics/batches" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != wire.ContentType ||
		r.Header.Get("Idempotency-Key") == "" {
		a.t.Errorf("an unexpected request: %s %s %v", r.Method, r.URL, r.Header)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	decoded, err := a.decoder.Decode(body)
	if err != nil || len(decoded.Poison) > 0 {
		a.t.Errorf("decoding a batch: %v, %v", err, decoded.Poison)
		return nil, errors.New("undecodable")
	}
	millis, err := strconv.ParseInt(r.Header.Get("Atlhyper-Sent"), 10, 64)
	if err != nil {
		a.t.Errorf("reading the time of sending: %v", err)
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	q := request{at: time.Now(), batch: decoded.Batch, sent: time.UnixMilli(millis), token: token}

	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, q)
	if a.answer != nil {
		if response := a.answer(q); response != nil {
			return response, nil
		}
	}
	a.take(&q.batch)
	return reply200(len(q.batch.Records)), nil
}

// take notes what a batch has.
func (a *agent) take(b *telemetry.Batch) {
	for _, r := range b.Records {
		if gap, ok := r.Payload.(*telemetry.Gap); ok {
			for seq := gap.From; seq <= gap.To; seq++ {
				if _, ok := a.lost[seq]; ok {
					a.twice++
				}
				a.lost[seq] = gap.Reason
			}
			continue
		}
		if _, ok := a.got[r.Seq]; ok {
			a.twice++
		}
		a.got[r.Seq] = r
	}
}

func respond(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func reply200(n int) *http.Response {
	return respond(http.StatusOK, nil, fmt.Sprintf(`{"accepted":%d,"duplicates":0,"refused":0}`, n))
}

// unreachable is the answer of an agent that is away.
func unreachable(request) *http.Response {
	return respond(http.StatusServiceUnavailable, nil, "")
}

// files writes a token and a file with certificates.
func files(t *testing.T, token string) (tokenFile, caFile string) {
	t.Helper()
	dir := t.TempDir()
	tokenFile, caFile = filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return tokenFile, caFile
}

// start runs a Pusher against the agent until stop is called, or the test ends.
func start(t *testing.T, a http.RoundTripper, change func(*Options)) (*Pusher, func()) {
	t.Helper()
	tokenFile, caFile := files(t, "secret")
	options := Options{URL: "https://agent.example", CAFile: caFile, TokenFile: tokenFile, transport: a, random: func() float64 { return 0.5 }}
	if change != nil {
		change(&options)
	}
	p, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running: %v", err)
		}
	})
	t.Cleanup(stop)
	return p, stop
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// collect adds a sample every interval for a time.
func collect(p *Pusher, from uint64, d time.Duration) (next uint64) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		now := <-ticker.C
		p.Add(now, sample(from))
		from++
		synctest.Wait()
	}
	return from
}

// missing lists the numbers up to the highest that are neither there nor lost.
func (a *agent) missing(first, last uint64) []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []uint64
	for seq := first; seq <= last; seq++ {
		_, here := a.got[seq]
		_, gone := a.lost[seq]
		if !here && !gone || here && gone {
			out = append(out, seq)
		}
	}
	return out
}

// sequence returns the numbers of the samples in the order in which they came.
func (a *agent) sequence() []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []uint64
	for _, q := range a.requests {
		for _, r := range slices.Backward(q.batch.Records) {
			out = append(out, r.Seq)
		}
	}
	return out
}

// otherCA is the certificate of an authority that signed nothing.
func otherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
