// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package authority_test

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atlhyper/atlhyper/internal/authority"
)

func TestServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := authority.NewServing([]string{"x"})
		if cert, err := s.Certificate(nil); err == nil {
			t.Errorf("nobody signs, and there is %v", cert.Leaf.Subject)
		}
		a, b := madeAt(t, time.Now()), madeAt(t, time.Now())
		// shown expects a certificate of an authority that is good for another half of
		// its life.
		shown := func(by *authority.Authority) *tls.Certificate {
			t.Helper()
			cert, err := s.Certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(t, by, cert.Leaf, "x", time.Now().Add(authority.LeafLifetime/2-time.Second)); err != nil {
				t.Error(err)
			}
			return cert
		}
		s.Use(a)
		first := shown(a)
		<-time.After(authority.LeafLifetime/2 - time.Second)
		s.Use(reread(t, a))
		if shown(a) != first {
			t.Error("issued again before half of its life")
		}
		<-time.After(time.Second)
		second := shown(a)
		if second == first {
			t.Error("not issued again after half of its life")
		}
		s.Use(b)
		shown(b)
		// The last certificates of an authority are shorter than the others.
		<-time.After(time.Until(b.Expires()) - time.Hour)
		last, err := s.Certificate(nil)
		if err != nil || last.Leaf.NotAfter.After(b.Expires()) {
			t.Fatalf("%v, %v", last, err)
		}
		if again, err := s.Certificate(nil); err != nil || again != last {
			t.Errorf("issued for each connection: %v", err)
		}
		<-time.After(2 * time.Hour)
		if _, err := s.Certificate(nil); err == nil {
			t.Error("an authority that has expired signs")
		}
	})
}

// reread is the same authority, read from what was kept of it.
func reread(t *testing.T, a *authority.Authority) *authority.Authority {
	t.Helper()
	s, err := authority.Parse(authority.Set{a}.PEM())
	if err != nil || len(s) != 1 {
		t.Fatalf("read %d: %v", len(s), err)
	}
	return s[0]
}
