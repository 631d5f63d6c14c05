// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	atlhyperAPI  = "atlhyper.io/v1alpha1"
	clustersPath = "/apis/atlhyper.io/v1alpha1/managedclusters"
	hubNamespace = "atlhyper-system"
	hubAccount   = "atlhyper-hub"
	hubUser      = "system:serviceaccount:" + hubNamespace + ":" + hubAccount
	sessionHours = 24
)

// home is the namespace of a cluster.
func home(cluster string) string { return v1alpha1.ClusterNamespacePrefix + cluster }

// homePath is the path of something in the core group there.
func homePath(cluster, resource string) string {
	return "/api/v1/namespaces/" + home(cluster) + "/" + resource
}

func leasePath(cluster string) string {
	return "/apis/coordination.k8s.io/v1/namespaces/" + home(cluster) + "/leases/" + v1alpha1.AgentLease
}

func tokenPath(cluster string) string {
	return homePath(cluster, "serviceaccounts/"+v1alpha1.AgentServiceAccount+"/token")
}

func rbacPath(namespace, resource string) string {
	const group = "/apis/rbac.authorization.k8s.io/v1"
	if namespace == "" {
		return group + "/" + resource
	}
	return group + "/namespaces/" + namespace + "/" + resource
}

// tokenRequest asks for a token that is bound to a Secret; an empty name asks
// for an unbound one.
func tokenRequest(secret string, seconds int64, audiences ...string) *authenticationv1.TokenRequest {
	request := &authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		Spec:     authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, Audiences: audiences},
	}
	if secret != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: secret}
	}
	return request
}

func tokenOf(a answer) string {
	GinkgoHelper()
	return decode[authenticationv1.TokenRequest](a).Status.Token
}

// exchange is what an agent does with its join token.
func exchange(ctx context.Context, cluster, token string) *caller {
	GinkgoHelper()
	answer := withToken("joining "+cluster, token).
		create(ctx, tokenPath(cluster), tokenRequest(v1alpha1.AgentSessionSecret, sessionHours*3600))
	return withToken("agent of "+cluster, tokenOf(answer))
}

// joined is an agent that has just joined.
func joined(ctx context.Context, cluster string) *caller {
	GinkgoHelper()
	session := exchange(ctx, cluster, joinToken(ctx, cluster))
	endJoin(ctx, session, cluster)
	return session
}

// hubToken is a token of the hub's ServiceAccount.
func hubToken(ctx context.Context) string {
	GinkgoHelper()
	path := "/api/v1/namespaces/" + hubNamespace + "/serviceaccounts/" + hubAccount + "/token"
	return tokenOf(admin.create(ctx, path, tokenRequest("", 3600)))
}

func secretOf(a answer) corev1.Secret {
	GinkgoHelper()
	return decode[corev1.Secret](a)
}

// ensure creates an object unless it is there.
func ensure(ctx context.Context, by *caller, path string, body any) {
	GinkgoHelper()
	Expect(by.create(ctx, path, body)).To(HaveField("Code", BeElementOf(201, 409)))
}
