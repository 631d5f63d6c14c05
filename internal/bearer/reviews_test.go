// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package bearer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const concurrent = 4

// server is an API server that knows tokens and whom they stand for.
type server struct {
	mu      sync.Mutex
	names   map[string]string
	err     error
	hold    chan struct{} // when set, a question waits for it
	calls   int
	at      int // once
	most    int // at once
	results map[Result]int
}

func newServer(names map[string]string) *server {
	return &server{names: names, results: map[Result]int{}}
}

// known are the tokens "a" and "b", of "A" and "B".
func known() map[string]string { return map[string]string{"a": "A", "b": "B"} }

func (s *server) reviews(remembered int) *Reviews[string] {
	return NewReviews(Options[string]{
		Ask: s.ask, Concurrent: concurrent, Remembered: remembered,
		Reviewed: func(r Result) { s.set(func() { s.results[r]++ }) },
	})
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) ask(ctx context.Context, token string) (string, bool, error) {
	var hold chan struct{}
	s.set(func() {
		s.calls++
		s.at++
		s.most = max(s.most, s.at)
		hold = s.hold
	})
	defer s.set(func() { s.at-- })
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return "nonsense", false, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.names[token]; ok || s.err != nil {
		return name, ok, s.err
	}
	return "nobody", false, nil
}

// expect asks whom a token stands for.
func expect(t *testing.T, r *Reviews[string], token, want string, wantErr error) {
	t.Helper()
	if who, err := r.Who(t.Context(), token); who != want || !errors.Is(err, wantErr) {
		t.Errorf("%q: got %q, %v, want %q, %v", token, who, err, want, wantErr)
	}
}

func TestAnswersAreRememberedForLessThanAMinute(t *testing.T) {
	if goodFor+10*time.Second > time.Minute {
		t.Error("a token that is revoked lives for longer than a minute")
	}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(known())
		r := s.reviews(10)
		check := func(want string, wantErr error, wantCalls int) {
			t.Helper()
			expect(t, r, "a", want, wantErr)
			if s.calls != wantCalls {
				t.Fatalf("%d reviews, want %d", s.calls, wantCalls)
			}
		}
		check("A", nil, 1)
		<-time.After(49 * time.Second)
		check("A", nil, 1)
		s.set(func() { clear(s.names) }) // revoked
		<-time.After(time.Second)
		check("nobody", nil, 2)
		<-time.After(4 * time.Second)
		check("nobody", nil, 2)
		s.set(func() { s.names = known() })
		<-time.After(time.Second)
		check("A", nil, 3)
		s.set(func() { s.err = errors.New("connection refused") })
		<-time.After(49 * time.Second)
		check("A", nil, 3)
		<-time.After(time.Second)
		check("", ErrUnavailable, 4)
		check("", ErrUnavailable, 5) // not knowing is not remembered
		s.set(func() { s.err = nil })
		check("A", nil, 6)
		if diff := cmp.Diff(map[Result]int{Accepted: 3, Rejected: 1, Failed: 2}, s.results); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	})
}

// The time that a review takes counts as well: what is remembered says how things
// were when the API server was asked.
func TestAnswersExpireFromWhenTheAPIServerWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(known())
		s.hold = make(chan struct{})
		r := s.reviews(10)
		time.AfterFunc(4*time.Second, func() { close(s.hold) })
		expect(t, r, "a", "A", nil)
		<-time.After(46 * time.Second)
		expect(t, r, "a", "A", nil)
		if s.calls != 2 {
			t.Errorf("%d reviews, want 2", s.calls)
		}
	})
}

func TestOneReviewForManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(known())
		s.hold = make(chan struct{})
		r := s.reviews(10)
		var group sync.WaitGroup
		first, hangUp := context.WithCancel(t.Context())
		group.Go(func() {
			if who, err := r.Who(first, "a"); who != "" || !errors.Is(err, context.Canceled) {
				t.Errorf("who hung up got %q, %v", who, err)
			}
		})
		synctest.Wait()
		for range 50 {
			group.Go(func() { expect(t, r, "a", "A", nil) })
		}
		synctest.Wait()
		hangUp() // the review goes on for the others
		synctest.Wait()
		close(s.hold)
		group.Wait()
		if s.calls != 1 {
			t.Errorf("%d reviews for one token", s.calls)
		}
	})
}

// A review that hangs ends, and a flood of false tokens reaches the API server only a
// few at a time, while tokens that are known go on.
func TestFloodOfFalseTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood = 2000
		s := newServer(known())
		r := s.reviews(10)
		expect(t, r, "a", "A", nil)
		s.set(func() { s.hold = make(chan struct{}) })
		begin := time.Now()
		var group sync.WaitGroup
		for i := range flood {
			group.Go(func() { expect(t, r, fmt.Sprint(i), "", ErrUnavailable) })
		}
		synctest.Wait()
		if s.calls != 1+concurrent {
			t.Errorf("%d reviews at once, want %d", s.calls-1, concurrent)
		}
		if n := flood - s.results[Overload]; n < MaxWaiting || n > MaxWaiting+concurrent {
			t.Errorf("%d waited, want %d besides those under review", n, MaxWaiting)
		}
		expect(t, r, "a", "A", nil)
		group.Wait()
		if took := time.Since(begin); took > reviewTimeout {
			t.Errorf("a hanging API server held requests for %s", took)
		}
		// Who waits gets a turn when the API server is slow.
		s.set(func() {
			s.calls, s.hold = 0, make(chan struct{})
			time.AfterFunc(time.Second, func() { close(s.hold) })
		})
		for i := range 100 {
			group.Go(func() { expect(t, r, fmt.Sprint(i), "nobody", nil) })
		}
		group.Wait()
		if s.calls != 100 || s.most != concurrent {
			t.Errorf("%d reviews, %d at once", s.calls, s.most)
		}
	})
}

func TestFalseTokensPushOutNoGoodOnes(t *testing.T) {
	s := newServer(known())
	r := s.reviews(2)
	expect(t, r, "a", "A", nil)
	expect(t, r, "b", "B", nil)
	for i := range 100 {
		expect(t, r, fmt.Sprint(i), "nobody", nil)
	}
	calls := s.calls
	expect(t, r, "a", "A", nil)
	expect(t, r, "b", "B", nil)
	if s.calls != calls {
		t.Error("a good token was pushed out")
	}
	if len(r.bad.entries) != 2 || r.bad.order.Len() != 2 {
		t.Errorf("%d false tokens are remembered, want 2", len(r.bad.entries))
	}
	// Among good ones, the one used last stays.
	maps.Copy(s.names, map[string]string{"c": "C"})
	expect(t, r, "a", "A", nil)
	expect(t, r, "c", "C", nil)
	expect(t, r, "a", "A", nil)
	if s.calls != calls+1 || len(r.good.entries) != 2 {
		t.Errorf("%d reviews more, %d good tokens are remembered", s.calls-calls, len(r.good.entries))
	}
	expect(t, r, "b", "B", nil)
	if s.calls != calls+2 {
		t.Error("what was not used longest did not go")
	}
}
