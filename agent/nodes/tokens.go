// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// How long what the API server said about a token counts, from when it was asked.
// The API server itself remembers a good token for 10 s: together they make the
// 60 s within which a token that is revoked ends.
const (
	positiveTTL = 50 * time.Second
	negativeTTL = 5 * time.Second
)

const (
	reviewTimeout = 5 * time.Second
	// concurrentReviews and waitingReviews bound what a flood of false tokens costs
	// the API server.
	concurrentReviews = 8
	waitingReviews    = 512
	// rememberedTokens is how many tokens are remembered, good and bad ones each. It
	// is more than a cluster has nodes.
	rememberedTokens = 10_000
)

// errAuthUnavailable: nobody can say whether the token is good.
var errAuthUnavailable = errors.New("the token cannot be reviewed now")

// reviews asks the API server whose a token is.
type reviews struct {
	client authenticationv1client.TokenReviewsGetter
}

func (r reviews) review(ctx context.Context, token string) (identity, error) {
	answer, err := r.client.TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{v1alpha1.NodesAudience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return identity{}, fmt.Errorf("creating the TokenReview: %w", err)
	}
	return identify(&answer.Status), nil
}

// tokens authenticates collectors. It is safe for concurrent use.
type tokens struct {
	ask     func(ctx context.Context, token string) (identity, error)
	group   singleflight.Group
	slots   chan struct{}
	waiting atomic.Int64

	mu   sync.Mutex
	good tokenCache
	bad  tokenCache // apart, so that false tokens push out no good ones
}

func newTokens(ask func(context.Context, string) (identity, error)) *tokens {
	return &tokens{
		ask: ask, slots: make(chan struct{}, concurrentReviews),
		good: newTokenCache(rememberedTokens), bad: newTokenCache(rememberedTokens),
	}
}

// authenticate returns whose a token is. The error wraps errAuthUnavailable or is
// the context's.
func (t *tokens) authenticate(ctx context.Context, token string) (identity, error) {
	if !claimsCollector(token) {
		return identity{reason: ReasonUnauthenticated}, nil
	}
	key := tokenKey(sha256.Sum256([]byte(token)))
	if who, ok := t.recall(key); ok {
		return who, nil
	}
	result := t.group.DoChan(string(key[:]), func() (any, error) { return t.review(ctx, key, token) })
	select {
	case r := <-result:
		who, _ := r.Val.(identity)
		return who, r.Err
	case <-ctx.Done():
		return identity{}, fmt.Errorf("waiting for the review of the token: %w", ctx.Err())
	}
}

func (t *tokens) recall(key tokenKey) (identity, bool) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if who, ok := t.good.get(key, now); ok {
		return who, true
	}
	return t.bad.get(key, now)
}

// review asks the API server. Whoever asks first asks for all who hold the same
// token, so the review does not end with that request.
func (t *tokens) review(ctx context.Context, key tokenKey, token string) (identity, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
	defer cancel()
	if !t.enter(ctx) {
		return identity{}, fmt.Errorf("%w: too many tokens wait for their review", errAuthUnavailable)
	}
	defer func() { <-t.slots }()
	asked := time.Now()
	who, err := t.ask(ctx, token)
	if err != nil {
		return identity{}, fmt.Errorf("%w: %w", errAuthUnavailable, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if who.reason != "" {
		t.bad.put(key, who, asked.Add(negativeTTL))
		return who, nil
	}
	t.bad.drop(key)
	t.good.put(key, who, asked.Add(positiveTTL))
	return who, nil
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

// tokenKey stands for a token, so that no memory holds tokens longer than needed.
type tokenKey [sha256.Size]byte

type tokenEntry struct {
	key     tokenKey
	who     identity
	expires time.Time
}

// tokenCache remembers what became of tokens, the least recently used go first. It
// is a value of its owner, who locks it.
type tokenCache struct {
	size    int
	order   *list.List // of *tokenEntry, the one used last in front
	entries map[tokenKey]*list.Element
}

func newTokenCache(size int) tokenCache {
	return tokenCache{size: size, order: list.New(), entries: map[tokenKey]*list.Element{}}
}

// get returns whose a token is, when that is known and has not expired.
func (c *tokenCache) get(key tokenKey, now time.Time) (identity, bool) {
	element, ok := c.entries[key]
	if !ok {
		return identity{}, false
	}
	entry, _ := element.Value.(*tokenEntry)
	if !now.Before(entry.expires) {
		c.remove(element)
		return identity{}, false
	}
	c.order.MoveToFront(element)
	return entry.who, true
}

func (c *tokenCache) put(key tokenKey, who identity, expires time.Time) {
	c.drop(key)
	for len(c.entries) >= c.size {
		c.remove(c.order.Back())
	}
	c.entries[key] = c.order.PushFront(&tokenEntry{key: key, who: who, expires: expires})
}

func (c *tokenCache) drop(key tokenKey) {
	if element, ok := c.entries[key]; ok {
		c.remove(element)
	}
}

func (c *tokenCache) remove(element *list.Element) {
	if entry, ok := c.order.Remove(element).(*tokenEntry); ok {
		delete(c.entries, entry.key)
	}
}
