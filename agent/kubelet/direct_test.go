// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// directTo leads to a kubelet at 127.0.0.1, past the API server.
func directTo(t *testing.T, server *httptest.Server, authority *httptest.Server) *direct {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := newDirect(&rest.Config{Host: "https://127.0.0.1:1"}, "atlhyper-system", file)
	if err != nil {
		t.Fatal(err)
	}
	d.token, d.renew = "secret", time.Now().Add(tokenLife)
	d.addresses["a"] = address{host: server.Listener.Addr().String(), until: time.Now().Add(time.Hour)}
	return d
}

func TestDirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"a document":              {status: 200, body: "hello"},
		"it refuses":              {status: 403, body: "Forbidden (user=x, verb=get, resource=nodes, subresource(s)=[stats])", want: "answered 403 Forbidden: Forbidden (user=x"},
		"it knows no tokens":      {status: 401, body: "Unauthorized", want: "answered 401"},
		"it sends it elsewhere":   {status: 307, want: "answered 307"},
		"it says no more than so": {status: 500, body: strings.Repeat("x", 1<<20), want: "answered 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != pathSummary || r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("%s %s", r.Method, r.URL.Path)
				}
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			body, err := directTo(t, server, server).open(t.Context(), "a", pathSummary)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 2*maxComplaint || errors.Is(err, errRefused) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || string(got) != test.body {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// Whoever cannot prove to be the kubelet gets no request, so that it sees no token.
func TestStrangerSeesNoToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a stranger was asked") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	// The API server's authority is another one: that of no httptest server.
	d := directTo(t, server, server)
	transport := d.client.Transport.(*http.Transport)
	transport.TLSClientConfig.RootCAs = nil
	if _, err := d.open(t.Context(), "a", pathSummary); err == nil || !strings.Contains(err.Error(), "not trusted with a token") || !strings.Contains(err.Error(), "--kubelet-access=proxy") {
		t.Errorf("error %v", err)
	}
	if _, known := d.addresses["a"]; known {
		t.Error("the address of a stranger is kept")
	}
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked in the clear") }))
	defer plain.Close()
	if _, err := directTo(t, plain, server).open(t.Context(), "a", pathSummary); err == nil {
		t.Error("no error without TLS")
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]*rest.Config{
		"none":      {Host: "https://127.0.0.1:1"},
		"no file":   {Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(t.TempDir(), "ca.crt")}},
		"no PEM":    {Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("hello")}},
		"a key, no": {Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})}},
	} {
		if _, err := newDirect(config, "atlhyper-system", ""); err == nil || !strings.Contains(err.Error(), "reading the authorities of kubelets") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAddressOf(t *testing.T) {
	t.Parallel()
	addresses := func(all ...corev1.NodeAddress) []corev1.NodeAddress { return all }
	for name, test := range map[string]struct {
		addresses []corev1.NodeAddress
		port      int32
		want      string
	}{
		"internal":        {addresses: addresses(corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "203.0.113.1"}, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}), port: 10250, want: "10.0.0.1:10250"},
		"IPv6":            {addresses: addresses(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "fd00::1"}), port: 10250, want: "[fd00::1]:10250"},
		"no port":         {addresses: addresses(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "10.0.0.1"})},
		"a name":          {addresses: addresses(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "evil.example/x"}), port: 10250},
		"only a hostname": {addresses: addresses(corev1.NodeAddress{Type: corev1.NodeHostName, Address: "a"}), port: 10250},
	} {
		node := &corev1.Node{Status: corev1.NodeStatus{Addresses: test.addresses}}
		node.Status.DaemonEndpoints.KubeletEndpoint.Port = test.port
		if got, err := addressOf(node); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
