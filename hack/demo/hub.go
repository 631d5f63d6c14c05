// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"

	"github.com/atlhyper/atlhyper/internal/testing/fleet"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// hub is the hub cluster and the hub that runs in it.
type hub struct {
	fleet.Hub

	demo    *demo
	process *process.Process
}

func (h *hub) install(ctx context.Context) error { return h.Install(ctx) }

func (h *hub) start(ctx context.Context) (err error) {
	h.process, err = h.StartReplica(ctx, "hub")
	return err
}

// commitFleet applies the ManagedClusters server-side, as a GitOps tool would.
func (h *hub) commitFleet(ctx context.Context) error {
	documents, err := data.ReadFile("data/fleet.yaml")
	if err != nil {
		return err
	}
	if err := h.Apply(ctx, "gitops", string(documents)); err != nil {
		return err
	}
	_, err = h.Kubectl(ctx, "wait", "--for=condition=Ready", "managedclusters", "--all", "--timeout=60s")
	return err
}

func (h *hub) waitAvailable(ctx context.Context) error {
	_, err := h.Kubectl(ctx, "wait", "--for=condition=Available", "managedclusters", "--all", "--timeout=120s")
	return err
}
