// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"bytes"
	"crypto"
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
	"slices"
	"time"
)

const (
	// backdated is how far in the past certificates begin, for nodes whose clocks are
	// behind.
	backdated = 30 * 24 * time.Hour
	// authorityLife is for how long an authority signs and is trusted. The next one
	// is made when a fifth of it is left.
	authorityLife = 10 * 365 * 24 * time.Hour
	// published is for how long an authority is published before it signs, so that
	// every collector knows it by then.
	published = 24 * time.Hour
	// servingLife is for how long a serving certificate lives. The next one is made
	// after half of it.
	servingLife = 60 * 24 * time.Hour

	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// authority signs the certificate that collectors see.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// made is when the authority was made.
func (a *authority) made() time.Time { return a.cert.NotBefore.Add(backdated) }

// newAuthority makes an authority.
func newAuthority(now time.Time) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("making the key of an authority: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "atlhyper-agent-nodes"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-backdated), NotAfter: now.Add(authorityLife),
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("making an authority: %w", err)
	}
	return authority{cert: cert, key: key}, nil
}

// serve makes a certificate for hosts, which are names and IP addresses.
func (a *authority) serve(hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the serving certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "atlhyper-agent"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:   now.Add(-backdated), NotAfter: now.Add(servingLife),
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// arrangement is which authorities there are, and what each is for.
type arrangement struct {
	// keep are the authorities to keep and to publish, the oldest first.
	keep []authority
	// signer is the index of the one that signs.
	signer int
	// makeOne says that one is missing: arrange again with a new one added.
	makeOne bool
	// next is when to arrange again.
	next time.Time
}

// arrange decides what becomes of authorities.
func arrange(all []authority, now time.Time) arrangement {
	var a arrangement
	for _, one := range all {
		if now.Before(one.cert.NotAfter) {
			a.keep = append(a.keep, one)
		}
	}
	slices.SortStableFunc(a.keep, func(x, y authority) int { return x.made().Compare(y.made()) })
	if len(a.keep) == 0 {
		a.makeOne = true
		return a
	}
	last := a.keep[len(a.keep)-1]
	retire := last.cert.NotAfter.Add(-authorityLife / 5)
	if a.makeOne = !now.Before(retire); a.makeOne {
		return a
	}
	a.next = retire
	for i, one := range a.keep {
		if ready := one.made().Add(published); now.Before(ready) {
			a.next = earlier(a.next, ready)
		} else {
			a.signer = i
		}
		a.next = earlier(a.next, one.cert.NotAfter)
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// encode returns the certificates and the keys of authorities in PEM.
func encode(all []authority) (certs, keys []byte, err error) {
	var c, k bytes.Buffer
	for _, one := range all {
		der, err := x509.MarshalPKCS8PrivateKey(one.key)
		if err != nil {
			return nil, nil, fmt.Errorf("encoding the key of an authority: %w", err)
		}
		for _, b := range []struct {
			to    *bytes.Buffer
			block pem.Block
		}{{&c, pem.Block{Type: pemCertificate, Bytes: one.cert.Raw}}, {&k, pem.Block{Type: pemKey, Bytes: der}}} {
			if err := pem.Encode(b.to, &b.block); err != nil {
				return nil, nil, fmt.Errorf("encoding an authority: %w", err)
			}
		}
	}
	return c.Bytes(), k.Bytes(), nil
}

// decode reads what encode wrote. Errors never have a part of a key.
func decode(certs, keys []byte) ([]authority, error) {
	var all []authority
	for block, rest := pem.Decode(certs); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !cert.IsCA {
			return nil, errors.New("reading the authorities: one is no certificate of an authority")
		}
		all = append(all, authority{cert: cert})
	}
	n := 0
	for block, rest := pem.Decode(keys); block != nil; block, rest = pem.Decode(rest) {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		signer, ok := key.(*ecdsa.PrivateKey)
		if err != nil || !ok || n >= len(all) || !signer.PublicKey.Equal(all[n].cert.PublicKey) {
			return nil, errors.New("reading the authorities: a key does not belong to its certificate")
		}
		all[n].key = signer
		n++
	}
	if n != len(all) {
		return nil, errors.New("reading the authorities: a certificate has no key")
	}
	return all, nil
}
