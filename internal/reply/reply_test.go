// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package reply

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		d      time.Duration
		random float64
		want   int
	}{{0, 0, 1}, {time.Second, 0, 1}, {time.Second, 0.99, 2}, {5 * time.Second, 0.5, 8}, {100 * time.Millisecond, 0.9, 1}} {
		if got := retryAfter(tc.d, tc.random); got != tc.want {
			t.Errorf("%s and %v: got %d, want %d", tc.d, tc.random, got, tc.want)
		}
	}
}

func TestWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		kind        Kind
		retry       time.Duration
		least, most int // of Retry-After; 0 for none
		challenge   string
	}{
		"success":               {Kind{Status: http.StatusOK}, time.Minute, 0, 0, ""},
		"waiting does not help": {Kind{Status: http.StatusBadRequest}, time.Minute, 0, 0, ""},
		"unauthorized":          {Kind{Status: http.StatusUnauthorized}, 0, 0, 0, "Bearer"},
		"wait":                  {Kind{Status: http.StatusServiceUnavailable, Retry: 5 * time.Second}, 0, 5, 10, ""},
		"wait for less":         {Kind{Status: http.StatusTooManyRequests, Retry: 5 * time.Second}, time.Second, 5, 10, ""},
		"wait for more":         {Kind{Status: http.StatusTooManyRequests, Retry: time.Second}, time.Minute, 60, 120, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := tc.kind.Write(w, map[string]int{"n": 1}, tc.retry); err != nil {
				t.Fatal(err)
			}
			h := w.Header()
			if w.Code != tc.kind.Status || w.Body.String() != `{"n":1}` || h.Get("Content-Length") != "7" ||
				h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %v: %s", w.Code, h, w.Body)
			}
			if got := h.Get("WWW-Authenticate"); got != tc.challenge {
				t.Errorf("challenge %q, want %q", got, tc.challenge)
			}
			if tc.least == 0 {
				if _, ok := h["Retry-After"]; ok {
					t.Errorf("Retry-After %q", h.Get("Retry-After"))
				}
				return
			}
			if n, err := strconv.Atoi(h.Get("Retry-After")); err != nil || n < tc.least || n > tc.most {
				t.Errorf("Retry-After %q, want %d to %d", h.Get("Retry-After"), tc.least, tc.most)
			}
		})
	}
	w := httptest.NewRecorder()
	if err := (Kind{Status: http.StatusOK}).Write(w, func() {}, 0); err == nil || len(w.Header()) > 0 {
		t.Errorf("what is no JSON was sent: %v", w.Header())
	}
}
