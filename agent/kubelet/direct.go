// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const (
	// Account is the ServiceAccount, in the agent's namespace, whose tokens kubelets
	// are shown. It may read statistics and nothing else, so that a kubelet that keeps
	// one has gained nothing; the agent's own token it never sees.
	Account = "atlhyper-agent-kubelet"

	tokenLife = time.Hour
	// addressLife is for how long the address of a kubelet that answers is not asked
	// for again.
	addressLife = 10 * time.Minute
	idleTimeout = 5 * time.Second
)

// direct is a source that asks kubelets itself. Each has to show a certificate of a
// known authority for the address that the API server has of it, before it is shown a
// token.
type direct struct {
	client    *http.Client
	nodes     corev1client.NodeInterface
	accounts  corev1client.ServiceAccountInterface
	namespace string

	mu        sync.Mutex
	token     string
	renew     time.Time
	addresses map[string]address
}

// address of a kubelet.
type address struct {
	host  string
	until time.Time
}

// newDirect returns a source that trusts the authorities in caFile, or where that is ""
// the one that signs for the API server.
func newDirect(config *rest.Config, namespace, caFile string) (*direct, error) {
	authorities, err := authoritiesOf(config, caFile)
	if err != nil {
		return nil, err
	}
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the addresses of kubelets: %w", err)
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: readTimeout, MaxIdleConns: 4, IdleConnTimeout: idleTimeout, ForceAttemptHTTP2: true,
	}
	return &direct{
		client: clientOver(transport), nodes: core.Nodes(), accounts: core.ServiceAccounts(namespace), namespace: namespace,
		addresses: map[string]address{},
	}, nil
}

func authoritiesOf(config *rest.Config, caFile string) (*x509.CertPool, error) {
	pem := config.CAData
	if caFile == "" && len(pem) == 0 {
		caFile = config.CAFile
	}
	if caFile != "" {
		var err error
		if pem, err = os.ReadFile(caFile); err != nil {
			return nil, fmt.Errorf("reading the authorities of kubelets: %w", err)
		}
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the authorities of kubelets: no certificate in %q", caFile)
	}
	return authorities, nil
}

func (d *direct) open(ctx context.Context, node, path string) (io.ReadCloser, error) {
	token, err := d.bearer(ctx)
	if err != nil {
		return nil, err
	}
	host, err := d.address(ctx, node)
	if err != nil {
		return nil, err
	}
	response, err := d.ask(ctx, &url.URL{Scheme: "https", Host: host, Path: path}, token)
	if err != nil {
		d.forget(node)
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return document(response), nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		d.expire(token)
	}
	complaint, err := io.ReadAll(io.LimitReader(response.Body, maxComplaint))
	if err != nil {
		return nil, fmt.Errorf("reading why %s was answered with %s: %w", path, response.Status, err)
	}
	return nil, fmt.Errorf("the kubelet at %s answered %s: %s", host, response.Status, oneLine(complaint))
}

func (d *direct) ask(ctx context.Context, at *url.URL, token string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", at.Host, err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := d.client.Do(request)
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return nil, fmt.Errorf("the kubelet at %s has no certificate of a known authority for its address, so it is not trusted with a token; "+
			"set serverTLSBootstrap in its configuration, name its authority with --kubelet-ca-file, or use --kubelet-access=proxy: %w", at.Host, unverified)
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", at.Host, err)
	}
	return response, nil
}

// bearer returns a token to show to kubelets.
func (d *direct) bearer(ctx context.Context) (string, error) {
	d.mu.Lock()
	token, renew := d.token, d.renew
	d.mu.Unlock()
	now := time.Now()
	if token != "" && now.Before(renew) {
		return token, nil
	}
	answer, err := d.accounts.CreateToken(ctx, Account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenLife / time.Second))},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), apierrors.IsNotFound(err):
		return "", fmt.Errorf("%w, apply config/agent/kubelet-direct: asking for a token of the ServiceAccount %s/%s: %w", errRefused, d.namespace, Account, err)
	case err != nil:
		return "", fmt.Errorf("asking for a token of the ServiceAccount %s/%s: %w", d.namespace, Account, err)
	}
	life := max(answer.Status.ExpirationTimestamp.Sub(now), 0)
	d.mu.Lock()
	d.token, d.renew = answer.Status.Token, now.Add(life*3/4)
	d.mu.Unlock()
	return answer.Status.Token, nil
}

// expire has a token replaced that a kubelet does not accept.
func (d *direct) expire(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// A kubelet that accepts none does not get a new one each time.
	if d.token == token && time.Until(d.renew) < tokenLife/2 {
		d.token = ""
	}
}

// address returns host and port of a kubelet.
func (d *direct) address(ctx context.Context, name string) (string, error) {
	now := time.Now()
	d.mu.Lock()
	known := d.addresses[name]
	d.mu.Unlock()
	if now.Before(known.until) {
		return known.host, nil
	}
	node, err := d.nodes.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("asking for the address of the kubelet: %w", err)
	}
	host, err := addressOf(node)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.addresses, func(_ string, a address) bool { return !now.Before(a.until) })
	d.addresses[name] = address{host: host, until: now.Add(addressLife)}
	return host, nil
}

func (d *direct) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.addresses, name)
}

// addressOf returns where the kubelet of a node listens.
func addressOf(node *corev1.Node) (string, error) {
	port := node.Status.DaemonEndpoints.KubeletEndpoint.Port
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && net.ParseIP(a.Address) != nil && port > 0 {
			return net.JoinHostPort(a.Address, strconv.Itoa(int(port))), nil
		}
	}
	return "", errors.New("the status of the node has no InternalIP or no port of the kubelet")
}
