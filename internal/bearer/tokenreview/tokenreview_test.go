// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package tokenreview_test

import (
	"context"
	"errors"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/bearer/tokenreview"
)

// answering answers every TokenReview the same. Suites of agent/nodes and
// internal/ingest/fleet ask a real API server.
type answering struct {
	t      *testing.T
	status authenticationv1.TokenReviewStatus
	err    error
}

func (a answering) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	if s := review.Spec; s.Token != "secret" || len(s.Audiences) != 1 || s.Audiences[0] != "x" {
		a.t.Errorf("asked for audiences %q", s.Audiences)
	}
	return &authenticationv1.TokenReview{Status: a.status}, a.err
}

func TestReview(t *testing.T) {
	user := authenticationv1.UserInfo{Username: "me", UID: "1"}
	refused := errors.New("connection refused")
	cases := map[string]struct {
		status authenticationv1.TokenReviewStatus
		err    error
		want   string
	}{
		"good":              {authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"y", "x"}, User: user}, nil, "me"},
		"not authenticated": {authenticationv1.TokenReviewStatus{Audiences: []string{"x"}, User: user}, nil, ""},
		"another audience":  {authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"y"}, User: user}, nil, ""},
		"no audience":       {authenticationv1.TokenReviewStatus{Authenticated: true, User: user}, nil, ""},
		"no answer":         {authenticationv1.TokenReviewStatus{}, refused, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := tokenreview.Reviewer{Creator: answering{t, tc.status, tc.err}, Audience: "x"}
			if got, err := r.Review(t.Context(), "secret"); got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, tc.want, tc.err)
			}
			got, err := r.User(t.Context(), "secret")
			if !errors.Is(err, tc.err) || (got != nil) != (tc.want != "") || got != nil && got.UID != "1" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
