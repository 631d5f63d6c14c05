// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package attacks

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// heartbeat is the one request with which an agent renews its Lease.
func heartbeat() object {
	return object{
		"metadata": object{"annotations": object{v1alpha1.AnnotationJoined: "nonce-1"}},
		"spec": object{
			"holderIdentity": "00000000-0000-4000-8000-000000000001/agent-1",
			"renewTime":      time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), "leaseDurationSeconds": 15,
		},
	}
}

// report is the status that an agent applies.
func report(cluster string, status object) object {
	return object{"apiVersion": atlhyperAPI, "kind": "ManagedCluster", "metadata": object{"name": cluster}, "status": status}
}

func honestStatus() object {
	return object{
		"kubernetes": object{"version": "v1.37.2", "platform": "KWOK"},
		"agent":      object{"version": "v0.1.0", "startedAt": "2026-01-01T00:00:00Z"},
		"nodes":      object{"ready": 1, "total": 2, "summary": "1/2"},
		"capacity":   object{"cpu": "4", "memory": "8Gi"},
		"conditions": []object{
			condition(v1alpha1.ClusterConditionAPIServerHealthy, "True", v1alpha1.ClusterReasonLivezOK),
			condition(v1alpha1.ClusterConditionNodesHealthy, "False", v1alpha1.ClusterReasonNodesNotReady),
			condition(v1alpha1.ClusterConditionInventorySynced, "True", v1alpha1.ClusterReasonInventoryCurrent),
		},
	}
}

// conditionsOf are the conditions in the status of a cluster, by type.
func conditionsOf(ctx context.Context, cluster string) map[string]string {
	GinkgoHelper()
	found := map[string]string{}
	for _, c := range clusterOf(ctx, cluster).Status.Conditions {
		found[c.Type] = string(c.Status)
	}
	return found
}

func clusterOf(ctx context.Context, cluster string) v1alpha1.ManagedCluster {
	GinkgoHelper()
	return decode[v1alpha1.ManagedCluster](admin.get(ctx, clustersPath+"/"+cluster))
}

var _ = Describe("What an agent has to do", Ordered, func() {
	It("renews its Lease with one request", func(ctx SpecContext) {
		Expect(agentA.patch(ctx, leasePath(attacker), heartbeat())).To(beAnswered(200))
		Expect(agentA.patch(ctx, leasePath(attacker)+"?dryRun=All", object{})).To(beAnswered(200), "an unchanged object")
	})
	It("says goodbye", func(ctx SpecContext) {
		Expect(agentA.patch(ctx, leasePath(attacker), object{"spec": object{"holderIdentity": ""}})).To(beAnswered(200))
		Expect(agentA.patch(ctx, leasePath(attacker), heartbeat())).To(beAnswered(200))
	})
	It("reports its status, again and again", func(ctx SpecContext) {
		status := clustersPath + "/" + attacker + "/status"
		Expect(agentA.apply(ctx, status, v1alpha1.FieldOwnerAgent, report(attacker, honestStatus()))).To(beAnswered(200))
		Expect(agentA.apply(ctx, status, v1alpha1.FieldOwnerAgent, report(attacker, honestStatus()))).To(beAnswered(200))
		fewer := honestStatus()
		delete(fewer, "capacity")
		fewer["staleResources"] = []string{"pods"}
		Expect(agentA.apply(ctx, status, v1alpha1.FieldOwnerAgent, report(attacker, fewer))).To(beAnswered(200))
		Expect(clusterOf(ctx, attacker).Status.Nodes.Summary).To(Equal("1/2"))
		Expect(conditionsOf(ctx, attacker)).To(And(HaveKeyWithValue("Ready", "True"), HaveKeyWithValue("NodesHealthy", "False")))
	})
	It("reads its own cluster, its bundle and its commands", func(ctx SpecContext) {
		only := "?fieldSelector=metadata.name%3D"
		Expect(agentA.get(ctx, clustersPath+only+attacker)).To(beAnswered(200))
		Expect(agentA.get(ctx, clustersPath+only+attacker+"&watch=true&timeoutSeconds=1")).To(beAnswered(200))
		Expect(agentA.get(ctx, homePath(attacker, "configmaps")+only+v1alpha1.AgentBundle)).To(beAnswered(200))
	})
	It("renews its token, for the API server and for ingest", func(ctx SpecContext) {
		renewed := tokenOf(agentA.create(ctx, tokenPath(attacker), tokenRequest(v1alpha1.AgentSessionSecret, 604800)))
		Expect(withToken("renewed", renewed).patch(ctx, leasePath(attacker), heartbeat())).To(beAnswered(200))
		ingest := tokenOf(agentA.create(ctx, tokenPath(attacker),
			tokenRequest(v1alpha1.AgentSessionSecret, 3600, v1alpha1.IngestAudience)))
		Expect(withToken("ingest", ingest).get(ctx, leasePath(attacker))).To(beAnswered(401), "it is for ingest only")
	})
})

