// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/atlhyper/atlhyper/internal/bearer"
)

// slowly writes a byte from time to time, until it fails or the context ends.
func slowly(ctx context.Context, w io.Writer, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := w.Write([]byte("x")); err != nil {
			return
		}
	}
}

func impatient(c *Config) {
	c.Timeouts.Body, c.Timeouts.BodyBytesPerSecond = 300*time.Millisecond, 1000
}

const attempts = 5 // of what fails when the machine stalls

// unlessSlow sends something until it is not too slow for the server.
func unlessSlow(send func() response) (got response) {
	for n := 0; n < attempts && (n == 0 || got.status == http.StatusRequestTimeout); n++ {
		got = send()
	}
	return got
}

func TestAttackSlowBody(t *testing.T) {
	h := start(t, impatient)
	batch := h.encode(events(1, 50))
	for name, client := range map[string]*http.Client{"HTTP/2": h.client, "HTTP/1.1": h.http1} {
		for part, begin := range map[string]int{"in the envelope": 10, "in the body": 100} {
			reader, writer := io.Pipe()
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() {
				_, _ = writer.Write(batch[:begin])
				slowly(ctx, writer, 50*time.Millisecond)
			})
			r := h.request("a", http.MethodPost, eventsPath, reader)
			r.ContentLength = int64(len(batch))
			begun := time.Now()
			res, err := client.Do(r)
			if err == nil {
				if res.StatusCode != http.StatusRequestTimeout {
					t.Errorf("%s, slow %s: got %d, want 408", name, part, res.StatusCode)
				}
				_ = res.Body.Close()
			}
			if took := time.Since(begun); took > 15*time.Second {
				t.Errorf("%s, slow %s: it held a request for %s", name, part, took)
			}
			cancel()
			_ = reader.Close()
			group.Wait()
		}
	}
	eventually(t, "nothing is in flight", func() bool { return h.server.budget.inFlight() == load{} })
	if n := h.metric("atlhyper_ingest_requests_total", "outcome", "SlowBody"); n != 4 {
		t.Errorf("counted %v slow bodies, want 4", n)
	}
}

// A body that comes steadily is not slow, even when it takes longer than the grace.
func TestSteadyBodyIsNotSlow(t *testing.T) {
	h := start(t, func(c *Config) {
		impatient(c)
		c.Timeouts.BodyBytesPerSecond = 100
	})
	steadily := func(client *http.Client) response {
		batch := h.encode(events(1, 1))
		reader, writer := io.Pipe()
		var group sync.WaitGroup
		group.Go(func() {
			for len(batch) > 0 {
				n := min(20, len(batch))
				if _, err := writer.Write(batch[:n]); err != nil {
					return
				}
				batch = batch[n:]
				<-time.After(100 * time.Millisecond)
			}
			_ = writer.Close()
		})
		defer group.Wait()
		defer reader.Close()
		return h.do(client, h.request("a", http.MethodPost, eventsPath, reader))
	}
	for _, client := range []*http.Client{h.client, h.http1} {
		h.expectAcked(unlessSlow(func() response { return steadily(client) }), 1, 0)
	}
}

// While a batch is being stored, the deadlines of its body do not matter.
func TestSlowStoreIsNotASlowBody(t *testing.T) {
	h := start(t, impatient)
	for i, client := range []*http.Client{h.client, h.http1} {
		seq := uint64(i + 1)
		h.expectAcked(unlessSlow(func() response {
			release := make(chan struct{})
			h.store.set(func(f *fakeStore) { f.enter = release })
			time.AfterFunc(time.Second, func() { close(release) })
			return h.do(client, h.request("a", http.MethodPost, eventsPath, bytes.NewReader(h.encode(events(seq, seq)))))
		}), seq, 0)
	}
}

func TestAttackSlowHeader(t *testing.T) {
	h := start(t, func(c *Config) { c.Timeouts.Header = time.Second })
	begun := time.Now()
	for _, begin := range []string{"", "POST " + eventsPath + " HTTP/1.1\r\nHost: hub\r\nX-Slow: "} {
		conn := h.dial()
		_, err := io.WriteString(conn, begin)
		h.must(err)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { slowly(ctx, conn, 50*time.Millisecond) })
		answerAndEnd(t, conn)
		cancel()
		group.Wait()
	}
	// Nor may the handshake take its time.
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", h.addr)
	h.must(err)
	defer conn.Close()
	h.must(conn.SetReadDeadline(time.Now().Add(20 * time.Second)))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection without a handshake stays")
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %s to get rid of three slow clients", took)
	}
}

