// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// FuzzHandler sends anything, as a body and with the checksums made right as a
// payload: the answer is always small, structured and one of those that are
// documented, nothing stays in flight, and only cluster a has rows.
func FuzzHandler(f *testing.F) {
	h := prepare(f, func(c *Config) {
		c.Limits.ClusterRequests, c.Limits.ClusterBytes = Rate{PerSecond: 1e12, Burst: 1e12}, Rate{PerSecond: 1e15, Burst: 1e15}
	})
	h.server.begin(f.Context())
	good := h.encode(events(1, 3))
	for _, seed := range [][]byte{good, good[:60], h.encode(events(2, 2)), nil, []byte("ATLH")} {
		f.Add(eventsPath, seed, false)
	}
	f.Add("/v1/clusters/b/offsets", []byte{}, false)
	f.Add(eventsPath, good[wire.HeaderSize:], true)
	f.Add("/v1/streams/../x?cluster=b", bytes.Repeat([]byte{0xff}, 100), true)
	f.Fuzz(func(t *testing.T, path string, body []byte, seal bool) {
		if seal {
			body = envelope(good, wire.CodecIdentity, uint32(len(body)), xxhash.Sum64(body), body) //nolint:gosec // small
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://hub/", bytes.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Authorization", "Bearer "+tokenOf("a", "sig"))
		r.Header.Set("Content-Type", wire.ContentType)
		w := httptest.NewRecorder()
		h.server.ServeHTTP(w, r)
		var reply Reply
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Body.Len() > 512 {
			t.Fatalf("got %d %s: %v", w.Code, w.Body, err)
		}
		if kind, ok := reasons[reply.Reason]; (!ok || kind.Status != w.Code) && (w.Code != http.StatusOK || reply.Acked == nil) {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		if left := h.server.budget.inFlight(); left != (load{}) {
			t.Fatalf("%+v stays in flight", left)
		}
		if h.store.rows(uidB) != 0 {
			t.Fatal("cluster b has rows")
		}
		h.store.set(func(f *fakeStore) {
			clear(f.offsets)
			clear(f.content)
			clear(f.refused)
		})
	})
}

// FuzzIdentity looks for a user or a token that is taken for a cluster it is not,
// and for a query that is taken for an epoch that there cannot be.
func FuzzIdentity(f *testing.F) {
	f.Add(userPrefix+"a"+userSuffix, tokenOf("a", "sig"))
	f.Add(userPrefix+"a:agent"+userSuffix, "a.b.c")
	f.Add("", "stream=events&epoch=1")
	f.Add("", "stream=events&epoch=18446744073709551615&stream=sli;%")
	f.Fuzz(func(t *testing.T, user, token string) {
		if cluster := clusterOfUser(user); cluster != "" && user != userPrefix+cluster+userSuffix {
			t.Errorf("%q is taken for %q", user, cluster)
		}
		bearer.Subject(bearer.Token(http.Header{"Authorization": {"Bearer " + token}}))
		parseRoute(token)
		if q, ok := parseOffsetQuery(token); ok && q != (offsetQuery{}) && (!q.stream.Known() || q.epoch == 0 || q.epoch > math.MaxInt64) {
			t.Errorf("%q is taken for %+v", token, q)
		}
	})
}

func BenchmarkHandler(b *testing.B) {
	for _, size := range []uint64{1, 20, 300} {
		b.Run("records="+map[uint64]string{1: "1", 20: "20", 300: "300"}[size], func(b *testing.B) {
			h := prepare(b, func(c *Config) {
				c.Appender = instantStore{}
				c.Limits.ClusterRequests, c.Limits.ClusterBytes = Rate{PerSecond: 1e12, Burst: 1e12}, Rate{PerSecond: 1e15, Burst: 1e15}
			})
			h.server.begin(b.Context())
			batch := h.encode(events(1, size))
			token := "Bearer " + tokenOf("a", "sig")
			b.ReportAllocs()
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "https://hub"+eventsPath, bytes.NewReader(batch))
				r.Header.Set("Authorization", token)
				r.Header.Set("Content-Type", wire.ContentType)
				w := httptest.NewRecorder()
				h.server.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			b.ReportMetric(float64(b.N)*float64(size)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkHTTP is the same through TLS and HTTP/2 on loopback, client included.
func BenchmarkHTTP(b *testing.B) {
	h := start(b, func(c *Config) {
		c.Appender = instantStore{}
		c.Limits.ClusterRequests, c.Limits.ClusterBytes = Rate{PerSecond: 1e12, Burst: 1e12}, Rate{PerSecond: 1e15, Burst: 1e15}
	})
	batch := h.encodeBatch(telemetry.NewBatch(telemetry.StreamEvents, 1, events(1, 20)))
	b.ReportAllocs()
	for b.Loop() {
		if got := h.post("a", batch); got.status != http.StatusOK {
			b.Fatal(got.body)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
