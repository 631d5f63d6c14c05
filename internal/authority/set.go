// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// published is for how long an authority is handed to clients before it signs, so
	// that every one of them knows it by then.
	published = 24 * time.Hour
	// successor is how long before its end an authority gets one.
	successor = Lifetime / 5

	typeCertificate = "CERTIFICATE"
	typeKey         = "PRIVATE KEY"
)

// Set is the authorities of one service.
type Set []*Authority

// Parse reads what PEM returned; of nothing it makes an empty set. Its errors never
// show a key.
func Parse(certs, keys []byte) (Set, error) {
	certBlocks, ok := blocks(certs, typeCertificate)
	if !ok {
		return nil, errors.New("reading an authority: its certificate is not PEM")
	}
	keyBlocks, ok := blocks(keys, typeKey)
	if !ok {
		return nil, errors.New("reading an authority: its key is not PEM")
	}
	if len(certBlocks) != len(keyBlocks) {
		return nil, fmt.Errorf("reading an authority: there are %d certificates and %d keys", len(certBlocks), len(keyBlocks))
	}
	var s Set
	for i := range certBlocks {
		a, err := decode(certBlocks[i], keyBlocks[i])
		if err != nil {
			return nil, err
		}
		s = append(s, a)
	}
	return s, nil
}

// blocks returns the content of PEM, and whether there is nothing else.
func blocks(data []byte, kind string) (content [][]byte, ok bool) {
	for len(bytes.TrimSpace(data)) > 0 {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil || block.Type != kind {
			return nil, false
		}
		content = append(content, block.Bytes)
	}
	return content, true
}

func decode(der, pkcs8 []byte) (*Authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of an authority: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
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
	return &Authority{cert: cert, key: key, pkcs8: pkcs8}, nil
}

// PEM returns what Parse reads. The certificates may be given to anybody, the keys
// to nobody.
func (s Set) PEM() (certs, keys []byte) {
	for _, a := range s {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: a.cert.Raw})...)
		keys = append(keys, pem.EncodeToMemory(&pem.Block{Type: typeKey, Bytes: a.pkcs8})...)
	}
	return certs, keys
}

// Arrangement is which authorities there are, and what each is for.
type Arrangement struct {
	// Keep are the authorities to keep and to hand to clients, the oldest first.
	Keep Set
	// Signer is the one that signs, nil when there is none: the newest that has been
	// handed to clients for a day, or else the oldest.
	Signer *Authority
	// Due says that one is to be made, because there is none or the newest has less
	// than a fifth of its life left.
	Due bool
	// Next is when to arrange again, unless Due.
	Next time.Time
}

// Arrange decides what becomes of the authorities.
func (s Set) Arrange(now time.Time) Arrangement {
	a := Arrangement{Due: true}
	for _, one := range s {
		if now.Before(one.Expires()) {
			a.Keep = append(a.Keep, one)
		}
	}
	slices.SortStableFunc(a.Keep, func(x, y *Authority) int { return x.made().Compare(y.made()) })
	if len(a.Keep) == 0 {
		return a
	}
	a.Signer, a.Next = a.Keep[0], a.Keep[len(a.Keep)-1].Expires().Add(-successor)
	a.Due = !now.Before(a.Next)
	for _, one := range a.Keep {
		if ready := one.made().Add(published); now.Before(ready) {
			a.Next = earlier(a.Next, ready)
		} else {
			a.Signer = one
		}
		a.Next = earlier(a.Next, one.Expires())
	}
	return a
}

// Rotate arranges the authorities, and makes one with a name when that is due.
func (s Set) Rotate(name string, now time.Time) (Arrangement, error) {
	a := s.Arrange(now)
	if !a.Due {
		return a, nil
	}
	fresh, err := New(name, now)
	if err != nil {
		return Arrangement{}, err
	}
	return append(a.Keep, fresh).Arrange(now), nil
}
