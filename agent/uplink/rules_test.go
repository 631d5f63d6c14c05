// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestFullJitterStaysWithinBounds(t *testing.T) {
	for failures, ceiling := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second, 7: time.Minute, 8: time.Minute, 1000: time.Minute,
	} {
		if got := fullJitter(failures, time.Second, time.Minute, 0); got != leastPause {
			t.Errorf("after %d failures the least pause is %s, want %s", failures, got, leastPause)
		}
		if got := fullJitter(failures, time.Second, time.Minute, 0.5); got != ceiling/2 {
			t.Errorf("after %d failures the middle pause is %s, want %s", failures, got, ceiling/2)
		}
		if got := fullJitter(failures, time.Second, time.Minute, 0.999999); got > ceiling || got < ceiling*99/100 {
			t.Errorf("after %d failures the longest pause is %s, want %s", failures, got, ceiling)
		}
	}
}

func TestRefusalsPauseForMinutes(t *testing.T) {
	for refusals, middle := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 4: 8 * time.Minute, 5: 10 * time.Minute, 500: 10 * time.Minute} {
		low, high := steady(refusals, time.Minute, 10*time.Minute, 0), steady(refusals, time.Minute, 10*time.Minute, 0.999999)
		if low != middle*8/10 || high < middle*119/100 || high > middle*12/10 {
			t.Errorf("after %d refusals from %s to %s, want %s give or take a fifth", refusals, low, high, middle)
		}
	}
}

