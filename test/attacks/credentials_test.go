// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	tenYears = 10 * 365 * 24 * 3600
	// revocationBound is how long a revoked token may go on.
	revocationBound = 60 * time.Second
)

var _ = Describe("The credentials of an agent", func() {
	DescribeTable("cannot be turned into a token that is",
		func(ctx SpecContext, secret string, seconds int, audiences ...string) {
			Expect(agentA.create(ctx, tokenPath(attacker), tokenRequest(secret, int64(seconds), audiences...))).
				To(beRefusedBy(agentPolicy))
		},
		Entry("bound to nothing", "", 3600),
		Entry("bound to the join Secret", v1alpha1.AgentJoinSecret, 3600),
		Entry("bound to another Secret", "secret-1", 3600),
		Entry("valid for ten years", v1alpha1.AgentSessionSecret, tenYears),
		Entry("valid for a second more than a week", v1alpha1.AgentSessionSecret, 604801),
		Entry("for somebody else", v1alpha1.AgentSessionSecret, 3600, "sts.amazonaws.com"),
		Entry("for somebody else and for ingest", v1alpha1.AgentSessionSecret, 3600, v1alpha1.IngestAudience, "vault"),
		Entry("for the API server and for ingest", v1alpha1.AgentSessionSecret, 3600,
			v1alpha1.IngestAudience, "https://kubernetes.default.svc"),
	)

	It("cannot be turned into a token that is bound to something else of the same name", func(ctx SpecContext) {
		request := tokenRequest(v1alpha1.AgentSessionSecret, 3600)
		request.Spec.BoundObjectRef.Kind = "Pod"
		Expect(agentA.create(ctx, tokenPath(attacker), request)).To(beRefusedBy(agentPolicy))
	})

	It("cannot be turned into a token of another ServiceAccount", func(ctx SpecContext) {
		for _, path := range []string{
			homePath(attacker, "serviceaccounts/default/token"), homePath(attacker, "serviceaccounts/account-1/token"),
			"/api/v1/namespaces/" + hubNamespace + "/serviceaccounts/" + hubAccount + "/token",
			"/api/v1/namespaces/kube-system/serviceaccounts/default/token",
			tokenPath(victim),
		} {
			Expect(agentA.create(ctx, path, tokenRequest(v1alpha1.AgentSessionSecret, 3600))).To(beRefusedByRBAC())
		}
	})

	It("end when the join Secret is deleted: a join token works once", func(ctx SpecContext) {
		cluster := "joins-once"
		provision(ctx, cluster)
		token := joinToken(ctx, cluster)
		session := exchange(ctx, cluster, token)
		Expect(session.patch(ctx, leasePath(cluster), heartbeat())).To(beAnswered(200))
		endJoin(ctx, session, cluster)

		thief := withToken("join token used twice", token)
		took := refusedAfter(ctx, thief, cluster)
		AddReportEntry("join token refused after", took.String())
		Expect(thief.create(ctx, tokenPath(cluster), tokenRequest(v1alpha1.AgentSessionSecret, 3600))).To(beAnswered(401))
		Expect(session.patch(ctx, leasePath(cluster), heartbeat())).To(beAnswered(200), "the session goes on")
	})

	It("end when the session Secret is deleted, and do not come back with it", func(ctx SpecContext) {
		cluster := "revoked"
		provision(ctx, cluster)
		session := joined(ctx, cluster)
		ingest := tokenOf(session.create(ctx, tokenPath(cluster),
			tokenRequest(v1alpha1.AgentSessionSecret, 3600, v1alpha1.IngestAudience)))
		Expect(reviewed(ctx, ingest)).To(BeTrue())
		Expect(session.patch(ctx, leasePath(cluster), heartbeat())).To(beAnswered(200))
		old := secretOf(admin.get(ctx, homePath(cluster, "secrets/agent-session"))).UID
		Expect(admin.delete(ctx, homePath(cluster, "secrets/agent-session"))).To(beGranted())

		took := refusedAfter(ctx, session, cluster)
		AddReportEntry("session token refused after", took.String())
		Eventually(ctx, func() bool { return reviewed(ctx, ingest) }).WithTimeout(revocationBound-took).
			Should(BeFalse(), "the ingest server has to learn of it as well")

		anew := joined(ctx, cluster)
		Expect(secretOf(admin.get(ctx, homePath(cluster, "secrets/agent-session"))).UID).NotTo(Equal(old))
		Expect(session.patch(ctx, leasePath(cluster), heartbeat())).To(beAnswered(401))
		Expect(anew.patch(ctx, leasePath(cluster), heartbeat())).To(beAnswered(200), "it can join anew")
	})

	It("end when they expire", func(ctx SpecContext) {
		token := joinToken(ctx, attacker)
		again := resign(token, func(object) {})
		Expect(withToken("signed again", again).get(ctx, leasePath(attacker))).To(beAnswered(200), "the signature is good")
		past := resign(token, func(claims object) {
			now := time.Now()
			claims["iat"], claims["nbf"] = now.Add(-2*time.Hour).Unix(), now.Add(-2*time.Hour).Unix()
			claims["exp"] = now.Add(-time.Hour).Unix()
		})
		Expect(withToken("expired", past).create(ctx, tokenPath(attacker), tokenRequest(v1alpha1.AgentSessionSecret, 3600))).
			To(beAnswered(401))
		future := resign(token, func(claims object) { claims["nbf"] = time.Now().Add(time.Hour).Unix() })
		Expect(withToken("not valid yet", future).get(ctx, leasePath(attacker))).To(beAnswered(401))
	})

	It("are refused when forged", func(ctx SpecContext) {
		token := joinToken(ctx, attacker)
		parts := strings.Split(token, ".")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
		for name, forged := range map[string]string{
			"no algorithm": none + "." + parts[1] + ".",
			"no signature": parts[0] + "." + parts[1] + ".",
			"other claims": parts[0] + "." + claimsOf(token, func(c object) { c["sub"] = agentUser(victim) }) + "." + parts[2],
			"another key":  parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		} {
			Expect(withToken(name, forged).get(ctx, leasePath(attacker))).To(beAnswered(401))
		}
	})
})

