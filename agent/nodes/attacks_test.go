// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/bucket"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

func TestSamplesAreTaken(t *testing.T) {
	x := receive(t, nil)
	reply := x.do(x.request("node-1", encoded(t, 7, recent(1, 3))))
	if reply.Accepted == nil || *reply.Accepted != 3 {
		t.Fatalf("reply: %+v", reply)
	}
	x.expect(x.request("node-1", encoded(t, 7, recent(2, 4))), ReasonAccepted)
	samples, twice, lost := x.sink.taken()
	if samples["node-1"] != 4 || twice != 0 || lost != 0 {
		t.Errorf("%v samples, %d twice, %d lost", samples, twice, lost)
	}
	latest, ok := x.Latest("node-1")
	if !ok || latest.Sample.CollectorSeq != 4 || latest.Silent || time.Since(latest.Moment) > time.Minute {
		t.Errorf("latest: %+v, %t", latest, ok)
	}
	if s := x.Stats(); s.Accepted != 4 || s.Duplicates != 2 || s.Answers[ReasonAccepted] != 2 {
		t.Errorf("stats: %+v", s)
	}
}

func TestRefusedBeforeTheBodyIsRead(t *testing.T) {
	x := receive(t, nil)
	body := encoded(t, 7, recent(1, 1))
	cases := map[string]struct {
		change func(q *http.Request)
		want   Reason
	}{
		"no token":        {func(q *http.Request) { q.Header.Del("Authorization") }, ReasonUnauthenticated},
		"another account": {func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+forged(`{"sub":"x"}`)) }, ReasonUnauthenticated},
		"another path":    {func(q *http.Request) { q.URL.Path = "/v1/streams/events/batches" }, ReasonNotFound},
		"a path with ..":  {func(q *http.Request) { q.URL.Path = "/x/.." + path }, ReasonNotFound},
		"another method":  {func(q *http.Request) { q.Method = http.MethodPut }, ReasonMethodNotAllowed},
		"JSON":            {func(q *http.Request) { q.Header.Set("Content-Type", "application/json") }, ReasonUnsupportedMediaType},
		"gzip":            {func(q *http.Request) { q.Header.Set("Content-Encoding", "gzip") }, ReasonUnsupportedMediaType},
		"too short":       {func(q *http.Request) { q.Body, q.ContentLength = io.NopCloser(strings.NewReader("short")), 5 }, ReasonMalformed},
		"no length":       {func(q *http.Request) { q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(body)), -1 }, ReasonMalformed},
		"too long": {func(q *http.Request) {
			q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 300<<10))), 300<<10
		}, ReasonTooLarge},
	}
	for name, tc := range cases {
		t.Run(name, func(*testing.T) {
			q := x.request("node-1", body)
			tc.change(q)
			x.expect(q, tc.want)
		})
	}
	if x.sink.calls != 0 {
		t.Errorf("the sink was called %d times", x.sink.calls)
	}
}

func TestBatchesThatLie(t *testing.T) {
	x := receive(t, nil)
	good := encoded(t, 7, recent(1, 2))
	with := func(change func(b []byte)) []byte {
		b := slices.Clone(good)
		change(b)
		return b
	}
	le := binary.LittleEndian
	event := telemetry.NewBatch(telemetry.StreamEvents, 1, []telemetry.Record{{Seq: 1, Time: time.Now(), Payload: &telemetry.Gap{From: 1, To: 1, Reason: telemetry.GapRefused}}})
	events, err := encoder.Append(nil, &event)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		body []byte
		want Reason
	}{
		"another node":            {encoded(t, 7, of(1)[:1:1]), ReasonAccepted}, // replaced below
		"zeros":                   {make([]byte, 500), ReasonMalformed},
		"another stream":          {events, ReasonMalformed},
		"another version":         {with(func(b []byte) { b[4] = 9 }), ReasonUnsupportedMediaType},
		"a bit changed":           {with(func(b []byte) { b[len(b)-1] ^= 1 }), ReasonChecksum},
		"a payload of 4 GiB":      {with(func(b []byte) { le.PutUint32(b[36:], 1<<32-1) }), ReasonTooLarge},
		"a payload of 2 MiB":      {with(func(b []byte) { le.PutUint32(b[36:], 2<<20) }), ReasonTooLarge},
		"a bomb":                  {with(func(b []byte) { le.PutUint32(b[36:], uint32(101*(len(b)-wire.HeaderSize))) }), ReasonTooLarge}, //nolint:gosec // small
		"a smaller bomb":          {with(func(b []byte) { le.PutUint32(b[36:], uint32(99*(len(b)-wire.HeaderSize))) }), ReasonChecksum},  //nolint:gosec // small
		"a body of 4 GiB":         {with(func(b []byte) { le.PutUint32(b[40:], 1<<32-1) }), ReasonTooLarge},
		"a longer body":           {append(slices.Clone(good), 0), ReasonMalformed},
		"more records than there": {with(func(b []byte) { le.PutUint32(b[32:], 60) }), ReasonMalformed},
		"65 records":              {encoded(t, 7, recent(1, 65)), ReasonTooLarge},
		"50,000 records":          {with(func(b []byte) { le.PutUint32(b[32:], 50_000); le.PutUint64(b[24:], 50_000) }), ReasonTooLarge},
		"epoch 0":                 {with(func(b []byte) { le.PutUint64(b[8:], 0) }), ReasonMalformed},
	}
	other := recent(1, 2)
	other[1].Payload.(*telemetry.NodeSample).Node = "node-2"
	entry := cases["another node"]
	entry.body, entry.want = encoded(t, 7, other), ReasonContradiction
	cases["another node"] = entry
	for name, tc := range cases {
		t.Run(name, func(*testing.T) { x.expect(x.request("node-1", tc.body), tc.want) })
	}
	if x.sink.calls != 0 {
		t.Errorf("the sink was called %d times", x.sink.calls)
	}
	// The last numbers there are must not keep the agent busy for ever.
	far := of(100)
	far[0].Seq, far[0].Time = 1<<64-2, time.Now()
	x.expect(x.request("node-1", encoded(t, 8, far)), ReasonAccepted)
	gap := gapOf(1, 1<<64-2)
	gap.Payload.(*telemetry.Gap).Dropped = 1
	x.expect(x.request("node-1", encoded(t, 9, []telemetry.Record{gap})), ReasonAccepted)
}

