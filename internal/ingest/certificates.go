// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Values of the label result of certificates.
const (
	certificateLoaded = "loaded"
	certificateBroken = "broken"
)

// certificates serves the certificate of two files. Files of a Secret change by
// exchanging a symbolic link somewhere above them, so their content is compared:
// they are small.
type certificates struct {
	// issue replaces the files when it is set.
	issue             func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	certFile, keyFile string
	cert, key         []byte // what was read last, owned by who calls reload
	current           atomic.Pointer[tls.Certificate]
}

// reload reads the files and returns whether they hold a certificate that is new.
// On an error the certificate before stays.
func (c *certificates) reload() (changed bool, err error) {
	if c.issue != nil {
		return false, nil
	}
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, fmt.Errorf("reading the certificate of ingest: %w", err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, fmt.Errorf("reading the key of ingest: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil { // perhaps only one of the two is new yet
		return false, fmt.Errorf("reading the certificate of ingest from %s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.cert, c.key = cert, key
	c.current.Store(&pair)
	return true, nil
}

// get implements tls.Config.GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.issue != nil {
		return c.issue(hello)
	}
	return c.current.Load(), nil
}

// watch reads the files from time to time, until the context ends. Each result is
// reported when it differs from the one before.
func (c *certificates) watch(ctx context.Context, every time.Duration, report func(changed bool, err error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed, err := c.reload()
		if changed || err != nil && !failing {
			report(changed, err)
		}
		failing = err != nil
	}
}
