// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func TestRenewalDelay(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const life = 24 * time.Hour
	cases := map[string]struct {
		now    time.Duration
		random float64
		want   time.Duration
	}{
		"fresh":                       {random: 0.5, want: 12 * time.Hour},
		"fresh, earliest":             {random: 0, want: 12*time.Hour - 72*time.Minute},
		"used for a while":            {now: 4 * time.Hour, random: 0.5, want: 8 * time.Hour},
		"due":                         {now: 12 * time.Hour, random: 0.5, want: 0},
		"expired":                     {now: 48 * time.Hour, random: 0.5, want: 0},
		"our clock is a day behind":   {now: -24 * time.Hour, random: 0.5, want: 12 * time.Hour},
		"our clock is an hour behind": {now: -time.Hour, random: 0.5, want: 12 * time.Hour},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := renewalDelay(start, start.Add(life), start.Add(tc.now), 0.5, tc.random)
			if got != tc.want {
				t.Errorf("delay %s; want %s", got, tc.want)
			}
		})
	}
}

func TestJitter(t *testing.T) {
	for _, tc := range []struct {
		random float64
		want   time.Duration
	}{{0, 27 * time.Second}, {0.5, 30 * time.Second}, {1, 33 * time.Second}} {
		if got := jitter(30*time.Second, tc.random); got != tc.want {
			t.Errorf("jitter with %v is %s; want %s", tc.random, got, tc.want)
		}
	}
}

func TestRetryGrowsToItsCap(t *testing.T) {
	backoff := retry(time.Second, 30*time.Second)
	for i, seconds := range []int{1, 2, 4, 8, 16, 30, 30, 30, 30} {
		base := time.Duration(seconds) * time.Second
		if got := backoff.Step(); got < base || got > base*3/2 {
			t.Errorf("step %d is %s; want between %s and %s", i, got, base, base*3/2)
		}
	}
}

// jwt makes an unsigned token with a payload.
func jwt(payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(payload)) + ".x"
}

func jwtFor(issued time.Time, life time.Duration, id string) string {
	return jwt(fmt.Sprintf(`{"iat":%d,"exp":%d,"jti":%q}`, issued.Unix(), issued.Add(life).Unix(), id))
}