func TestRetryAfterIsNeverUndercut(t *testing.T) {
	for name, c := range map[string]struct{ asked, low, high time.Duration }{
		"nothing": {0, time.Second, 1100 * time.Millisecond},
		"exactly": {7 * time.Second, 7 * time.Second, 7700 * time.Millisecond},
		"a day":   {24 * time.Hour, 10 * time.Minute, 11 * time.Minute},
	} {
		if low, high := asked(c.asked, 0), asked(c.asked, 0.999999); low != c.low || high > c.high || high < low {
			t.Errorf("%s: from %s to %s, want %s to %s", name, low, high, c.low, c.high)
		}
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0": 0, "3": 3 * time.Second, "600": 10 * time.Minute, "99999999999": 10 * time.Minute,
		"Mon, 23 Nov 2026 09:30:20 GMT": 20 * time.Second, "Mon, 23 Nov 2026 09:00:00 GMT": 0,
	} {
		if got, ok := parseRetryAfter(value, now); !ok || got != want {
			t.Errorf("%q is %s, %v, want %s", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "soon", "-1", "1.5", "18446744073709551616"} {
		if got, ok := parseRetryAfter(value, now); ok {
			t.Errorf("%q is taken for %s", value, got)
		}
	}
}

func TestDebtKeepsTheRate(t *testing.T) {
	now := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	begin := now
	d := debt{perSecond: 1000}
	sent := 0
	for sent < 100_000 {
		now = now.Add(d.wait(now))
		if d.wait(now) > 0 {
			t.Fatalf("at %s there is something owed after the wait", now.Sub(begin))
		}
		d.spend(700, now)
		sent += 700
	}
	if took := now.Sub(begin); took < 99*time.Second || took > 101*time.Second {
		t.Errorf("%d bytes took %s at 1000 a second", sent, took)
	}
	if unlimited := (debt{}); unlimited.wait(now) != 0 {
		t.Error("without a rate there is a wait")
	}
	d = debt{perSecond: 1000}
	d.spend(5_000_000, now)
	if wait := d.wait(now.Add(-time.Hour)); wait < 5000*time.Second || wait > 5001*time.Second {
		t.Errorf("a clock that goes back makes the wait %s", wait)
	}
}

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	now := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		status int
		after  string
		body   string
		want   outcome
	}{
		"stored":            {200, "", `{"acked":7}`, outcome{verdict: stored, acked: 7}},
		"quarantined":       {200, "", `{"acked":7,"quarantined":2,"new":"field"}`, outcome{verdict: stored, acked: 7, quarantined: 2}},
		"a portal's page":   {200, "", `<html>log in</html>`, outcome{problem: "the answer with status 200 is not the hub's; something between here and the hub answers in its place"}},
		"another service":   {200, "", `{"ok":true}`, outcome{problem: "the answer with status 200 is not the hub's; something between here and the hub answers in its place"}},
		"no content":        {204, "", ``, outcome{problem: "the hub answered 204"}},
		"redirect":          {302, "", ``, outcome{problem: "the hub answered 302"}},
		"gap":               {409, "", `{"reason":"Gap","expected":5}`, outcome{verdict: gapped, expected: 5, problem: "the hub answered 409 Gap"}},
		"gap, tersely":      {409, "", `{"expected":1}`, outcome{verdict: gapped, expected: 1, problem: "the hub answered 409"}},
		"mismatch":          {409, "", `{"reason":"Mismatch","message":"other content"}`, outcome{verdict: mismatched, problem: "the hub answered 409 Mismatch: other content"}},
		"unknown conflict":  {409, "", `{"reason":"Else"}`, outcome{problem: "the hub answered 409 Else"}},
		"too large":         {413, "", `{"reason":"BatchTooLarge"}`, outcome{verdict: tooLarge, problem: "the hub answered 413 BatchTooLarge"}},
		"malformed":         {400, "", `{"reason":"Malformed"}`, outcome{verdict: unreadable, problem: "the hub answered 400 Malformed"}},
		"damaged":           {400, "", `{"reason":"Checksum"}`, outcome{verdict: damaged, problem: "the hub answered 400 Checksum"}},
		"unauthenticated":   {401, "", ``, outcome{verdict: unauthenticated, problem: "the hub answered 401"}},
		"not accepted":      {403, "", `{"reason":"NotAccepted"}`, outcome{verdict: forbidden, problem: "the hub answered 403 NotAccepted"}},
		"not a hub":         {404, "", `404 page not found`, outcome{verdict: forbidden, problem: "the hub answered 404"}},
		"an older hub":      {415, "", `{"reason":"UnsupportedVersion"}`, outcome{verdict: forbidden, problem: "the hub answered 415 UnsupportedVersion"}},
		"slow body":         {408, "", `{"reason":"SlowBody"}`, outcome{problem: "the hub answered 408 SlowBody"}},
		"rate limited":      {429, "3", `{"reason":"RateLimited"}`, outcome{verdict: busy, retryAfter: 3 * time.Second, problem: "the hub answered 429 RateLimited"}},
		"store unavailable": {503, "Mon, 23 Nov 2026 09:31:00 GMT", `{}`, outcome{verdict: busy, retryAfter: time.Minute, problem: "the hub answered 503"}},
		"no time given":     {503, "", `upstream unavailable`, outcome{problem: "the hub answered 503"}},
		"broken":            {500, "9", ``, outcome{problem: "the hub answered 500"}},
		"lines in a reason": {403, "", `{"reason":"a\nb","message":"\u0000c"}`, outcome{verdict: forbidden, problem: "the hub answered 403 a b:  c"}},
	} {
		header := http.Header{}
		if c.after != "" {
			header.Set("Retry-After", c.after)
		}
		if diff := cmp.Diff(c.want, judge(c.status, header, []byte(c.body), now), cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	long := judge(403, http.Header{}, []byte(`{"reason":"`+strings.Repeat("x", 5000)+`"}`), now)
	if len(long.problem) > 2*maxProblem {
		t.Errorf("a reason of 5000 bytes becomes a problem of %d", len(long.problem))
	}
}

func TestAnOffsetIsThatOfTheEpochOrNone(t *testing.T) {
	const stream, epoch = telemetry.StreamEvents, telemetry.Epoch(7)
	for body, want := range map[string]int{
		`{"offsets":[{"stream":"events","epoch":7,"acked":5}]}`:                                            5,
		`{"offsets":[{"stream":"events","epoch":7,"acked":0}]}`:                                            0,
		`{"offsets":[{"stream":"events","epoch":9,"acked":3},{"stream":"events","epoch":7,"acked":5}]}`:    5,
		`{"offsets":[{"stream":"events","epoch":9,"acked":3},{"stream":"inventory","epoch":7,"acked":5}]}`: -1,
		`{"offsets":[{"stream":"events","epoch":7}]}`:                                                      -1,
		`{"offsets":[]}`: -1, `{}`: -1,
	} {
		var r reply
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		if acked, ok := r.offset(stream, epoch); ok != (want >= 0) || ok && int(acked) != want { //nolint:gosec // small
			t.Errorf("%s says %d, %v, want %d", body, acked, ok, want)
		}
	}
}

func TestHoldsFollowTheirRules(t *testing.T) {
	p := pauses{retryMin: time.Second, retryMax: time.Minute, refusedMin: time.Minute, refusedMax: 10 * time.Minute}
	start := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	type step struct {
		o            outcome
		began, ended float64
		pause        time.Duration
	}
	for name, steps := range map[string][]step{
		"failures double and success forgets": {
			{outcome{verdict: failed}, 0, 1, 500 * time.Millisecond},
			{outcome{verdict: failed}, 2, 3, time.Second},
			{outcome{verdict: failed}, 5, 6, 2 * time.Second},
			{outcome{verdict: stored}, 10, 11, 0},
			{outcome{verdict: failed}, 12, 13, 500 * time.Millisecond},
		},
		"what fails together counts once": {
			{outcome{verdict: failed}, 0, 1, 500 * time.Millisecond},
			{outcome{verdict: failed}, 0.1, 1.1, 400 * time.Millisecond},
			{outcome{verdict: failed}, 0.2, 1.6, 0},
			{outcome{verdict: failed}, 2, 3, time.Second},
		},
		"a late success does not shorten what the hub asked for": {
			{outcome{verdict: busy, retryAfter: 20 * time.Second}, 0, 1, 21 * time.Second},
			{outcome{verdict: stored}, 0.5, 2, 20 * time.Second},
		},
		"the hub may ask for more": {
			{outcome{verdict: failed}, 0, 1, 500 * time.Millisecond},
			{outcome{verdict: busy, retryAfter: 20 * time.Second}, 0.5, 1.2, 21 * time.Second},
		},
		"refusals take minutes": {
			{outcome{verdict: unauthenticated}, 0, 1, time.Minute},
			{outcome{verdict: forbidden}, 100, 101, 2 * time.Minute},
			{outcome{verdict: gapped}, 300, 301, 0},
			{outcome{verdict: forbidden}, 302, 303, time.Minute},
		},
		"a complaint about a batch is no failure": {
			{outcome{verdict: failed}, 0, 1, 500 * time.Millisecond},
			{outcome{verdict: mismatched}, 2, 3, 0},
			{outcome{verdict: tooLarge}, 3, 4, 0},
			{outcome{verdict: failed}, 4, 5, 500 * time.Millisecond},
		},
	} {
		var h hold
		for i, s := range steps {
			got := h.settle(s.o, at(s.began), at(s.ended), p, 0.5)
			if got.Round(time.Microsecond) != s.pause {
				t.Errorf("%s: step %d pauses for %s, want %s", name, i, got, s.pause)
			}
			if ok, wait := h.may(at(s.ended)); ok != (got == 0) || wait != got && got > 0 {
				t.Errorf("%s: step %d: may send %v in %s, the pause is %s", name, i, ok, wait, got)
			}
		}
	}
}

func TestSequencesNarrowAndWiden(t *testing.T) {
	now := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	s := newSequence(Live, 3, Size{Records: 100, Bytes: 1000})
	for _, records := range []int{100, 50, 25, 12, 6, 3} {
		if !s.halve(records) || s.size.Records != records/2 {
			t.Fatalf("half of %d is %d", records, s.size.Records)
		}
	}
	if s.halve(1) {
		t.Error("one record was halved")
	}
	for i := 1; i <= givenUpAfter; i++ {
		if s.refuse(recordID{1, 5}) != (i == givenUpAfter) {
			t.Errorf("the record is given up at try %d", i)
		}
	}
	if s.refuse(recordID{1, 6}) {
		t.Error("another record is given up at once")
	}
	s.pause(now, time.Second, time.Minute, 0.5)
	if wait, due := s.notice(1, 1, Linger{Bytes: 100}, now); !due || wait != 500*time.Millisecond {
		t.Errorf("a paused sequence is due %v in %s", due, wait)
	}
	for range 10 {
		s.accept()
	}
	if s.size != s.most || s.refusals != 0 || !s.until.IsZero() {
		t.Errorf("after success: %+v", s)
	}
}

func TestWhatGoesFirstAfterAPauseIsSmall(t *testing.T) {
	most := Size{Records: 10_000, Bytes: 1 << 20}
	live, replay := newSequence(Live, telemetry.StreamEvents, most), newSequence(Replay, telemetry.StreamEvents, most)
	live.resume(0)
	if live.size != most {
		t.Errorf("without a pause, a batch may have %+v", live.size)
	}
	for range 2 { // a second pause before anything was stored changes nothing
		live.resume(3)
		replay.resume(3)
	}
	if live.size != firstBatch {
		t.Errorf("after a pause, a live batch may have %+v", live.size)
	}
	if replay.size != most {
		t.Errorf("after a pause, a batch of the backlog may have %+v", replay.size)
	}
	for range 6 {
		live.accept()
		live.resume(3)
	}
	if live.size != most {
		t.Errorf("some batches later, one may have %+v", live.size)
	}
	live.limit(1)
	live.resume(4)
	if live.size.Records != 1 {
		t.Errorf("a pause makes a batch that was too large larger: %+v", live.size)
	}
}

func TestLinger(t *testing.T) {
	now := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	linger := Linger{Time: 10 * time.Second, Bytes: 1000}
	s := newSequence(Live, 4, Size{Records: 100, Bytes: 1 << 20})
	for _, c := range []struct {
		after   time.Duration
		records uint64
		bytes   int64
		wait    time.Duration
		due     bool
	}{
		{0, 0, 0, 0, false},
		{time.Second, 1, 10, 10 * time.Second, true},
		{4 * time.Second, 2, 20, 7 * time.Second, true},
		{5 * time.Second, 90, 1000, 0, true},
		{12 * time.Second, 2, 20, -time.Second, true},
		{13 * time.Second, 0, 0, 0, false},
		{14 * time.Second, 1, 10, 10 * time.Second, true},
	} {
		wait, due := s.notice(c.records, c.bytes, linger, now.Add(c.after))
		if due != c.due || wait != c.wait {
			t.Errorf("at %s: due %v in %s, want %v in %s", c.after, due, wait, c.due, c.wait)
		}
	}
	s.sent(now.Add(20 * time.Second))
	if wait, due := s.notice(1, 10, linger, now.Add(22*time.Second)); !due || wait != 8*time.Second {
		t.Errorf("what came while a batch was sent is due %v in %s", due, wait)
	}
}

func TestEagerLinger(t *testing.T) {
	now := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	linger := Linger{Time: 50 * time.Millisecond, Bytes: 1000, Eager: true}
	s := newSequence(Live, telemetry.StreamAnomalies, Size{Records: 100, Bytes: 1 << 20})
	at := func(after time.Duration, records uint64, want time.Duration) {
		t.Helper()
		if wait, due := s.notice(records, 10, linger, now.Add(after)); due != (records > 0) || wait != want {
			t.Errorf("after %s, %d records are due %v in %s, want %s", after, records, due, wait, want)
		}
	}
	at(0, 1, 0)
	s.sent(now)
	at(10*time.Millisecond, 3, 40*time.Millisecond)
	at(20*time.Millisecond, 0, 0)
	at(30*time.Millisecond, 1, 20*time.Millisecond)
	at(50*time.Millisecond, 2, 0)
	s.sent(now.Add(50 * time.Millisecond))
	at(60*time.Millisecond, 0, 0)
	at(99*time.Millisecond, 1, time.Millisecond)
	at(110*time.Millisecond, 0, 0)
	at(time.Second, 1, 0)
	// The hub's refusals hold it like any other.
	s.pause(now.Add(time.Second), time.Second, time.Minute, 0.5)
	at(time.Second, 1, 500*time.Millisecond)
}
