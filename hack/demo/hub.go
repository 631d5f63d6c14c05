// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// hub is the hub cluster and the hub that runs in it.
type hub struct {
	demo    *demo
	cp      *controlplane.ControlPlane
	process *process.Process
}

func (h *hub) kubectl(ctx context.Context, args ...string) (string, error) {
	return h.demo.kubectl(ctx, h.cp.Kubeconfig(), args...)
}

// install applies what a hub cluster gets but the Deployment, whose place a
// process on this machine takes.
func (h *hub) install(ctx context.Context) error {
	if _, err := h.kubectl(ctx, "create", "namespace", "atlhyper-system"); err != nil {
		return err
	}
	for _, folder := range []string{"crd", "rbac", "admission"} {
		if _, err := h.kubectl(ctx, "apply", "--server-side", "-k", filepath.Join(h.demo.root, "config", folder)); err != nil {
			return err
		}
	}
	_, err := h.kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
	return err
}

// start runs the hub as its own ServiceAccount, with the shipped roles.
func (h *hub) start(ctx context.Context) error {
	kubeconfig, err := h.demo.accountKubeconfig(ctx, h.cp, "atlhyper-hub")
	if err != nil {
		return err
	}
	h.process, err = process.Start(process.Spec{
		Path: filepath.Join(h.demo.root, "bin", "hub"),
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--health-probe-bind-address=127.0.0.1:0",
			"--metrics-bind-address=127.0.0.1:0",
			"--advertise-url=" + h.cp.Config().Host,
			"--advertise-ca-file=" + filepath.Join(h.demo.dir, "hub", "ca.crt"),
			"--log-format=console",
		},
		Log: filepath.Join(h.demo.dir, "hub.log"),
	})
	return err
}

// commitFleet applies the ManagedClusters server-side.
func (h *hub) commitFleet(ctx context.Context) error {
	fleet, err := h.demo.writeData("fleet.yaml")
	if err != nil {
		return err
	}
	if _, err := h.kubectl(ctx, "apply", "--server-side", "--field-manager=gitops", "-f", fleet); err != nil {
		return err
	}
	_, err = h.kubectl(ctx, "wait", "--for=condition=Ready", "managedclusters", "--all", "--timeout=60s")
	return err
}

func (h *hub) waitAvailable(ctx context.Context) error {
	_, err := h.kubectl(ctx, "wait", "--for=condition=Available", "managedclusters", "--all", "--timeout=120s")
	return err
}

// accountKubeconfig writes a kubeconfig with a token of a ServiceAccount in
// atlhyper-system, valid for a day.
func (d *demo) accountKubeconfig(ctx context.Context, cp *controlplane.ControlPlane, account string) (string, error) {
	token, err := d.kubectl(ctx, cp.Kubeconfig(), "create", "token", account, "--namespace=atlhyper-system", "--duration=24h")
	if err != nil {
		return "", err
	}
	dir, err := d.folder("accounts")
	if err != nil {
		return "", err
	}
	config := &rest.Config{
		Host: cp.Config().Host, BearerToken: strings.TrimSpace(token),
		TLSClientConfig: rest.TLSClientConfig{CAData: cp.CA()},
	}
	name := fmt.Sprintf("%s-%s", filepath.Base(filepath.Dir(cp.Kubeconfig())), account)
	path := filepath.Join(dir, name+".kubeconfig")
	return path, controlplane.WriteKubeconfig(path, name, config)
}
