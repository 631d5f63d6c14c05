// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package authority_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/authority"
)

const day = 24 * time.Hour

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	return madeAt(t, now)
}

func madeAt(t *testing.T, at time.Time) *authority.Authority {
	t.Helper()
	a, err := authority.New("test", at)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// verify says whether a client that trusts the authority alone accepts the
// certificate for a host at a time.
func verify(t *testing.T, a *authority.Authority, leaf *x509.Certificate, host string, at time.Time) error {
	t.Helper()
	pool := x509.NewCertPool()
	cert, _ := authority.Set{a}.PEM()
	if !pool.AppendCertsFromPEM(cert) {
		t.Fatal("the certificate of the authority is not PEM")
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: at})
	return err
}

func TestIssue(t *testing.T) {
	a := newAuthority(t)
	issued, err := a.Issue([]string{"hub.example.com", "127.0.0.1", "::1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host string
		at   time.Time
		ok   bool
	}{
		"a name":                      {"hub.example.com", now, true},
		"an address":                  {"127.0.0.1", now, true},
		"an address of version 6":     {"::1", now, true},
		"a client whose clock is old": {"hub.example.com", now.Add(-29 * day), true},
		"the last moment":             {"hub.example.com", now.Add(authority.LeafLifetime), true},
		"another name":                {"other.example.com", now, false},
		"another address":             {"127.0.0.2", now, false},
		"too late":                    {"hub.example.com", now.Add(authority.LeafLifetime + time.Second), false},
		"too early":                   {"hub.example.com", now.Add(-31 * day), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := verify(t, a, issued.Leaf, c.host, c.at); (err == nil) != c.ok {
				t.Errorf("verifying %s at %s: %v", c.host, c.at, err)
			}
		})
	}
	if err := verify(t, newAuthority(t), issued.Leaf, "hub.example.com", now); err == nil {
		t.Error("another authority vouches for the certificate")
	}
	if issued.Leaf.IsCA {
		t.Error("the certificate of a server may issue others")
	}
	if _, err := a.Issue(nil, now); err == nil {
		t.Error("a certificate for no host was issued")
	}
}

func TestIssueNotBeyondTheAuthority(t *testing.T) {
	a := newAuthority(t)
	issued, err := a.Issue([]string{"x"}, a.Expires().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if issued.Leaf.NotAfter.After(a.Expires()) {
		t.Errorf("the certificate expires %s, the authority %s", issued.Leaf.NotAfter, a.Expires())
	}
	if _, err := a.Issue([]string{"x"}, a.Expires()); err == nil {
		t.Error("an authority that has expired issued a certificate")
	}
}
