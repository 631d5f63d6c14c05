// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/bearer/tokenreview"
)

const (
	// collectorUser is how the API server calls the collectors.
	collectorUser = "system:serviceaccount:" + v1alpha1.MemberNodesNamespace + ":" + v1alpha1.MemberCollector
	// nodeNameExtra is where the API server says on which node the pod runs that a
	// token is bound to.
	nodeNameExtra = "authentication.kubernetes.io/node-name"

	// concurrentReviews bounds what a flood of false tokens costs the API server.
	concurrentReviews = 8
	// rememberedTokens is how many tokens are remembered, good and bad ones each. It
	// is more than a cluster has nodes.
	rememberedTokens = 10_000
)

// identity is who sends. Reason is empty when it is a collector of a node.
type identity struct {
	node   string
	reason Reason
}

// newReviews asks whose tokens are.
func newReviews(reviewer tokenreview.Reviewer) *bearer.Reviews[identity] {
	return bearer.NewReviews(bearer.Options[identity]{
		Concurrent: concurrentReviews, Remembered: rememberedTokens,
		Ask: func(ctx context.Context, token string) (identity, bool, error) {
			user, err := reviewer.User(ctx, token)
			if err != nil {
				return identity{}, false, err
			}
			who := identify(user)
			return who, who.reason == "", nil
		},
	})
}

// identify reads what the API server says about the user of a token; nil when it is
// nobody.
func identify(user *authenticationv1.UserInfo) identity {
	if user == nil || user.Username != collectorUser {
		return identity{reason: ReasonUnauthenticated}
	}
	names := user.Extra[nodeNameExtra]
	if len(names) != 1 || len(validation.IsDNS1123Subdomain(names[0])) > 0 {
		return identity{reason: ReasonNoNode}
	}
	return identity{node: names[0]}
}
