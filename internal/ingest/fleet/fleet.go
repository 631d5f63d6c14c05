// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package fleet tells ingest, from the ManagedClusters, who is a member.
package fleet

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/ingest"
)

// ManagedClusters answers from the ManagedClusters that a client reads, usually
// from its cache. It implements ingest.Members.
type ManagedClusters struct{ Reader client.Reader }

// Member implements ingest.Members.
func (m ManagedClusters) Member(ctx context.Context, name string) (ingest.Member, error) {
	var cluster v1alpha1.ManagedCluster
	if err := m.Reader.Get(ctx, client.ObjectKey{Name: name}, &cluster); err != nil {
		if apierrors.IsNotFound(err) {
			err = ingest.ErrUnknownCluster
		}
		return ingest.Member{}, fmt.Errorf("reading ManagedCluster %s: %w", name, err)
	}
	return memberOf(&cluster), nil
}

// memberOf reads a ManagedCluster. What its owner wants counts at once, before the
// hub has noted it in the status.
func memberOf(c *v1alpha1.ManagedCluster) ingest.Member {
	m := ingest.Member{ClusterID: c.Status.ClusterID}
	accepted := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ClusterConditionAccepted)
	m.Conflict = c.Status.ConflictingClusterID != "" ||
		accepted != nil && accepted.Reason == v1alpha1.ClusterReasonIdentityConflict ||
		c.Spec.ExpectedClusterID != "" && m.ClusterID != "" && c.Spec.ExpectedClusterID != m.ClusterID
	m.Accepted = accepted != nil && accepted.Status == "True" && c.DeletionTimestamp.IsZero() &&
		(c.Spec.Accepted == nil || *c.Spec.Accepted)
	return m
}
