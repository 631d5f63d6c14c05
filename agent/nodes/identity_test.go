// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/bearer/tokenreview"
)

func TestIdentify(t *testing.T) {
	named := func(name string) *authenticationv1.UserInfo {
		user := userOf("node-1")
		user.Username = name
		return &user
	}
	cases := map[string]struct {
		user *authenticationv1.UserInfo
		want identity
	}{
		"a collector":           {named("system:serviceaccount:atlhyper-nodes:atlhyper-nodecollector"), identity{node: "node-1"}},
		"nobody":                {nil, identity{reason: ReasonUnauthenticated}},
		"another account":       {named("system:serviceaccount:atlhyper-nodes:default"), identity{reason: ReasonUnauthenticated}},
		"another namespace":     {named("system:serviceaccount:default:atlhyper-nodecollector"), identity{reason: ReasonUnauthenticated}},
		"no node":               {new(userOf()), identity{reason: ReasonNoNode}},
		"two nodes":             {new(userOf("node-1", "node-2")), identity{reason: ReasonNoNode}},
		"a node without a name": {new(userOf("")), identity{reason: ReasonNoNode}},
		"no name of a node":     {new(userOf("../x")), identity{reason: ReasonNoNode}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := identify(tc.user); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// answering counts reviews, and answers all of them the same.
type answering struct {
	status authenticationv1.TokenReviewStatus
	err    error
	asked  int
}

func (a *answering) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	a.asked++
	review.Status = a.status
	if a.status.Authenticated {
		review.Status.Audiences = review.Spec.Audiences
	}
	return review, a.err
}

// What the API server says is remembered, what is bad for a few seconds, a token
// without a node as well. That it says nothing is not.
func TestWhatIsReviewed(t *testing.T) {
	says := func(user authenticationv1.UserInfo, good bool) answering {
		return answering{status: authenticationv1.TokenReviewStatus{Authenticated: good, User: user}}
	}
	cases := map[string]struct {
		token  string
		server answering
		want   Reason
		asked  int // for the same token twice and once more after 10 s
	}{
		"empty":           {"", answering{}, ReasonUnauthenticated, 0},
		"a word":          {"token", answering{}, ReasonUnauthenticated, 0},
		"another account": {forged(`{"sub":"system:serviceaccount:kube-system:default"}`), answering{}, ReasonUnauthenticated, 0},
		"a collector's":   {tokenOf("x"), says(userOf("node-1"), true), "", 1},
		"without a node":  {tokenOf("x"), says(userOf(), true), ReasonNoNode, 2},
		"a false one":     {tokenOf("x"), says(userOf("node-1"), false), ReasonUnauthenticated, 2},
		"no API server":   {tokenOf("x"), answering{err: errors.New("connection refused")}, ReasonAuthUnavailable, 3},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &Receiver{reviews: newReviews(tokenreview.Reviewer{Creator: &tc.server, Audience: "atlhyper-agent"})}
				q := (&http.Request{Header: http.Header{"Authorization": {"Bearer " + tc.token}}}).WithContext(t.Context())
				for _, later := range []time.Duration{0, 0, 10 * time.Second} {
					<-time.After(later)
					who, a := r.authenticate(q)
					if a.reason != tc.want || a.reason == "" && who.node != "node-1" {
						t.Errorf("got %+v, %q, want %q", who, a.reason, tc.want)
					}
				}
				if tc.server.asked != tc.asked {
					t.Errorf("asked %d times, want %d", tc.server.asked, tc.asked)
				}
			})
		})
	}
}
