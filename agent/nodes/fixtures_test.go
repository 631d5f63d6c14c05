// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/authority"
	"github.com/atlhyper/atlhyper/internal/bearer/tokenreview"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// recorder is a Sink that keeps everything.
type recorder struct {
	mu      sync.Mutex
	records []telemetry.Record
	calls   int
	// before, when set, is called first and may refuse.
	before func() error
}

// Append implements Sink.
func (r *recorder) Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error {
	if !r.mu.TryLock() {
		return errors.New("two calls at once")
	}
	defer r.mu.Unlock()
	r.calls++
	if r.before != nil {
		if err := r.before(); err != nil {
			return err
		}
	}
	for _, v := range values {
		record := telemetry.Record{Seq: 1, Time: at, Payload: v}
		if gap, ok := v.(*telemetry.Gap); ok { // as the spool does
			own := *gap
			own.From, own.To = 1, 1
			record.Payload = &own
		}
		if err := record.Validate(stream); err != nil {
			return err
		}
		r.records = append(r.records, record)
	}
	return nil
}

// taken returns the samples by node and number, how many came twice, and the sum of
// the gaps.
func (r *recorder) taken() (samples map[string]int, twice int, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	type id struct {
		node, boot string
		seq        uint64
	}
	seen := map[id]bool{}
	samples = map[string]int{}
	for i := range r.records {
		switch p := r.records[i].Payload.(type) {
		case *telemetry.NodeSample:
			key := id{p.Node, p.BootID, p.CollectorSeq}
			if seen[key] {
				twice++
				continue
			}
			seen[key] = true
			samples[p.Node]++
		case *telemetry.Gap:
			lost += p.Dropped
		}
	}
	return samples, twice, lost
}

// running is a Receiver on loopback that knows tokens "NODE" without an API server.
type running struct {
	*Receiver
	t      *testing.T
	sink   *recorder
	url    string
	addr   string
	roots  *x509.CertPool
	client *http.Client
	stop   func()
}

func receive(t *testing.T, change func(*limits)) *running {
	t.Helper()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := defaultLimits()
	if change != nil {
		change(l)
	}
	x := &running{t: t, sink: &recorder{}, addr: inner.Addr().String(), url: "https://" + inner.Addr().String() + path, roots: x509.NewCertPool()}
	x.Receiver, err = New(&rest.Config{Host: "https://127.0.0.1:1"}, Options{Listener: inner, Sink: x.sink, Hosts: []string{"127.0.0.1"}, limits: l})
	if err != nil {
		t.Fatal(err)
	}
	x.reviews = newReviews(tokenreview.Reviewer{Creator: scripted{}, Audience: v1alpha1.NodesAudience})
	ca, err := authority.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	x.certs.serving.Use(ca)
	certs, _ := authority.Set{ca}.PEM()
	x.roots.AppendCertsFromPEM(certs)
	x.client = x.newClient()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running: %v", err)
		}
	})
	t.Cleanup(x.stop)
	return x
}

// scripted reviews tokens as an API server does that knows a few nodes.
type scripted struct{}

func (scripted) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	for _, node := range []string{"node-1", "node-2", "node-3"} {
		if review.Spec.Token == tokenOf(node) {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: review.Spec.Audiences, User: userOf(node)}
		}
	}
	return review, nil
}

// userOf is the user that a node's collector is.
func userOf(nodes ...string) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{Username: collectorUser, Extra: map[string]authenticationv1.ExtraValue{nodeNameExtra: nodes}}
}

// forged makes a token that claims something.
func forged(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func tokenOf(node string) string {
	return forged(`{"sub":"` + collectorUser + `","node":"` + node + `"}`)
}

func (x *running) newClient() *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x.roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	x.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

var encoder = func() *wire.Encoder {
	e, err := wire.NewEncoder(2)
	if err != nil {
		panic(err) //nolint:forbidigo // no test can go on
	}
	return e
}()

// encoded is a batch of records whose numbers are contiguous.
func encoded(t *testing.T, epoch telemetry.Epoch, records []telemetry.Record) []byte {
	t.Helper()
	b := telemetry.NewBatch(telemetry.StreamNodeMetrics, epoch, records)
	data, err := encoder.Append(nil, &b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// recent makes records of samples of node-1, the last of them taken now.
func recent(from, to uint64) []telemetry.Record {
	var out []telemetry.Record
	now := time.Now()
	for seq := from; seq <= to; seq++ {
		s := measured(25, 4)
		s.Node, s.BootID, s.CollectorSeq = "node-1", "boot", seq
		out = append(out, telemetry.Record{Seq: seq, Time: now.Add(-time.Duration(to-seq) * 15 * time.Second), Payload: s}) //nolint:gosec // small
	}
	return out
}

// request is a request before it is sent.
func (x *running) request(node string, body []byte) *http.Request {
	x.t.Helper()
	q, err := http.NewRequestWithContext(x.t.Context(), http.MethodPost, x.url, bytes.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+tokenOf(node))
	q.Header.Set("Content-Type", wire.ContentType)
	return q
}

// got is what came of a request.
type got struct {
	Reply

	status, version int
	retryAfter      string
}

// do sends a request.
func (x *running) do(q *http.Request) got {
	x.t.Helper()
	response, err := x.client.Do(q)
	if err != nil {
		x.t.Errorf("sending: %v", err)
		return got{}
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		x.t.Errorf("reading the answer: %v", err)
	}
	g := got{status: response.StatusCode, version: response.ProtoMajor, retryAfter: response.Header.Get("Retry-After")}
	if err := json.Unmarshal(data, &g.Reply); err != nil {
		x.t.Errorf("reading the answer %q: %v", data, err)
	}
	return g
}

// expect sends a request and compares the reason.
func (x *running) expect(q *http.Request, want Reason) got {
	x.t.Helper()
	g := x.do(q)
	reason := g.Reason
	if g.Accepted != nil {
		reason = ReasonAccepted
	}
	if reason != want || g.status != reasons[want].Status {
		x.t.Errorf("got %d %q (%s), want %d %q", g.status, reason, g.Message, reasons[want].Status, want)
	}
	if (reasons[want].Retry > 0) != (g.retryAfter != "") {
		x.t.Errorf("%s came with Retry-After %q", want, g.retryAfter)
	}
	return g
}
