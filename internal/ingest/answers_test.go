// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

func TestStoresAndAcknowledges(t *testing.T) {
	h := start(t, nil)
	for name, client := range map[string]*http.Client{"a": h.client, "b": h.http1} {
		first := h.request(name, http.MethodPost, eventsPath, bytes.NewReader(h.encode(events(1, 3))))
		h.expectAcked(h.do(client, first), 3, 0)
		second := h.request(name, http.MethodPost, "/v1/clusters/"+name+"/streams/events/batches", bytes.NewReader(h.encode(events(4, 5))))
		h.expectAcked(h.do(client, second), 5, 0)
		offsets := h.do(client, h.request(name, http.MethodGet, "/v1/offsets", nil))
		if diff := cmp.Diff([]StreamOffset{{Stream: "events", Epoch: 1, Acked: 5}}, offsets.reply.Offsets); diff != "" {
			t.Error(diff)
		}
	}
	if a, b := h.store.rows(uidA), h.store.rows(uidB); a != 5 || b != 5 {
		t.Errorf("stored %d and %d records, want 5 and 5", a, b)
	}
	if n := h.metric("atlhyper_ingest_records_total", "stream", "events"); n != 10 {
		t.Errorf("counted %v records, want 10", n)
	}
	if h.server.NeedLeaderElection() {
		t.Error("only the leader would ingest")
	}
	if h.server.LastAccepted("a", telemetry.StreamEvents).IsZero() || !h.server.LastAccepted("a", telemetry.StreamSLI).IsZero() {
		t.Error("what was accepted last is wrong")
	}
	if activity, ok := h.server.Activity("a"); !ok || activity.LastAccepted.IsZero() || activity.Skew.Ahead > time.Second {
		t.Errorf("got activity %+v", activity)
	}
	if h.metric("atlhyper_ingest_last_accepted_timestamp_seconds", "cluster", "a") == 0 {
		t.Error("the gauge of cluster a is 0")
	}
	h.server.Forget("a")
	if _, ok := h.server.Activity("a"); ok {
		t.Error("cluster a was not forgotten")
	}
	if n := h.metric("atlhyper_ingest_last_accepted_timestamp_seconds"); n < 1 {
		t.Error("forgetting a took the gauge of b")
	}
}