func TestStrangersAreShownTheDoor(t *testing.T) {
	h := start(t, func(c *Config) {
		c.Timeouts.Stranger = 5 * time.Second // long enough to find them there, also when the machine stalls
		c.Limits.Connections, c.Limits.ClusterConnections = 3, 2
	})
	h.expectAcked(h.post("a", h.encode(events(1, 1))), 1, 0)
	strangers := []*tls.Conn{h.dial(), h.dial()}
	dialer := tls.Dialer{Config: h.tlsConfig()}
	if conn, err := dialer.DialContext(t.Context(), "tcp", h.addr); err == nil {
		_ = conn.Close()
		t.Error("a fourth connection was accepted")
	}
	for _, conn := range strangers {
		answerAndEnd(t, conn)
	}
	eventually(t, "the places are free again", func() bool { return h.metric("atlhyper_ingest_connections") == 1 })
	if n := h.metric("atlhyper_ingest_connections_unauthenticated_total"); n != 2 {
		t.Errorf("counted %v strangers, want 2", n)
	}
	if n := h.metric("atlhyper_ingest_connections_refused_total"); n != 1 {
		t.Errorf("counted %v connections that were turned away, want 1", n)
	}
	// The agent's own connection, idle for longer, still works.
	h.expectAcked(h.post("a", h.encode(events(2, 2))), 2, 0)

	second, third := h.newClient(true), h.newClient(true)
	defer second.CloseIdleConnections()
	defer third.CloseIdleConnections()
	if got := h.do(second, h.request("a", http.MethodGet, "/v1/offsets", nil)); got.status != http.StatusOK {
		t.Errorf("the second connection of a got %d", got.status)
	}
	h.expect(h.do(third, h.request("a", http.MethodGet, "/v1/offsets", nil)), http.StatusTooManyRequests, ReasonClusterBusy)
	second.CloseIdleConnections()
	eventually(t, "a may connect again", func() bool {
		return h.do(third, h.request("a", http.MethodGet, "/v1/offsets", nil)).status == http.StatusOK
	})
}

