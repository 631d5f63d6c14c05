// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"strings"
	"testing"
	"time"
)

func TestParseRetention(t *testing.T) {
	if r, err := ParseRetention(""); err != nil || r != DefaultRetention() {
		t.Errorf("nothing makes %s, %v", r, err)
	}
	r, err := ParseRetention(" samples = 24h, events=7d,,")
	want := DefaultRetention()
	want.Samples, want.Events = 24*time.Hour, 7*24*time.Hour
	if err != nil || r != want {
		t.Errorf("got %s, %v; want %s", r, err, want)
	}
	if again, err := ParseRetention(want.String()); err != nil || again != want {
		t.Errorf("%q reads as %s, %v", want.String(), again, err)
	}
}

func TestParseRetentionRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"samples":           "name=time",
		"pods=3d":           "one of the names anomalies",
		"samples=":          "no time",
		"samples=3w":        "no time",
		"samples=-3d":       "no time",
		"samples=1h":        "samples is 1h0m0s, it has to be from 2h to 401d",
		"events=402d":       "events is 402d",
		"events=99999d":     "no time",
		"audit=30d":         "at least 90d",
		"sli=30d,audit=10d": "audit is 10d",
	} {
		if _, err := ParseRetention(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
