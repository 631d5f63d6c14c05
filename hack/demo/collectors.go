// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// recorded are folders of nodecollector/testdata/trees: the /proc and /sys of other
// machines, which the nodes but the first of each member seem to be. Nothing moves
// in them, so that rates are zero there.
var recorded = []string{"metal-64-cores", "kvm-host", "btrfs", "nfs", "no-swap", "veth-300", "cgroup-v1-14-fields", "vm-with-steal"}

// startCollectors runs a node collector for each node that has a pod for it. The
// first node of a member is this machine.
func (m *member) startCollectors(ctx context.Context) error {
	if err := m.InstallCollectors(ctx); err != nil {
		return err
	}
	pods, err := m.CollectorPods(ctx)
	if err != nil {
		return err
	}
	for i, node := range slices.Sorted(maps.Keys(pods)) {
		var args []string
		if i > 0 {
			tree := filepath.Join(m.demo.programs.Root, "nodecollector", "testdata", "trees", recorded[(i-1)%len(recorded)], "a")
			args = append(args, "--root="+tree, "--proc="+filepath.Join(tree, "proc"), "--sys="+filepath.Join(tree, "sys"))
		}
		collector, err := m.StartCollector(ctx, node, pods[node], append(args, "--interval=5s")...)
		if err != nil {
			return err
		}
		m.collectors = append(m.collectors, collector)
	}
	return nil
}

// waitMeasured waits until the ManagedCluster shows what its nodes use.
func (m *member) waitMeasured(ctx context.Context) error {
	_, err := m.demo.hub.Kubectl(ctx, "wait", "--for=jsonpath={.status.used.memory}", "managedcluster/"+m.name, "--timeout=60s")
	if err != nil {
		return fmt.Errorf("waiting for samples of %s: %w", m.name, err)
	}
	return nil
}

// processes are the programs of the member, those first that talk to the others.
func (m *member) processes() []*process.Process {
	programs := slices.Clone(m.collectors)
	if m.agent != nil {
		programs = append(programs, m.agent)
	}
	return programs
}
