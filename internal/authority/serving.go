// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package authority

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

// Serving shows clients a certificate, which it issues when one is needed. It is
// safe for concurrent use.
type Serving struct {
	hosts []string

	mu      sync.Mutex
	signer  *Authority
	current *tls.Certificate // of signer
	renewAt time.Time
}

// NewServing returns a Serving for the names and addresses in hosts, of which there
// is at least one. It has no certificate before Use.
func NewServing(hosts []string) *Serving { return &Serving{hosts: hosts} }

// Use says which authority signs from now on. It may be the same as before.
func (s *Serving) Use(signer *Authority) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signer != nil && s.signer.cert.Equal(signer.cert) {
		return
	}
	s.signer, s.current = signer, nil
}

// Certificate implements tls.Config.GetCertificate. It issues at the first
// connection and again when half of the certificate's life is over, whether or not
// anybody called Use in between.
func (s *Serving) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.current != nil && now.Before(s.renewAt) {
		return s.current, nil
	}
	if s.signer == nil {
		return nil, errors.New("there is no certificate yet")
	}
	issued, err := s.signer.Issue(s.hosts, now)
	if err != nil {
		return nil, err
	}
	s.current, s.renewAt = issued, now.Add(issued.Leaf.NotAfter.Sub(now)/2)
	return issued, nil
}
