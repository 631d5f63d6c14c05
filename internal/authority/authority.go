// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package authority is a certificate authority of one service: it exists so that
// AtlHyper's own clients can verify AtlHyper's own servers where nobody provides
// certificates. Its certificate is handed to the clients, its key stays in a
// Secret, and each replica issues itself a short-lived certificate from it.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

const (
	// Lifetime is how long the certificate of an authority is valid. To replace an
	// authority before that, delete its Secret and restart who issues from it.
	Lifetime = 10 * 365 * 24 * time.Hour
	// LeafLifetime is how long the certificate of a server is valid. It is issued
	// anew after two thirds of that.
	LeafLifetime = 30 * 24 * time.Hour

	// backdate makes a certificate good for clients whose clocks are behind.
	backdate = time.Hour

	typeCertificate = "CERTIFICATE"
	typeKey         = "PRIVATE KEY"
)

// Authority issues certificates for servers.
type Authority struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
	keyPEM  []byte
}

// New makes an authority with a key of its own. The name is for people who look
// at its certificate.
func New(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of an authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name, Organization: []string{"AtlHyper"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(Lifetime),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of an authority: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of an authority: %w", err)
	}
	return Parse(
		pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: typeKey, Bytes: pkcs8}),
	)
}

// Parse reads what PEM returned. Its errors never show the key.
func Parse(certPEM, keyPEM []byte) (*Authority, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != typeCertificate {
		return nil, errors.New("reading an authority: its certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of an authority: %w", err)
	}
	block, _ = pem.Decode(keyPEM)
	if block == nil || block.Type != typeKey {
		return nil, errors.New("reading an authority: its key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("reading an authority: its key is malformed")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("reading an authority: its key is not that of its certificate")
	}
	if !cert.IsCA {
		return nil, errors.New("reading an authority: its certificate is not one of an authority")
	}
	return &Authority{cert: cert, key: key, certPEM: certPEM, keyPEM: keyPEM}, nil
}

// PEM returns what Parse reads. The certificate may be given to anybody, the key
// to nobody.
func (a *Authority) PEM() (cert, key []byte) { return a.certPEM, a.keyPEM }

// Expires returns when the authority's certificate expires.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// Issue makes a certificate for a server that is reached under the names and
// addresses in hosts, valid for LeafLifetime and no longer than the authority.
func (a *Authority) Issue(hosts []string, now time.Time) (*tls.Certificate, error) {
	if len(hosts) == 0 {
		return nil, errors.New("issuing a certificate: no host is named")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of a server: %w", err)
	}
	expires := now.Add(LeafLifetime)
	if expires.After(a.cert.NotAfter) {
		expires = a.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: a.cert.Subject.CommonName, Organization: []string{"AtlHyper"}},
		NotBefore:    now.Add(-backdate),
		NotAfter:     expires,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate that was issued: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// Serve returns a tls.Config.GetCertificate that issues a certificate for hosts at
// the first connection and again after two thirds of its life. Now is the clock.
func (a *Authority) Serve(hosts []string, now func() time.Time) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var mu sync.Mutex
	var current *tls.Certificate
	var renewAt time.Time
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		t := now()
		if current != nil && t.Before(renewAt) {
			return current, nil
		}
		issued, err := a.Issue(hosts, t)
		if err != nil {
			return nil, err
		}
		current, renewAt = issued, t.Add(issued.Leaf.NotAfter.Sub(t)*2/3)
		return current, nil
	}
}

func serial() *big.Int {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:]) // never fails
	bytes[0] &= 0x7f
	return new(big.Int).SetBytes(bytes[:])
}