func TestDuplicateGapMismatchAndEpochs(t *testing.T) {
	h := start(t, nil)
	captured := h.encode(events(1, 3))
	h.expectAcked(h.post("a", captured), 3, 0)
	h.expectAcked(h.post("a", captured), 3, 0)
	if n := h.store.rows(uidA); n != 3 {
		t.Fatalf("a replayed batch made %d rows of 3", n)
	}
	gap := h.post("a", h.encode(events(7, 8)))
	h.expect(gap, http.StatusConflict, ReasonGap)
	if gap.reply.Expected != 4 {
		t.Errorf("expected is %d, want 4", gap.reply.Expected)
	}

	altered := events(1, 3)
	altered[1] = event(2, time.Now(), "nothing to see here")
	mismatch := h.post("a", h.encode(altered))
	h.expect(mismatch, http.StatusConflict, ReasonMismatch)
	if !strings.Contains(mismatch.reply.Message, "mismatch") || mismatch.reply.Expected != 0 {
		t.Errorf("got %s", mismatch.body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.mismatches) != 1 || h.mismatches[0].Cluster != "a" || h.mismatches[0].Key.ClusterUID != uidA || h.mismatches[0].LastSeq != 3 {
		t.Errorf("told of %+v", h.mismatches)
	}
	if n := h.metric("atlhyper_ingest_requests_total", "stream", "events", "outcome", "Mismatch"); n != 1 {
		t.Errorf("counted %v mismatches, want 1", n)
	}

	// Epochs come side by side, and each goes on where it was.
	h.expectAcked(h.post("a", h.encodeBatch(telemetry.NewBatch(telemetry.StreamEvents, 9, events(1, 2)))), 2, 0)
	h.expectAcked(h.post("a", h.encode(events(4, 5))), 5, 0)
	h.expectAcked(h.post("a", h.encodeBatch(telemetry.NewBatch(telemetry.StreamEvents, 9, events(3, 3)))), 3, 0)
	if n := h.metric("atlhyper_ingest_epochs_total"); n != 1 {
		t.Errorf("counted %v new epochs, want 1", n)
	}
	// Cluster b has streams of its own.
	h.expectAcked(h.post("b", h.encode(events(1, 2))), 2, 0)
}

func TestSetsAsideWhatIsOutsideTheWindow(t *testing.T) {
	h := start(t, nil)
	now := time.Now()
	records := []telemetry.Record{
		event(1, now, "fine"),
		event(2, now.Add(10*time.Minute), "from the future"),
		event(3, now.Add(-400*24*time.Hour), "from long ago"),
		event(4, now.Add(-29*24*time.Hour), "old, and kept"),
		{Seq: 5, Time: now, Payload: &telemetry.Gap{From: 5, To: 5, Reason: telemetry.GapSourceOverflow, Dropped: 1}},
	}
	batch := h.encode(records)
	h.expectAcked(h.post("a", batch), 5, 2)
	h.expectAcked(h.post("a", batch), 5, 0)
	h.expectAcked(h.post("a", h.encode(events(6, 6))), 6, 0)
	refused := h.store.quarantine(uidA, 1)
	if len(refused) != 2 || !strings.Contains(refused[0].Reason, "ahead of the hub's clock") || !strings.Contains(refused[1].Reason, "longer ago") {
		t.Fatalf("set aside %+v", refused)
	}
	if !strings.Contains(string(refused[0].Raw), "from the future") {
		t.Errorf("kept %q of the record", refused[0].Raw)
	}
	for _, reason := range []QuarantineReason{QuarantineFuture, QuarantineExpired} {
		if n := h.metric("atlhyper_ingest_quarantined_records_total", "stream", "events", "reason", string(reason)); n != 1 {
			t.Errorf("counted %v records for %s, want 1", n, reason)
		}
	}
	activity, _ := h.server.Activity("a")
	if activity.Quarantined[QuarantineFuture] != 1 || activity.Skew.Ahead < 9*time.Minute || activity.Skew.Batches == 0 {
		t.Errorf("got activity %+v", activity)
	}
}

func TestReplayedBatchesTellNothingOfTheClock(t *testing.T) {
	h := start(t, nil)
	r := h.request("a", http.MethodPost, eventsPath, bytes.NewReader(h.encode([]telemetry.Record{event(1, time.Now().Add(-6*time.Hour), "old")})))
	r.Header.Set("Atlhyper-Lane", "replay")
	h.expectAcked(h.do(h.client, r), 1, 0)
	if activity, _ := h.server.Activity("a"); activity.Skew.Batches != 0 {
		t.Errorf("got %+v", activity.Skew)
	}
}

func TestRefusesTooManyNames(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.ClusterNames.Objects = 10 })
	var bomb []telemetry.Record
	for seq := uint64(1); seq <= 100; seq++ {
		r := event(seq, time.Now(), "bomb")
		p, _ := r.Payload.(*telemetry.Event)
		p.Regarding.Name = fmt.Sprintf("pod-%d", seq)
		bomb = append(bomb, r)
	}
	h.expectAcked(h.post("a", h.encode(bomb)), 100, 90)
	h.expectAcked(h.post("b", h.encode(events(1, 3))), 3, 0)
	if n := h.metric("atlhyper_ingest_quarantined_records_total", "stream", "events", "reason", "cardinality"); n != 90 {
		t.Errorf("counted %v records, want 90", n)
	}
}

