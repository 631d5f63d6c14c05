// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// member is a managed cluster and its agent.
type member struct {
	demo        *demo
	name        string
	nodes       int
	brokenNodes int // the last ones, not Ready
	pods        int // at least, once all workloads are created

	cp    *controlplane.ControlPlane
	agent *process.Process
}

func (m *member) kubectl(ctx context.Context, args ...string) (string, error) {
	return m.demo.kubectl(ctx, m.cp.Kubeconfig(), args...)
}

// fill creates the nodes and the workloads; the controller manager, the
// scheduler and KWOK bring them to life.
func (m *member) fill(ctx context.Context) error {
	workloads, err := m.demo.writeData(m.name + ".yaml")
	if err != nil {
		return err
	}
	nodes := filepath.Join(m.demo.dir, m.name+"-nodes.yaml")
	if err := os.WriteFile(nodes, []byte(m.nodesYAML()), 0o600); err != nil {
		return fmt.Errorf("writing the nodes: %w", err)
	}
	_, err = m.kubectl(ctx, "apply", "--server-side", "-f", nodes, "-f", workloads)
	return err
}

func (m *member) nodesYAML() string {
	var b strings.Builder
	for i := range m.nodes {
		trouble := ""
		if i >= m.nodes-m.brokenNodes {
			trouble = ", demo.atlhyper.io/trouble: not-ready"
		}
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Node
metadata:
  name: %[1]s-%[2]d
  labels: {kubernetes.io/hostname: %[1]s-%[2]d, kubernetes.io/os: linux, kubernetes.io/arch: amd64%[3]s}
  annotations: {kwok.x-k8s.io/node: fake}
spec:
  providerID: kwok://%[1]s-%[2]d
`, m.name, i+1, trouble)
	}
	return b.String()
}

// join prepares the member for the agent as an administrator would: its roles,
// and what `kubectl atlhyper join` prints.
func (m *member) join(ctx context.Context) error {
	manifests := filepath.Join(m.demo.root, "config", "agent")
	for _, file := range []string{"namespace.yaml", "rbac.yaml", "session.yaml"} {
		if _, err := m.kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(manifests, file)); err != nil {
			return err
		}
	}
	secret := filepath.Join(m.demo.dir, m.name+"-join.yaml")
	if _, err := m.demo.hub.kubectl(ctx, "atlhyper", "join", m.name, "--only-secret", "--output-file="+secret); err != nil {
		return err
	}
	_, err := m.kubectl(ctx, "apply", "--server-side", "-f", secret)
	return err
}

// startAgent runs the agent as its ServiceAccount in the member. A kubelet would
// mount the join Secret as a folder; here that folder is written.
func (m *member) startAgent(ctx context.Context) error {
	folder, err := m.writeJoinFolder(ctx)
	if err != nil {
		return err
	}
	kubeconfig, err := m.demo.accountKubeconfig(ctx, m.cp, v1alpha1.MemberAgent)
	if err != nil {
		return err
	}
	m.agent, err = process.Start(process.Spec{
		Path: filepath.Join(m.demo.root, "bin", "agent"),
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--join-dir=" + folder,
			"--health-probe-bind-address=127.0.0.1:0",
			"--log-format=console",
		},
		Log: filepath.Join(m.demo.dir, m.name+"-agent.log"),
	})
	return err
}

func (m *member) writeJoinFolder(ctx context.Context) (string, error) {
	text, err := m.kubectl(ctx, "get", "secret", v1alpha1.MemberJoinSecret, "--namespace="+v1alpha1.MemberNamespace, "-o", "jsonpath={.data}")
	if err != nil {
		return "", err
	}
	var values map[string]string
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return "", fmt.Errorf("reading the join Secret: %w", err)
	}
	folder, err := m.demo.folder(m.name + "-join")
	if err != nil {
		return "", err
	}
	for name, encoded := range values {
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "", fmt.Errorf("decoding %s of the join Secret: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), value, 0o600); err != nil {
			return "", fmt.Errorf("writing the join folder: %w", err)
		}
	}
	return folder, nil
}

// waitCounted waits until the ManagedCluster shows what fill created.
func (m *member) waitCounted(ctx context.Context) error {
	for _, want := range []string{
		fmt.Sprintf("jsonpath={.status.nodes.summary}=%d/%d", m.nodes-m.brokenNodes, m.nodes),
		fmt.Sprintf("jsonpath={.status.pods.total}=%d", m.pods),
	} {
		if _, err := m.demo.hub.kubectl(ctx, "wait", "--for="+want, "managedcluster/"+m.name, "--timeout=90s"); err != nil {
			return err
		}
	}
	return nil
}
