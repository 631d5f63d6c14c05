// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

const refusal = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"nodes \"a\" is forbidden: User \"system:serviceaccount:atlhyper-system:atlhyper-agent\" cannot get resource \"nodes/proxy\"","reason":"Forbidden","details":{"name":"a","kind":"nodes"},"code":403}`

func TestProxy(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with the token %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	tests := map[string]struct {
		status  int
		body    string
		want    string // in the error; "" for the document
		refused bool
	}{
		"a document":                     {status: 200, body: "hello"},
		"the API server refuses":         {status: 403, body: refusal, want: "cannot get resource", refused: true},
		"the token has expired":          {status: 401, body: `{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`, want: "Unauthorized", refused: true},
		"the kubelet refuses":            {status: 403, body: "Forbidden (user=kube-apiserver-kubelet-client,\nverb=get)", want: "the kubelet answered 403 Forbidden: Forbidden (user=kube-apiserver-kubelet-client, verb=get)"},
		"the kubelet has no such path":   {status: 404, body: "404 page not found\n", want: "the kubelet answered 404"},
		"there is no kubelet":            {status: 503, body: `{"kind":"Status","status":"Failure","message":"error trying to reach service: dial tcp 10.0.0.1:10250: connect: connection refused","reason":"ServiceUnavailable","code":503}`, want: "connection refused"},
		"the kubelet sends it elsewhere": {status: 302, want: "the kubelet answered 302"},
		"a long complaint":               {status: 500, body: strings.Repeat("x", 1<<20), want: "the kubelet answered 500"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.EscapedPath() != "/prefix/api/v1/nodes/a%2Fb/proxy/stats/summary" || r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("%s %s", r.Method, r.URL.EscapedPath())
				}
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			p, err := newProxy(&rest.Config{Host: server.URL + "/prefix", BearerToken: "secret"})
			if err != nil {
				t.Fatal(err)
			}
			body, err := p.open(t.Context(), "a/b", pathSummary)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 2*maxComplaint || errors.Is(err, errRefused) != test.refused {
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

func TestNew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"good":      {options: Options{Interval: time.Minute, Observer: &heard{}}},
		"too often": {options: Options{Interval: 5 * time.Second, Observer: &heard{}}, want: "must be from 15s to 2m0s"},
		"too rare":  {options: Options{Interval: 5 * time.Minute, Observer: &heard{}}, want: "must be from 15s to 2m0s"},
		"for none":  {options: Options{Interval: time.Minute}, want: "an observer is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(&rest.Config{Host: "https://127.0.0.1:1"}, test.options)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}
