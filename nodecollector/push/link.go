// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

const (
	// sentHeader has the time of sending, in milliseconds since 1970.
	sentHeader = "Atlhyper-Sent"

	dialTimeout    = 5 * time.Second
	requestTimeout = 15 * time.Second
	// maxFile is the size of the largest token, and of the largest file of
	// certificates, that is read.
	maxFile = 256 << 10
)

// link sends requests to the agent over one connection.
type link struct {
	target    string
	tokenFile string
	userAgent string
	transport http.RoundTripper
	close     func()
}

func newLink(o *Options) (*link, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	l := &link{
		target:    strings.TrimRight(u.String(), "/") + "/v1/streams/" + telemetry.StreamNodeMetrics.String() + "/batches",
		tokenFile: o.TokenFile, userAgent: o.UserAgent, transport: o.transport, close: func() {},
	}
	if l.transport == nil {
		t := newTransport(u, o.CAFile)
		l.transport, l.close = t, t.CloseIdleConnections
	}
	return l, nil
}

// newTransport returns a transport that verifies the agent with what the file of
// certificates holds when it connects. One request at a time over HTTP/1.1 costs
// both sides a fraction of what HTTP/2 would. There is no proxy on the way to a
// Service of the same cluster.
func newTransport(u *url.URL, caFile string) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			config, err := tlsConfig(u.Hostname(), caFile)
			if err != nil {
				return nil, err
			}
			return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, network, address)
		},
		IdleConnTimeout: 5 * time.Minute, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1, DisableCompression: true,
		WriteBufferSize: 16 << 10, ReadBufferSize: 2 << 10,
		Protocols: new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// tlsConfig reads the certificates that the agent is verified with.
func tlsConfig(host, caFile string) (*tls.Config, error) {
	data, err := readFile(caFile)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading the agent's certificates: %s does not exist; the agent publishes them when it takes samples", caFile)
		}
		return nil, fmt.Errorf("reading the agent's certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading the agent's certificates: %s holds no certificate in PEM", caFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: host}, nil
}

// readToken reads the token. Errors never have a part of it.
func readToken(path string) (string, error) {
	data, err := readFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the token for the agent: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("reading the token for the agent: %s does not hold one line of printable characters", path)
	}
	return token, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, err
}

// post sends a batch and returns what became of it. It never fails otherwise. The
// key says that sending it twice does what sending it once does.
func (l *link) post(ctx context.Context, key string, body []byte) outcome {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %s", requestTimeout))
	defer cancel()
	status, header, answer, err := l.send(ctx, key, body)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return outcome{problem: clean(err.Error())}
	}
	return judge(status, header, answer, time.Now())
}

// send makes one attempt. It follows no redirect: the token is for the agent alone.
func (l *link) send(ctx context.Context, key string, body []byte) (int, http.Header, []byte, error) {
	token, err := readToken(l.tokenFile)
	if err != nil {
		return 0, nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("making a request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", wire.ContentType)
	// With it, a connection that ended while it was idle costs no failure.
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set(sentHeader, strconv.FormatInt(time.Now().UnixMilli(), 10))
	request.Header.Set("User-Agent", l.userAgent)
	response, err := l.transport.RoundTrip(request)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("sending to the agent: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading the agent's answer: %w", err)
	}
	return response.StatusCode, response.Header, answer, nil
}
