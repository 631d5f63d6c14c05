// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

func TestLastLines(t *testing.T) {
	t.Parallel()
	refuse := func(w http.ResponseWriter, code int, reason metav1.StatusReason) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: reason, Code: int32(code), //nolint:gosec // small
		})
	}
	const before, now = "container=web&limitBytes=65536&previous=true&tailLines=20", "container=web&limitBytes=65536&tailLines=20"
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		asked  []string
		want   string
		fails  bool
	}{
		"of the container before": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("boom\n")) }, []string{before}, "boom\n", false,
		},
		"of one that was the last": {
			func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("previous") {
					refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
					return
				}
				_, _ = w.Write([]byte("done\n"))
			}, []string{before, now}, "done\n", false,
		},
		"without the right": {
			func(w http.ResponseWriter, _ *http.Request) {
				refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden)
			}, []string{before}, "", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v1/namespaces/shop/pods/web-1/log" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				asked = append(asked, r.URL.Query().Encode())
				test.answer(w, r)
			}))
			defer server.Close()
			core, err := corev1client.NewForConfig(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			got, err := lastLines(core, 20)(t.Context(), "shop", "web-1", "web")
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("read %q, error %v", got, err)
			}
			if diff := cmp.Diff(test.asked, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
	if lastLines(nil, 0) != nil {
		t.Error("logs are read although nobody wants lines")
	}
}
