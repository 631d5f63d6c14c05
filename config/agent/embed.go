// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package agentmanifests holds the manifests of the agent, so that what the
// command line prints and what kustomize builds are the same files.
package agentmanifests

import "embed"

// Files are the YAML files of this folder: namespace.yaml, rbac.yaml,
// session.yaml, service.yaml and deployment.yaml, to be applied in this order, and
// kustomization.yaml, which is for kustomize alone.
//
//go:embed *.yaml
var Files embed.FS
