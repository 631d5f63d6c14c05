// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newTestTokens(reviewer *fakeReviewer, size int) *tokens {
	return newTokens(reviewer, size, func(string) {})
}

func agents(names ...string) *fakeReviewer {
	f := &fakeReviewer{users: map[string]string{}}
	for _, name := range names {
		f.users[tokenOf(name, "sig")] = userPrefix + name + userSuffix
	}
	return f
}

func TestTokensAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reviewer := agents("a")
		tok := newTestTokens(reviewer, 10)
		begin := time.Now()
		check := func(wantErr error, wantCalls int64) {
			t.Helper()
			cluster, err := tok.authenticate(t.Context(), tokenOf("a", "sig"))
			if !errors.Is(err, wantErr) || err == nil && cluster != "a" || reviewer.calls.Load() != wantCalls {
				t.Fatalf("after %s: got %q, %v with %d reviews, want %v with %d", time.Since(begin), cluster, err, reviewer.calls.Load(), wantErr, wantCalls)
			}
		}
		wait := func(d time.Duration) {
			timer := time.NewTimer(d)
			<-timer.C
		}
		check(nil, 1)
		wait(49 * time.Second)
		check(nil, 1)
		reviewer.set(func(f *fakeReviewer) { clear(f.users) }) // revoked
		wait(time.Second)
		check(errUnauthenticated, 2)
		wait(4 * time.Second)
		check(errUnauthenticated, 2)
		reviewer.set(func(f *fakeReviewer) { f.users[tokenOf("a", "sig")] = userPrefix + "a" + userSuffix })
		wait(time.Second)
		check(nil, 3)
		reviewer.set(func(f *fakeReviewer) { f.err = errors.New("connection refused") })
		wait(49 * time.Second)
		check(nil, 3)
		wait(time.Second)
		check(errAuthUnavailable, 4)
		check(errAuthUnavailable, 5) // not knowing is not remembered
		reviewer.set(func(f *fakeReviewer) { f.err = nil })
		check(nil, 6)
	})
}

// The time that a review takes counts as well: what is cached says how things were
// when the API server was asked.
func TestTokensExpireFromWhenTheAPIServerWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reviewer := agents("a")
		enter := make(chan struct{})
		reviewer.enter = enter
		tok := newTestTokens(reviewer, 10)
		time.AfterFunc(4*time.Second, func() { close(enter) })
		if _, err := tok.authenticate(t.Context(), tokenOf("a", "sig")); err != nil {
			t.Fatal(err)
		}
		timer := time.NewTimer(46 * time.Second)
		<-timer.C
		if _, err := tok.authenticate(t.Context(), tokenOf("a", "sig")); err != nil || reviewer.calls.Load() != 2 {
			t.Fatalf("got %v after %d reviews, want 2", err, reviewer.calls.Load())
		}
	})
}

func TestOneReviewForManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reviewer := agents("a")
		enter := make(chan struct{})
		reviewer.enter = enter
		tok := newTestTokens(reviewer, 10)
		var group sync.WaitGroup
		first, hangUp := context.WithCancel(t.Context())
		group.Go(func() {
			if _, err := tok.authenticate(first, tokenOf("a", "sig")); !errors.Is(err, context.Canceled) {
				t.Errorf("who hung up got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			group.Go(func() {
				if cluster, err := tok.authenticate(t.Context(), tokenOf("a", "sig")); err != nil || cluster != "a" {
					t.Errorf("got %q, %v", cluster, err)
				}
			})
		}
		synctest.Wait()
		hangUp() // the review goes on for the others
		synctest.Wait()
		close(enter)
		group.Wait()
		if n := reviewer.calls.Load(); n != 1 {
			t.Errorf("%d reviews for one token", n)
		}
	})
}

