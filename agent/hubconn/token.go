// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// ErrNoCredentials means that there is no session at the moment; Status says why.
var ErrNoCredentials = errors.New("not connected to the hub")

// requestToken asks the hub for a token of the agent's ServiceAccount, bound to
// the session Secret. No audience means that of the API server itself.
func requestToken(ctx context.Context, client corev1client.ServiceAccountsGetter, cluster, audience string, lifetime time.Duration) (*authenticationv1.TokenRequestStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(lifetime / time.Second)),
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Secret", Name: v1alpha1.AgentSessionSecret,
		},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	namespace := v1alpha1.ClusterNamespacePrefix + cluster
	answer, err := client.ServiceAccounts(namespace).CreateToken(ctx, v1alpha1.AgentServiceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a session token: %w", cause(err))
	}
	if answer.Status.Token == "" {
		return nil, errors.New("requesting a session token: the hub answered without one")
	}
	return &answer.Status, nil
}

// tokenLife reads from a token when it was issued and when it expires. It does
// not verify the token: only the hub can, and these times only plan its renewal.
func tokenLife(token string) (issued, expires time.Time, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return issued, expires, errors.New("the token is no JSON Web Token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return issued, expires, errors.New("the token's payload is not base64")
	}
	var claims struct {
		Issued  int64 `json:"iat"`
		Expires int64 `json:"exp"`
	}
	// The error could quote the payload, so it is not passed on.
	if json.Unmarshal(payload, &claims) != nil || claims.Issued <= 0 || claims.Expires <= claims.Issued {
		return issued, expires, errors.New("the token does not say how long it lives")
	}
	return time.Unix(claims.Issued, 0), time.Unix(claims.Expires, 0), nil
}

// isRefused says whether the hub does not know who is asking. Only that locks
// out; a 403 comes from roles that may arrive a moment later.
func isRefused(err error) bool { return apierrors.IsUnauthorized(err) }

// audienceTokens caches tokens for other audiences than the API server.
type audienceTokens struct {
	mu     sync.Mutex
	tokens map[string]audienceToken
}

type audienceToken struct {
	token   string
	session int64
	renewAt time.Time
	expires time.Time
}

// Token returns a token of the agent for an audience such as
// v1alpha1.IngestAudience. It is worthless at the API server. The token is
// cached and renewed at half of its life; while the hub does not renew it, the
// old one is returned until it expires. Refused, when not empty, is a token that
// was not accepted: it is not returned again. The error is ErrNoCredentials when
// there is no session.
func (c *Connection) Token(ctx context.Context, audience, refused string) (string, error) {
	if audience == "" {
		return "", errors.New("asking for a token without an audience")
	}
	link := c.transport.current()
	if link == nil {
		return "", ErrNoCredentials
	}
	c.audiences.mu.Lock()
	defer c.audiences.mu.Unlock()
	now := time.Now()
	cached, ok := c.audiences.tokens[audience]
	ok = ok && cached.session == link.session && now.Before(cached.expires) && cached.token != refused
	if ok && now.Before(cached.renewAt) {
		return cached.token, nil
	}
	answer, err := requestToken(ctx, c.core, link.cluster, audience, c.timing.AudienceLifetime)
	if err != nil {
		if ok {
			return cached.token, nil
		}
		return "", err
	}
	// The clocks of hub and member may differ, so only the span counts.
	expires := answer.ExpirationTimestamp.Time
	if from, to, err := tokenLife(answer.Token); err == nil {
		expires = now.Add(to.Sub(from))
	}
	c.audiences.tokens[audience] = audienceToken{
		token: answer.Token, session: link.session, expires: expires,
		renewAt: now.Add(renewalDelay(now, expires, now, audienceRenewFraction, random())),
	}
	return answer.Token, nil
}
