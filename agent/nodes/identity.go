// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	// collectorUser is how the API server calls the collectors.
	collectorUser = "system:serviceaccount:" + v1alpha1.MemberNodesNamespace + ":" + v1alpha1.MemberCollector
	// nodeNameExtra is where the API server says on which node the pod runs that a
	// token is bound to.
	nodeNameExtra = "authentication.kubernetes.io/node-name"

	// maxToken is the size of the largest token that is looked at.
	maxToken = 8 << 10
)

// identity is who sends. Reason is empty when it is a collector of a node.
type identity struct {
	node   string
	reason Reason
}

// identify reads what the API server says about a token.
func identify(status *authenticationv1.TokenReviewStatus) identity {
	// An API server that knows nothing of audiences returns none.
	if !status.Authenticated || status.User.Username != collectorUser || !slices.Contains(status.Audiences, v1alpha1.NodesAudience) {
		return identity{reason: ReasonUnauthenticated}
	}
	names := status.User.Extra[nodeNameExtra]
	if len(names) != 1 || len(validation.IsDNS1123Subdomain(names[0])) > 0 {
		return identity{reason: ReasonNoNode}
	}
	return identity{node: names[0]}
}

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

// claimsCollector says whether a token claims to be some collector's. It proves
// nothing, and keeps what cannot be one from costing a review.
func claimsCollector(token string) bool {
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
	return json.Unmarshal(payload, &claims) == nil && claims.Subject == collectorUser
}
