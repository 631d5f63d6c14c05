// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	hubserver "github.com/atlhyper/atlhyper/controllers/hub"
)

// apply stands for a server-side apply. It is the way to create something that
// RBAC can restrict by name, so the hub's role allows it in every namespace.
const apply = "APPLY"

var _ = Describe("A stolen credential of the hub", func() {
	// Every attack is made twice: with the hub's own credential, where RBAC or the
	// policy may refuse it, and as the same user with every permission there is,
	// where only the policy is left.
	attacks := func(entries ...TableEntry) {
		DescribeTable("is refused",
			func(ctx SpecContext, method, path string, body any) {
				contentType, data := jsonDocument, []byte(nil)
				if body != nil {
					data = encode(body)
				}
				if !strings.Contains(path, "?") {
					path += "?dryRun=All"
				}
				switch method {
				case http.MethodPatch:
					contentType = mergePatch
				case apply:
					method, contentType = http.MethodPatch, applyPatch
					path += "&force=true&fieldManager=" + v1alpha1.FieldOwnerHub
				}
				unbound := admin.as(map[string]string{"Impersonate-User": hubUser, "Impersonate-Group": "system:masters"})
				Expect(hub.send(ctx, method, path, contentType, data)).To(beRefused())
				Expect(unbound.send(ctx, method, path, contentType, data)).To(beRefusedBy(hubPolicy))
			}, entries)
	}
	const post, patch, del = http.MethodPost, http.MethodPatch, http.MethodDelete
	in := func(namespace, resource string) string { return "/api/v1/namespaces/" + namespace + "/" + resource }

	Describe("on Secrets", func() {
		attacks(
			Entry("a token of a controller", post, in("kube-system", "secrets"), accountSecret("stolen", "generic-garbage-collector")),
			Entry("a token of a controller under our name", post, in("kube-system", "secrets"), accountSecret("agent-session", "generic-garbage-collector")),
			Entry("a token of the agent", post, homePath(victim, "secrets"), accountSecret("agent-join", "agent")),
			Entry("a token of the hub", post, in(hubNamespace, "secrets"), accountSecret("agent-session", hubAccount)),
			Entry("a token of a controller, applied", apply, in("kube-system", "secrets/agent-session"), accountSecret("agent-session", "generic-garbage-collector")),
			Entry("a token of the agent, applied", apply, homePath(victim, "secrets/agent-join"), accountSecret("agent-join", "agent")),
			Entry("a Secret elsewhere, applied", apply, in("default", "secrets/agent-session"), secretObject("agent-session")),
			Entry("a bootstrap token", post, in("kube-system", "secrets"), object{
				"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "bootstrap-token-abcdef"},
				"type": "bootstrap.kubernetes.io/token",
			}),
			Entry("another name", post, homePath(victim, "secrets"), secretObject("hidden")),
			Entry("a generated name", post, homePath(victim, "secrets"), object{
				"apiVersion": "v1", "kind": "Secret", "metadata": object{"generateName": "agent-join-"}, "type": "Opaque",
			}),
			Entry("another namespace", post, in("default", "secrets"), secretObject("agent-session")),
			Entry("one of its own", post, in(hubNamespace, "secrets"), secretObject("agent-session")),
			Entry("the ingest authority as a token", post, in(hubNamespace, "secrets"), accountSecret("atlhyper-ingest-ca", hubAccount)),
			Entry("the ingest authority elsewhere", post, in("kube-system", "secrets"), secretObject("atlhyper-ingest-ca")),
			Entry("an ingest authority of another name", post, in(hubNamespace, "secrets"), object{
				"apiVersion": "v1", "kind": "Secret", "metadata": object{"generateName": "atlhyper-ingest-ca"}, "type": "Opaque",
			}),
			Entry("replacing the ingest authority", patch, in(hubNamespace, "secrets/atlhyper-ingest-ca"), object{"stringData": object{"tls.key": "mine"}}),
			Entry("deleting the ingest authority", del, in(hubNamespace, "secrets/atlhyper-ingest-ca"), nil),
			Entry("overwriting one of a user", patch, in("default", "secrets/secret-1"), object{"stringData": object{"a": "b"}}),
			Entry("deleting one of a user", del, in("default", "secrets/secret-1"), nil),
			Entry("deleting all of a user", del, in("default", "secrets"), nil),
			Entry("deleting all of a cluster", del, homePath(victim, "secrets"), nil),
		)
	})

	Describe("on tokens", func() {
		token := func(namespace, account string) string { return in(namespace, "serviceaccounts/"+account+"/token") }
		attacks(
			Entry("of kube-system", post, token("kube-system", "default"), tokenRequest("", 3600)),
			Entry("of itself", post, token(hubNamespace, hubAccount), tokenRequest("", 3600)),
			Entry("of another account of a cluster", post, token(home(victim), "account-1"), tokenRequest("agent-join", 3600)),
			Entry("of an agent, unbound", post, token(home(victim), "agent"), tokenRequest("", 3600)),
			Entry("of an agent, as a session", post, token(home(victim), "agent"), tokenRequest("agent-session", 3600)),
			Entry("of an agent, for long", post, token(home(victim), "agent"), tokenRequest("agent-join", 86400)),
			Entry("of an agent, for ingest", post, token(home(victim), "agent"), tokenRequest("agent-join", 3600, v1alpha1.IngestAudience)),
			Entry("of an agent, for a cloud", post, token(home(victim), "agent"), tokenRequest("agent-join", 3600, "sts.amazonaws.com")),
		)
	})

	Describe("on roles", func() {
		agentOf := func(cluster string) object {
			return object{"kind": "ServiceAccount", "name": "agent", "namespace": home(cluster)}
		}
		all := ruleObject("*", "*", nil, "*")
		own := "atlhyper:cluster:" + victim
		attacks(
			Entry("cluster-admin for itself", post, rbacPath("", "clusterrolebindings"),
				binding("ClusterRoleBinding", "mine", "ClusterRole", "cluster-admin", object{"kind": "ServiceAccount", "name": hubAccount, "namespace": hubNamespace})),
			Entry("cluster-admin under our name", post, rbacPath("", "clusterrolebindings"),
				binding("ClusterRoleBinding", "atlhyper:cluster:x", "ClusterRole", "cluster-admin", agentOf("x"))),
			Entry("the role of one cluster for another", post, rbacPath("", "clusterrolebindings"),
				binding("ClusterRoleBinding", own, "ClusterRole", own, agentOf(attacker))),
			Entry("the role of a cluster for a group", post, rbacPath("", "clusterrolebindings"),
				binding("ClusterRoleBinding", own, "ClusterRole", own,
					object{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"})),
			Entry("a second subject", patch, rbacPath("", "clusterrolebindings/"+own),
				object{"subjects": []object{agentOf(victim), agentOf(attacker)}}),
			Entry("admin in the namespace of a cluster", post, rbacPath(home(victim), "rolebindings"),
				binding("RoleBinding", "mine", "ClusterRole", "admin", agentOf(victim))),
			Entry("admin in kube-system", post, rbacPath("kube-system", "rolebindings"),
				binding("RoleBinding", "agent", "Role", "agent", agentOf(victim))),
			Entry("everything in a cluster's role", patch, rbacPath("", "clusterroles/"+own), object{"rules": []object{all}}),
			Entry("all clusters in a cluster's role", patch, rbacPath("", "clusterroles/"+own),
				object{"rules": []object{ruleObject("atlhyper.io", "managedclusters", nil, "get", "list", "watch")}}),
			Entry("its spec in a cluster's role", patch, rbacPath("", "clusterroles/"+own),
				object{"rules": []object{ruleObject("atlhyper.io", "managedclusters", []string{victim}, "get", "patch")}}),
			Entry("an aggregated role", patch, rbacPath("", "clusterroles/"+own),
				object{"aggregationRule": object{"clusterRoleSelectors": []object{{"matchLabels": object{"a": "b"}}}}}),
			Entry("Secrets in the agent's role", patch, rbacPath(home(victim), "roles/agent"),
				object{"rules": []object{ruleObject("", "secrets", nil, "get")}}),
			Entry("every token in the agent's role", patch, rbacPath(home(victim), "roles/agent"),
				object{"rules": []object{ruleObject("", "serviceaccounts/token", nil, "create")}}),
			Entry("escalation in the agent's role", patch, rbacPath(home(victim), "roles/agent"),
				object{"rules": []object{ruleObject("rbac.authorization.k8s.io", "roles", []string{"agent"}, "escalate", "bind")}}),
			Entry("another role", post, rbacPath(home(victim), "roles"), object{
				"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": object{"name": "mine"}, "rules": []object{},
			}),
			Entry("its own role", patch, rbacPath("", "clusterroles/"+hubAccount), object{"rules": []object{all}}),
			Entry("the role of everybody", patch, rbacPath("", "clusterroles/system:discovery"), object{"rules": []object{all}}),
			Entry("deleting a role of Kubernetes", del, rbacPath("", "clusterroles/system:discovery"), nil),
		)
	})

	Describe("on everything else", func() {
		attacks(
			Entry("another namespace", post, "/api/v1/namespaces", namespaceObject("mine")),
			Entry("deleting a namespace", del, "/api/v1/namespaces/"+hubNamespace, nil),
			Entry("another ServiceAccount of a cluster", post, homePath(victim, "serviceaccounts"), object{
				"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": "mine"},
			}),
			Entry("a ServiceAccount elsewhere", post, in("kube-system", "serviceaccounts"), object{
				"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": "agent"},
			}),
			Entry("a ServiceAccount elsewhere, applied", apply, in("kube-system", "serviceaccounts/agent"), object{
				"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": "agent"},
			}),
			Entry("a ConfigMap elsewhere, applied", apply, in("kube-system", "configmaps/agent-bundle"), object{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "agent-bundle"},
			}),
			Entry("a Lease elsewhere, applied", apply, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/agent", object{
				"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": object{"name": "agent"}, "spec": object{},
			}),
			Entry("a role elsewhere, applied", apply, rbacPath("kube-system", "roles/agent"), object{
				"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": object{"name": "agent"}, "rules": []object{},
			}),
			Entry("another ConfigMap of a cluster", patch, homePath(victim, "configmaps/map-1"), object{"data": object{"a": "c"}}),
			Entry("a ConfigMap elsewhere", patch, in("default", "configmaps/map-1"), object{"data": object{"a": "c"}}),
			Entry("somebody else's election", patch, "/apis/coordination.k8s.io/v1/namespaces/default/leases/lease-1",
				object{"spec": object{"holderIdentity": "mine"}}),
			Entry("a Pod", post, in("default", "pods"), object{
				"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "mine"},
				"spec": object{"containers": []object{{"name": "c", "image": "none"}}},
			}),
			Entry("exec", post, in("default", "pods/pod-1/exec?command=id&stdout=true"), nil),
			Entry("a node", patch, "/api/v1/nodes/node-1", object{"metadata": object{"labels": object{"a": "b"}}}),
			Entry("a webhook", patch, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/webhook-1",
				object{"metadata": object{"labels": object{"a": "b"}}}),
			Entry("the schema", patch, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/managedclusters.atlhyper.io",
				object{"metadata": object{"labels": object{"a": "b"}}}),
			Entry("a cluster of its own", post, clustersPath, object{
				"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "metadata": object{"name": "mine"},
			}),
			Entry("the spec of a cluster", patch, clustersPath+"/"+victim, object{"spec": object{"suspended": true}}),
			Entry("deleting a cluster", del, clustersPath+"/"+victim, nil),
		)

		It("the policies and the identity of others, which only RBAC guards", func(ctx SpecContext) {
			policies := "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/"
			Expect(hub.delete(ctx, policies+hubPolicy)).To(beRefusedByRBAC())
			Expect(hub.patch(ctx, policies+agentPolicy, object{"spec": object{"failurePolicy": "Ignore"}})).To(beRefusedByRBAC())
			Expect(hub.delete(ctx, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/"+hubPolicy)).
				To(beRefusedByRBAC())
			masters := hub.as(map[string]string{"Impersonate-User": "admin", "Impersonate-Group": "system:masters"})
			Expect(masters.get(ctx, "/api/v1/nodes")).To(beRefused())
		})
	})
})