var _ = Describe("What an agent may not write although RBAC lets it try", func() {
	DescribeTable("on its own Lease",
		func(ctx SpecContext, change object) {
			Expect(agentA.patch(ctx, leasePath(attacker), change)).To(beRefusedBy(agentPolicy))
		},
		Entry("labels", object{"metadata": object{"labels": object{v1alpha1.LabelCluster: victim}}}),
		Entry("finalizers", object{"metadata": object{"finalizers": []string{"example.com/stay"}}}),
		Entry("owners", object{"metadata": object{"ownerReferences": []object{
			{"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "1"},
		}}}),
		Entry("another annotation", object{"metadata": object{"annotations": object{"example.com/store": "x"}}}),
		Entry("a join-id that is a store", object{"metadata": object{"annotations": object{
			v1alpha1.AnnotationJoined: strings.Repeat("x", 254),
		}}}),
		Entry("a holder that is a store", object{"spec": object{"holderIdentity": strings.Repeat("x", 254)}}),
	)

	DescribeTable("in its own status",
		func(ctx SpecContext, status object) {
			path := clustersPath + "/" + attacker + "/status"
			Expect(agentA.patch(ctx, path, object{"status": status})).To(beRefusedBy(agentPolicy))
			Expect(agentA.apply(ctx, path, v1alpha1.FieldOwnerAgent, report(attacker, status))).To(beRefusedBy(agentPolicy))
			Expect(agentA.apply(ctx, path, v1alpha1.FieldOwnerHub, report(attacker, status))).
				To(beRefusedBy(agentPolicy), "under the name of the hub")
		},
		Entry("clusterID", object{"clusterID": "00000000-0000-4000-8000-00000000000f"}),
		Entry("conflictingClusterID", object{"conflictingClusterID": "00000000-0000-4000-8000-00000000000f"}),
		Entry("namespace", object{"namespace": home(victim)}),
		Entry("observedGeneration", object{"observedGeneration": 99}),
		Entry("lastHeartbeatTime", object{"lastHeartbeatTime": "2036-01-01T00:00:00Z"}),
		entryForCondition("Ready"), entryForCondition("Reconciling"), entryForCondition("Stalled"),
		entryForCondition(v1alpha1.ClusterConditionAccepted), entryForCondition(v1alpha1.ClusterConditionConnected),
		entryForCondition(v1alpha1.ClusterConditionAvailable), entryForCondition(v1alpha1.ClusterConditionAgentCompatible),
		entryForCondition(v1alpha1.ClusterConditionDeleting), entryForCondition(v1alpha1.ClusterConditionMetricsFlowing),
		entryForCondition(v1alpha1.ClusterConditionDegraded), entryForCondition(v1alpha1.ClusterConditionClockSynced),
		entryForCondition("Invented"),
	)

	DescribeTable("by taking out of its own status",
		func(ctx SpecContext, status object) {
			Expect(agentA.patch(ctx, clustersPath+"/"+attacker+"/status", object{"status": status})).To(beRefusedBy(agentPolicy))
		},
		Entry("all conditions", object{"conditions": []object{}}),
		Entry("all conditions but its own", object{"conditions": []object{
			condition(v1alpha1.ClusterConditionNodesHealthy, "True", v1alpha1.ClusterReasonAllNodesReady),
		}}),
		Entry("observedGeneration", object{"observedGeneration": nil}),
		Entry("namespace", object{"namespace": nil}),
	)

	It("metadata and spec through the status", func(ctx SpecContext) {
		path := clustersPath + "/" + attacker
		before := clusterOf(ctx, attacker)
		answer := agentA.patch(ctx, path+"/status", object{
			"metadata": object{
				"labels": object{"a": "b"}, "annotations": object{"a": "b"}, "finalizers": []string{"example.com/stay"},
			},
			"spec": object{"accepted": true, "suspended": true},
		})
		Expect(answer.Code).To(BeElementOf(200, 403), "ignored or refused")
		expectSameOwnersPart(before, clusterOf(ctx, attacker))
	})

	It("anything of the other cluster", func(ctx SpecContext) {
		Expect(agentA.patch(ctx, leasePath(victim), heartbeat())).To(beRefusedByRBAC())
		Expect(agentA.apply(ctx, clustersPath+"/"+victim+"/status", v1alpha1.FieldOwnerAgent,
			report(victim, honestStatus()))).To(beRefusedByRBAC())
		Expect(agentA.create(ctx, tokenPath(victim), tokenRequest(v1alpha1.AgentSessionSecret, 3600))).To(beRefusedByRBAC())
		Expect(agentB.patch(ctx, leasePath(victim), heartbeat())).To(beAnswered(200), "its own agent may")
	})
})

// entryForCondition sets a condition to what the hub would never say of it.
func entryForCondition(kind string) TableEntry {
	return Entry("condition "+kind, object{"conditions": []object{condition(kind, "Unknown", "Forged")}})
}

// expectSameOwnersPart compares what belongs to the owner of the fleet.
func expectSameOwnersPart(before, after v1alpha1.ManagedCluster) {
	GinkgoHelper()
	Expect(after.Spec).To(Equal(before.Spec))
	Expect(after.Labels).To(Equal(before.Labels))
	Expect(after.Annotations).To(Equal(before.Annotations))
	Expect(after.Finalizers).To(Equal(before.Finalizers))
	Expect(after.OwnerReferences).To(Equal(before.OwnerReferences))
}
