// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCertificateIsReloaded(t *testing.T) {
	h := start(t, func(c *Config) { c.Timeouts.Certificate = 20 * time.Millisecond })
	subject := func() string {
		conn := h.dial()
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	h.expectAcked(h.post("a", h.encode(events(1, 1))), 1, 0)
	if got := subject(); got != "first" {
		t.Fatalf("got certificate %q", got)
	}
	// Half a change: the key is missing. The old certificate stays.
	key := filepath.Join(h.dir, "tls.key")
	h.must(os.Rename(key, key+".away"))
	eventually(t, "the loss is noticed", func() bool { return h.metric("atlhyper_ingest_certificate_reads_total", "result", "broken") == 1 })
	if got := subject(); got != "first" {
		t.Fatalf("got certificate %q", got)
	}
	h.writeCertificate("second")
	eventually(t, "the certificate is used", func() bool { return subject() == "second" })
	h.expectAcked(h.post("a", h.encode(events(2, 2))), 2, 0)
	if n := h.metric("atlhyper_ingest_connections_refused_total"); n != 0 {
		t.Errorf("%v connections were refused", n)
	}
	h.must(os.WriteFile(filepath.Join(h.dir, "tls.crt"), []byte("nonsense"), 0o600))
	eventually(t, "the nonsense is noticed", func() bool { return h.metric("atlhyper_ingest_certificate_reads_total", "result", "broken") >= 2 })
	if got := subject(); got != "second" {
		t.Errorf("got certificate %q", got)
	}
}

// A function takes the place of the files, and is asked for each connection.
func TestCertificateByFunction(t *testing.T) {
	asked := 0
	want := &tls.Certificate{}
	c := certificates{certFile: "/missing", keyFile: "/missing", issue: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked++
		return want, nil
	}}
	if changed, err := c.reload(); changed || err != nil {
		t.Errorf("files were read: changed %t, %v", changed, err)
	}
	for range 2 {
		if got, err := c.get(nil); got != want || err != nil {
			t.Errorf("got %p, %v", got, err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times for 2 connections", asked)
	}
}

func TestStartNeedsACertificate(t *testing.T) {
	h := prepare(t, func(c *Config) { c.CertFile += ".missing" })
	if err := h.server.Start(t.Context()); err == nil {
		t.Error("the server started without a certificate")
	}
}
