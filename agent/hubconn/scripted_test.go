// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const ownUID = "11111111-1111-1111-1111-111111111111"

// renewal is one write of the Lease that the scripted hub accepted.
type renewal struct {
	at     time.Time
	holder string
	joined string
}

// scriptedHub answers as an API server would, without a network, so that it can
// be used where time is not real. What the real one does is tested elsewhere.
type scriptedHub struct {
	mu         sync.Mutex
	away       bool
	leaseCode  int
	tokenCode  int
	retryAfter string
	// refused is a token that is answered 401 wherever it turns up but for its
	// own renewal.
	refused   string
	leaseUID  string
	tokenLife time.Duration
	cluster   *v1alpha1.ManagedCluster
	bundle    *corev1.ConfigMap
	watches   []*io.PipeWriter

	renewals []renewal
	issued   []time.Time
	requests int
	// tokens are those the requests came with.
	tokens []string
}

func newScriptedHub() *scriptedHub {
	return &scriptedHub{
		leaseCode: http.StatusOK, tokenCode: http.StatusCreated, leaseUID: "lease-1", tokenLife: 24 * time.Hour,
		cluster: &v1alpha1.ManagedCluster{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ManagedCluster"},
			ObjectMeta: metav1.ObjectMeta{Name: "one", UID: "mc-1", ResourceVersion: "1"},
		},
	}
}