// Streams that are opened and reset at once never make more work than the limits
// allow.
func TestAttackRapidReset(t *testing.T) {
	var running, most atomic.Int64
	h := start(t, func(c *Config) {
		inner := c.Reviewer
		c.Reviewer = reviewFunc(func(ctx context.Context, token string) (string, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			return inner.Review(ctx, token)
		})
	})
	h.reviewer.set(func(f *fakeReviewer) { f.enter = make(chan struct{}) })
	config := h.tlsConfig()
	config.NextProtos = []string{"h2"}
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", h.addr)
	h.must(err)
	defer conn.Close()
	_, err = io.WriteString(conn, http2.ClientPreface)
	h.must(err)
	buffered := bufio.NewWriter(conn)
	framer := http2.NewFramer(buffered, conn)
	h.must(framer.WriteSettings())
	ended := make(chan http2.ErrCode, 1)
	go func() {
		code := http2.ErrCodeNo
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				ended <- code
				return
			}
			if away, ok := frame.(*http2.GoAwayFrame); ok {
				code = away.ErrCode
			}
		}
	}()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	goroutines, sent := 0, 0
	for id := uint32(1); id < 40_000; id += 2 {
		block.Reset()
		fields := [][2]string{
			{":method", "POST"},
			{":scheme", "https"},
			{":authority", "hub"},
			{":path", eventsPath},
			{"authorization", "Bearer " + tokenOf("a", strconv.Itoa(int(id)))},
		}
		for _, f := range fields {
			h.must(encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
		}
		err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
		if err == nil {
			err = framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		if err == nil && id%100 == 1 {
			err = buffered.Flush()
			goroutines = max(goroutines, runtime.NumGoroutine())
		}
		if err != nil {
			break
		}
		sent++
	}
	_ = buffered.Flush()
	_ = conn.Close()
	code := <-ended
	handled := h.metric("atlhyper_ingest_requests_total")
	t.Logf("%d streams, %v requests, %d reviews at once, %d goroutines, ended with %s", sent, handled, most.Load(), goroutines, code)
	// A fast client is sent away (ENHANCE_YOUR_CALM); one that is slower than the
	// server is served, and never has more at work than the limits allow.
	if most.Load() > concurrentReviews || goroutines > bearer.MaxWaiting+concurrentReviews+200 {
		t.Errorf("%d reviews and %d goroutines at once", most.Load(), goroutines)
	}
	h.reviewer.set(func(f *fakeReviewer) { f.enter = nil })
	eventually(t, "others are served", func() bool { return h.post("b", h.encode(events(1, 1))).status == http.StatusOK })
}

type reviewFunc func(ctx context.Context, token string) (string, error)

func (f reviewFunc) Review(ctx context.Context, token string) (string, error) { return f(ctx, token) }

const crowdAddr = "INGEST_TEST_CROWD_ADDR"

// TestMain becomes, when asked to, the crowd of TestTenThousandIdleConnections: one
// process has too few file descriptors for both ends.
func TestMain(m *testing.M) {
	if addr := os.Getenv(crowdAddr); addr != "" {
		if err := crowd(addr); err != nil {
			panic(err) //nolint:forbidigo // the parent reads it
		}
		return
	}
	os.Exit(m.Run()) //nolint:forbidigo // a test binary's main
}

// crowd opens connections, half of them those of agents that have asked something,
// says so, and holds them until its standard input ends.
func crowd(addr string) error {
	held := make([]net.Conn, crowdSize)
	failures := make(chan error, crowdSize)
	slots := make(chan struct{}, 64)
	var group sync.WaitGroup
	for i := range held {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
			conn, err := dialer.DialContext(context.Background(), "tcp", addr) //nolint:forbidigo // a main function
			if err == nil && i%2 == 0 {
				err = ask(conn)
			}
			if err != nil {
				failures <- err
				return
			}
			held[i] = conn
		})
	}
	group.Wait()
	close(failures)
	for err := range failures {
		return err
	}
	_, _ = os.Stdout.WriteString("held\n")
	_, err := io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(held)
	return err
}

func ask(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET /v1/offsets HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer "+tokenOf("a", "sig")+"\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func TestTenThousandIdleConnections(t *testing.T) {
	h := start(t, func(c *Config) {
		c.Limits.Connections, c.Limits.ClusterConnections = crowdSize+10, crowdSize
		c.Limits.ClusterRequests = Rate{PerSecond: crowdSize, Burst: crowdSize}
		c.Timeouts.Header, c.Timeouts.Stranger, c.Timeouts.Idle = 10*time.Minute, 10*time.Minute, 10*time.Minute
	})
	h.expectAcked(h.post("b", h.encode(events(1, 1))), 1, 0)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crowdAddr+"="+h.addr)
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	h.must(err)
	said, err := cmd.StdoutPipe()
	h.must(err)
	h.must(cmd.Start())
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "held" {
		t.Fatalf("the crowd said %q: %v", line, err)
	}
	if n := h.metric("atlhyper_ingest_connections"); n < crowdSize {
		t.Errorf("%v connections are open, want %d and more", n, crowdSize)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := func(m *runtime.MemStats) uint64 { return m.HeapInuse + m.StackInuse }
	each := (used(&after) - used(&before)) / crowdSize
	t.Logf("%d bytes for each idle connection; %d MiB from the system", each, after.Sys>>20)
	if each > 64<<10 || after.Sys > 1<<30 {
		t.Errorf("an idle connection takes %d bytes, the process %d MiB", each, after.Sys>>20)
	}
	took := time.Hour
	for seq := uint64(2); seq < 2+attempts && took > 2*time.Second; seq++ {
		begun := time.Now()
		h.expectAcked(h.post("b", h.encode(events(seq, seq))), seq, 0)
		took = time.Since(begun)
	}
	if took > 2*time.Second {
		t.Errorf("others wait %s", took)
	}
	h.must(hold.Close())
	h.must(cmd.Wait())
	eventually(t, "the connections are gone", func() bool { return h.metric("atlhyper_ingest_connections") <= 1 })
}
