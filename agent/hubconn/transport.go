// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// placeholderHost is the host in the URLs of the clients; the switch puts the
// hub's in its place. It ends in .invalid, so that a request that got around the
// switch would reach nobody.
const placeholderHost = "hub.invalid"

// link is one way to the hub: an endpoint with a connection to it, and the
// credentials to use there. It is immutable; a change makes a new one.
type link struct {
	cluster  string
	endpoint Endpoint
	base     *url.URL
	token    string
	// session identifies the session over renewals of its token.
	session int64
	rt      transport
}

// transport is what a link needs of an *http.Transport.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// switchTransport is the RoundTripper under every client of the hub. It sends
// each request over the link of the moment.
type switchTransport struct {
	// refused is signalled when the hub answers 401 to the token of the moment.
	refused chan struct{}

	mu   sync.RWMutex
	link *link
}

func newSwitchTransport() *switchTransport {
	return &switchTransport{refused: make(chan struct{}, 1)}
}

func (s *switchTransport) current() *link {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.link
}

// use replaces the link; nil means that there is no session. Connections of the
// one before end when their requests do.
func (s *switchTransport) use(l *link) {
	s.mu.Lock()
	before := s.link
	s.link = l
	s.mu.Unlock()
	if before != nil && (l == nil || before.rt != l.rt) {
		before.rt.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (s *switchTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	l := s.current()
	if l == nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, ErrNoCredentials
	}
	response, err := l.roundTrip(req)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		// An answer to a token that has been replaced since says nothing.
		if now := s.current(); now != nil && now.token == l.token {
			signal(s.refused)
		}
	}
	return response, err
}

func (l *link) roundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host = l.base.Scheme, l.base.Host
	out.URL.Path = l.base.Path + req.URL.Path
	out.URL.RawPath = ""
	out.Host = ""
	out.Header.Set("Authorization", "Bearer "+l.token)
	return l.rt.RoundTrip(out)
}

// linkRoundTripper uses one link whatever the switch does, to try it out.
type linkRoundTripper struct{ link *link }

// RoundTrip implements http.RoundTripper.
func (t linkRoundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.link.roundTrip(req)
}

// newLink makes a way to the hub. It opens no connection.
func (c *Connection) newLink(credentials Credentials, session int64) (*link, error) {
	base, err := url.Parse(credentials.Endpoint.URL)
	if err != nil {
		return nil, fmt.Errorf("parsing the hub's URL: %w", cause(err))
	}
	rt, err := c.dial(credentials.Endpoint)
	if err != nil {
		return nil, err
	}
	base.Path = strings.TrimRight(base.Path, "/")
	return &link{
		cluster: credentials.Cluster, endpoint: credentials.Endpoint,
		base: base, token: credentials.Token, session: session, rt: rt,
	}, nil
}

// withToken is the same way with another token, over the same connection.
func (l *link) withToken(token string) *link {
	copied := *l
	copied.token = token
	return &copied
}

// newTransport speaks HTTP/2 over one connection and finds out within 25 s that
// the other side is gone, although watches have nothing to send.
func newTransport(endpoint Endpoint) (transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if endpoint.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(endpoint.CA)) {
			return nil, fmt.Errorf("the certificates for %s are not PEM", endpoint.URL)
		}
	}
	dialer := &net.Dialer{Timeout: requestTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   requestTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   2,
		ForceAttemptHTTP2:     true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 15 * time.Second,
			PingTimeout:     10 * time.Second,
		},
	}, nil
}
