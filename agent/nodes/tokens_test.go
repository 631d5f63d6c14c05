// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// forged makes a token that claims something.
func forged(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

var collectorToken = forged(`{"sub":"` + collectorUser + `"}`)

func TestIdentify(t *testing.T) {
	good := func() *authenticationv1.TokenReviewStatus {
		return &authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{"atlhyper-agent"},
			User: authenticationv1.UserInfo{
				Username: "system:serviceaccount:atlhyper-nodes:atlhyper-nodecollector",
				Extra:    map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/node-name": {"node-1"}},
			},
		}
	}
	cases := map[string]struct {
		change func(*authenticationv1.TokenReviewStatus)
		want   identity
	}{
		"a collector":       {func(*authenticationv1.TokenReviewStatus) {}, identity{node: "node-1"}},
		"not authenticated": {func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }, identity{reason: ReasonUnauthenticated}},
		"another audience":  {func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"api"} }, identity{reason: ReasonUnauthenticated}},
		"no audience":       {func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }, identity{reason: ReasonUnauthenticated}},
		"another account": {func(s *authenticationv1.TokenReviewStatus) {
			s.User.Username = "system:serviceaccount:atlhyper-nodes:default"
		}, identity{reason: ReasonUnauthenticated}},
		"another namespace": {func(s *authenticationv1.TokenReviewStatus) {
			s.User.Username = "system:serviceaccount:default:atlhyper-nodecollector"
		}, identity{reason: ReasonUnauthenticated}},
		"no node": {func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil }, identity{reason: ReasonNoNode}},
		"two nodes": {func(s *authenticationv1.TokenReviewStatus) {
			s.User.Extra[nodeNameExtra] = []string{"node-1", "node-2"}
		}, identity{reason: ReasonNoNode}},
		"a node without a name": {func(s *authenticationv1.TokenReviewStatus) { s.User.Extra[nodeNameExtra] = []string{""} }, identity{reason: ReasonNoNode}},
		"no name of a node":     {func(s *authenticationv1.TokenReviewStatus) { s.User.Extra[nodeNameExtra] = []string{"../x"} }, identity{reason: ReasonNoNode}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := good()
			tc.change(s)
			if got := identify(s); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestWhatCannotBeACollectorsIsNotReviewed(t *testing.T) {
	cases := map[string]string{
		"empty": "", "a word": "token", "no signature": "e30.e30.", "not base64": "e30.!.x", "not JSON": "e30.eDE.x",
		"another account": forged(`{"sub":"system:serviceaccount:kube-system:default"}`), "nobody": forged(`{}`),
		"four parts": collectorToken + ".x",
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			k := newTokens(func(context.Context, string) (identity, error) {
				t.Error("reviewed")
				return identity{}, nil
			})
			if who, err := k.authenticate(t.Context(), token); err != nil || who.reason != ReasonUnauthenticated {
				t.Errorf("got %+v, %v", who, err)
			}
		})
	}
}

func TestTokensAreRememberedForLessThanAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := identity{node: "node-1"}
		reviews := 0
		k := newTokens(func(context.Context, string) (identity, error) {
			reviews++
			return answer, nil
		})
		ask := func(want Reason, wantReviews int) {
			t.Helper()
			who, err := k.authenticate(t.Context(), collectorToken)
			if err != nil || who.reason != want || reviews != wantReviews {
				t.Errorf("%+v, %v after %d reviews; want %q after %d", who, err, reviews, want, wantReviews)
			}
		}
		ask("", 1)
		<-time.After(positiveTTL - time.Second)
		answer = identity{reason: ReasonUnauthenticated} // revoked
		ask("", 1)
		<-time.After(2 * time.Second)
		ask(ReasonUnauthenticated, 2)
		ask(ReasonUnauthenticated, 2)
		<-time.After(negativeTTL)
		answer = identity{node: "node-1"}
		ask("", 3)
		if positiveTTL+10*time.Second > time.Minute {
			t.Error("a revoked token lives for longer than a minute")
		}
	})
}

func TestAnAPIServerThatIsAwayIsNoRefusal(t *testing.T) {
	k := newTokens(func(context.Context, string) (identity, error) { return identity{}, errors.New("connection refused") })
	for range 2 { // and nothing of it is remembered
		if who, err := k.authenticate(t.Context(), collectorToken); !errors.Is(err, errAuthUnavailable) || who != (identity{}) {
			t.Errorf("got %+v, %v", who, err)
		}
	}
}

func TestAFloodOfTokensIsReviewedAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, reviews atomic.Int64
		k := newTokens(func(context.Context, string) (identity, error) {
			reviews.Add(1)
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-time.After(4 * time.Second)
			running.Add(-1)
			return identity{reason: ReasonUnauthenticated}, nil
		})
		var wg sync.WaitGroup
		for i := range 2000 {
			wg.Go(func() {
				_, _ = k.authenticate(t.Context(), forged(fmt.Sprintf(`{"sub":%q,"n":%d}`, collectorUser, i)))
			})
		}
		wg.Wait()
		if most.Load() > concurrentReviews || reviews.Load() > 4*concurrentReviews {
			t.Errorf("%d reviews at once, %d in all", most.Load(), reviews.Load())
		}
	})
}

func TestOneReviewForManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reviews atomic.Int64
		k := newTokens(func(ctx context.Context, _ string) (identity, error) {
			reviews.Add(1)
			select {
			case <-time.After(time.Second):
				return identity{node: "node-1"}, nil
			case <-ctx.Done():
				return identity{}, ctx.Err()
			}
		})
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := k.authenticate(first, collectorToken); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left: %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if who, err := k.authenticate(t.Context(), collectorToken); err != nil || who.node != "node-1" {
					t.Errorf("%+v, %v", who, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if reviews.Load() != 1 {
			t.Errorf("%d reviews", reviews.Load())
		}
	})
}

func TestFalseTokensPushOutNoGoodOnes(t *testing.T) {
	reviews := 0
	k := newTokens(func(_ context.Context, token string) (identity, error) {
		reviews++
		if token == collectorToken {
			return identity{node: "node-1"}, nil
		}
		return identity{reason: ReasonUnauthenticated}, nil
	})
	k.good, k.bad = newTokenCache(10), newTokenCache(10)
	for i := range 100 {
		if who, err := k.authenticate(t.Context(), collectorToken); err != nil || who.node != "node-1" {
			t.Fatalf("%+v, %v", who, err)
		}
		_, _ = k.authenticate(t.Context(), forged(fmt.Sprintf(`{"sub":%q,"n":%d}`, collectorUser, i)))
	}
	if reviews != 101 || len(k.bad.entries) != 10 || k.bad.order.Len() != 10 {
		t.Errorf("%d reviews, %d bad tokens are remembered", reviews, len(k.bad.entries))
	}
}

func TestBearerToken(t *testing.T) {
	cases := map[string]struct {
		values []string
		want   string
	}{
		"one":       {[]string{"Bearer abc"}, "abc"},
		"lowercase": {[]string{"bearer abc"}, "abc"},
		"two":       {[]string{"Bearer abc", "Bearer def"}, ""},
		"basic":     {[]string{"Basic abc"}, ""},
		"none":      {nil, ""},
		"huge":      {[]string{"Bearer " + strings.Repeat("x", maxToken+1)}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := bearerToken(map[string][]string{"Authorization": tc.values}); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
