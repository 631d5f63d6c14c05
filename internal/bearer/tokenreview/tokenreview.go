// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package tokenreview asks an API server whose tokens are.
package tokenreview

import (
	"context"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Creator creates TokenReviews, as the typed client of an API server does.
type Creator interface {
	// Create returns the TokenReview with its status.
	Create(ctx context.Context, review *authenticationv1.TokenReview, options metav1.CreateOptions) (*authenticationv1.TokenReview, error)
}

// Reviewer reviews tokens for one audience.
type Reviewer struct {
	// Creator is asked.
	Creator Creator
	// Audience is what a token has to be for.
	Audience string
}

// User returns whom a token authenticates for the audience, nil when it is nobody. An
// error says that nobody knows.
func (r Reviewer) User(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review, err := r.Creator.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{r.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("creating the TokenReview: %w", err)
	}
	// An API server that knows nothing of audiences returns none.
	if !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, r.Audience) {
		return nil, nil //nolint:nilnil // nobody, and that is sure
	}
	return &review.Status.User, nil
}

// Review returns the name of the User, "" when it is nobody.
func (r Reviewer) Review(ctx context.Context, token string) (user string, err error) {
	who, err := r.User(ctx, token)
	if err != nil || who == nil {
		return "", err
	}
	return who.Username, nil
}