// raw opens a TLS connection without HTTP.
func (x *running) raw(t *testing.T) *tls.Conn {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: x.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}}).DialContext(t.Context(), "tcp", x.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*tls.Conn)
}

// until reads until the other side ends the connection, and returns what came.
func until(t *testing.T, conn net.Conn, limit time.Duration) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(conn)
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		t.Errorf("the connection was still open after %s", limit)
	}
	return string(data)
}

func TestSlowClients(t *testing.T) {
	// Each part has a receiver of its own that is impatient about it alone: all that
	// came before it is in time, also when the machine stalls.
	header := receive(t, func(l *limits) { l.header = 300 * time.Millisecond })
	body := receive(t, func(l *limits) { l.reading, l.stranger = 300*time.Millisecond, 5*time.Second })
	head := "POST " + path + " HTTP/1.1\r\nHost: agent\r\nContent-Type: " + wire.ContentType + "\r\nContent-Length: 1000\r\nAuthorization: Bearer "
	cases := map[string]struct {
		x           *running
		sends, want string
	}{
		"half of a header":  {header, head, ""},
		"nothing":           {body, "", ""},
		"no body":           {body, head + tokenOf("node-1") + "\r\n\r\n", "408 Request Timeout"},
		"half of a body":    {body, head + tokenOf("node-1") + "\r\n\r\n" + string(encoded(t, 1, recent(1, 1))[:100]), "400 Bad Request"},
		"a stranger's body": {body, head + "x\r\n\r\n" + strings.Repeat("x", 100), "401 Unauthorized"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := tc.x.raw(t)
			if _, err := io.WriteString(conn, tc.sends); err != nil {
				t.Fatal(err)
			}
			if got := until(t, conn, 30*time.Second); !strings.Contains(got, tc.want) || tc.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	t.Run("no handshake", func(t *testing.T) {
		t.Parallel()
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", header.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		until(t, conn, 30*time.Second)
	})
}

func TestOnlyTLS13AndHTTP1(t *testing.T) {
	x := receive(t, nil)
	old := &tls.Dialer{Config: &tls.Config{RootCAs: x.roots, MaxVersion: tls.VersionTLS12}} // to be refused
	if conn, err := old.DialContext(t.Context(), "tcp", x.addr); err == nil {
		t.Error("TLS 1.2 was accepted")
		_ = conn.Close()
	}
	if got := x.expect(x.request("node-1", encoded(t, 7, recent(1, 1))), ReasonAccepted); got.version != 1 {
		t.Errorf("the answer came over HTTP/%d", got.version)
	}
}

func TestConnectionsOfANodeAreLimited(t *testing.T) {
	x := receive(t, func(l *limits) { l.nodeConnections = 2 })
	body := encoded(t, 7, recent(1, 1))
	for i := range 3 {
		x.client = x.newClient() // and so a connection of its own
		want := ReasonAccepted
		if i == 2 {
			want = ReasonNodeBusy
		}
		x.expect(x.request("node-1", body), want)
	}
	x.client = x.newClient()
	other := recent(1, 1)
	other[0].Payload.(*telemetry.NodeSample).Node = "node-2"
	x.expect(x.request("node-2", encoded(t, 7, other)), ReasonAccepted)
	// A connection belongs to one node.
	x.expect(x.request("node-3", encoded(t, 7, other)), ReasonNodeBusy)
}

func TestRates(t *testing.T) {
	cases := map[string]func(*limits){
		"requests": func(l *limits) { l.nodeRequests = bucket.Rate{PerSecond: 0.01, Burst: 2} },
		"records":  func(l *limits) { l.nodeRecords = bucket.Rate{PerSecond: 0.01, Burst: 2} },
		"bytes":    func(l *limits) { l.nodeBytes = bucket.Rate{PerSecond: 0.01, Burst: 150} },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			x := receive(t, change)
			limited := 0
			for seq := range uint64(6) {
				got := x.do(x.request("node-1", encoded(t, 7, recent(seq+1, seq+1))))
				if got.Reason == ReasonRateLimited && got.retryAfter != "" {
					limited++
				}
			}
			samples, _, _ := x.sink.taken()
			if limited == 0 || limited == 6 || samples["node-1"] != 6-limited {
				t.Errorf("%d of 6 requests were limited, %v samples", limited, samples)
			}
			other := recent(1, 1)
			other[0].Payload.(*telemetry.NodeSample).Node = "node-2"
			x.client = x.newClient()
			x.expect(x.request("node-2", encoded(t, 7, other)), ReasonAccepted)
		})
	}
}

