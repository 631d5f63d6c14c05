// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// forbidden is a body that must not be read.
type forbidden struct{ t *testing.T }

func (f forbidden) Read([]byte) (int, error) {
	f.t.Error("the body of a request without a credential was read")
	return 0, io.EOF
}

func TestAttackNoCredential(t *testing.T) {
	h := start(t, nil)
	authorizations := map[string][]string{
		"none": nil, "empty": {""}, "basic": {"Basic YTpi"}, "no token": {"Bearer"}, "nonsense": {"Bearer nonsense"},
		"two":       {"Bearer " + tokenOf("a", "sig"), "Bearer " + tokenOf("b", "sig")},
		"forged":    {"Bearer " + tokenOf("a", "forged")},
		"very long": {"Bearer " + strings.Repeat("a", bearer.MaxToken+1)},
		"a user":    {"Bearer " + tokenOf("a", "sig") + " x"},
	}
	for name, values := range authorizations {
		for _, path := range []string{eventsPath, "/v1/offsets", "/", "/metrics", "/debug/pprof"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://hub"+path, forbidden{t})
			r.Header["Authorization"] = values
			r.Header.Set("Content-Type", wire.ContentType)
			w := httptest.NewRecorder()
			h.server.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: %s got %d", name, path, w.Code)
			}
		}
	}
	h.expect(h.do(h.client, h.request("", http.MethodPost, eventsPath, bytes.NewReader(h.encode(events(1, 1))))), 401, ReasonUnauthenticated)
	if n := h.store.rows(uidA) + h.store.rows(uidB); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// Cluster A says that it is B, wherever that can be said.
func TestAttackOtherCluster(t *testing.T) {
	h := start(t, nil)
	batch := h.encode(events(1, 1))
	attempts := 0.0
	for _, id := range []string{"b", uidB, "", "A", "a ", "a,b"} {
		var requests []*http.Request
		if id != "" {
			requests = append(requests, h.request("a", http.MethodPost, "/v1/clusters/"+strings.TrimSpace(id)+"x/streams/events/batches", bytes.NewReader(batch)))
		}
		for _, header := range clusterHeaders {
			r := h.request("a", http.MethodPost, eventsPath, bytes.NewReader(batch))
			r.Header[header] = []string{"a", id + "b"}
			requests = append(requests, r)
		}
		for _, key := range clusterQueries {
			r := h.request("a", http.MethodPost, eventsPath, bytes.NewReader(batch))
			query := r.URL.Query()
			query.Add(key, uidA)
			query.Add(key, id+"b")
			r.URL.RawQuery = query.Encode()
			requests = append(requests, r)
		}
		for _, r := range requests {
			h.expect(h.do(h.client, r), http.StatusForbidden, ReasonContradiction)
			attempts++
		}
	}
	if n := h.metric("atlhyper_ingest_requests_total", "outcome", "Contradiction"); n != attempts {
		t.Errorf("counted %v of %v attempts", n, attempts)
	}
	if n := h.store.rows(uidA) + h.store.rows(uidB); n != 0 {
		t.Fatalf("%d rows", n)
	}
	own := h.request("a", http.MethodPost, "/v1/clusters/"+uidA+"/streams/events/batches?cluster=a", bytes.NewReader(batch))
	own.Header.Set("Atlhyper-Cluster", uidA)
	h.expectAcked(h.do(h.client, own), 1, 0)
	if a, b := h.store.rows(uidA), h.store.rows(uidB); a != 1 || b != 0 {
		t.Errorf("%d rows of a and %d of b", a, b)
	}
}

// envelope makes a batch of a body, with checksums that are right.
func envelope(good []byte, codec wire.Codec, payloadBytes uint32, digest uint64, body []byte) []byte {
	out := append(bytes.Clone(good[:wire.HeaderSize]), body...)
	out[5] = byte(codec)
	binary.LittleEndian.PutUint32(out[36:], payloadBytes)
	binary.LittleEndian.PutUint32(out[40:], uint32(len(body))) //nolint:gosec // small
	binary.LittleEndian.PutUint64(out[48:], digest)
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(out[44:], crc32.Update(crc32.Update(0, table, out[:44]), table, out[48:]))
	return out
}

