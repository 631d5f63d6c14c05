// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

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
	if h.IngestAddress, err = fleet.FreeAddress(ctx); err != nil {
		return err
	}
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

// waitRecorded waits until the history has records of every cluster.
func (h *hub) waitRecorded(ctx context.Context) error {
	_, err := h.Kubectl(ctx, "wait", "--for=condition=MetricsFlowing", "managedclusters", "--all", "--timeout=60s")
	return err
}

// history runs `hub history` on the demo's database.
func (h *hub) history(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(h.Programs.AtlHyper, "hub"), append([]string{"history"}, args...)...)
	cmd.Env = append(os.Environ(), "ATLHYPER_DSN="+h.DSN, "KUBECONFIG="+h.Kubeconfig())
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("hub history %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
