// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const interval = 15 * time.Second

// outage lets an agent be away for a while and returns what the Pusher says after
// an hour of normal work that follows.
func outage(t *testing.T, away time.Duration) (*agent, *Pusher, uint64) {
	t.Helper()
	a := newAgent(t)
	var gone atomic.Bool
	a.answer = func(q request) *http.Response {
		if gone.Load() {
			return unreachable(q)
		}
		return nil
	}
	p, _ := start(t, a, nil)
	n := collect(p, 0, 10*time.Minute)
	gone.Store(true)
	n = collect(p, n, away)
	gone.Store(false)
	n = collect(p, n, time.Hour)
	synctest.Wait()
	return a, p, n
}

func TestAgentAwayForHalfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, p, n := outage(t, 30*time.Minute)
		first := uint64(p.epoch)>>epochRandom/100 + 1
		if missing := a.missing(first, first+n-1); missing != nil || uint64(len(a.got)) != n || len(a.lost) != 0 || a.twice != 0 {
			t.Errorf("%d samples, %d there, %d lost, %d twice, missing %v", n, len(a.got), len(a.lost), a.twice, missing)
		}
		if s := p.Stats(); s.Dropped != 0 || s.Buffered != 0 || s.Sent != n || s.Problem != "" {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestAgentAwayForThreeHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, p, n := outage(t, 3*time.Hour)
		first := uint64(p.epoch)>>epochRandom/100 + 1
		if missing := a.missing(first, first+n-1); missing != nil || a.twice != 0 {
			t.Fatalf("missing %v, %d twice", missing, a.twice)
		}
		// The outage had 720 samples, and the newest 240 are an hour. One more went
		// while the first attempt after the outage waited for its turn.
		dropped := p.Stats().Dropped
		if dropped < 480 || dropped > 482 || uint64(len(a.lost)) != dropped {
			t.Errorf("%d dropped, %d lost, 480 were expected", dropped, len(a.lost))
		}
		oldestKept := first + 40 + dropped
		for seq := first + 40; seq < oldestKept; seq++ {
			if reason, ok := a.lost[seq]; !ok || reason != telemetry.GapSourceOverflow {
				t.Fatalf("number %d is not lost to overflow but %v, %t", seq, reason, ok)
			}
		}
		newest := a.got[first+n-1].Payload.(*telemetry.NodeSample)
		if v, ok := newest.Value(telemetry.MetricCollectorDropped, ""); !ok || v != float64(dropped) {
			t.Errorf("the newest sample says that %v were dropped, %t", v, ok)
		}
	})
}

func TestNewestFirstAndPacedAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t)
		away := true
		a.answer = func(q request) *http.Response {
			if away {
				return unreachable(q)
			}
			return nil
		}
		p, _ := start(t, a, nil)
		n := collect(p, 0, 30*time.Minute)
		a.mu.Lock()
		away, a.requests = false, nil
		a.mu.Unlock()
		newest := p.ring.next - 1
		pass(14 * time.Second)
		synctest.Wait()
		pass(30 * time.Second)
		synctest.Wait()
		got := a.sequence()
		want := make([]uint64, n)
		for i := range want {
			want[i] = newest - uint64(i)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("not from the newest to the oldest (-want +got):\n%s", diff)
		}
		sizes := make([]int, len(a.requests))
		for i, q := range a.requests {
			sizes[i] = len(q.batch.Records)
			if i > 0 && q.at.Sub(a.requests[i-1].at) < backlogPause/2 {
				t.Errorf("batches %d and %d came within %s", i-1, i, q.at.Sub(a.requests[i-1].at))
			}
		}
		if !slices.Equal(sizes[:5], []int{1, 2, 4, 8, 16}) || slices.Max(sizes) > maxBatch {
			t.Errorf("sizes of the batches: %v", sizes)
		}
	})
}

func TestIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t)
		p, stop := start(t, a, nil)
		n := collect(p, 0, time.Minute)
		stop()
		p, _ = start(t, a, nil)
		collect(p, n, time.Minute)
		synctest.Wait()
		if len(a.got) != 8 || a.twice != 0 {
			t.Fatalf("%d samples of two lives, %d numbers used twice", len(a.got), a.twice)
		}
		epochs := map[telemetry.Epoch]int{}
		for _, q := range a.requests {
			epochs[q.batch.Epoch]++
			for _, r := range q.batch.Records {
				s := r.Payload.(*telemetry.NodeSample)
				if s.CollectorSeq != r.Seq || s.BootID != boot || !r.Time.Equal(q.at) || !q.sent.Equal(q.at) || q.token != "secret" {
					t.Errorf("record %d at %s: %+v in %+v", r.Seq, r.Time, s, q)
				}
			}
		}
		if len(epochs) != 2 {
			t.Errorf("epochs of two lives: %v", epochs)
		}
	})
}

func TestRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t)
		first := true
		a.answer = func(request) *http.Response {
			if !first {
				return nil
			}
			first = false
			return respond(http.StatusServiceUnavailable, http.Header{"Retry-After": {"100"}}, `{"reason":"SinkUnavailable"}`)
		}
		p, _ := start(t, a, nil)
		collect(p, 0, 3*time.Minute)
		synctest.Wait()
		if d := a.requests[1].at.Sub(a.requests[0].at); d < 100*time.Second || d > 110*time.Second {
			t.Errorf("came back after %s", d)
		}
		if s := p.Stats(); s.Buffered != 0 || s.Sent != 12 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestLostAnswerIsRepeatedWithTheSameNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t)
		lose := 3
		a.answer = func(q request) *http.Response {
			if lose == 0 {
				return nil
			}
			lose--
			a.take(&q.batch) // it has them, and its answer gets lost
			return respond(http.StatusBadGateway, nil, "")
		}
		p, _ := start(t, a, nil)
		collect(p, 0, 2*time.Minute)
		synctest.Wait()
		if len(a.got) != 8 || a.twice == 0 || p.Stats().Buffered != 0 {
			t.Errorf("%d samples, %d twice, stats %+v", len(a.got), a.twice, p.Stats())
		}
	})
}

func TestRefusedSampleBecomesAGap(t *testing.T) {
	cases := map[string]struct {
		status int
		reason telemetry.GapReason
		drops  Drops
	}{
		"unreadable": {http.StatusBadRequest, telemetry.GapRefused, Drops{Refused: 1}},
		"too large":  {http.StatusRequestEntityTooLarge, telemetry.GapTooLarge, Drops{TooLarge: 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAgent(t)
				poison := func(r telemetry.Record) bool {
					s, ok := r.Payload.(*telemetry.NodeSample)
					return ok && s.Values[1] == 1003
				}
				a.answer = func(q request) *http.Response {
					if slices.ContainsFunc(q.batch.Records, poison) {
						return respond(tc.status, nil, `{"reason":"Malformed"}`)
					}
					return nil
				}
				p, _ := start(t, a, nil)
				n := collect(p, 0, 15*time.Minute)
				synctest.Wait()
				if uint64(len(a.got)) != n-1 || len(a.lost) != 1 || p.Stats().Dropped != 1 || p.Stats().DroppedFor != tc.drops || p.Stats().Buffered != 0 {
					t.Fatalf("%d of %d samples, lost %v, stats %+v", len(a.got), n, a.lost, p.Stats())
				}
				for _, reason := range a.lost {
					if reason != tc.reason {
						t.Errorf("lost because %s", reason)
					}
				}
			})
		})
	}
}

func TestEndDeliversWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t)
		away := true
		a.answer = func(q request) *http.Response {
			if away {
				return unreachable(q)
			}
			return nil
		}
		p, stop := start(t, a, nil)
		n := collect(p, 0, 10*time.Minute)
		a.mu.Lock()
		away = false
		a.mu.Unlock()
		began := time.Now()
		stop()
		if uint64(len(a.got)) != n || p.Stats().Buffered != 0 || time.Since(began) > flushTimeout {
			t.Errorf("%d of %d samples after %s", len(a.got), n, time.Since(began))
		}
	})
}

func TestEndDoesNotWaitForAnAgentThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t)
		a.answer = unreachable
		p, stop := start(t, a, nil)
		collect(p, 0, time.Minute)
		began := time.Now()
		stop()
		if d := time.Since(began); d > flushTimeout {
			t.Errorf("ended after %s", d)
		}
	})
}

func TestTokenIsReadForEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t)
		a.answer = func(q request) *http.Response {
			if q.token == "secret" && len(a.requests) > 2 { // it has expired
				return respond(http.StatusUnauthorized, nil, `{"reason":"Unauthenticated"}`)
			}
			return nil
		}
		var tokenFile string
		p, _ := start(t, a, func(o *Options) { tokenFile = o.TokenFile })
		n := collect(p, 0, 2*time.Minute)
		if s := p.Stats(); s.Failures == 0 || s.Buffered == 0 {
			t.Fatalf("stats with an expired token: %+v", s)
		}
		if err := os.WriteFile(tokenFile, []byte("renewed"), 0o600); err != nil {
			t.Fatal(err)
		}
		n = collect(p, n, 4*time.Minute)
		synctest.Wait()
		if s := p.Stats(); s.Buffered != 0 || s.Sent != n {
			t.Errorf("stats: %+v of %d", s, n)
		}
		if token := a.requests[len(a.requests)-1].token; token != "renewed" {
			t.Errorf("the last token was %q", token)
		}
	})
}

func TestOutagesOfManyNodesDoNotEndInOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 200
		var back atomic.Bool
		answer := func(q request) *http.Response {
			if !back.Load() {
				return unreachable(q)
			}
			return nil
		}
		agents := make([]*agent, nodes)
		pushers := make([]*Pusher, nodes)
		for i := range nodes {
			agents[i] = newAgent(t)
			agents[i].answer = answer
			pushers[i], _ = start(t, agents[i], func(o *Options) { o.random = nil })
		}
		for range 40 { // in step, which is the worst
			pass(interval)
			for _, p := range pushers {
				p.Add(time.Now(), sample(1))
			}
		}
		back.Store(true)
		returned := time.Now()
		pass(time.Minute)
		synctest.Wait()
		perSecond := map[int]int{}
		total := 0
		for i, a := range agents {
			for _, q := range a.requests {
				if !q.at.Before(returned) {
					perSecond[int(q.at.Sub(returned)/time.Second)]++
					total++
				}
			}
			if left := pushers[i].Stats().Buffered; left > 0 {
				t.Errorf("node %d has %d samples left", i, left)
			}
		}
		for second, n := range perSecond {
			if n > total/10 {
				t.Errorf("second %d had %d of %d requests", second, n, total)
			}
		}
	})
}