func TestRefusals(t *testing.T) {
	h := start(t, nil)
	h.members.set("new", Member{ClusterID: uidA})
	h.members.set("pending", Member{Accepted: true})
	h.members.set("clone", Member{ClusterID: uidA, Accepted: true, Conflict: true})
	for _, name := range []string{"new", "pending", "clone", "gone"} {
		h.reviewer.set(func(f *fakeReviewer) { f.users[tokenOf(name, "sig")] = userPrefix + name + userSuffix })
	}
	good := h.encode(events(1, 3))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	newer := bytes.Clone(good)
	newer[4] = 9
	huge := bytes.Clone(good)
	copy(huge[36:40], []byte{0xff, 0xff, 0xff, 0x7f})
	cases := map[string]struct {
		cluster, method, path string
		body                  []byte
		change                func(*http.Request)
		status                int
		reason                Reason
		retry                 bool
	}{
		"unknown cluster":    {cluster: "gone", body: good, status: 403, reason: ReasonClusterUnknown},
		"not accepted":       {cluster: "new", body: good, status: 403, reason: ReasonNotAccepted},
		"identity conflict":  {cluster: "clone", body: good, status: 403, reason: ReasonIdentityConflict},
		"identity pending":   {cluster: "pending", body: good, status: 503, reason: ReasonIdentityPending, retry: true},
		"media type":         {body: good, change: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, status: 415, reason: ReasonUnsupportedMediaType},
		"no media type":      {body: good, change: func(r *http.Request) { r.Header.Del("Content-Type") }, status: 415, reason: ReasonUnsupportedMediaType},
		"content encoding":   {body: good, change: func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, status: 415, reason: ReasonUnsupportedMediaType},
		"version":            {body: newer, status: 415, reason: ReasonUnsupportedVersion},
		"other stream":       {path: "/v1/streams/inventory/batches", body: good, status: 400, reason: ReasonStreamMismatch},
		"unknown stream":     {path: "/v1/streams/gossip/batches", body: good, status: 404, reason: ReasonNotFound},
		"unclean path":       {path: "/v1//streams/../streams/events/batches", body: good, status: 404, reason: ReasonNotFound},
		"no path":            {path: "/", body: good, status: 404, reason: ReasonNotFound},
		"method":             {method: http.MethodPut, body: good, status: 405, reason: ReasonMethodNotAllowed},
		"method of offsets":  {path: "/v1/offsets", body: good, status: 405, reason: ReasonMethodNotAllowed},
		"empty":              {body: []byte{}, status: 400, reason: ReasonMalformed},
		"short":              {body: good[:40], status: 400, reason: ReasonMalformed},
		"cut off":            {body: good[:len(good)-1], status: 400, reason: ReasonMalformed},
		"trailing":           {body: append(bytes.Clone(good), 0), status: 400, reason: ReasonTrailingBytes},
		"damaged":            {body: damaged, status: 400, reason: ReasonChecksum},
		"no batch":           {body: bytes.Repeat([]byte("<script>"), 100), status: 400, reason: ReasonMalformed},
		"declared too large": {body: huge, status: 413, reason: ReasonBatchTooLarge},
		"body too large":     {body: make([]byte, maxBody+1), status: 413, reason: ReasonBodyTooLarge},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for protocol, client := range map[string]*http.Client{"HTTP/2": h.client, "HTTP/1.1": h.http1} {
				cluster, method, path := tc.cluster, tc.method, tc.path
				if cluster == "" {
					cluster = "a"
				}
				if method == "" {
					method = http.MethodPost
				}
				if path == "" {
					path = eventsPath
				}
				r := h.request(cluster, method, path, bytes.NewReader(tc.body))
				r.Header.Set("Content-Type", wire.ContentType)
				if tc.change != nil {
					tc.change(r)
				}
				got := h.do(client, r)
				if got.status != tc.status || got.reply.Reason != tc.reason {
					t.Fatalf("%s: got %d %s, want %d %s", protocol, got.status, got.body, tc.status, tc.reason)
				}
				if len(got.body) > 256 || strings.Contains(got.body, "script") {
					t.Errorf("%s: the answer is long or echoes the request: %s", protocol, got.body)
				}
				if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); tc.retry != (err == nil && seconds > 0) {
					t.Errorf("%s: Retry-After is %q", protocol, got.header.Get("Retry-After"))
				}
			}
		})
	}
	if n := h.store.rows(uidA); n != 0 {
		t.Errorf("%d records were stored", n)
	}
}

func TestChunkedTrailingBytes(t *testing.T) {
	h := start(t, nil)
	good := h.encode(events(1, 3))
	// A reader that is not a bytes.Reader has no length.
	body := func(data []byte) *struct{ *bytes.Reader } { return &struct{ *bytes.Reader }{bytes.NewReader(data)} }
	for _, client := range []*http.Client{h.client, h.http1} {
		h.expect(h.do(client, h.request("a", http.MethodPost, eventsPath, body(append(bytes.Clone(good), 0)))), 400, ReasonTrailingBytes)
		h.expect(h.do(client, h.request("a", http.MethodPost, eventsPath, body(good[:len(good)-1]))), 400, ReasonMalformed)
		h.expectAcked(h.do(client, h.request("a", http.MethodPost, eventsPath, body(good))), 3, 0)
	}
}

func TestAnswersOfTheStore(t *testing.T) {
	cases := map[string]struct {
		err    error
		status int
		reason Reason
		closes bool
	}{
		"unavailable": {&history.UnavailableError{Reason: history.UnavailableReadOnly, Err: errors.New("no")}, 503, ReasonStoreUnavailable, true},
		"late":        {fmt.Errorf("waiting: %w", context.DeadlineExceeded), 503, ReasonStoreUnavailable, true},
		"invalid":     {fmt.Errorf("storing: %w", history.ErrInvalidBatch), 400, ReasonInvalidBatch, false},
		"unexpected":  {errors.New("syntax error near SELECT"), 503, ReasonStoreUnavailable, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := start(t, nil)
			h.store.set(func(f *fakeStore) { f.err = tc.err })
			got := h.post("a", h.encode(events(1, 1)))
			h.expect(got, tc.status, tc.reason)
			if strings.Contains(got.body, "SELECT") || tc.status == 503 && got.header.Get("Retry-After") == "" {
				t.Errorf("got %s with %v", got.body, got.header)
			}
			h.store.set(func(f *fakeStore) { f.err = nil })
			if again := h.post("a", h.encode(events(1, 1))); tc.closes != (again.status == 503) {
				t.Errorf("the next batch got %d %s", again.status, again.body)
			}
			eventually(t, "a batch is stored", func() bool { return h.post("a", h.encode(events(1, 1))).status == 200 })
		})
	}
}

