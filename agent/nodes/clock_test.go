// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"net/http"
	"testing"
	"time"
)

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func TestClock(t *testing.T) {
	cases := map[string]struct {
		behind        []time.Duration // how far the node's clock is behind, at each request
		age           time.Duration   // of the sample, on the node's clock
		corrected     time.Time
		moment        time.Time
		ok            bool
		expectedShift time.Duration
	}{
		"right":                     {[]time.Duration{0}, 3 * time.Second, noon.Add(-3 * time.Second), noon.Add(-3 * time.Second), true, 0},
		"a little behind":           {[]time.Duration{time.Minute}, 0, noon.Add(-time.Minute), noon, true, 0},
		"a little ahead":            {[]time.Duration{-time.Minute}, 0, noon.Add(time.Minute), noon, true, 0},
		"a day ahead":               {[]time.Duration{-24 * time.Hour}, 15 * time.Second, noon.Add(-15 * time.Second), noon.Add(-15 * time.Second), true, -24 * time.Hour},
		"since 1970":                {[]time.Duration{noon.Sub(time.Unix(0, 0))}, 0, noon, noon, true, noon.Sub(time.Unix(0, 0))},
		"the correction stays":      {[]time.Duration{time.Hour, time.Hour + time.Second}, 0, noon.Add(-time.Second), noon, true, time.Hour},
		"until it is wrong":         {[]time.Duration{time.Hour, 2 * time.Hour}, 0, noon, noon, true, 2 * time.Hour},
		"the clock was set right":   {[]time.Duration{time.Hour, 500 * time.Millisecond}, 0, noon.Add(-500 * time.Millisecond), noon, true, 0},
		"an hour of backlog":        {[]time.Duration{0}, time.Hour, noon.Add(-time.Hour), noon.Add(-time.Hour), true, 0},
		"older than anything kept":  {[]time.Duration{0}, 25 * time.Hour, noon.Add(-25 * time.Hour), noon.Add(-25 * time.Hour), false, 0},
		"taken after it was sent":   {[]time.Duration{0}, -time.Minute, noon.Add(time.Minute), noon, true, 0},
		"taken long after it was":   {[]time.Duration{0}, -time.Hour, noon.Add(time.Hour), noon, false, 0},
		"before the clock was set":  {[]time.Duration{0}, noon.Sub(time.Unix(100, 0)), time.Unix(100, 0), time.Unix(100, 0), false, 0},
		"ahead by what is accepted": {[]time.Duration{-2 * time.Minute}, 0, noon.Add(2 * time.Minute), noon, true, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var c clock
			var sent time.Time
			for _, behind := range tc.behind {
				sent = noon.Add(-behind)
				c.observe(sent, noon)
			}
			corrected, moment, ok := c.place(sent.Add(-tc.age), noon)
			if !corrected.Equal(tc.corrected) || !moment.Equal(tc.moment) || ok != tc.ok || c.shift != tc.expectedShift {
				t.Errorf("at %s, moment %s, %t, shift %s; want %s, %s, %t, %s", corrected, moment, ok, c.shift, tc.corrected, tc.moment, tc.ok, tc.expectedShift)
			}
		})
	}
}

func TestSentAt(t *testing.T) {
	cases := map[string]struct {
		header string
		want   time.Time
	}{
		"milliseconds": {"1795435200123", time.UnixMilli(1795435200123)},
		"missing":      {"", noon},
		"negative":     {"-1", noon},
		"a word":       {"yesterday", noon},
		"far too late": {"9223372036854775807", noon},
		"too long":     {"99999999999999999999999", noon},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set(sentHeader, tc.header)
			if got := sentAt(h, noon); !got.Equal(tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
