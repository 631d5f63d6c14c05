// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func TestSaysWhereTelemetryGoes(t *testing.T) {
	for name, tc := range map[string]struct {
		bundle *corev1.ConfigMap
		want   []Endpoint
		known  bool
	}{
		"to the hub's endpoint": {
			&corev1.ConfigMap{Data: map[string]string{v1alpha1.BundleIngest: `{"endpoints":[{"url":"https://ingest.example.com:8444"}]}`}},
			[]Endpoint{{URL: "https://ingest.example.com:8444"}},
			true,
		},
		"nowhere":                   {&corev1.ConfigMap{Data: map[string]string{v1alpha1.BundleEndpoints: ""}}, nil, true},
		"what it says is malformed": {&corev1.ConfigMap{Data: map[string]string{v1alpha1.BundleIngest: `{`}}, nil, false},
		"it says nothing yet":       {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				if tc.bundle != nil {
					r.hub.bundle = tc.bundle
					r.hub.bundle.ObjectMeta = metav1.ObjectMeta{Name: v1alpha1.AgentBundle, Namespace: "atlhyper-cluster-one", ResourceVersion: "1"}
				}
				r.join(t, "n1")
				r.run(t)
				pass(t, 10*time.Second)
				if got, known, _ := r.Ingest(); !slices.Equal(got, tc.want) || known != tc.known {
					t.Errorf("got %v, %t; want %v, %t", got, known, tc.want, tc.known)
				}
			})
		})
	}
}

func TestAudienceTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := joined(t)
		r.hub.set(func(h *scriptedHub) { h.tokenLife = time.Hour })
		before := len(r.hub.seen().issued)
		first, err := r.Token(t.Context(), v1alpha1.IngestAudience, "")
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := r.Token(t.Context(), v1alpha1.IngestAudience, ""); again != first {
			t.Error("the token was not cached")
		}
		if n := len(r.hub.seen().issued) - before; n != 1 {
			t.Errorf("%d tokens were requested; want 1", n)
		}
		pass(t, 40*time.Minute)
		r.hub.set(func(h *scriptedHub) { h.tokenCode = http.StatusServiceUnavailable })
		if kept, err := r.Token(t.Context(), v1alpha1.IngestAudience, ""); err != nil || kept != first {
			t.Errorf("the old token was not kept while the hub cannot renew it: %v", err)
		}
		r.hub.set(func(h *scriptedHub) { h.tokenCode = http.StatusCreated })
		if second, err := r.Token(t.Context(), v1alpha1.IngestAudience, ""); err != nil || second == first {
			t.Errorf("the token was not renewed: %v", err)
		}
		held, _ := r.Token(t.Context(), v1alpha1.IngestAudience, "")
		if other, err := r.Token(t.Context(), v1alpha1.IngestAudience, held); err != nil || other == held {
			t.Errorf("a refused token was returned again: %v", err)
		}
		r.hub.set(func(h *scriptedHub) { h.tokenCode = http.StatusServiceUnavailable })
		held, _ = r.Token(t.Context(), v1alpha1.IngestAudience, "")
		if _, err := r.Token(t.Context(), v1alpha1.IngestAudience, held); err == nil {
			t.Error("there was another token although the hub gives none")
		}
		if _, err := r.Token(t.Context(), "", ""); err == nil || !strings.Contains(err.Error(), "audience") {
			t.Errorf("error %v; want one about the audience", err)
		}
	})
}