func TestRateLimits(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.ClusterRequests = Rate{PerSecond: 1, Burst: 3} })
	for range 3 {
		h.expectAcked(h.post("a", h.encode(events(1, 1))), 1, 0)
	}
	limited := h.post("a", h.encode(events(1, 1)))
	h.expect(limited, http.StatusTooManyRequests, ReasonRateLimited)
	if seconds, err := strconv.Atoi(limited.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 2 {
		t.Errorf("Retry-After is %q", limited.header.Get("Retry-After"))
	}
	h.expectAcked(h.post("b", h.encode(events(1, 1))), 1, 0)

	h = start(t, func(c *Config) { c.Limits.ClusterBytes = Rate{PerSecond: 1, Burst: 1000} })
	h.expectAcked(h.post("a", h.encode(events(1, 20))), 20, 0)
	h.expect(h.post("a", h.encode(events(21, 40))), http.StatusTooManyRequests, ReasonRateLimited)
	h.expectAcked(h.post("b", h.encode(events(1, 20))), 20, 0)
}

// One cluster that floods the hub while the store is slow gets its share; another
// one is served.
func TestNoisyClusterDoesNotStarveOthers(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.ClusterInFlight, c.Limits.InFlight = 6, 8 })
	release := make(chan struct{})
	h.store.set(func(f *fakeStore) { f.enter = release })
	results := make(chan int, 40)
	for range 40 {
		go func() {
			r := h.request("a", http.MethodPost, eventsPath, bytes.NewReader(h.encode(events(1, 1))))
			res, err := h.client.Do(r)
			if err != nil {
				results <- 0
				return
			}
			_ = res.Body.Close()
			results <- res.StatusCode
		}()
	}
	eventually(t, "the noisy cluster has its share", func() bool { return h.store.waiting.Load() >= 4 })
	answer := make(chan response, 1)
	go func() { answer <- h.post("b", h.encode(events(1, 1))) }()
	eventually(t, "the quiet cluster is admitted", func() bool {
		h.server.budget.mu.Lock()
		defer h.server.budget.mu.Unlock()
		return h.server.budget.own["b"] != nil
	})
	close(release)
	h.expectAcked(<-answer, 1, 0)
	statuses := map[int]int{}
	for range 40 {
		statuses[<-results]++
	}
	if statuses[429] == 0 || statuses[200] == 0 || statuses[429]+statuses[200] != 40 {
		t.Errorf("got %v", statuses)
	}
	if left := h.server.budget.inFlight(); left != (load{}) {
		t.Errorf("%+v is still in flight", left)
	}
}

func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	h := start(t, nil)
	h.expectAcked(h.post("a", h.encode(events(1, 1))), 1, 0)
	if err := h.server.Ready(nil); err != nil {
		t.Error(err)
	}
	release := make(chan struct{})
	h.store.set(func(f *fakeStore) { f.enter = release })
	answer := make(chan response, 1)
	go func() { answer <- h.post("a", h.encode(events(2, 2))) }()
	eventually(t, "the batch is being stored", func() bool { return h.store.waiting.Load() == 1 })
	h.stop()
	eventually(t, "the server drains", func() bool { return h.server.Ready(nil) != nil })
	close(release)
	h.expectAcked(<-answer, 2, 0)
	h.end()
	if n := h.store.rows(uidA); n != 2 {
		t.Errorf("%d records were stored, want 2", n)
	}
}

func TestShutdownDoesNotWaitForever(t *testing.T) {
	h := start(t, func(c *Config) { c.Timeouts.Shutdown = 200 * time.Millisecond })
	h.store.set(func(f *fakeStore) { f.enter = make(chan struct{}) })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		res, err := h.client.Do(h.request("a", http.MethodPost, eventsPath, bytes.NewReader(h.encode(events(1, 1)))))
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	eventually(t, "the batch is being stored", func() bool { return h.store.waiting.Load() == 1 })
	h.end()
	<-gone
	eventually(t, "the transaction is cancelled", func() bool { return h.store.waiting.Load() == 0 })
}

func TestOnlyTLS13(t *testing.T) {
	h := start(t, nil)
	config := h.tlsConfig()
	config.MaxVersion = tls.VersionTLS12
	dialer := tls.Dialer{Config: config}
	if conn, err := dialer.DialContext(t.Context(), "tcp", h.addr); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.2 was accepted")
	}
}
