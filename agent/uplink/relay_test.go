// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import "net"

// pipe copies from one connection to the other what is not swallowed.
func pipe(to, from net.Conn, swallow func() bool) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if swallow() {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// wrongCA is the certificate of nobody here.
const wrongCA = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgEBMAoGCCqGSM49BAMCMBAxDjAMBgNVBAMTBW90aGVyMCIY
DzAwMDEwMTAxMDAwMDAwWhgPMjEyNjAxMDEwMDAwMDBaMBAxDjAMBgNVBAMTBW90
aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESgR+nrYtag7M/uSR/FfpLE8e
PIW9bONTogRDjLY/SsQNck2hz+Pcw78cEACrCtFfa0ReSlNg+WRNVQJaKoyGLqMy
MDAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUWkULqTHRfDxKZ9GUMQguaZ+4
KtQwCgYIKoZIzj0EAwIDRwAwRAIgcBwlOUNyNKx4/wCNUfsAmMMvq7trKK/bPvGk
MdbrykQCIFbb7euhT4Xj/wWO3yGkVYDLoFQAcfuxCoBkomP8ASQ8
-----END CERTIFICATE-----
`
