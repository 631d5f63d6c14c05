// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package authority is the certificate authority of one service: it exists so that
// AtlHyper's own clients can verify AtlHyper's own servers where nobody provides
// certificates. Its certificate is handed to the clients, its key stays in a
// Secret, and each process that serves issues itself a short-lived certificate from
// it, in memory.
//
// A Set is the authorities that a service has: usually one, two while one takes the
// place of the other. Serving shows the certificates of the one that signs.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// Lifetime is how long the certificate of an authority is valid.
	Lifetime = 10 * 365 * 24 * time.Hour
	// LeafLifetime is how long the certificate of a server is valid. It is issued
	// anew after half of that: clients whose clocks are a month ahead accept it.
	LeafLifetime = 60 * 24 * time.Hour

	// backdate is how far in the past certificates begin, for clients whose clocks
	// are behind.
	backdate = 30 * 24 * time.Hour
)

// Authority issues certificates for servers.
type Authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pkcs8 []byte // the key
}

// New makes an authority with a key of its own. The name is for people who look
// at its certificate.
func New(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of an authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"AtlHyper"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(Lifetime),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of an authority: %w", err)
	}
	return &Authority{cert: cert, key: key, pkcs8: pkcs8}, nil
}

// Expires returns when the authority's certificate expires.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// made is when the authority was made, whatever it was backdated by.
func (a *Authority) made() time.Time { return a.cert.NotAfter.Add(-Lifetime) }

// Issue makes a certificate for a server that is reached under the names and
// addresses in hosts, valid for LeafLifetime and no longer than the authority. It
// fails when no host is named or the authority has expired.
func (a *Authority) Issue(hosts []string, now time.Time) (*tls.Certificate, error) {
	switch {
	case len(hosts) == 0:
		return nil, errors.New("issuing a certificate: no host is named")
	case !now.Before(a.cert.NotAfter):
		return nil, fmt.Errorf("issuing a certificate: the authority expired %s", a.cert.NotAfter.Format(time.DateOnly))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of a server: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0], Organization: []string{"AtlHyper"}},
		NotBefore:   now.Add(-backdate),
		NotAfter:    earlier(now.Add(LeafLifetime), a.cert.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// sign makes a certificate of a template for key.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
