// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certificate makes a self-signed certificate in PEM.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func joinFiles(ca string) map[string]string {
	return map[string]string{
		"cluster": "prod-eu-1\n", "hub-url": "https://hub.example.com:6443/\n", "hub-ca.crt": ca,
		"token": "s3cret-token\n", "join-id": "nonce-1\n",
	}
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadJoinDir(t *testing.T) {
	ca := certificate(t)
	want := Credentials{
		Cluster: "prod-eu-1", Endpoint: Endpoint{URL: "https://hub.example.com:6443", CA: ca},
		Token: "s3cret-token", JoinID: "nonce-1",
	}
	cases := map[string]struct {
		change func(map[string]string)
		want   Credentials
		err    string
	}{
		"complete":           {change: func(map[string]string) {}, want: want},
		"system's CAs":       {change: func(f map[string]string) { f["hub-ca.crt"] = "" }, want: Credentials{Cluster: want.Cluster, Endpoint: Endpoint{URL: want.Endpoint.URL}, Token: want.Token, JoinID: want.JoinID}},
		"path in the URL":    {change: func(f map[string]string) { f["hub-url"] = "https://r.example.com/k8s/c-1" }, want: Credentials{Cluster: want.Cluster, Endpoint: Endpoint{URL: "https://r.example.com/k8s/c-1", CA: ca}, Token: want.Token, JoinID: want.JoinID}},
		"empty folder":       {change: func(f map[string]string) { clear(f) }, err: "empty or missing: no join token"},
		"no cluster":         {change: func(f map[string]string) { delete(f, "cluster") }, err: "no file cluster"},
		"no CA file":         {change: func(f map[string]string) { delete(f, "hub-ca.crt") }, err: "no file hub-ca.crt"},
		"no token":           {change: func(f map[string]string) { delete(f, "token") }, err: "no file token"},
		"no join-id":         {change: func(f map[string]string) { delete(f, "join-id") }, err: "no file join-id"},
		"bad cluster":        {change: func(f map[string]string) { f["cluster"] = "Prod_EU" }, err: "cluster is not the name of a ManagedCluster"},
		"path as cluster":    {change: func(f map[string]string) { f["cluster"] = "../other" }, err: "cluster is not the name of a ManagedCluster"},
		"long cluster":       {change: func(f map[string]string) { f["cluster"] = strings.Repeat("a", 47) }, err: "more than 46 characters"},
		"plain http":         {change: func(f map[string]string) { f["hub-url"] = "http://hub" }, err: "must be https://"},
		"no host":            {change: func(f map[string]string) { f["hub-url"] = "https://" }, err: "must be https://"},
		"not a URL":          {change: func(f map[string]string) { f["hub-url"] = "https://a b" }, err: "hub-url is not a URL"},
		"user in the URL":    {change: func(f map[string]string) { f["hub-url"] = "https://me:pw@hub" }, err: "neither user"},
		"query in the URL":   {change: func(f map[string]string) { f["hub-url"] = "https://hub?x=1" }, err: "neither user"},
		"CA is no PEM":       {change: func(f map[string]string) { f["hub-ca.crt"] = "hello" }, err: "hub-ca.crt holds no certificate"},
		"empty token":        {change: func(f map[string]string) { f["token"] = " \n" }, err: "token is empty"},
		"two lines of token": {change: func(f map[string]string) { f["token"] = "s3cret\ntoken" }, err: "token is not a bearer token"},
		"huge token":         {change: func(f map[string]string) { f["token"] = strings.Repeat("s3cret", 4000) }, err: "token is not a bearer token"},
		"huge file":          {change: func(f map[string]string) { f["hub-ca.crt"] = strings.Repeat("x", 2<<20) }, err: "larger than"},
		"empty join-id":      {change: func(f map[string]string) { f["join-id"] = "" }, err: "join-id is empty"},
		"join-id of lines":   {change: func(f map[string]string) { f["join-id"] = "a\nb" }, err: "join-id is not one line"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := joinFiles(ca)
			tc.change(files)
			dir := t.TempDir()
			writeFiles(t, dir, files)
			got, err := ReadJoinDir(dir)
			if tc.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("credentials (-want +got):\n%s", diff)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %q; want one with %q", err, tc.err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestReadJoinDirMissing(t *testing.T) {
	_, err := ReadJoinDir(filepath.Join(t.TempDir(), "nowhere"))
	if !errors.Is(err, ErrNoJoinToken) {
		t.Fatalf("error %v; want ErrNoJoinToken", err)
	}
}

// A mounted Secret is a folder of links through ..data.
func TestReadJoinDirOfMountedSecret(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..2026_01_01")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	files := joinFiles(certificate(t))
	writeFiles(t, data, files)
	if err := os.Symlink("..2026_01_01", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadJoinDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Cluster != "prod-eu-1" {
		t.Errorf("cluster %q; want prod-eu-1", got.Cluster)
	}
}

func TestCredentialsHideTheToken(t *testing.T) {
	c := Credentials{Cluster: "a", Endpoint: Endpoint{URL: "https://hub"}, Token: "s3cret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, c); strings.Contains(text, "s3cret") {
			t.Errorf("%s shows the token: %s", format, text)
		}
	}
}
