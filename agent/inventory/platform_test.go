// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPlatformOf(t *testing.T) {
	provider := func(id string) *corev1.Node { return &corev1.Node{Spec: corev1.NodeSpec{ProviderID: id}} }
	image := func(image string) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OSImage: image}}}
	}
	kubelet := func(version string) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: version}}}
	}
	labelled := func(key, providerID string) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{key: "x"}},
			Spec:       corev1.NodeSpec{ProviderID: providerID},
		}
	}
	kwok := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}}}
	nodes := func(nodes ...*corev1.Node) []*corev1.Node { return nodes }

	for name, tt := range map[string]struct {
		version string
		nodes   []*corev1.Node
		want    string
	}{
		"nothing known":                    {"", nil, ""},
		"upstream without nodes":           {"v1.37.2", nil, ""},
		"EKS by version":                   {"v1.32.3-eks-4096722", nodes(provider("aws:///eu-west-1a/i-0")), "EKS"},
		"GKE by version":                   {"v1.31.6-gke.1020000", nodes(provider("gce://p/z/n")), "GKE"},
		"K3s by version":                   {"v1.30.4+k3s1", nodes(provider("k3s://n")), "K3s"},
		"K3s release candidate":            {"v1.30.4-rc1+k3s1", nil, "K3s"},
		"RKE2 by version":                  {"v1.30.4+rke2r1", nodes(provider("rke2://n")), "RKE2"},
		"k0s by version":                   {"v1.30.4+k0s", nil, "k0s"},
		"ACK by version":                   {"v1.28.9-aliyun.1", nil, "ACK"},
		"TKE by version":                   {"v1.28.3-tke.3", nil, "TKE"},
		"IKS by version":                   {"v1.29.4+IKS", nil, "IKS"},
		"KWOK by version":                  {"v1.33.0-kwok.0.7.0", nil, "KWOK"},
		"version beats nodes":              {"v1.30.4+rke2r1", nodes(image("Talos (v1.9.0)")), "RKE2"},
		"EKS by label":                     {"v1.32.3", nodes(labelled("eks.amazonaws.com/nodegroup", "aws:///a/i")), "EKS"},
		"GKE by label":                     {"v1.32.3", nodes(labelled("cloud.google.com/gke-nodepool", "gce://p/z/n")), "GKE"},
		"AKS by label":                     {"v1.31.5", nodes(labelled("kubernetes.azure.com/cluster", "azure:///s")), "AKS"},
		"OpenShift by label":               {"v1.27.6+f67aeb3", nodes(labelled("node.openshift.io/os_id", "aws:///a/i")), "OpenShift"},
		"OpenShift by image":               {"v1.27.6+f67aeb3", nodes(image("Red Hat Enterprise Linux CoreOS 414.92")), "OpenShift"},
		"Talos by image":                   {"v1.32.0", nodes(image("Talos (v1.9.0)")), "Talos"},
		"MicroK8s by label":                {"v1.30.1", nodes(labelled("microk8s.io/cluster", "")), "MicroK8s"},
		"minikube by label":                {"v1.30.1", nodes(labelled("minikube.k8s.io/name", "")), "minikube"},
		"Docker Desktop by image":          {"v1.30.1", nodes(image("Docker Desktop")), "Docker Desktop"},
		"EKS by kubelet, version hidden":   {"v1.32.3", nodes(kubelet("v1.32.3-eks-473151a")), "EKS"},
		"kind by provider":                 {"v1.33.1", nodes(provider("kind://docker/kind/kind-control-plane")), "kind"},
		"KWOK by provider":                 {"v1.37.2", nodes(provider("kwok://node-1")), "KWOK"},
		"KWOK by annotation":               {"v1.37.2", nodes(kwok), "KWOK"},
		"self-managed on AWS":              {"v1.33.1", nodes(provider("aws:///eu-west-1a/i-0")), "AWS"},
		"self-managed on GCP":              {"v1.33.1", nodes(provider("gce://p/z/n")), "GCP"},
		"self-managed on Azure":            {"v1.33.1", nodes(provider("azure:///subscriptions/x")), "Azure"},
		"vSphere":                          {"v1.33.1", nodes(provider("vsphere://4210")), "vSphere"},
		"Hetzner":                          {"v1.33.1", nodes(provider("hcloud://1")), "Hetzner Cloud"},
		"unknown provider":                 {"v1.33.1", nodes(provider("acme://1")), ""},
		"no scheme":                        {"v1.33.1", nodes(provider("aws")), ""},
		"bare metal":                       {"v1.33.1", nodes(image("Debian GNU/Linux 12 (bookworm)")), ""},
		"most nodes decide":                {"v1.33.1", nodes(provider("gce://a"), provider("aws://b"), provider("gce://c")), "GCP"},
		"a distribution beats more clouds": {"v1.33.1", nodes(provider("aws://a"), provider("aws://b"), image("Talos (v1.9.0)")), "Talos"},
		"a tie is decided the same way":    {"v1.33.1", nodes(provider("gce://a"), provider("aws://b")), "AWS"},
	} {
		t.Run(name, func(t *testing.T) {
			var tally nodeTally
			for _, node := range tt.nodes {
				countNode(&tally, slimNodeOf(node), +1)
			}
			if got := platformOf(tt.version, &tally.platforms); got != tt.want {
				t.Errorf("platformOf(%q) = %q, want %q", tt.version, got, tt.want)
			}
		})
	}
}

func TestEveryHintHasAName(t *testing.T) {
	seen := map[string]platformHint{}
	for hint := hintNone + 1; int(hint) < platformHints; hint++ {
		name := platformNames[hint]
		if name == "" || len(name) > 64 {
			t.Errorf("hint %d has the name %q", hint, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("hints %d and %d are both called %q", hint, other, name)
		}
		seen[name] = hint
	}
}
