// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package managedcluster reconciles ManagedClusters.
//
// It owns, for every accepted cluster, the namespace atlhyper-cluster-NAME with
// the agent's ServiceAccount, session Secret, Lease, Role and RoleBinding, the
// ClusterRole and ClusterRoleBinding atlhyper:cluster:NAME, the bundle ConfigMap
// when the hub has an address to tell, and a join Secret while one is asked for.
// It writes the hub's part of the status and the finalizer, nothing else of
// the ManagedCluster.
//
// It watches ManagedClusters, the Leases (through the Observer, on every
// replica) and the metadata of what it created. It looks again by itself when
// the Lease of a connected cluster would expire, when a join token expires, when
// a conflict of identities or a suspected outage of the hub has to be judged
// again, at the deadline of a deletion, about every 5 minutes to ask what has
// arrived of a connected cluster, and about once an hour to verify what it
// provisioned.
//
// Decisions are functions of values and a time: identity.go, health.go, outage.go,
// skew.go, telemetry.go, clock.go, join.go and deletion.go each make one, verdict.go
// combines them, status.go turns them into conditions. The others do the reading
// (gather.go, leases.go), the writing (act.go with provision.go, join_issue.go and
// revoke.go; report.go) and the remembering of what was written (ledger.go) and of
// what has arrived (receipts.go).
package managedcluster
