// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// laneHeader tells the hub that a batch is old on purpose.
const laneHeader = "Atlhyper-Lane"

// link is one connection to one endpoint. It is immutable.
type link struct {
	endpoint Endpoint
	base     *url.URL
	rt       *http.Transport
}

// newLink makes a link; it connects with the first request. It speaks HTTP/2 over
// one connection, and finds out within 15 s that the other side is gone while an
// answer is due.
func newLink(endpoint Endpoint) (*link, error) {
	base, err := url.Parse(endpoint.URL)
	if err != nil {
		return nil, errors.New("reading the address of the hub's ingest endpoint: it is not a URL")
	}
	if base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, fmt.Errorf("reading the address of the hub's ingest endpoint: %s is no https URL of a host", base.Redacted())
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if endpoint.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(endpoint.CA)) {
			return nil, fmt.Errorf("reading the certificates for %s: they are not PEM", base.Redacted())
		}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &link{endpoint: endpoint, base: base, rt: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 2,
		DisableCompression:  true,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}}, nil
}

// client sends requests to where the hub is.
type client struct {
	hub       Hub
	userAgent string

	mu   sync.Mutex
	link *link
	// forced is true after a new token was asked for because of a 401, until the
	// hub takes a token again.
	forced bool
}

// request is what to send.
type request struct {
	method, path string
	query        string // encoded
	lane         Lane
	body         []byte
	timeout      time.Duration
}

func batchRequest(lane Lane, stream telemetry.Stream, body []byte, timeout time.Duration) request {
	return request{method: http.MethodPost, path: "/v1/streams/" + stream.String() + "/batches", lane: lane, body: body, timeout: timeout}
}

// post sends a batch and returns what became of it. It never fails otherwise.
func (c *client) post(ctx context.Context, r request) outcome {
	status, header, body, err := c.do(ctx, r)
	if err != nil {
		return outcome{problem: describeError(err)}
	}
	return judge(status, header, body, time.Now())
}

// offset asks how far the hub has come in an epoch; 0 when it has nothing of it. An
// answer that does not say is an error: what is missing from a list may be stored.
func (c *client) offset(ctx context.Context, stream telemetry.Stream, epoch telemetry.Epoch, timeout time.Duration) (uint64, error) {
	query := url.Values{"stream": {stream.String()}, "epoch": {strconv.FormatUint(uint64(epoch), 10)}}.Encode()
	status, _, body, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/offsets", query: query, timeout: timeout})
	if err != nil {
		return 0, fmt.Errorf("asking the hub for an offset: %w", err)
	}
	var r reply
	if err := json.Unmarshal(body, &r); err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("asking the hub for an offset: %s", describe(status, &r))
	}
	acked, ok := r.offset(stream, epoch)
	if !ok {
		return 0, fmt.Errorf("asking the hub for an offset: it answered with others than that of epoch %d of %s", epoch, stream)
	}
	return acked, nil
}

// do sends a request, a second time with a new token when the hub refuses the first.
func (c *client) do(ctx context.Context, r request) (status int, header http.Header, body []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("no answer within %s", r.timeout.Round(time.Second)))
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	link, err := c.current(ctx)
	if err != nil {
		return 0, nil, nil, err
	}
	token, err := c.hub.Token(ctx, "")
	if err != nil {
		return 0, nil, nil, fmt.Errorf("getting a token for the hub: %w", err)
	}
	status, header, body, err = link.send(ctx, r, token, c.userAgent)
	if err == nil && status == http.StatusUnauthorized && c.force() {
		fresh, tokenErr := c.hub.Token(ctx, token)
		if tokenErr != nil {
			return 0, nil, nil, fmt.Errorf("getting a new token for the hub, which refused the last: %w", tokenErr)
		}
		if fresh != token {
			status, header, body, err = link.send(ctx, r, fresh, c.userAgent)
		}
	}
	if err == nil && status != http.StatusUnauthorized {
		c.mu.Lock()
		c.forced = false
		c.mu.Unlock()
	}
	return status, header, body, err
}

// force says whether a new token may be asked for, which it is once.
func (c *client) force() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.forced
	c.forced = true
	return !before
}

// current returns the link to where the hub is now.
func (c *client) current(ctx context.Context) (*link, error) {
	endpoint, err := c.hub.Endpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the hub's ingest endpoint: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil && c.link.endpoint == endpoint {
		return c.link, nil
	}
	next, err := newLink(endpoint)
	if err != nil {
		return nil, err
	}
	if c.link != nil {
		c.link.rt.CloseIdleConnections()
	}
	c.link = next
	return next, nil
}

// close ends the connection.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		c.link.rt.CloseIdleConnections()
		c.link = nil
	}
}

// send makes one attempt. It follows no redirect: the token is for the hub alone.
func (l *link) send(ctx context.Context, r request, token, userAgent string) (int, http.Header, []byte, error) {
	ctx = crash.Sent(ctx, "uplink.send.after")
	target := *l.base
	target.Path = strings.TrimRight(target.Path, "/") + r.path
	target.RawPath, target.RawQuery, target.Fragment = "", r.query, ""
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("making a request to the hub: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "application/json")
	if r.method == http.MethodPost {
		req.Header.Set("Content-Type", wire.ContentType)
	}
	if r.lane == Replay {
		req.Header.Set(laneHeader, Replay.String())
	}
	response, err := l.rt.RoundTrip(req)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("sending to the hub: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading the hub's answer: %w", err)
	}
	return response.StatusCode, response.Header, body, nil
}

// describeError says what went wrong in a line.
func describeError(err error) string { return clean(err.Error()) }
