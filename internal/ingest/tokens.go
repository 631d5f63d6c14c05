// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// How long what the API server said about a token counts, from when it was asked.
// The API server itself remembers a good token for 10 s: together they make the 60 s
// within which a token that is revoked ends.
const (
	positiveTTL = 50 * time.Second
	negativeTTL = 5 * time.Second
)

const (
	reviewTimeout = 5 * time.Second
	// concurrentReviews bounds what a flood of false tokens costs the API server.
	concurrentReviews = 16
	waitingReviews    = 512
)

var (
	// errUnauthenticated: the token is none of an agent's.
	errUnauthenticated = errors.New("the token is not that of an agent")
	// errAuthUnavailable: nobody can say whether the token is good.
	errAuthUnavailable = errors.New("the token cannot be reviewed now")
)

// TokenReviewer asks whether a token is good for the audience
// v1alpha1.IngestAudience, and whose it is.
type TokenReviewer interface {
	// Review returns the user that the token authenticates, or "" when it
	// authenticates nobody for the audience. An error says that nobody knows.
	Review(ctx context.Context, token string) (user string, err error)
}

// tokens authenticates agents. It is safe for concurrent use.
type tokens struct {
	reviewer TokenReviewer
	reviewed func(result string)
	group    singleflight.Group
	slots    chan struct{}
	waiting  atomic.Int64

	mu   sync.Mutex
	good tokenCache
	bad  tokenCache // apart, so that false tokens push out no good ones
}

func newTokens(reviewer TokenReviewer, size int, reviewed func(result string)) *tokens {
	return &tokens{
		reviewer: reviewer, reviewed: reviewed, slots: make(chan struct{}, concurrentReviews),
		good: newTokenCache(size), bad: newTokenCache(size),
	}
}

// authenticate returns the name of the cluster whose agent holds the token. The
// error wraps errUnauthenticated or errAuthUnavailable, or is the context's.
func (t *tokens) authenticate(ctx context.Context, token string) (cluster string, err error) {
	if !claimsAgent(token) {
		return "", errUnauthenticated
	}
	key := tokenKey(sha256.Sum256([]byte(token)))
	if cluster, err, ok := t.recall(key); ok {
		return cluster, err
	}
	result := t.group.DoChan(string(key[:]), func() (any, error) { return t.review(ctx, key, token) })
	select {
	case r := <-result:
		cluster, _ = r.Val.(string)
		return cluster, r.Err
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the review of the token: %w", ctx.Err())
	}
}

func (t *tokens) recall(key tokenKey) (cluster string, err error, ok bool) { //nolint:revive // ok says whether the others mean anything
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if cluster, ok := t.good.get(key, now); ok {
		return cluster, nil, true
	}
	if _, ok := t.bad.get(key, now); ok {
		return "", errUnauthenticated, true
	}
	return "", nil, false
}

// review asks the API server. Whoever asks first asks for all who hold the same
// token, so the review does not end with that request.
func (t *tokens) review(ctx context.Context, key tokenKey, token string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
	defer cancel()
	if !t.enter(ctx) {
		t.reviewed(reviewOverload)
		return "", fmt.Errorf("%w: too many tokens wait for their review", errAuthUnavailable)
	}
	defer func() { <-t.slots }()
	asked := time.Now()
	user, err := t.reviewer.Review(ctx, token)
	if err != nil {
		t.reviewed(reviewFailed)
		return "", fmt.Errorf("%w: %w", errAuthUnavailable, err)
	}
	cluster, ok := clusterOfUser(user)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok {
		t.reviewed(reviewRejected)
		t.bad.put(key, "", asked.Add(negativeTTL))
		return "", errUnauthenticated
	}
	t.reviewed(reviewAccepted)
	t.bad.drop(key)
	t.good.put(key, cluster, asked.Add(positiveTTL))
	return cluster, nil
}

// enter waits for a slot, unless too many wait already.
func (t *tokens) enter(ctx context.Context) bool {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > waitingReviews {
		return false
	}
	select {
	case t.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