func TestTokenLife(t *testing.T) {
	issued, expires, err := tokenLife(jwt(`{"iat":1000,"exp":4600,"sub":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if issued.Unix() != 1000 || expires.Unix() != 4600 {
		t.Errorf("from %d to %d; want 1000 to 4600", issued.Unix(), expires.Unix())
	}
	for name, token := range map[string]string{
		"opaque":           "s3cret",
		"bad base64":       "a.s3cret!.c",
		"bad JSON":         jwt("s3cret"),
		"no expiry":        jwt(`{"iat":1000,"jti":"s3cret"}`),
		"ends before life": jwt(`{"iat":1000,"exp":1000}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tokenLife(token)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestRhythmOf(t *testing.T) {
	const own, other = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	cases := map[string]struct {
		cluster *v1alpha1.ManagedCluster
		want    rhythm
	}{
		"not seen yet": {nil, rhythm{period: 30 * time.Second, grace: 90 * time.Second}},
		"no heartbeat": {&v1alpha1.ManagedCluster{}, rhythm{period: 30 * time.Second, grace: 90 * time.Second}},
		"only a period": {
			&v1alpha1.ManagedCluster{Spec: v1alpha1.ManagedClusterSpec{Heartbeat: &v1alpha1.Heartbeat{PeriodSeconds: 5}}},
			rhythm{period: 5 * time.Second, grace: 15 * time.Second},
		},
		"only misses": {
			&v1alpha1.ManagedCluster{Spec: v1alpha1.ManagedClusterSpec{Heartbeat: &v1alpha1.Heartbeat{MissesBeforeUnavailable: 10}}},
			rhythm{period: 30 * time.Second, grace: 300 * time.Second},
		},
		"pinned to us": {
			&v1alpha1.ManagedCluster{Spec: v1alpha1.ManagedClusterSpec{ExpectedClusterID: own}, Status: v1alpha1.ManagedClusterStatus{ClusterID: own}},
			rhythm{period: 30 * time.Second, grace: 90 * time.Second},
		},
		"pinned to another": {
			&v1alpha1.ManagedCluster{Status: v1alpha1.ManagedClusterStatus{ClusterID: other}},
			rhythm{period: 30 * time.Second, grace: 90 * time.Second, conflict: other},
		},
		"another expected": {
			&v1alpha1.ManagedCluster{Spec: v1alpha1.ManagedClusterSpec{ExpectedClusterID: other}},
			rhythm{period: 30 * time.Second, grace: 90 * time.Second, conflict: other},
		},
		"being deleted": {
			&v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Now())}},
			rhythm{period: 30 * time.Second, grace: 90 * time.Second, deleting: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, rhythmOf(tc.cluster, own), cmp.AllowUnexported(rhythm{})); diff != "" {
				t.Errorf("rhythm (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeasePatch(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	for joined, want := range map[string]string{
		"":     `{"spec":{"holderIdentity":"u/i","renewTime":"2026-01-02T03:04:05.678901Z","leaseDurationSeconds":90}}`,
		"n\"1": `{"metadata":{"annotations":{"atlhyper.io/joined":"n\"1"}},"spec":{"holderIdentity":"u/i","renewTime":"2026-01-02T03:04:05.678901Z","leaseDurationSeconds":90}}`,
	} {
		body, err := leasePatch("u/i", now, 90*time.Second, joined)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(body)); diff != "" {
			t.Errorf("patch (-want +got):\n%s", diff)
		}
	}
}

func TestParseBundle(t *testing.T) {
	ca := certificate(t)
	quoted, err := json.Marshal(ca)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		document string
		want     []Endpoint
		fails    bool
	}{
		"empty":        {document: ""},
		"no endpoints": {document: `{"endpoints":[]}`, want: []Endpoint{}},
		"two": {
			document: `{"endpoints":[{"url":"https://a/","ca":` + string(quoted) + `},{"url":"https://b:6443"}]}`,
			want:     []Endpoint{{URL: "https://a", CA: ca}, {URL: "https://b:6443"}},
		},
		"not JSON":     {document: `endpoints: []`, fails: true},
		"one is plain": {document: `{"endpoints":[{"url":"https://a"},{"url":"http://b"}]}`, fails: true},
		"bad CA":       {document: `{"endpoints":[{"url":"https://a","ca":"x"}]}`, fails: true},
		"too many":     {document: `{"endpoints":[` + strings.Repeat(`{"url":"https://a"},`, 8) + `{"url":"https://b"}]}`, fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseBundle(v1alpha1.BundleEndpoints, tc.document)
			if (err != nil) != tc.fails {
				t.Fatalf("error %v; want one: %t", err, tc.fails)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWorthTrying(t *testing.T) {
	a, b, c := Endpoint{URL: "https://a"}, Endpoint{URL: "https://b"}, Endpoint{URL: "https://c"}
	newCA := Endpoint{URL: "https://a", CA: "new"}
	cases := map[string]struct {
		candidates []Endpoint
		works      bool
		want       []Endpoint
	}{
		"no bundle":                     {nil, true, nil},
		"no bundle and away":            {nil, false, nil},
		"best in use":                   {[]Endpoint{a, b}, true, []Endpoint{}},
		"best in use but away":          {[]Endpoint{a, b, c}, false, []Endpoint{b, c}},
		"a better one":                  {[]Endpoint{b, a, c}, true, []Endpoint{b}},
		"a new CA":                      {[]Endpoint{newCA, a}, true, []Endpoint{newCA}},
		"present is not in it any more": {[]Endpoint{b, c}, true, []Endpoint{b, c}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := fmt.Sprint(tc.candidates)
			got := worthTrying(tc.candidates, a, tc.works)
			if len(got) != len(tc.want) || len(got) > 0 && !cmp.Equal(tc.want, got) {
				t.Errorf("%v; want %v", got, tc.want)
			}
			if after := fmt.Sprint(tc.candidates); after != before {
				t.Errorf("the candidates were changed from %s to %s", before, after)
			}
		})
	}
}
