// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package hub assembles the hub: the manager with its probes and metrics, leader
// election and the controllers. cmd/hub runs it; so do tests, in their own
// process.
package hub