// refusedAfter waits until a caller is locked out and says how long it took.
func refusedAfter(ctx SpecContext, who *caller, cluster string) time.Duration {
	GinkgoHelper()
	start := time.Now()
	Eventually(ctx, func() answer { return who.get(ctx, leasePath(cluster)) }).
		WithTimeout(revocationBound).WithPolling(100 * time.Millisecond).Should(beAnswered(401))
	return time.Since(start).Round(100 * time.Millisecond)
}

// reviewed asks what the ingest server asks about a token.
func reviewed(ctx SpecContext, token string) bool {
	GinkgoHelper()
	answer := admin.create(ctx, "/apis/authentication.k8s.io/v1/tokenreviews", object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": object{"token": token, "audiences": []string{v1alpha1.IngestAudience}},
	})
	review := decode[struct {
		Status struct{ Authenticated bool }
	}](answer)
	return review.Status.Authenticated
}

// claimsOf changes the claims of a token and encodes them.
func claimsOf(token string, change func(claims object)) string {
	GinkgoHelper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	Expect(err).NotTo(HaveOccurred())
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var claims object
	Expect(decoder.Decode(&claims)).To(Succeed())
	change(claims)
	return base64.RawURLEncoding.EncodeToString(encode(claims))
}

// resign changes the claims of a token and signs it with the real key, so that
// nothing but the change can be the reason for what happens to it.
func resign(token string, change func(claims object)) string {
	GinkgoHelper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(plane.Kubeconfig()), "service-account.key"))
	Expect(err).NotTo(HaveOccurred())
	block, _ := pem.Decode(data)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	signed := strings.Split(token, ".")[0] + "." + claimsOf(token, change)
	return fmt.Sprintf("%s.%s", signed, base64.RawURLEncoding.EncodeToString(signature(key, signed)))
}

// signature is that of ES256: both numbers with 32 bytes each.
func signature(key *ecdsa.PrivateKey, text string) []byte {
	GinkgoHelper()
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	Expect(err).NotTo(HaveOccurred())
	both := make([]byte, 64)
	for i, n := range []*big.Int{r, s} {
		n.FillBytes(both[i*32 : (i+1)*32])
	}
	return both
}
