// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/internal/authority"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/ingest"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

const (
	east = "7c0e1f0a-0000-4000-8000-00000000000a"
	west = "7c0e1f0a-0000-4000-8000-00000000000b"
)

// unasked are offsets that nobody asks for.
type unasked interface{ ingest.Offsets }

// rows counts what is stored.
type rows struct {
	unasked

	mu sync.Mutex
	n  map[history.ClusterUID]int
}

func (r *rows) Append(_ context.Context, cluster history.ClusterUID, b telemetry.Batch, _ ...history.Refused) (history.Ack, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[cluster] += len(b.Records)
	return history.Ack{LastSeq: b.LastSeq, Stored: len(b.Records)}, nil
}

func (r *rows) of(cluster history.ClusterUID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n[cluster]
}

// switched asks one or the other.
type switched struct {
	inner atomic.Pointer[ingest.Members]
}

func (s *switched) use(m ingest.Members) { s.inner.Store(&m) }

func (s *switched) Member(ctx context.Context, name string) (ingest.Member, error) {
	return (*s.inner.Load()).Member(ctx, name)
}

// cached are members that need no API server.
type cached map[string]ingest.Member

func (c cached) Member(_ context.Context, name string) (ingest.Member, error) { return c[name], nil }

// claiming is a token that nobody issued.
func claiming(cluster string) string {
	claims := fmt.Sprintf(`{"sub":"system:serviceaccount:atlhyper-cluster-%s:agent"}`, cluster)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
}

type response struct {
	status int
	header http.Header
	reply  ingest.Reply
}

// serve runs an ingest server until the end of the container, and returns how to send
// it events with the sequence numbers first to last.
func serve(ctx context.Context, c ingest.Config) (send func(token string, first, last uint64) response) {
	GinkgoHelper()
	var err error
	c.Listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	ca, err := authority.New("test", time.Now())
	Expect(err).NotTo(HaveOccurred())
	serving := authority.NewServing([]string{"127.0.0.1"})
	serving.Use(ca)
	c.Certificate, c.Registerer, c.Log = serving.Certificate, prometheus.NewRegistry(), logr.Discard()
	server, err := ingest.New(c)
	Expect(err).NotTo(HaveOccurred())
	encoder, err := wire.NewEncoder(1)
	Expect(err).NotTo(HaveOccurred())

	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- server.Start(running) }()
	roots := x509.NewCertPool()
	certs, _ := authority.Set{ca}.PEM()
	roots.AppendCertsFromPEM(certs)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	DeferCleanup(func() {
		transport.CloseIdleConnections()
		stop()
		Expect(<-ended).To(Succeed())
	})

	at := time.Now().Truncate(time.Millisecond).UTC()
	url := "https://" + c.Listener.Addr().String() + "/v1/streams/events/batches"
	return func(token string, first, last uint64) response {
		GinkgoHelper()
		var records []telemetry.Record
		for seq := first; seq <= last; seq++ {
			records = append(records, telemetry.Record{Seq: seq, Time: at, Payload: &telemetry.Event{
				UID: fmt.Sprintf("event-%d", seq), Type: telemetry.EventWarning, Reason: "BackOff", Count: 1, LastSeen: at,
				Regarding: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-1"},
			}})
		}
		batch := telemetry.NewBatch(telemetry.StreamEvents, 1, records)
		data, err := encoder.Append(nil, &batch)
		Expect(err).NotTo(HaveOccurred())
		request, err := http.NewRequestWithContext(running, http.MethodPost, url, bytes.NewReader(data))
		Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", wire.ContentType)
		res, err := transport.RoundTrip(request)
		Expect(err).NotTo(HaveOccurred())
		defer res.Body.Close()
		got := response{status: res.StatusCode, header: res.Header}
		Expect(json.NewDecoder(res.Body).Decode(&got.reply)).To(Succeed())
		return got
	}
}

func expectAcked(got response, acked uint64) {
	GinkgoHelper()
	Expect(got.status).To(Equal(http.StatusOK), got.reply.Message)
	Expect(got.reply.Acked).To(HaveValue(Equal(acked)))
	Expect(got.reply.Quarantined).To(BeZero())
}

func expectRefused(got response, status int, reason ingest.Reason) {
	GinkgoHelper()
	Expect(got.reply.Reason).To(Equal(reason), got.reply.Message)
	Expect(got.status).To(Equal(status))
}