func payloadOf(t *testing.T, batch []byte) []byte {
	t.Helper()
	if wire.Codec(batch[5]) == wire.CodecIdentity {
		return bytes.Clone(batch[wire.HeaderSize:])
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	payload, err := z.DecodeAll(batch[wire.HeaderSize:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// One poisoned record does not stop the others.
func TestAttackPoison(t *testing.T) {
	h := start(t, nil)
	for i, poison := range []string{"poison\x00poison", "poison\xff\xfepoison", "poi\xed\xa0\x80oi\xc0\x80oison"} {
		epoch := telemetry.Epoch(i + 1)
		records := events(1, 5)
		marker := strings.Repeat("p", len(poison))
		records[2] = event(3, began, marker)
		good := h.encodeBatch(telemetry.NewBatch(telemetry.StreamEvents, epoch, records))
		payload := payloadOf(t, good)
		if bytes.Count(payload, []byte(marker)) != 1 {
			t.Fatal("the marker is not in the payload once")
		}
		payload = bytes.Replace(payload, []byte(marker), []byte(poison), 1)
		bad := envelope(good, wire.CodecIdentity, uint32(len(payload)), xxhash.Sum64(payload), payload) //nolint:gosec // small
		h.expectAcked(h.post("a", bad), 5, 1)
		refused := h.store.quarantine(uidA, epoch)
		if len(refused) != 1 || refused[0].FirstSeq != 3 || refused[0].Reason == "" || strings.Contains(refused[0].Reason, "poi") {
			t.Errorf("set aside %+v", refused)
		}
	}
	if n := h.metric("atlhyper_ingest_quarantined_records_total", "reason", "invalid"); n != 3 {
		t.Errorf("counted %v", n)
	}
}

// A small body that wants to become large costs no memory.
func TestAttackBombs(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.ClusterBytes = Rate{PerSecond: 1 << 40, Burst: 1 << 40} })
	good := h.encode(events(1, 1))
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb, zstd.WithEncoderConcurrency(1))
	h.must(err)
	zeros := make([]byte, 1<<20)
	for range 256 {
		_, err := z.Write(zeros)
		h.must(err)
	}
	h.must(z.Close())
	body := bomb.Bytes()
	small := uint32(len(body)) //nolint:gosec // small
	// One block after the other that repeats one byte 128 KiB times.
	rle := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0} // declares 4 bytes of size
	binary.LittleEndian.PutUint32(rle[5:], 100<<10)
	for range 1000 {
		rle = append(rle, 1<<1, 0, 128<<10<<3>>16, 0)
	}
	rle[len(rle)-4] |= 1
	cases := map[string]struct {
		batch  []byte
		status int
	}{
		"declares 4 GiB":             {envelope(good, wire.CodecZstd, 0xffffffff, 0, body), 413},
		"declares more than allowed": {envelope(good, wire.CodecZstd, wire.MaxPayload+1, 0, make([]byte, wire.MaxBody)), 413},
		"declares too high a ratio":  {envelope(good, wire.CodecZstd, small*wire.MaxRatio+1, 0, body), 413},
		"lies about its size":        {envelope(good, wire.CodecZstd, small*2, 0, body), 400},
		"blocks beyond the size":     {envelope(good, wire.CodecZstd, 100<<10, 0, rle), 400},
		"many frames":                {envelope(good, wire.CodecZstd, small*4, 0, bytes.Repeat(body, 4)), 400},
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	requests := 0
	for name, tc := range cases {
		for range 10 {
			if got := h.post("a", tc.batch); got.status != tc.status {
				t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, tc.status)
			}
			requests++
		}
	}
	runtime.ReadMemStats(&after)
	// Client and server together; the largest body is 4 MiB, sent ten times.
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(requests); each > 4<<20 {
		t.Errorf("%d bytes were allocated for each of %d requests", each, requests)
	}
	h.expectAcked(h.post("a", good), 1, 0)
}

// dial opens a connection that speaks HTTP/1.1 by hand.
func (h *harness) dial() *tls.Conn {
	h.tb.Helper()
	dialer := tls.Dialer{Config: h.tlsConfig()}
	conn, err := dialer.DialContext(h.tb.Context(), "tcp", h.addr)
	for n := 1; n < attempts && err != nil; n++ { // the server does not wait for ever, and so not for a machine that stalls
		conn, err = dialer.DialContext(h.tb.Context(), "tcp", h.addr)
	}
	h.must(err)
	h.tb.Cleanup(func() { _ = conn.Close() })
	secure, _ := conn.(*tls.Conn)
	h.must(secure.SetDeadline(time.Now().Add(20 * time.Second)))
	return secure
}

