// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package bearer_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/atlhyper/atlhyper/internal/bearer"
)

func TestToken(t *testing.T) {
	cases := map[string]struct {
		values []string
		want   string
	}{
		"one":       {[]string{"Bearer abc"}, "abc"},
		"lowercase": {[]string{"bearer abc"}, "abc"},
		"two":       {[]string{"Bearer abc", "Bearer def"}, ""},
		"basic":     {[]string{"Basic abc"}, ""},
		"none":      {nil, ""},
		"empty":     {[]string{""}, ""},
		"large":     {[]string{"Bearer " + strings.Repeat("x", bearer.MaxToken)}, strings.Repeat("x", bearer.MaxToken)},
		"huge":      {[]string{"Bearer " + strings.Repeat("x", bearer.MaxToken+1)}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := bearer.Token(http.Header{"Authorization": tc.values}); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	token := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
	}
	good := token(`{"sub":"system:serviceaccount:a:b","aud":["x"]}`)
	cases := map[string]struct{ token, want string }{
		"a ServiceAccount's": {good, "system:serviceaccount:a:b"},
		"nobody":             {token(`{}`), ""},
		"empty":              {"", ""},
		"a word":             {"abc", ""},
		"not base64":         {"a.!.c", ""},
		"not JSON":           {"a.b.c", ""},
		"no payload":         {"a..c", ""},
		"no signature":       {strings.TrimSuffix(good, "sig"), ""},
		"two parts":          {strings.TrimSuffix(good, ".sig"), ""},
		"four parts":         {good + ".more", ""},
		"a number":           {token(`{"sub":1}`), ""},
		"half":               {token(`{`), ""},
		"null":               {token(`null`), ""},
		"deep":               {token(strings.Repeat("[", 5000)), ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := bearer.Subject(tc.token); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
