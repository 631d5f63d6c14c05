// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package authority_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/authority"
)

const year = 365 * day

func TestParse(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	cert, key := authority.Set{a}.PEM()
	otherCert, otherKey := authority.Set{other}.PEM()
	both, bothKeys := authority.Set{a, other}.PEM()
	for name, of := range map[string][]*authority.Authority{"none": nil, "one": {a}, "two": {a, other}} {
		certs, keys := authority.Set(of).PEM()
		again, err := authority.Parse(certs, keys)
		if err != nil || len(again) != len(of) {
			t.Fatalf("%s: read %d: %v", name, len(again), err)
		}
		for i := range of {
			issued, err := again[i].Issue([]string{"x"}, now)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(t, of[i], issued.Leaf, "x", now); err != nil {
				t.Errorf("%s: number %d: %v", name, i, err)
			}
		}
		if c, k := again.PEM(); !bytes.Equal(c, certs) || !bytes.Equal(k, keys) {
			t.Errorf("%s: not the same bytes again", name)
		}
	}
	leaf, err := a.Issue([]string{"x"}, now)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, c := range map[string]struct {
		certs, keys []byte
		want        string
	}{
		"words":                {[]byte("nonsense"), nil, "certificate is not PEM"},
		"words after it":       {slices.Concat(cert, []byte("nonsense")), key, "certificate is not PEM"},
		"a key of words":       {cert, []byte("nonsense"), "key is not PEM"},
		"no key":               {cert, nil, "1 certificates and 0 keys"},
		"no certificate":       {nil, key, "0 certificates and 1 keys"},
		"a key is missing":     {both, key, "2 certificates and 1 keys"},
		"another's key":        {cert, otherKey, "not that of its certificate"},
		"keys in wrong order":  {slices.Concat(otherCert, cert), bothKeys, "not that of its certificate"},
		"exchanged":            {key, cert, "certificate is not PEM"},
		"a damaged key":        {cert, bytes.Replace(key, []byte("\n"), []byte("\nAAAA"), 1), "malformed"},
		"no key at all":        {cert, encoded("PRIVATE KEY", []byte{0, 0, 0}), "malformed"},
		"a certificate in two": {append(bytes.Clone(cert)[:60], cert[70:]...), key, "certificate"},
		"no certificate's DER": {encoded("CERTIFICATE", []byte{0, 0, 0}), key, "certificate"},
		"of a server":          {encoded("CERTIFICATE", leaf.Leaf.Raw), encoded("PRIVATE KEY", leafKey), "not one of an authority"},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := authority.Parse(c.certs, c.keys); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %d and %v, want %q", len(s), err, c.want)
			}
		})
	}
}

func TestArrange(t *testing.T) {
	young, middle, old := madeAt(t, now.Add(-time.Hour)), madeAt(t, now.Add(-year)), madeAt(t, now.Add(-9*year))
	expired, future := madeAt(t, now.Add(-11*year)), madeAt(t, now.Add(year))
	type set = authority.Set
	ready := func(a *authority.Authority) time.Time { return a.Expires().Add(day - authority.Lifetime) }
	retires := middle.Expires().Add(-2 * year)
	cases := map[string]struct {
		all    set
		keep   set
		signer *authority.Authority
		due    bool
		next   time.Time
	}{
		"none":                      {nil, nil, nil, true, time.Time{}},
		"the first":                 {set{young}, set{young}, young, false, ready(young)},
		"one in its prime":          {set{middle}, set{middle}, middle, false, retires},
		"one near its end":          {set{old}, set{old}, old, true, time.Time{}},
		"its successor is too new":  {set{young, old}, set{old, young}, old, false, ready(young)},
		"its successor signs":       {set{middle, old}, set{old, middle}, middle, false, old.Expires()},
		"what expired goes":         {set{expired, middle}, set{middle}, middle, false, retires},
		"only what expired":         {set{expired}, nil, nil, true, time.Time{}},
		"made by a clock far ahead": {set{future}, set{future}, future, false, ready(future)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := tc.all.Arrange(now)
			if !slices.Equal(got.Keep, tc.keep) || got.Due != tc.due || got.Signer != tc.signer || !got.Due && !got.Next.Equal(tc.next) {
				t.Errorf("keep %d (as wanted: %t), the signer as wanted: %t, due: %t, next %s, want %s",
					len(got.Keep), slices.Equal(got.Keep, tc.keep), got.Signer == tc.signer, got.Due, got.Next, tc.next)
			}
		})
	}
}

// TestNoClientIsEverSurprised plays 40 years: whenever a certificate is shown, a
// client that read what was published when it was looked at last verifies it.
func TestNoClientIsEverSurprised(t *testing.T) {
	var all, before authority.Set
	signers := map[*authority.Authority]bool{}
	at := now
	for range 40 * 26 {
		a, err := all.Rotate("test", at)
		if err != nil {
			t.Fatal(err)
		}
		if a.Due || !a.Next.After(at) {
			t.Fatalf("at %s there is still one to make, or to be looked at: %s", at, a.Next)
		}
		before, all = all, a.Keep
		signers[a.Signer] = true
		issued, err := a.Signer.Issue([]string{"agent", "127.0.0.1"}, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range []authority.Set{before, all} {
			if known == nil {
				continue
			}
			roots := x509.NewCertPool()
			certs, _ := known.PEM()
			roots.AppendCertsFromPEM(certs)
			for _, name := range []string{"agent", "127.0.0.1"} {
				for _, clock := range []time.Time{at.Add(-29 * day), at, at.Add(59 * day)} {
					if _, err := issued.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: clock}); err != nil {
						t.Fatalf("at %s: %v", at, err)
					}
				}
			}
		}
		at = at.Add(14 * day)
	}
	if len(signers) < 4 {
		t.Errorf("%d authorities signed in 40 years", len(signers))
	}
}
