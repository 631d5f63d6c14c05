// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/atlhyper/atlhyper/internal/testing/controlplane"
	"github.com/atlhyper/atlhyper/internal/testing/fleet"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// member is a managed cluster and its agent.
type member struct {
	fleet.Member

	demo        *demo
	name        string
	nodes       int
	brokenNodes int // the last ones, not Ready
	// Pods by phase, once KWOK has played everything, a node collector on each node
	// included.
	running, succeeded, pending int

	joinFolder string
	agent      *process.Process
	collectors []*process.Process
}

// start runs the member's control plane, with KWOK for its nodes and pods.
func (m *member) start(ctx context.Context) error {
	stages, err := data.ReadFile("data/stages.yaml")
	if err != nil {
		return err
	}
	path := filepath.Join(m.demo.dir, m.name+"-stages.yaml")
	if err := os.WriteFile(path, stages, 0o600); err != nil {
		return fmt.Errorf("writing KWOK's stages: %w", err)
	}
	m.Cluster, err = fleet.StartCluster(ctx, m.demo.programs, m.name, m.demo.dir, controlplane.Options{
		ControllerManager: true, Scheduler: true, KWOKConfig: path,
	})
	return err
}

// fill creates the nodes and the workloads; the controller manager, the
// scheduler and KWOK bring them to life.
func (m *member) fill(ctx context.Context) error {
	workloads, err := data.ReadFile("data/" + m.name + ".yaml")
	if err != nil {
		return err
	}
	return m.Apply(ctx, "demo", m.nodesYAML()+"---\n"+string(workloads))
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

func (m *member) join(ctx context.Context) (err error) {
	m.joinFolder, err = m.Join(ctx, m.demo.hub.Hub)
	return err
}

func (m *member) startAgent(ctx context.Context) (err error) {
	if m.NodesAddress, err = fleet.FreeAddress(ctx); err != nil {
		return err
	}
	m.agent, err = m.StartAgent(ctx, m.joinFolder)
	return err
}

// waitCounted waits until the ManagedCluster shows what fill created.
func (m *member) waitCounted(ctx context.Context) error {
	for _, want := range []string{
		fmt.Sprintf("jsonpath={.status.nodes.summary}=%d/%d", m.nodes-m.brokenNodes, m.nodes),
		fmt.Sprintf("jsonpath={.status.pods.total}=%d", m.running+m.succeeded+m.pending),
		fmt.Sprintf("jsonpath={.status.pods.succeeded}=%d", m.succeeded),
		fmt.Sprintf("jsonpath={.status.pods.running}=%d", m.running),
	} {
		if _, err := m.demo.hub.Kubectl(ctx, "wait", "--for="+want, "managedcluster/"+m.name, "--timeout=90s"); err != nil {
			return err
		}
	}
	return nil
}

// waitJudged waits until the ManagedCluster says how much is broken.
func (m *member) waitJudged(ctx context.Context) error {
	_, err := m.demo.hub.Kubectl(ctx, "wait", "--for=jsonpath={.status.anomalies.critical}", "managedcluster/"+m.name, "--timeout=90s")
	return err
}
