// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

var _ = Describe("The agent of one cluster", func() {
	It("is refused every verb on every resource but its own", func(ctx SpecContext) {
		all := attempts()
		var requests, reviews, allowed atomic.Int64
		wrong := parallel(all, func(a attempt) string {
			want := granted(attacker, a)
			if want {
				allowed.Add(1)
			}
			reviews.Add(1)
			if got := a.authorized(ctx, agentA); got != want {
				return fmt.Sprintf("the authorizer says %t to %s", got, a)
			}
			if !a.sendable() || want && a.verb != "get" && a.verb != "list" && a.verb != "watch" {
				return "" // what it may write is written for real below
			}
			requests.Add(1)
			answer := a.send(ctx, agentA)
			if refused := answer.Code == http.StatusForbidden; refused == want {
				return fmt.Sprintf("%s was answered with %d %s", a, answer.Code, answer.Message)
			}
			return ""
		})
		AddReportEntry("attempts", fmt.Sprintf("%d requests and %d access reviews, of which %d had to be allowed",
			requests.Load(), reviews.Load(), allowed.Load()))
		GinkgoWriter.Printf("%d requests, %d access reviews, %d allowed\n", requests.Load(), reviews.Load(), allowed.Load())
		Expect(wrong).To(BeEmpty())
		Expect(requests.Load()).To(BeNumerically(">", 2000), "too few resources were found to mean anything")
		Expect(allowed.Load()).To(BeNumerically(">=", 10))
	}, SpecTimeout(8*time.Minute))

	It("has in no namespace a rule that is not on the list", func(ctx SpecContext) {
		for _, namespace := range []string{home(attacker), home(victim), hubNamespace, "kube-system", "default"} {
			review := decode[authorizationv1.SelfSubjectRulesReview](agentA.create(ctx,
				"/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", authorizationv1.SelfSubjectRulesReview{
					TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectRulesReview"},
					Spec:     authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
				}))
			Expect(review.Status.Incomplete).To(BeFalse())
			Expect(review.Status.ResourceRules).NotTo(BeEmpty())
			for _, rule := range review.Status.ResourceRules {
				expectListed(namespace, rule)
			}
			for _, rule := range review.Status.NonResourceRules {
				Expect(rule.Verbs).To(HaveExactElements("get"))
				Expect(rule.NonResourceURLs).To(HaveEach(BeElementOf(publicURLs)))
			}
		}
	})

	DescribeTable("is refused every URL beyond discovery and health",
		func(ctx SpecContext, path string) {
			Expect(agentA.get(ctx, path)).To(beRefused())
			Expect(admin.get(ctx, path)).NotTo(beRefused())
		},
		Entry(nil, "/metrics"), Entry(nil, "/metrics/slis"), Entry(nil, "/logs/"), Entry(nil, "/configz"),
		Entry(nil, "/debug/pprof/"), Entry(nil, "/debug/api_priority_and_fairness/dump_priority_levels"),
		Entry(nil, "/statusz"), Entry(nil, "/flagz"), Entry(nil, "/healthz/etcd"), Entry(nil, "/"),
	)

	DescribeTable("cannot take the deprecated or the scenic route",
		func(ctx SpecContext, method, path string) {
			Expect(agentA.send(ctx, method, path, jsonDocument, nil)).To(beRefused())
		},
		Entry("watch prefix", "GET", "/api/v1/watch/secrets"),
		Entry("watch prefix in the victim", "GET", "/api/v1/watch/namespaces/"+home(victim)+"/configmaps/agent-bundle"),
		Entry("proxy to a Service", "GET", "/api/v1/namespaces/"+home(victim)+"/services/service-1/proxy/"),
		Entry("proxy to a node", "GET", "/api/v1/nodes/node-1/proxy/pods"),
		Entry("proxy to a Pod", "POST", "/api/v1/namespaces/default/pods/pod-1/proxy/"),
		Entry("exec", "POST", "/api/v1/namespaces/default/pods/pod-1/exec?command=id"),
		Entry("exec by GET", "GET", "/api/v1/namespaces/default/pods/pod-1/exec?command=id"),
		Entry("attach", "POST", "/api/v1/namespaces/default/pods/pod-1/attach"),
		Entry("port forward", "POST", "/api/v1/namespaces/default/pods/pod-1/portforward"),
		Entry("ephemeral containers", "PATCH", "/api/v1/namespaces/default/pods/pod-1/ephemeralcontainers"),
		Entry("all clusters", "GET", clustersPath),
		Entry("all clusters but one", "GET", clustersPath+"?fieldSelector=metadata.name!%3D"+attacker),
		Entry("the other cluster", "GET", clustersPath+"?fieldSelector=metadata.name%3D"+victim),
		Entry("a watch of all clusters", "GET", clustersPath+"?watch=true"),
		Entry("all clusters by label", "GET", clustersPath+"?labelSelector=a%3Db"),
		Entry("all bundles of its own namespace", "GET", homePath(attacker, "configmaps")),
		Entry("its own Secrets", "GET", homePath(attacker, "secrets")),
		Entry("its own session Secret", "GET", homePath(attacker, "secrets/agent-session")),
		Entry("its own join Secret", "GET", homePath(attacker, "secrets/agent-join")),
	)

	DescribeTable("cannot be somebody else",
		func(ctx SpecContext, header map[string]string) {
			impostor := agentA.as(header)
			Expect(impostor.get(ctx, homePath(victim, "configmaps/agent-bundle"))).To(beRefused())
			Expect(impostor.get(ctx, clustersPath+"/"+attacker)).To(beRefused(), "it was answered as somebody")
		},
		Entry("an administrator", map[string]string{"Impersonate-User": "admin"}),
		Entry("a member of system:masters", map[string]string{"Impersonate-User": "x", "Impersonate-Group": "system:masters"}),
		Entry("the other agent", map[string]string{"Impersonate-User": agentUser(victim)}),
		Entry("the hub", map[string]string{"Impersonate-User": hubUser}),
		Entry("itself with a group", map[string]string{"Impersonate-User": agentUser(attacker), "Impersonate-Group": "system:masters"}),
		Entry("itself with an extra", map[string]string{"Impersonate-User": agentUser(attacker), "Impersonate-Extra-Scopes": "all"}),
		Entry("a UID", map[string]string{"Impersonate-User": agentUser(victim), "Impersonate-Uid": "1"}),
	)

	It("gains nothing from headers that proxies are trusted with", func(ctx SpecContext) {
		forged := agentA.as(map[string]string{
			"X-Remote-User": "admin", "X-Remote-Group": "system:masters", "X-Forwarded-For": "127.0.0.1",
		})
		Expect(forged.get(ctx, homePath(victim, "secrets"))).To(beRefused())
	})

	It("cannot create a ManagedCluster, nor change or delete its own", func(ctx SpecContext) {
		own := clustersPath + "/" + attacker
		before := clusterOf(ctx, attacker)
		Expect(agentA.create(ctx, clustersPath, object{
			"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "metadata": object{"name": "mine"},
		})).To(beRefused())
		Expect(agentA.apply(ctx, clustersPath+"/mine", v1alpha1.FieldOwnerAgent, object{
			"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "metadata": object{"name": "mine"},
		})).To(beRefused())
		for _, change := range []object{
			{"spec": object{"accepted": true}},
			{"spec": object{"suspended": true}},
			{"spec": object{"remoteCommands": object{"allowedActions": []string{"Exec"}}}},
			{"metadata": object{"labels": object{"environment": "production"}}},
			{"metadata": object{"annotations": object{v1alpha1.AnnotationJoinRequest: "again"}}},
			{"metadata": object{"finalizers": []string{"example.com/stay"}}},
			{"metadata": object{"ownerReferences": []object{}}},
		} {
			Expect(agentA.patch(ctx, own, change)).To(beRefused())
		}
		Expect(agentA.update(ctx, own, admin.get(ctx, own).Body)).To(beRefused())
		Expect(agentA.delete(ctx, own)).To(beRefused())
		expectSameOwnersPart(before, clusterOf(ctx, attacker))
	})
})

// publicURLs are what every ServiceAccount may read.
var publicURLs = []string{
	"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/healthz", "/livez", "/readyz",
	"/version", "/version/", "/.well-known/openid-configuration", "/.well-known/openid-configuration/",
	"/openid/v1/jwks", "/openid/v1/jwks/",
}

// expectListed checks one rule, in full, against the list of what is granted.
func expectListed(namespace string, rule authorizationv1.ResourceRule) {
	GinkgoHelper()
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				for _, name := range names {
					a := attempt{verb: verb, group: group, namespace: namespace, name: name}
					a.resource, a.subresource, _ = strings.Cut(resource, "/")
					Expect(granted(attacker, a)).To(BeTrue(), "%v grants %s", rule, a)
				}
			}
		}
	}
}
