// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// endpoint is where and how a member reaches the hub's API server.
type endpoint struct {
	// url is empty where the source does not say.
	url string
	// ca holds PEM certificates; empty means those of the member's system.
	ca []byte
	// insecure means that the source does not verify the hub.
	insecure bool
	// serverName means that the source verifies another name than the URL's.
	serverName string
}

func endpointOfSecret(data map[string][]byte) endpoint {
	return endpoint{url: string(data[v1alpha1.CredentialHubURL]), ca: data[v1alpha1.CredentialHubCA]}
}

func endpointOfKubeconfig(config *rest.Config) (endpoint, error) {
	e := endpoint{url: config.Host, ca: config.CAData, insecure: config.Insecure, serverName: config.ServerName}
	if len(e.ca) == 0 && config.CAFile != "" {
		var err error
		if e.ca, err = os.ReadFile(config.CAFile); err != nil {
			return endpoint{}, fmt.Errorf("reading the certificate authority of the kubeconfig: %w", err)
		}
	}
	return e, nil
}

// chooseEndpoint takes the URL and the certificates from the flags, else from
// what the hub advertises, else from the kubeconfig, and returns what the user
// should know about the choice.
func chooseEndpoint(flags, advertised, local endpoint) (endpoint, []string, error) {
	chosen := flags
	var warnings []string
	if chosen.url == "" {
		chosen.url = advertised.url
	}
	if chosen.url == "" {
		chosen.url = local.url
		if why := reachability(chosen.url); why != "" {
			warnings = append(warnings, fmt.Sprintf(
				"the hub's URL %s comes from your kubeconfig and is %s; if the member cannot reach it, pass --hub-url", chosen.url, why))
		}
	}
	if err := checkURL(chosen.url); err != nil {
		return endpoint{}, nil, fmt.Errorf("the hub's URL cannot be given to a member, pass --hub-url: %w", err)
	}
	if len(chosen.ca) > 0 {
		return chosen, warnings, nil
	}
	if advertised.url != "" || len(advertised.ca) > 0 {
		chosen.ca = advertised.ca
		return chosen, warnings, nil
	}
	if local.insecure {
		return endpoint{}, nil, errors.New("your kubeconfig does not verify the hub's certificate, " +
			"so there is nothing a member could verify it with: pass --hub-ca-file")
	}
	chosen.ca = local.ca
	if local.serverName != "" {
		warnings = append(warnings, fmt.Sprintf(
			"your kubeconfig verifies the hub as %s, but a member will verify the name in %s", local.serverName, chosen.url))
	}
	return chosen, warnings, nil
}

// checkURL accepts https URLs of a host, without credentials, query or fragment.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		// The error would repeat the URL, which may hold a password.
		return errors.New("it is not a URL")
	case u.User != nil:
		return errors.New("it must not contain a user or a password")
	case u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%q is not of the form https://host:port", raw)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q must not have a query or a fragment", raw)
	}
	return nil
}

// reachability says in words why other clusters may be unable to reach a URL.
func reachability(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		switch {
		case ip.IsLoopback(), ip.IsUnspecified():
			return "an address of this machine"
		case ip.IsPrivate(), ip.IsLinkLocalUnicast():
			return "a private address"
		}
		return ""
	}
	switch {
	case host == "localhost", strings.HasSuffix(host, ".localhost"):
		return "an address of this machine"
	case !strings.Contains(host, "."), strings.HasSuffix(host, ".svc"), strings.HasSuffix(host, ".local"), strings.HasSuffix(host, ".internal"):
		return "a name of a private network"
	}
	return ""
}

// checkCA accepts PEM with at least one certificate and nothing that does not parse.
func checkCA(data []byte) error {
	count := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("it contains a %s; only certificates belong there", strings.ToLower(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("parsing certificate %d: %w", count+1, err)
		}
		count++
	}
	if count == 0 {
		return errors.New("it contains no PEM certificate")
	}
	return nil
}
