// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestClusterOfUser(t *testing.T) {
	for user, want := range map[string]string{
		"system:serviceaccount:atlhyper-cluster-prod-eu-1:agent":                       "prod-eu-1",
		"system:serviceaccount:atlhyper-cluster-:agent":                                "",
		"system:serviceaccount:atlhyper-cluster-a:agent2":                              "",
		"system:serviceaccount:atlhyper-cluster-a:other:agent":                         "",
		"system:serviceaccount:atlhyper-cluster-A:agent":                               "",
		"system:serviceaccount:kube-system:agent":                                      "",
		"system:serviceaccount:atlhyper-cluster-" + strings.Repeat("a", 47) + ":agent": "",
		"system:serviceaccount:atlhyper-cluster-" + strings.Repeat("a", 46) + ":agent": strings.Repeat("a", 46),
		"x-system:serviceaccount:atlhyper-cluster-a:agent":                             "",
		"system:serviceaccount:atlhyper-cluster-a/../b:agent":                          "",
		"": "",
	} {
		if got := clusterOfUser(user); got != want {
			t.Errorf("%q: got %q", user, got)
		}
	}
}

// What cannot be an agent's token costs the API server nothing.
func TestNonsenseIsNotReviewed(t *testing.T) {
	h := prepare(t, nil)
	for _, token := range []string{"", "abc", "a.b.c", tokenOf("A", "sig"), tokenOf("a", ""), tokenOf("a:agent", "sig"), tokenOf("a", "sig.more")} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://hub"+eventsPath, forbidden{t})
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.server.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%q got %d", token, w.Code)
		}
	}
	if n := h.reviewer.calls.Load(); n != 0 {
		t.Errorf("%d reviews", n)
	}
}

// A token whose user is somebody else than it claims to be is judged by its user, and
// what the API server says is remembered either way.
func TestTheAPIServerDecides(t *testing.T) {
	reviewer := &fakeReviewer{users: map[string]string{"one": userPrefix + "b" + userSuffix, "two": "system:serviceaccount:default:default"}}
	results := map[bearer.Result]int{}
	reviews := newReviews(reviewer, 10, func(r bearer.Result) { results[r]++ })
	for range 2 {
		for token, want := range map[string]string{"one": "b", "two": "", "three": ""} {
			if cluster, err := reviews.Who(t.Context(), token); err != nil || cluster != want {
				t.Errorf("%s: got %q, %v", token, cluster, err)
			}
		}
	}
	if n := reviewer.calls.Load(); n != 3 || results[bearer.Accepted] != 1 || results[bearer.Rejected] != 2 {
		t.Errorf("%d reviews with the results %v", n, results)
	}
}

func TestAdmit(t *testing.T) {
	for name, tc := range map[string]struct {
		member Member
		want   Reason
	}{
		"a member":       {Member{ClusterID: uidA, Accepted: true}, ""},
		"not accepted":   {Member{ClusterID: uidA}, ReasonNotAccepted},
		"not pinned yet": {Member{Accepted: true}, ReasonIdentityPending},
		"a conflict":     {Member{ClusterID: uidA, Accepted: true, Conflict: true}, ReasonIdentityConflict},
	} {
		if got := tc.member.admit(); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestParseRoute(t *testing.T) {
	for path, want := range map[string]route{
		"/v1/offsets":                              {method: http.MethodGet},
		"/v1/clusters/a/offsets":                   {method: http.MethodGet, cluster: "a"},
		"/v1/streams/sli/batches":                  {method: http.MethodPost, stream: telemetry.StreamSLI},
		"/v1/clusters/b/streams/inventory/batches": {method: http.MethodPost, cluster: "b", stream: telemetry.StreamInventory},
		"/v1/streams//batches":                     {},
		"/v1/streams/batches":                      {},
		"/v1/streams/sli/batches/":                 {},
		"/v1/clusters//offsets":                    {},
		"/v1/clusters/b/../a/offsets":              {cluster: "b"},
		"/v1/clusters/b":                           {},
		"/v2/offsets":                              {},
		"//v1/offsets":                             {},
		"/v1/offsets/":                             {},
		"":                                         {},
		"*":                                        {},
		"/v1/clusters/b/streams/inventory/batches?": {cluster: "b"},
	} {
		if got := parseRoute(path); got != want {
			t.Errorf("%q: got %+v, want %+v", path, got, want)
		}
	}
}