func (h *scriptedHub) set(change func(*scriptedHub)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

// traffic is what a hub has seen.
type traffic struct {
	renewals []renewal
	issued   []time.Time
	tokens   []string
	requests int
}

func (h *scriptedHub) seen() traffic {
	h.mu.Lock()
	defer h.mu.Unlock()
	return traffic{slices.Clone(h.renewals), slices.Clone(h.issued), slices.Clone(h.tokens), h.requests}
}

func (h *scriptedHub) RoundTrip(req *http.Request) (*http.Response, error) {
	body := []byte{}
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests++
	if h.away {
		return nil, errors.New("connection refused")
	}
	token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	h.tokens = append(h.tokens, token)
	path := req.URL.Path
	switch {
	case strings.HasSuffix(path, "/serviceaccounts/agent/token"):
		if h.tokenCode != http.StatusCreated {
			return h.answer(req, h.tokenCode, nil), nil
		}
		h.issued = append(h.issued, time.Now())
		token := jwtFor(time.Now(), h.tokenLife, fmt.Sprint("token-", len(h.issued)))
		return h.answer(req, http.StatusCreated, []byte(fmt.Sprintf(
			`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","status":{"token":%q,"expirationTimestamp":%q}}`,
			token, time.Now().Add(h.tokenLife).UTC().Format(time.RFC3339)))), nil
	case token == h.refused:
		return h.answer(req, http.StatusUnauthorized, nil), nil
	case strings.HasSuffix(path, "/leases/agent"):
		return h.lease(req, body), nil
	case strings.HasSuffix(path, "/managedclusters"):
		return h.listOrWatch(req, v1alpha1.GroupVersion.String(), "ManagedClusterList", h.cluster, h.cluster != nil)
	case strings.HasSuffix(path, "/configmaps"):
		return h.listOrWatch(req, "v1", "ConfigMapList", h.bundle, h.bundle != nil)
	}
	return h.answer(req, http.StatusNotFound, nil), nil
}

func (*scriptedHub) CloseIdleConnections() {}

func (h *scriptedHub) lease(req *http.Request, body []byte) *http.Response {
	if h.leaseCode != http.StatusOK {
		return h.answer(req, h.leaseCode, nil)
	}
	if req.Method == http.MethodPatch {
		var patch struct {
			Metadata struct {
				Annotations map[string]string
			}
			Spec struct{ HolderIdentity string }
		}
		if err := json.Unmarshal(body, &patch); err != nil {
			return h.answer(req, http.StatusBadRequest, nil)
		}
		h.renewals = append(h.renewals, renewal{time.Now(), patch.Spec.HolderIdentity, patch.Metadata.Annotations[v1alpha1.AnnotationJoined]})
	}
	return h.answer(req, http.StatusOK, []byte(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"agent","uid":"`+h.leaseUID+`"}}`))
}

func (h *scriptedHub) listOrWatch(req *http.Request, apiVersion, kind string, object any, exists bool) (*http.Response, error) {
	if h.leaseCode == http.StatusUnauthorized {
		return h.answer(req, http.StatusUnauthorized, nil), nil
	}
	query := req.URL.Query()
	if query.Get("watch") != "" {
		if query.Get("sendInitialEvents") != "" {
			return h.answer(req, http.StatusBadRequest, nil), nil
		}
		r, w := io.Pipe()
		context.AfterFunc(req.Context(), func() { _ = w.CloseWithError(req.Context().Err()) })
		if kind == "ManagedClusterList" {
			h.watches = append(h.watches, w)
		}
		response := h.answer(req, http.StatusOK, nil)
		response.Body = r
		return response, nil
	}
	items := []any{}
	if exists {
		items = append(items, object)
	}
	list, err := json.Marshal(map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]string{"resourceVersion": "1"}, "items": items,
	})
	if err != nil {
		return nil, err
	}
	return h.answer(req, http.StatusOK, list), nil
}

// change modifies the ManagedCluster and tells those who watch it.
func (h *scriptedHub) change(t *testing.T, modify func(*v1alpha1.ManagedCluster)) {
	t.Helper()
	h.mu.Lock()
	h.cluster = h.cluster.DeepCopy()
	modify(h.cluster)
	h.cluster.ResourceVersion += "1"
	event, err := json.Marshal(map[string]any{"type": "MODIFIED", "object": h.cluster})
	watches := slices.Clone(h.watches)
	h.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range watches {
		// A watch that has ended does not take it.
		_, _ = w.Write(append(event, '\n'))
	}
}

func (h *scriptedHub) answer(req *http.Request, code int, body []byte) *http.Response {
	response := &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: req,
	}
	if h.retryAfter != "" && code >= 400 {
		response.Header.Set("Retry-After", h.retryAfter)
	}
	return response
}

// memoryStore is a SessionStore that can be made to fail.
type memoryStore struct {
	mu      sync.Mutex
	session *Credentials
	err     error
}

func (m *memoryStore) Load(context.Context) (Credentials, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return Credentials{}, m.err
	case m.session == nil:
		return Credentials{}, ErrNoSession
	}
	return *m.session, nil
}

func (m *memoryStore) Save(_ context.Context, session Credentials) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.session = &session
	return nil
}

func (m *memoryStore) Clear(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.session = nil
	return nil
}

// holds returns the stored session, the zero value when there is none.
func (m *memoryStore) holds() Credentials {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == nil {
		return Credentials{}
	}
	return *m.session
}

func (m *memoryStore) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// rig is a Connection to scripted hubs, one per URL.
type rig struct {
	*Connection
	hub   *scriptedHub
	hubs  map[string]*scriptedHub
	store *memoryStore
	dir   string

	mu    sync.Mutex
	lines []string
}

const hubURL = "https://hub.example.com"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{hub: newScriptedHub(), store: &memoryStore{}, dir: t.TempDir()}
	r.hubs = map[string]*scriptedHub{hubURL: r.hub}
	log := funcr.New(func(_, args string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, args)
	}, funcr.Options{Verbosity: 0})
	var err error
	r.Connection, err = New(Options{
		ClusterID: func(context.Context) (string, error) { return ownUID, nil },
		JoinDir:   r.dir, Store: r.store, Version: "v0.0.0-test", Instance: "test", Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.dial = func(e Endpoint) (transport, error) { return r.hubs[e.URL], nil }
	return r
}

// join puts a join token into the join folder.
func (r *rig) join(t *testing.T, id string) {
	t.Helper()
	writeFiles(t, r.dir, map[string]string{
		"cluster": "one", "hub-url": hubURL, "hub-ca.crt": "", "token": "s3cret-" + id, "join-id": id,
	})
}

// run runs the connection until the test ends.
func (r *rig) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run failed: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, line := range r.lines {
			if strings.Contains(line, "s3cret") || strings.Contains(line, "eyJ") {
				t.Errorf("the log shows a token: %s", line)
			}
		}
	})
}

// logged counts the lines with a text.
func (r *rig) logged(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (r *rig) wantState(t *testing.T, want State, reason string) {
	t.Helper()
	if got := r.Status(); got.State != want || !strings.Contains(got.Reason, reason) {
		t.Fatalf("state %s (%s); want %s with %q", got.State, got.Reason, want, reason)
	}
}
