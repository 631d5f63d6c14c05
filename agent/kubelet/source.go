// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	pathSummary    = "/stats/summary"
	pathContainers = "/metrics/cadvisor"

	// maxDocument is the longest answer that is read, after decompression. That of a
	// node with 250 pods is about a tenth of it.
	maxDocument = 32 << 20
	// maxObjects is how many claims, or containers, a node may have. Kubernetes supports
	// 110 pods on one; a kubelet that tells of many more has gone astray, and the agent
	// must not follow it.
	maxObjects = 8192
	// maxName is the longest name that Kubernetes gives to anything.
	maxName = 253
	// maxComplaint is how much of an error is read.
	maxComplaint = 4 << 10
)

var (
	// errRefused says that the agent has no right to read any kubelet.
	errRefused  = errors.New("the agent may not read kubelets")
	errTooLarge = fmt.Errorf("the answer is longer than %d MiB", maxDocument>>20)
	errTooMany  = fmt.Errorf("the answer tells of more than %d claims or containers", maxObjects)
)

// source opens what kubelets serve.
type source interface {
	// open returns the document at a path of a node's kubelet, to be closed. An error
	// is errRefused when it would be the same for every node.
	open(ctx context.Context, node, path string) (io.ReadCloser, error)
}

// proxy is a source that has the API server ask, which knows kubelets and is known to
// them. The right that this takes, get of nodes/proxy, is not one to read only.
type proxy struct {
	client *http.Client
	base   *url.URL
}

// newProxy returns a proxy by way of the API server that config leads to.
func newProxy(config *rest.Config) (*proxy, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for kubelets: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for kubelets: %w", err)
	}
	return &proxy{client: clientOver(transport), base: base}, nil
}

// clientOver returns a client that goes where it is sent and nowhere else: a kubelet
// that redirects it elsewhere would get it to show its token there.
func clientOver(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (p *proxy) open(ctx context.Context, node, path string) (io.ReadCloser, error) {
	response, err := get(ctx, p.client, p.base.JoinPath("api/v1/nodes", url.PathEscape(node), "proxy", path))
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return document(response), nil
	}
	defer response.Body.Close()
	complaint, err := io.ReadAll(io.LimitReader(response.Body, maxComplaint))
	if err != nil {
		return nil, fmt.Errorf("reading why %s was answered with %s: %w", path, response.Status, err)
	}
	// What the API server says itself is a Status, and what kubelets say is text.
	var status metav1.Status
	if json.Unmarshal(complaint, &status) == nil && status.Kind == "Status" {
		if status.Reason == metav1.StatusReasonForbidden || response.StatusCode == http.StatusUnauthorized {
			return nil, fmt.Errorf("%w, apply config/agent/kubelet: %s", errRefused, status.Message)
		}
		return nil, fmt.Errorf("the API server answered %s: %s", response.Status, status.Message)
	}
	return nil, fmt.Errorf("the kubelet answered %s: %s", response.Status, oneLine(complaint))
}

func get(ctx context.Context, client *http.Client, at *url.URL) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", at.Path, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", at.Path, err)
	}
	return response, nil
}

func oneLine(text []byte) string { return strings.Join(strings.Fields(string(text)), " ") }

// document bounds the body of an answer.
func document(response *http.Response) io.ReadCloser {
	return &limited{ReadCloser: response.Body, left: maxDocument}
}

// limited fails where a reader is longer than it may be, instead of ending there.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	return n, err //nolint:wrapcheck // io.EOF has to stay what it is
}
