// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package bearer

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
	goodFor = 50 * time.Second
	badFor  = 5 * time.Second
)

const (
	reviewTimeout = 5 * time.Second
	// MaxWaiting is how many different tokens may wait for their review. With
	// Options.Concurrent it bounds what a flood of false tokens costs.
	MaxWaiting = 512
)

// ErrUnavailable says that nobody can say whether a token is good.
var ErrUnavailable = errors.New("the token cannot be reviewed now")

// Result is what came of a review.
type Result string

// The results.
const (
	// Accepted: the token is good.
	Accepted Result = "accepted"
	// Rejected: it is not.
	Rejected Result = "rejected"
	// Failed: nobody answered.
	Failed Result = "failed"
	// Overload: nobody was asked, because MaxWaiting tokens wait already.
	Overload Result = "overload"
)

// Options say how Reviews ask.
type Options[T any] struct {
	// Ask says what a token stands for, and whether that is good: what is bad is
	// remembered for a shorter time, and apart. An error says that nobody knows.
	Ask func(ctx context.Context, token string) (who T, good bool, err error)
	// Concurrent is how many questions are asked at once.
	Concurrent int
	// Remembered is how many tokens are remembered, good and bad ones each.
	Remembered int
	// Reviewed, when set, is told what came of each review.
	Reviewed func(Result)
}

// Reviews ask what tokens stand for, and remember the answers for less than a
// minute. They are safe for concurrent use.
type Reviews[T any] struct {
	options Options[T]
	group   singleflight.Group
	slots   chan struct{}
	waiting atomic.Int64

	mu   sync.Mutex
	good cache[T]
	bad  cache[T] // apart, so that false tokens push out no good ones
}

// NewReviews returns Reviews that remember nothing yet.
func NewReviews[T any](o Options[T]) *Reviews[T] {
	if o.Reviewed == nil {
		o.Reviewed = func(Result) {}
	}
	return &Reviews[T]{options: o, slots: make(chan struct{}, o.Concurrent), good: newCache[T](o.Remembered), bad: newCache[T](o.Remembered)}
}

// Who returns what a token stands for, as Options.Ask says it, good or bad. The error
// wraps ErrUnavailable or is the context's.
func (r *Reviews[T]) Who(ctx context.Context, token string) (T, error) {
	k := key(sha256.Sum256([]byte(token)))
	if who, ok := r.recall(k); ok {
		return who, nil
	}
	result := r.group.DoChan(string(k[:]), func() (any, error) { return r.review(ctx, k, token) })
	select {
	case answer := <-result:
		who, _ := answer.Val.(T)
		return who, answer.Err
	case <-ctx.Done():
		var nobody T
		return nobody, fmt.Errorf("waiting for the review of the token: %w", ctx.Err())
	}
}

func (r *Reviews[T]) recall(k key) (T, bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if who, ok := r.good.get(k, now); ok {
		return who, true
	}
	return r.bad.get(k, now)
}

// review asks. Whoever asks first asks for all who hold the same token, so the review
// does not end with that request.
func (r *Reviews[T]) review(ctx context.Context, k key, token string) (who T, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
	defer cancel()
	if !r.enter(ctx) {
		r.options.Reviewed(Overload)
		return who, fmt.Errorf("%w: too many tokens wait for their review", ErrUnavailable)
	}
	defer func() { <-r.slots }()
	asked := time.Now()
	who, good, err := r.options.Ask(ctx, token)
	if err != nil {
		r.options.Reviewed(Failed)
		var nobody T
		return nobody, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !good {
		r.options.Reviewed(Rejected)
		r.bad.put(k, who, asked.Add(badFor))
		return who, nil
	}
	r.options.Reviewed(Accepted)
	r.bad.drop(k)
	r.good.put(k, who, asked.Add(goodFor))
	return who, nil
}

// enter waits for a slot, unless too many wait already.
func (r *Reviews[T]) enter(ctx context.Context) bool {
	defer r.waiting.Add(-1)
	if r.waiting.Add(1) > MaxWaiting {
		return false
	}
	select {
	case r.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
