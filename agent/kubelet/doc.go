// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package kubelet reads what only kubelets know, for the rules that need it: how full
// the filesystems of claims are, how much memory containers use of their limit, and
// how much of their CPU time they were denied.
//
// A Reader asks one node at a time, each once per interval and all of them spread
// evenly over it: for /stats/summary, which has the volumes, and /metrics/cadvisor,
// which has everything about containers that rules look at. The Summary has neither
// CFS periods nor limits, so reading containers from there as well would only cost.
// Both are read as a stream, of which nothing is kept but what is needed.
//
// The engine gets what is near a threshold, see watch.go, and stays idle otherwise. A
// node that cannot be read takes nothing back: what was observed of it grows old, and
// the rules know from when on it proves nothing.
package kubelet
