// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/testing/process"
)

// InstallCollectors applies what a member cluster gets for its node collectors. The
// DaemonSet's pods are real objects; processes take the place of their containers.
func (m Member) InstallCollectors(ctx context.Context) error {
	if _, err := m.Kubectl(ctx, "apply", "--server-side", "--kustomize="+filepath.Join(m.Programs.Root, "config", "nodecollector")); err != nil {
		return err
	}
	// The tokens of pods say which node they are of.
	_, err := m.Kubectl(ctx, "rollout", "status", "daemonset/"+v1alpha1.MemberCollector, "--namespace="+v1alpha1.MemberNodesNamespace, "--timeout=2m")
	return err
}

// CollectorPods maps nodes to the names of the collectors' pods on them.
func (m Member) CollectorPods(ctx context.Context) (map[string]string, error) {
	text, err := m.Kubectl(ctx, "get", "pods", "--namespace="+v1alpha1.MemberNodesNamespace, "--output=json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ NodeName string }
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading the pods of the node collectors: %w", err)
	}
	pods := map[string]string{}
	for _, pod := range list.Items {
		if pod.Spec.NodeName != "" {
			pods[pod.Spec.NodeName] = pod.Metadata.Name
		}
	}
	return pods, nil
}

// StartCollector runs the node collector of a node, with a token that is bound to
// its pod as a projected one is. Its log is collector-NODE.log in the cluster's
// folder. The agent has to run, at NodesAddress.
func (m Member) StartCollector(ctx context.Context, node, pod string, args ...string) (*process.Process, error) {
	dir := filepath.Join(m.Dir, "collector-"+node)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of a node collector: %w", err)
	}
	token, err := m.Kubectl(ctx, "create", "token", v1alpha1.MemberCollector, "--namespace="+v1alpha1.MemberNodesNamespace,
		"--audience="+v1alpha1.NodesAudience, "--bound-object-kind=Pod", "--bound-object-name="+pod, "--duration=24h")
	if err != nil {
		return nil, err
	}
	if _, err := m.Kubectl(ctx, "wait", "--for=jsonpath={.data.ca\\.crt}", "configmap/"+v1alpha1.MemberNodesCA,
		"--namespace="+v1alpha1.MemberNodesNamespace, "--timeout=2m"); err != nil {
		return nil, err
	}
	ca, err := m.Kubectl(ctx, "get", "configmap", v1alpha1.MemberNodesCA, "--namespace="+v1alpha1.MemberNodesNamespace, "--output=jsonpath={.data.ca\\.crt}")
	if err != nil {
		return nil, err
	}
	for name, content := range map[string]string{"token": token, "ca.crt": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("writing the folder of a node collector: %w", err)
		}
	}
	return process.Start(process.Spec{
		Path: filepath.Join(m.Programs.AtlHyper, "nodecollector"),
		Args: append([]string{
			"--node-name=" + node,
			"--agent-url=https://" + m.NodesAddress,
			"--agent-ca-file=" + filepath.Join(dir, "ca.crt"),
			"--token-file=" + filepath.Join(dir, "token"),
		}, args...),
		Log: filepath.Join(m.Dir, "collector-"+node+".log"),
	})
}