var _ = Describe("The hub", func() {
	It("does what it has to do", func(ctx SpecContext) {
		const cluster = "positive"
		provision(ctx, cluster)
		session := joined(ctx, cluster)
		Eventually(ctx, func() map[string]string { return conditionsOf(ctx, cluster) }).
			WithTimeout(waitTimeout).Should(HaveKeyWithValue(v1alpha1.ClusterConditionConnected, "True"))
		Expect(admin.get(ctx, "/apis/coordination.k8s.io/v1/namespaces/"+hubNamespace+"/leases/"+hubserver.LeaderElectionID)).
			To(beGranted(), "its election")
		Expect(hub.patch(ctx, clustersPath+"/"+cluster+"?dryRun=All", object{})).To(beGranted(), "an unchanged object")
		Expect(hub.create(ctx, "/api/v1/namespaces/"+hubNamespace+"/secrets?dryRun=All", secretObject(hubserver.IngestAuthority))).
			To(beAnswered(409), "it made the authority of its ingest endpoint")
		Expect(hub.create(ctx, "/apis/authentication.k8s.io/v1/tokenreviews", object{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
			"spec": object{"token": "invented", "audiences": []string{v1alpha1.IngestAudience}},
		})).To(beGranted(), "whose a token is")
		Expect(hub.create(ctx, "/apis/events.k8s.io/v1/namespaces/default/events", object{
			"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": object{"name": "positive.1"},
			"eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Provisioned", "action": "Provision",
			"reportingController": "atlhyper.io/hub", "reportingInstance": "hub-1",
			"regarding": object{"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "name": cluster},
		})).To(beGranted())

		Expect(admin.delete(ctx, clustersPath+"/"+cluster)).To(beGranted())
		Eventually(ctx, func() map[string]string { return conditionsOf(ctx, cluster) }).
			WithTimeout(waitTimeout).Should(HaveKeyWithValue(v1alpha1.ClusterConditionDeleting, "True"))
		Expect(session.patch(ctx, leasePath(cluster), object{"spec": object{"holderIdentity": ""}})).To(beGranted(), "goodbye")
		for _, gone := range []string{
			clustersPath + "/" + cluster, "/api/v1/namespaces/" + home(cluster),
			rbacPath("", "clusterroles/atlhyper:cluster:"+cluster), rbacPath("", "clusterrolebindings/atlhyper:cluster:"+cluster),
		} {
			Eventually(ctx, func() answer { return admin.get(ctx, gone) }).WithTimeout(2*waitTimeout).
				Should(beAnswered(404), func() string { return string(admin.get(ctx, gone).Body) })
		}
	})
})

var _ = Describe("A protected cluster", func() {
	It("is deleted only after its protection is taken away", func(ctx SpecContext) {
		path := clustersPath + "/guarded"
		Expect(admin.create(ctx, clustersPath, object{
			"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "metadata": object{"name": "guarded", "labels": object{"guarded": "yes"}},
			"spec": object{"protection": object{"deletion": "Denied"}},
		})).To(beAnswered(201))
		Expect(admin.delete(ctx, path)).To(And(beRefusedBy(protectionPolicy),
			HaveField("Message", ContainSubstring("kubectl patch managedcluster guarded"))))
		Expect(admin.delete(ctx, clustersPath+"?labelSelector=guarded%3Dyes")).To(beRefusedBy(protectionPolicy))
		Expect(admin.patch(ctx, path+"?dryRun=All", object{})).To(beGranted(), "a dry run of an unchanged object")
		Expect(admin.patch(ctx, path, object{"spec": object{"protection": object{"deletion": "Allowed"}}})).To(beGranted())
		Expect(admin.delete(ctx, path)).To(beGranted())
		// Other specs go through everything that the API server has.
		for _, gone := range []string{path, "/api/v1/namespaces/" + home("guarded")} {
			Eventually(ctx, func() answer { return admin.get(ctx, gone) }).WithTimeout(2 * waitTimeout).Should(beAnswered(404))
		}
	})
})

func accountSecret(name, account string) object {
	return object{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
		"metadata": object{"name": name, "annotations": object{"kubernetes.io/service-account.name": account}},
	}
}

func binding(kind, name, roleKind, role string, subjects ...object) object {
	return object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": object{"name": name},
		"roleRef": object{"apiGroup": "rbac.authorization.k8s.io", "kind": roleKind, "name": role}, "subjects": subjects,
	}
}
