// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package agent is the part of AtlHyper that runs in every managed cluster. It
// puts together what its subfolders do:
//
//   - inventory watches the cluster and keeps counts,
//   - anomalies judges what changes,
//   - hubconn joins the hub and keeps the connection,
//   - report tells the hub what changed.
//
// It only ever connects outwards; nothing in the cluster or at the hub connects
// to it but the kubelet's probes.
package agent
