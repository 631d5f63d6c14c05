// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"bytes"
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

const day = 24 * time.Hour

func make1(t *testing.T, at time.Time) authority {
	t.Helper()
	a, err := newAuthority(at)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestArrange(t *testing.T) {
	young, middle, old := make1(t, noon.Add(-time.Hour)), make1(t, noon.Add(-year)), make1(t, noon.Add(-9*year))
	expired, future := make1(t, noon.Add(-11*year)), make1(t, noon.Add(year))
	cases := map[string]struct {
		all     []authority
		keep    []authority
		signer  int
		makeOne bool
		next    time.Time
	}{
		"none":                      {nil, nil, 0, true, time.Time{}},
		"the first":                 {[]authority{young}, []authority{young}, 0, false, young.made().Add(day)},
		"one in its prime":          {[]authority{middle}, []authority{middle}, 0, false, middle.cert.NotAfter.Add(-2 * year)},
		"one near its end":          {[]authority{old}, []authority{old}, 0, true, time.Time{}},
		"its successor is too new":  {[]authority{young, old}, []authority{old, young}, 0, false, young.made().Add(day)},
		"its successor signs":       {[]authority{middle, old}, []authority{old, middle}, 1, false, old.cert.NotAfter},
		"what expired goes":         {[]authority{expired, middle}, []authority{middle}, 0, false, middle.cert.NotAfter.Add(-2 * year)},
		"only what expired":         {[]authority{expired}, nil, 0, true, time.Time{}},
		"made by a clock far ahead": {[]authority{future}, []authority{future}, 0, false, future.made().Add(day)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := arrange(tc.all, noon)
			same := slices.EqualFunc(got.keep, tc.keep, func(a, b authority) bool { return a.cert.Equal(b.cert) })
			if !same || got.makeOne != tc.makeOne || got.signer != tc.signer || !got.next.Equal(tc.next.Truncate(time.Second)) {
				t.Errorf("keep %d (as wanted: %t), signer %d, make one: %t, next %s", len(got.keep), same, got.signer, got.makeOne, got.next)
			}
		})
	}
}

const year = 365 * day

// TestNoCollectorIsEverSurprised plays 40 years: whenever a certificate is shown, a
// collector that read what was published when it was looked at last verifies it.
func TestNoCollectorIsEverSurprised(t *testing.T) {
	var all []authority
	var readBefore *x509.CertPool
	now := noon
	signers := map[string]bool{}
	for range 40 * 26 {
		a := arrange(all, now)
		if a.makeOne {
			a = arrange(append(a.keep, make1(t, now)), now)
		}
		if a.makeOne || !a.next.After(now) {
			t.Fatalf("at %s there is still one to make, or to be looked at: %+v", now, a.next)
		}
		all = a.keep
		signers[all[a.signer].cert.SerialNumber.String()] = true
		pool := x509.NewCertPool()
		for _, one := range all {
			pool.AddCert(one.cert)
		}
		serving, err := all[a.signer].serve([]string{"agent", "127.0.0.1"}, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, roots := range []*x509.CertPool{pool, readBefore} {
			if roots == nil {
				continue
			}
			for _, name := range []string{"agent", "127.0.0.1"} {
				for _, at := range []time.Time{now.Add(-29 * day), now, now.Add(59 * day)} {
					if _, err := serving.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at}); err != nil {
						t.Fatalf("at %s: %v", now, err)
					}
				}
			}
		}
		readBefore = pool
		now = now.Add(14 * day)
	}
	if len(signers) < 4 {
		t.Errorf("%d authorities signed in 40 years", len(signers))
	}
}

func TestAuthoritiesSurviveTheSecret(t *testing.T) {
	want := []authority{make1(t, noon), make1(t, noon.Add(time.Hour))}
	certs, keys, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(certs, keys)
	if err != nil || len(got) != 2 || !got[1].cert.Equal(want[1].cert) {
		t.Fatalf("decoded %d: %v", len(got), err)
	}
	again, againKeys, err := encode(got)
	if err != nil || !bytes.Equal(certs, again) || !bytes.Equal(keys, againKeys) {
		t.Errorf("not the same bytes again: %v", err)
	}
	if none, err := decode(nil, nil); err != nil || none != nil {
		t.Errorf("an empty Secret has %d authorities, %v", len(none), err)
	}
	leaf, err := want[0].serve([]string{"agent"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	leafPEM, _, err := encode([]authority{{cert: leaf.Leaf, key: want[0].key}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ certs, keys []byte }{
		"a key is missing":     {certs, keys[:len(keys)/2]},
		"all keys are missing": {certs, nil},
		"certificates missing": {nil, keys},
		"keys in wrong order":  {certs, slices.Concat(keys[len(keys)/2:], keys[:len(keys)/2])},
		"not an authority":     {leafPEM, keys[:len(keys)/2]},
		"broken certificate":   {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), nil},
		"broken key":           {certs, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
	} {
		if all, err := decode(tc.certs, tc.keys); err == nil {
			t.Errorf("%s: decoded %d", name, len(all))
		}
	}
}
