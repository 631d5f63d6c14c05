// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hubconn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	// maxCredentialSize bounds what is read of one file; a Secret is at most 1 MiB.
	maxCredentialSize = 1 << 20
	maxTokenSize      = 16 << 10
	maxJoinIDSize     = 253
)

// ErrNoJoinToken means that there is no join folder, or an empty one.
var ErrNoJoinToken = errors.New("no join token: run `kubectl atlhyper join` against the hub and apply what it prints to this cluster")

// Endpoint is a place where the hub's API server can be reached.
type Endpoint struct {
	// URL is https://host[:port][/path], without a slash at the end.
	URL string
	// CA holds the PEM certificates to verify the server with; "" means the
	// system's.
	CA string
}

// Credentials are what it takes to talk to the hub as one cluster.
type Credentials struct {
	// Cluster is the name of the ManagedCluster.
	Cluster string
	// Endpoint is where the hub is.
	Endpoint Endpoint
	// Token is the bearer token. It must not be logged.
	Token string
	// JoinID is the nonce of the join token that this is, or that led to this
	// session; "" when it is not known.
	JoinID string
}

// String says whose credentials these are, without the token.
func (c Credentials) String() string {
	return fmt.Sprintf("credentials of cluster %q at %s", c.Cluster, c.Endpoint.URL)
}

// GoString is String: not even %#v shows the token.
func (c Credentials) GoString() string { return c.String() }

// ReadJoinDir reads a join token from the folder where the join Secret is
// mounted: the files cluster, hub-url, hub-ca.crt, token and join-id. It returns
// ErrNoJoinToken when the folder is missing or empty, and an error that names
// the file when one is missing or malformed.
func ReadJoinDir(dir string) (Credentials, error) {
	// The kubelet replaces all files of a Secret at once by turning the link
	// ..data to another folder. Reading through the target of the link keeps the
	// files of two Secrets apart.
	if target, err := filepath.EvalSymlinks(filepath.Join(dir, "..data")); err == nil {
		dir = target
	}
	values := map[string]string{}
	missing := ""
	for _, key := range []string{
		v1alpha1.CredentialCluster, v1alpha1.CredentialHubURL, v1alpha1.CredentialHubCA,
		v1alpha1.CredentialToken, v1alpha1.CredentialJoinID,
	} {
		value, err := readFile(filepath.Join(dir, key))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = key
		case err != nil:
			return Credentials{}, fmt.Errorf("reading the join folder: %w", err)
		default:
			values[key] = value
		}
	}
	if len(values) == 0 {
		return Credentials{}, fmt.Errorf("%s is empty or missing: %w", dir, ErrNoJoinToken)
	}
	if missing != "" {
		return Credentials{}, fmt.Errorf("reading the join folder: %s has no file %s; apply the whole Secret %s that `kubectl atlhyper join` prints",
			dir, missing, v1alpha1.MemberJoinSecret)
	}
	credentials, err := parseCredentials(values)
	if err != nil {
		return Credentials{}, fmt.Errorf("reading the join folder %s: %w", dir, err)
	}
	if credentials.JoinID == "" {
		return Credentials{}, fmt.Errorf("reading the join folder %s: %s is empty", dir, v1alpha1.CredentialJoinID)
	}
	return credentials, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialSize+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxCredentialSize {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxCredentialSize)
	}
	return string(data), nil
}

// parseCredentials checks the values of a join or session Secret. Its errors
// name the key and never contain the token.
func parseCredentials(values map[string]string) (Credentials, error) {
	cluster := strings.TrimSpace(values[v1alpha1.CredentialCluster])
	if problems := validation.IsDNS1123Label(cluster); len(problems) > 0 {
		return Credentials{}, fmt.Errorf("%s is not the name of a ManagedCluster: %s", v1alpha1.CredentialCluster, problems[0])
	}
	if len(cluster) > v1alpha1.ClusterNameMaxLength {
		return Credentials{}, fmt.Errorf("%s has more than %d characters", v1alpha1.CredentialCluster, v1alpha1.ClusterNameMaxLength)
	}
	endpoint, err := parseEndpoint(values[v1alpha1.CredentialHubURL], values[v1alpha1.CredentialHubCA])
	if err != nil {
		return Credentials{}, err
	}
	token := strings.TrimSpace(values[v1alpha1.CredentialToken])
	if token == "" {
		return Credentials{}, fmt.Errorf("%s is empty", v1alpha1.CredentialToken)
	}
	if len(token) > maxTokenSize || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Credentials{}, fmt.Errorf("%s is not a bearer token: it must be one line of at most %d printable characters", v1alpha1.CredentialToken, maxTokenSize)
	}
	joinID := strings.TrimSpace(values[v1alpha1.CredentialJoinID])
	if len(joinID) > maxJoinIDSize || strings.ContainsFunc(joinID, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Credentials{}, fmt.Errorf("%s is not one line of at most %d printable characters", v1alpha1.CredentialJoinID, maxJoinIDSize)
	}
	return Credentials{Cluster: cluster, Endpoint: endpoint, Token: token, JoinID: joinID}, nil
}

// parseEndpoint checks and normalises a URL and its certificates.
func parseEndpoint(rawURL, ca string) (Endpoint, error) {
	rawURL = strings.TrimRight(strings.TrimSpace(rawURL), "/")
	u, err := url.Parse(rawURL)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%s is not a URL: %w", v1alpha1.CredentialHubURL, cause(err))
	}
	switch {
	case u.Scheme != "https" || u.Hostname() == "":
		return Endpoint{}, fmt.Errorf("%s is %q; it must be https://HOST[:PORT][/PATH]", v1alpha1.CredentialHubURL, u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Endpoint{}, fmt.Errorf("%s may have neither user, query nor fragment: %q", v1alpha1.CredentialHubURL, u.Redacted())
	}
	ca = strings.TrimSpace(ca)
	if ca != "" {
		if !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
			return Endpoint{}, fmt.Errorf("%s holds no certificate in PEM", v1alpha1.CredentialHubCA)
		}
		ca += "\n"
	}
	return Endpoint{URL: rawURL, CA: ca}, nil
}

// cause strips what net/http and net/url put in front of an error: the URL,
// which the caller names better.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