// A review that hangs ends, and a flood of well-formed false tokens reaches the API
// server only a few at a time, while tokens that are known go on.
func TestFloodOfFalseTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reviewer := agents("a")
		tok := newTestTokens(reviewer, 10)
		if _, err := tok.authenticate(t.Context(), tokenOf("a", "sig")); err != nil {
			t.Fatal(err)
		}
		reviewer.set(func(f *fakeReviewer) { f.enter = make(chan struct{}) })
		var group sync.WaitGroup
		for i := range 2000 {
			group.Go(func() {
				if _, err := tok.authenticate(t.Context(), tokenOf("a", fmt.Sprint(i))); !errors.Is(err, errAuthUnavailable) {
					t.Errorf("token %d: got %v", i, err)
				}
			})
		}
		synctest.Wait()
		if n := reviewer.calls.Load(); n != 1+concurrentReviews {
			t.Errorf("%d reviews at once, want %d", n-1, concurrentReviews)
		}
		if _, err := tok.authenticate(t.Context(), tokenOf("a", "sig")); err != nil {
			t.Errorf("a known token got %v", err)
		}
		begin := time.Now()
		group.Wait()
		if took := time.Since(begin); took > reviewTimeout {
			t.Errorf("a hanging API server held requests for %s", took)
		}
	})
}

func TestFalseTokensPushOutNoGoodOnes(t *testing.T) {
	reviewer := agents("a", "b")
	tok := newTestTokens(reviewer, 2)
	for _, name := range []string{"a", "b"} {
		if _, err := tok.authenticate(t.Context(), tokenOf(name, "sig")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if _, err := tok.authenticate(t.Context(), tokenOf("a", fmt.Sprint(i))); !errors.Is(err, errUnauthenticated) {
			t.Fatal(err)
		}
	}
	calls := reviewer.calls.Load()
	for _, name := range []string{"a", "b"} {
		if _, err := tok.authenticate(t.Context(), tokenOf(name, "sig")); err != nil || reviewer.calls.Load() != calls {
			t.Errorf("%s was pushed out: %v", name, err)
		}
	}
	if n := len(tok.bad.entries); n != 2 {
		t.Errorf("%d false tokens are remembered, want 2", n)
	}
}

// What cannot be an agent's token costs the API server nothing.
func TestNonsenseIsNotReviewed(t *testing.T) {
	reviewer := agents()
	tok := newTestTokens(reviewer, 10)
	claims := func(s string) string { return "e30." + base64.RawURLEncoding.EncodeToString([]byte(s)) + ".sig" }
	for _, token := range []string{
		"", "abc", "a.b.c", "a..c", claims(`{"sub":"system:serviceaccount:kube-system:default"}`), claims(`{"sub":1}`), claims(`{`), claims(`null`),
		claims(`{"sub":"system:serviceaccount:atlhyper-cluster-a:agent"}`) + ".more", claims(strings.Repeat("[", 5000)),
		strings.TrimSuffix(tokenOf("a", "sig"), "sig"),
	} {
		if _, err := tok.authenticate(t.Context(), token); !errors.Is(err, errUnauthenticated) {
			t.Errorf("%.40q: got %v", token, err)
		}
	}
	if n := reviewer.calls.Load(); n != 0 {
		t.Errorf("%d reviews", n)
	}
}

// A token whose user is somebody else than it claims to be is judged by its user.
func TestTheAPIServerDecides(t *testing.T) {
	reviewer := agents()
	tok := newTestTokens(reviewer, 10)
	reviewer.users[tokenOf("a", "one")] = userPrefix + "b" + userSuffix
	reviewer.users[tokenOf("a", "two")] = "system:serviceaccount:default:default"
	if cluster, err := tok.authenticate(t.Context(), tokenOf("a", "one")); err != nil || cluster != "b" {
		t.Errorf("got %q, %v", cluster, err)
	}
	if _, err := tok.authenticate(t.Context(), tokenOf("a", "two")); !errors.Is(err, errUnauthenticated) {
		t.Errorf("got %v", err)
	}
}
