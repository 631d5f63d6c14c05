// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// ErrUnknownCluster says that there is no ManagedCluster of a name.
var ErrUnknownCluster = errors.New("no such cluster")

// Members says who is in the fleet.
type Members interface {
	// Member returns what is known about a cluster. The error wraps
	// ErrUnknownCluster, or says that nobody knows now.
	Member(ctx context.Context, name string) (Member, error)
}

// ManagedClusters answers from the ManagedClusters that a client reads, usually
// from its cache.
type ManagedClusters struct{ Reader client.Reader }

// Member implements Members.
func (m ManagedClusters) Member(ctx context.Context, name string) (Member, error) {
	var cluster v1alpha1.ManagedCluster
	if err := m.Reader.Get(ctx, client.ObjectKey{Name: name}, &cluster); err != nil {
		if apierrors.IsNotFound(err) {
			return Member{}, fmt.Errorf("reading ManagedCluster %s: %w", name, ErrUnknownCluster)
		}
		return Member{}, fmt.Errorf("reading ManagedCluster %s: %w", name, err)
	}
	return memberOf(&cluster), nil
}

// memberOf reads a ManagedCluster. What its owner wants counts at once, before the
// hub has noted it in the status.
func memberOf(c *v1alpha1.ManagedCluster) Member {
	m := Member{ClusterID: c.Status.ClusterID}
	accepted := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ClusterConditionAccepted)
	m.Conflict = c.Status.ConflictingClusterID != "" ||
		accepted != nil && accepted.Reason == v1alpha1.ClusterReasonIdentityConflict ||
		c.Spec.ExpectedClusterID != "" && m.ClusterID != "" && c.Spec.ExpectedClusterID != m.ClusterID
	m.Accepted = accepted != nil && accepted.Status == "True" && c.DeletionTimestamp.IsZero() &&
		(c.Spec.Accepted == nil || *c.Spec.Accepted)
	return m
}

// TokenReviews reviews tokens with the API server that a client writes to.
type TokenReviews struct{ Client client.Client }

// Review implements TokenReviewer.
func (t TokenReviews) Review(ctx context.Context, token string) (string, error) {
	review := &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{v1alpha1.IngestAudience}},
	}
	if err := t.Client.Create(ctx, review); err != nil {
		return "", fmt.Errorf("creating the TokenReview: %w", err)
	}
	// An API server that knows nothing of audiences returns none.
	if !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, v1alpha1.IngestAudience) {
		return "", nil
	}
	return review.Status.User.Username, nil
}