func rawRequest(cluster, headers string) string {
	return "POST " + eventsPath + " HTTP/1.1\r\nHost: hub\r\nContent-Type: " + wire.ContentType +
		"\r\nAuthorization: Bearer " + tokenOf(cluster, "sig") + "\r\n" + headers + "\r\n"
}

// answerAndEnd reads an answer and makes sure that the server closes the
// connection. It returns the status, and 0 when there was no answer.
func answerAndEnd(t *testing.T, conn *tls.Conn) int {
	t.Helper()
	reader := bufio.NewReader(conn)
	status := 0
	if res, err := http.ReadResponse(reader, nil); err == nil {
		status = res.StatusCode
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		if timeout, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err); ok && timeout.Timeout() {
			t.Error("the server keeps the connection open")
		}
	}
	return status
}

func TestAttackContentLength(t *testing.T) {
	h := start(t, nil)
	for length, want := range map[string]int{
		fmt.Sprint(1 << 40): 413, fmt.Sprint(maxBody + 1): 413, "99999999999999999999": 400, "-1": 400, "1e3": 400, "5\r\nContent-Length: 6": 400,
	} {
		conn := h.dial()
		_, err := io.WriteString(conn, rawRequest("a", "Content-Length: "+length+"\r\n"))
		h.must(err)
		if got := answerAndEnd(t, conn); got != want {
			t.Errorf("Content-Length %s got %d, want %d", length, got, want)
		}
	}
}

func TestAttackEndlessBody(t *testing.T) {
	h := start(t, nil)
	good := string(h.encode(events(1, 1)))
	for name, tc := range map[string]struct {
		cluster, begin string
		want           int
	}{
		"after a batch": {"a", good, 400}, "instead of a batch": {"a", strings.Repeat("x", 100), 400}, "by a stranger": {"nobody", "", 401},
	} {
		conn := h.dial()
		_, err := io.WriteString(conn, rawRequest(tc.cluster, "Transfer-Encoding: chunked\r\n"))
		h.must(err)
		if tc.begin != "" {
			_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(tc.begin), tc.begin)
			h.must(err)
		}
		done := make(chan int, 1)
		go func() { done <- answerAndEnd(t, conn) }()
		chunk := fmt.Appendf(nil, "%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
		written := 0
		for written < 256 {
			if _, err := conn.Write(chunk); err != nil {
				break
			}
			written++
		}
		if got := <-done; got != tc.want && got != 0 { // a reset may overtake the answer
			t.Errorf("%s: got %d, want %d", name, got, tc.want)
		}
		if written >= 256 {
			t.Errorf("%s: the server took 256 MiB", name)
		}
	}
	if n := h.metric("atlhyper_ingest_requests_total", "outcome", "TrailingBytes"); n != 1 {
		t.Errorf("counted %v", n)
	}
	if n := h.store.rows(uidA); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestAttackHeaderFlood(t *testing.T) {
	h := start(t, nil)
	conn := h.dial()
	_, err := io.WriteString(conn, "POST "+eventsPath+" HTTP/1.1\r\nHost: hub\r\n")
	h.must(err)
	line := []byte("X-Flood: " + strings.Repeat("x", 1000) + "\r\n")
	written := 0
	for written < 100_000 {
		if _, err := conn.Write(line); err != nil {
			break
		}
		written++
	}
	if written >= 100_000 {
		t.Error("the server took 100 MB of headers")
	}
	for _, client := range []*http.Client{h.client, h.http1} {
		r := h.request("a", http.MethodGet, "/v1/offsets", nil)
		for i := range 100 {
			r.Header.Set(fmt.Sprintf("X-Flood-%d", i), strings.Repeat("x", 1000))
		}
		res, err := client.Do(r)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("100 kB of headers got %d", res.StatusCode)
			}
		}
	}
	h.expectAcked(h.post("a", h.encode(events(1, 1))), 1, 0)
}
