// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/bearer"
)

// ErrUnknownCluster says that there is no ManagedCluster of a name.
var ErrUnknownCluster = errors.New("no such cluster")

// Members says who is in the fleet.
type Members interface {
	// Member returns what is known about a cluster. The error wraps
	// ErrUnknownCluster, or says that nobody knows now.
	Member(ctx context.Context, name string) (Member, error)
}

// Member is what the hub knows about a cluster whose agent knocks.
type Member struct {
	// ClusterID is the UID of its kube-system namespace, as pinned; empty while
	// the hub has not seen the agent's first heartbeat.
	ClusterID string
	// Accepted says that the cluster is a member of the fleet.
	Accepted bool
	// Conflict says that another cluster uses this cluster's identity.
	Conflict bool
}

// admit returns why a cluster may not send, or "".
func (m Member) admit() Reason {
	switch {
	case m.Conflict:
		return ReasonIdentityConflict
	case !m.Accepted:
		return ReasonNotAccepted
	case m.ClusterID == "":
		return ReasonIdentityPending
	}
	return ""
}

const (
	userPrefix = "system:serviceaccount:" + v1alpha1.ClusterNamespacePrefix
	userSuffix = ":" + v1alpha1.AgentServiceAccount
)

// clusterOfUser returns the name of the cluster whose agent the user is, or "".
func clusterOfUser(user string) string {
	name, ok := strings.CutPrefix(user, userPrefix)
	if ok {
		name, ok = strings.CutSuffix(name, userSuffix)
	}
	if !ok || len(name) > v1alpha1.ClusterNameMaxLength || len(validation.IsDNS1123Label(name)) > 0 {
		return ""
	}
	return name
}

// concurrentReviews bounds what a flood of false tokens costs the API server.
const concurrentReviews = 16

// TokenReviewer asks whether a token is good for the audience
// v1alpha1.IngestAudience, and whose it is.
type TokenReviewer interface {
	// Review returns the user that the token authenticates, or "" when it
	// authenticates nobody for the audience. An error says that nobody knows.
	Review(ctx context.Context, token string) (user string, err error)
}

// newReviews asks which clusters' agents hold tokens.
func newReviews(reviewer TokenReviewer, size int, reviewed func(bearer.Result)) *bearer.Reviews[string] {
	return bearer.NewReviews(bearer.Options[string]{
		Concurrent: concurrentReviews, Remembered: size, Reviewed: reviewed,
		Ask: func(ctx context.Context, token string) (string, bool, error) {
			user, err := reviewer.Review(ctx, token)
			cluster := clusterOfUser(user)
			return cluster, cluster != "", err
		},
	})
}

// Where a request may name its cluster. None of it is believed.
var (
	clusterHeaders = []string{"Atlhyper-Cluster", "Atlhyper-Cluster-Id", "X-Atlhyper-Cluster", "X-Atlhyper-Cluster-Id"}
	clusterQueries = []string{"cluster", "clusterID", "clusterId", "clusterUID", "cluster_id", "cluster_uid"}
)

// contradicts says whether a request names another cluster than its credential.
func contradicts(r *http.Request, path, name, clusterID string) bool {
	other := func(value string) bool { return value != name && value != clusterID }
	if path != "" && other(path) {
		return true
	}
	for _, header := range clusterHeaders {
		if slices.ContainsFunc(r.Header.Values(header), other) {
			return true
		}
	}
	if r.URL.RawQuery == "" {
		return false
	}
	query := r.URL.Query()
	for _, key := range clusterQueries {
		if slices.ContainsFunc(query[key], other) {
			return true
		}
	}
	return false
}