func TestASinkThatBlocks(t *testing.T) {
	x := receive(t, func(l *limits) { l.inFlight = 3 })
	release := make(chan struct{})
	entered := make(chan struct{}, 8)
	x.sink.before = func() error {
		entered <- struct{}{}
		<-release
		return nil
	}
	var wg sync.WaitGroup
	send := func(node string) {
		records := recent(1, 1)
		records[0].Payload.(*telemetry.NodeSample).Node = node
		q := x.request(node, encoded(t, 7, records))
		client := x.newClient()
		wg.Go(func() {
			response, err := client.Do(q)
			if err != nil {
				t.Errorf("sending: %v", err)
				return
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", node, response.Status)
			}
		})
	}
	waitFor := func(n int) {
		for tick := time.NewTicker(time.Millisecond); len(x.slots) < n; <-tick.C {
			if t.Context().Err() != nil {
				return
			}
		}
	}
	send("node-1")
	send("node-1")
	waitFor(2)
	x.client = x.newClient()
	x.expect(x.request("node-1", encoded(t, 7, recent(9, 9))), ReasonNodeBusy)
	send("node-2")
	waitFor(3)
	third := recent(1, 1)
	third[0].Payload.(*telemetry.NodeSample).Node = "node-3"
	x.client = x.newClient()
	x.expect(x.request("node-3", encoded(t, 7, third)), ReasonBusy)

	// An end waits for what is in flight.
	stopped := make(chan struct{})
	go func() {
		x.stop()
		close(stopped)
	}()
	<-entered
	close(release)
	wg.Wait()
	<-stopped
	samples, twice, _ := x.sink.taken()
	if samples["node-1"] != 1 || samples["node-2"] != 1 || twice != 0 {
		t.Errorf("%v samples, %d twice", samples, twice)
	}
}

func TestASinkThatRefuses(t *testing.T) {
	x := receive(t, nil)
	room := 2
	x.sink.before = func() error {
		if room == 0 {
			return errSink
		}
		room--
		return nil
	}
	body := encoded(t, 7, recent(1, 5))
	x.expect(x.request("node-1", body), ReasonSinkUnavailable)
	if latest, ok := x.Latest("node-1"); !ok || latest.Sample.CollectorSeq != 3 {
		t.Errorf("the sample that was refused is not the latest: %+v", latest)
	}
	x.sink.mu.Lock()
	room = 100
	x.sink.mu.Unlock()
	reply := x.do(x.request("node-1", body))
	if *reply.Accepted != 3 || reply.Duplicates != 2 {
		t.Errorf("reply: %+v", reply)
	}
	if samples, twice, _ := x.sink.taken(); samples["node-1"] != 5 || twice != 0 {
		t.Errorf("%v samples, %d twice", samples, twice)
	}
}

func TestASinkThatWantsNothing(t *testing.T) {
	x := receive(t, nil)
	x.sink.before = func() error { return fmt.Errorf("the hub keeps no history: %w", ErrUnwanted) }
	x.expect(x.request("node-1", encoded(t, 7, recent(1, 5))), ReasonAccepted)
	if latest, ok := x.Latest("node-1"); !ok || latest.Sample.CollectorSeq != 5 || latest.Silent {
		t.Errorf("latest: %+v, %t", latest, ok)
	}
	if s := x.Stats(); s.Lost != 0 || s.Accepted != 5 {
		t.Errorf("stats: %+v", s)
	}
}
