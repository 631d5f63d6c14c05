// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	hubserver "github.com/atlhyper/atlhyper/controllers/hub"
)

// installHub creates the hub's namespace and identity from the shipped manifests.
func installHub(ctx context.Context) {
	GinkgoHelper()
	kubectl(ctx, "apply", "-f", repository("config", "hub", "namespace.yaml"))
	kubectl(ctx, "apply", "-k", repository("config", "rbac"))
}

// runHub runs a real hub with a token of its own ServiceAccount, so that what it
// does shows that the policies and the roles let it.
func runHub(ctx context.Context, token string) {
	GinkgoHelper()
	config := hubserver.DefaultConfig()
	config.RESTConfig = rest.AnonymousClientConfig(plane.Config())
	config.RESTConfig.BearerToken = token
	config.MetricsBindAddress, config.HealthProbeBindAddress = "0", "0"
	config.AdvertiseURL = plane.Config().Host
	config.Telemetry.DSN = "sqlite://" + filepath.Join(GinkgoT().TempDir(), "history.db")
	config.Telemetry.IngestBindAddress = "127.0.0.1:0" // it makes its own authority
	config.Version = "v0.1.0"

	// The context of a setup node ends with the node.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- hubserver.Run(running, config) }()
	DeferCleanup(func() {
		stop()
		Eventually(ended).WithTimeout(waitTimeout).Should(Receive(BeNil()))
	})
}

// provision commits a ManagedCluster and waits until the hub has provisioned it.
func provision(ctx context.Context, cluster string) {
	GinkgoHelper()
	Expect(admin.create(ctx, clustersPath, object{
		"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "metadata": object{"name": cluster},
		"spec": object{"heartbeat": object{"periodSeconds": 5}},
	})).To(beAnswered(201))
	Eventually(ctx, func() map[string]string { return conditionsOf(ctx, cluster) }).
		WithTimeout(waitTimeout).Should(HaveKeyWithValue("Ready", "True"))
}

var joinRequests atomic.Int64

// joinToken asks the hub for a join token and takes it out of the join Secret.
func joinToken(ctx context.Context, cluster string) string {
	GinkgoHelper()
	nonce := fmt.Sprintf("nonce-%d", joinRequests.Add(1))
	Expect(admin.patch(ctx, clustersPath+"/"+cluster, object{
		"metadata": object{"annotations": object{v1alpha1.AnnotationJoinRequest: nonce}},
	})).To(beGranted())
	var token string
	Eventually(ctx, func(g Gomega) {
		answer := admin.get(ctx, homePath(cluster, "secrets/"+v1alpha1.AgentJoinSecret))
		g.Expect(answer).To(beGranted())
		secret := secretOf(answer)
		g.Expect(secret.Data).To(HaveKeyWithValue(v1alpha1.CredentialJoinID, BeEquivalentTo(nonce)))
		g.Expect(secret.Data).To(HaveKey(v1alpha1.CredentialToken))
		token = string(secret.Data[v1alpha1.CredentialToken])
	}).WithTimeout(waitTimeout).Should(Succeed())
	return token
}

// endJoin has the agent say that it has joined, whereupon the hub deletes the join Secret.
func endJoin(ctx context.Context, session *caller, cluster string) {
	GinkgoHelper()
	secret := homePath(cluster, "secrets/"+v1alpha1.AgentJoinSecret)
	joined := heartbeat()
	joined["metadata"] = object{"annotations": object{
		v1alpha1.AnnotationJoined: string(secretOf(admin.get(ctx, secret)).Data[v1alpha1.CredentialJoinID]),
	}}
	Expect(session.patch(ctx, leasePath(cluster), joined)).To(beGranted())
	Eventually(ctx, func() answer { return admin.get(ctx, secret) }).WithTimeout(waitTimeout).Should(beAnswered(404))
}

func condition(kind, status, reason string) object {
	return object{
		"type": kind, "status": status, "reason": reason, "message": "",
		"observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
	}
}

func namespaceObject(name string) object {
	return object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name}}
}

func ruleObject(group, resource string, names []string, verbs ...string) object {
	rule := object{"apiGroups": []string{group}, "resources": []string{resource}, "verbs": verbs}
	if names != nil {
		rule["resourceNames"] = names
	}
	return rule
}

func secretObject(name string) object {
	return object{"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": name}, "type": "Opaque"}
}
