// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPace(t *testing.T) {
	type step struct {
		outcome outcome
		entries int
		more    bool
	}
	failure, success := step{outcome: outcome{verdict: failed}, more: true}, step{outcome: outcome{verdict: stored}, more: true}
	refusal := step{outcome: outcome{verdict: forbidden}, more: true}
	cases := map[string]struct {
		steps  []step
		random float64
		want   time.Duration
		limit  int
	}{
		"first failure":                         {[]step{failure}, 0.5, 500 * time.Millisecond, 1},
		"third failure":                         {[]step{failure, failure, failure}, 0.5, 2 * time.Second, 1},
		"a day of failures":                     {make([]step, 5000), 1, 30 * time.Second, 1},
		"no jitter is still a pause":            {[]step{failure}, 0, leastPause, 1},
		"a success forgets the failures":        {[]step{failure, failure, success, failure}, 1, time.Second, 1},
		"nothing more to send":                  {[]step{{outcome: outcome{verdict: stored}}}, 0.5, 0, 2},
		"backlog is paced":                      {[]step{success}, 0.5, time.Second, 2},
		"batches grow":                          {[]step{success, success, success, success, success, success}, 0, 500 * time.Millisecond, 20},
		"a failure shrinks them":                {[]step{success, success, success, failure}, 0, leastPause, 1},
		"too large halves":                      {[]step{{outcome: outcome{verdict: tooLarge}, entries: 20}}, 0.5, time.Second, 10},
		"too large alone":                       {[]step{{outcome: outcome{verdict: tooLarge}, entries: 1}}, 0.5, time.Second, 1},
		"what the agent asks for":               {[]step{{outcome: outcome{verdict: busy, retryAfter: time.Minute}}}, 0, time.Minute, 1},
		"a tenth more at most":                  {[]step{{outcome: outcome{verdict: busy, retryAfter: time.Minute}}}, 1, 66 * time.Second, 1},
		"an agent that asks for nothing":        {[]step{{outcome: outcome{verdict: busy}}}, 0, leastRetryAfter, 1},
		"an agent that asks for a year":         {[]step{{outcome: outcome{verdict: busy, retryAfter: 8760 * time.Hour}}}, 0, mostRetryAfter, 1},
		"a refusal":                             {[]step{refusal}, 0.5, 5 * time.Second, 1},
		"refusals in a row":                     {[]step{refusal, refusal, refusal, refusal, refusal}, 0.5, time.Minute, 1},
		"an expired token":                      {[]step{{outcome: outcome{verdict: unauthenticated}}}, 0.5, 5 * time.Second, 1},
		"unreadable alone is tried more slowly": {[]step{{outcome: outcome{verdict: unreadable}, entries: 1}}, 0.5, 500 * time.Millisecond, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := newPace()
			var got time.Duration
			for _, s := range tc.steps {
				got = p.settle(s.outcome, s.entries, s.more, tc.random)
			}
			if got != tc.want || p.limit != tc.limit {
				t.Errorf("wait %s and send %d, want %s and %d", got, p.limit, tc.want, tc.limit)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	header := func(after string) http.Header { return http.Header{"Retry-After": {after}} }
	cases := map[string]struct {
		status int
		header http.Header
		body   string
		want   outcome
	}{
		"accepted":              {200, nil, `{"accepted":3,"duplicates":1,"refused":0}`, outcome{verdict: stored}},
		"some set aside":        {200, nil, `{"accepted":3,"refused":2}`, outcome{verdict: stored, refused: 2}},
		"somebody else":         {200, nil, `<html>`, outcome{problem: "the answer with status 200 is not an agent's; check the address"}},
		"another service":       {200, nil, `{}`, outcome{problem: "the answer with status 200 is not an agent's; check the address"}},
		"moved":                 {307, nil, ``, outcome{problem: "the agent answered 307"}},
		"too large":             {413, nil, `{"reason":"TooLarge","message":"no\nway"}`, outcome{verdict: tooLarge, problem: "the agent answered 413 TooLarge: no way"}},
		"malformed":             {400, nil, `{"reason":"Malformed"}`, outcome{verdict: unreadable, problem: "the agent answered 400 Malformed"}},
		"changed on the way":    {400, nil, `{"reason":"Checksum"}`, outcome{verdict: failed, problem: "the agent answered 400 Checksum"}},
		"token":                 {401, nil, ``, outcome{verdict: unauthenticated, problem: "the agent answered 401"}},
		"another node":          {403, nil, `{"reason":"Contradiction"}`, outcome{verdict: forbidden, problem: "the agent answered 403 Contradiction"}},
		"nothing here":          {404, nil, ``, outcome{verdict: forbidden, problem: "the agent answered 404"}},
		"slow body":             {408, nil, ``, outcome{verdict: failed, problem: "the agent answered 408"}},
		"busy":                  {429, header("7"), ``, outcome{verdict: busy, retryAfter: 7 * time.Second, problem: "the agent answered 429"}},
		"busy until":            {503, header("Mon, 23 Nov 2026 12:00:09 GMT"), ``, outcome{verdict: busy, retryAfter: 9 * time.Second, problem: "the agent answered 503"}},
		"busy until yesterday":  {503, header("Sun, 22 Nov 2026 12:00:09 GMT"), ``, outcome{verdict: busy, problem: "the agent answered 503"}},
		"busy for ever":         {503, header("99999999999999"), ``, outcome{verdict: busy, retryAfter: mostRetryAfter, problem: "the agent answered 503"}},
		"busy, nobody knows":    {503, header("soon"), ``, outcome{problem: "the agent answered 503"}},
		"away":                  {503, nil, ``, outcome{problem: "the agent answered 503"}},
		"an answer that is odd": {500, nil, "\x00\xff", outcome{problem: "the agent answered 500"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, judge(tc.status, tc.header, []byte(tc.body), now), cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	good := Options{URL: "https://agent", CAFile: "ca", TokenFile: "token"}
	cases := map[string]struct {
		change func(*Options)
		want   string
	}{
		"good":              {func(*Options) {}, ""},
		"no certificates":   {func(o *Options) { o.CAFile = "" }, "the file with its certificates and the file with the token are required"},
		"too often":         {func(o *Options) { o.Interval = time.Millisecond }, "an interval of 1ms is too short, 1s is the least"},
		"kept for too long": {func(o *Options) { o.Keep = time.Second }, "samples have to be kept for at least the interval of 15s, and in some memory"},
		"without TLS":       {func(o *Options) { o.URL = "http://agent" }, "http://agent is not https://HOST[:PORT]"},
		"with a password":   {func(o *Options) { o.URL = "https://me:secret@agent" }, "https://me:xxxxx@agent is not https://HOST[:PORT]"},
		"not a URL":         {func(o *Options) { o.URL = "https://%" }, "it is not a URL"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := good
			tc.change(&o)
			_, err := New(o)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("got %v, want it to end in %q", err, tc.want)
			}
		})
	}
}

func TestHowManySamplesAreKept(t *testing.T) {
	cases := map[string]struct {
		interval, keep time.Duration
		want           int
	}{
		"an hour":          {15 * time.Second, time.Hour, 240},
		"a second":         {time.Second, time.Second, 1},
		"no whole number":  {15 * time.Second, 40 * time.Second, 3},
		"more than sense":  {time.Second, 24 * time.Hour, maxSamples},
		"the longest ones": {time.Hour, time.Hour, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := (&Options{Interval: tc.interval, Keep: tc.keep}).samples(); got != tc.want {
				t.Errorf("%d samples, want %d", got, tc.want)
			}
		})
	}
}
