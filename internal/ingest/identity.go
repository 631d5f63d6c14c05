// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

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

// clusterOfUser returns the name of the cluster whose agent the user is.
func clusterOfUser(user string) (string, bool) {
	name, ok := strings.CutPrefix(user, userPrefix)
	if ok {
		name, ok = strings.CutSuffix(name, userSuffix)
	}
	if !ok || len(name) > v1alpha1.ClusterNameMaxLength || len(validation.IsDNS1123Label(name)) > 0 {
		return "", false
	}
	return name, true
}

// maxToken is the size of the largest token that is looked at.
const maxToken = 8 << 10

// bearerToken returns the token of a request, or "".
func bearerToken(h http.Header) string {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || len(token) > maxToken {
		return ""
	}
	return token
}

// claimsAgent says whether a token claims to be some agent's. It proves nothing,
// and keeps what cannot be an agent's token from costing a review.
func claimsAgent(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] == "" {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return false
	}
	_, ok := clusterOfUser(claims.Subject)
	return ok
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
