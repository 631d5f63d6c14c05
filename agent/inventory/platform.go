// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// platformHint is what one node tells about the distribution. A lower value is
// the more specific one and wins a tie, so distributions come before clouds: a
// provider ID of aws:// is EKS only when something else says so.
type platformHint uint8

const (
	hintNone platformHint = iota
	hintEKS
	hintGKE
	hintAKS
	hintOpenShift
	hintTalos
	hintRKE2
	hintK3s
	hintK0s
	hintMicroK8s
	hintMinikube
	hintKind
	hintKWOK
	hintDockerDesktop
	hintDOKS
	hintLKE
	hintKapsule
	hintOKE
	hintIKS
	hintACK
	hintTKE
	hintAWS
	hintGCP
	hintAzure
	hintVSphere
	hintOpenStack
	hintHetzner
	hintDigitalOcean
	hintLinode
	hintScaleway
	hintOVH
	hintEquinix
	hintProxmox

	platformHints = int(hintProxmox) + 1
)

var platformNames = [platformHints]string{
	hintNone:          "",
	hintEKS:           "EKS",
	hintGKE:           "GKE",
	hintAKS:           "AKS",
	hintOpenShift:     "OpenShift",
	hintTalos:         "Talos",
	hintRKE2:          "RKE2",
	hintK3s:           "K3s",
	hintK0s:           "k0s",
	hintMicroK8s:      "MicroK8s",
	hintMinikube:      "minikube",
	hintKind:          "kind",
	hintKWOK:          "KWOK",
	hintDockerDesktop: "Docker Desktop",
	hintDOKS:          "DOKS",
	hintLKE:           "LKE",
	hintKapsule:       "Kapsule",
	hintOKE:           "OKE",
	hintIKS:           "IKS",
	hintACK:           "ACK",
	hintTKE:           "TKE",
	hintAWS:           "AWS",
	hintGCP:           "GCP",
	hintAzure:         "Azure",
	hintVSphere:       "vSphere",
	hintOpenStack:     "OpenStack",
	hintHetzner:       "Hetzner Cloud",
	hintDigitalOcean:  "DigitalOcean",
	hintLinode:        "Linode",
	hintScaleway:      "Scaleway",
	hintOVH:           "OVHcloud",
	hintEquinix:       "Equinix Metal",
	hintProxmox:       "Proxmox",
}

// platformOf names the distribution from the API server's version and the hints
// of the nodes. The version is the control plane's own word and wins; of the
// hints, a distribution wins over a cloud, then what most nodes say.
func platformOf(gitVersion string, nodes *[platformHints]int32) string {
	if hint := hintOfVersion(gitVersion); hint != hintNone {
		return platformNames[hint]
	}
	best := hintNone
	for hint := hintNone + 1; int(hint) < platformHints; hint++ {
		if nodes[hint] == 0 {
			continue
		}
		if hint >= hintAWS && best != hintNone && best < hintAWS {
			break
		}
		if best == hintNone || nodes[hint] > nodes[best] {
			best = hint
		}
	}
	return platformNames[best]
}

// versionMarks are what distributions put behind the upstream version.
var versionMarks = []struct {
	mark string
	hint platformHint
}{
	{"-eks-", hintEKS},
	{"-gke.", hintGKE},
	{"+rke2r", hintRKE2},
	{"-rke2r", hintRKE2},
	{"+k3s", hintK3s},
	{"-k3s", hintK3s},
	{"+k0s", hintK0s},
	{"-aliyun.", hintACK},
	{"-tke.", hintTKE},
	{"+IKS", hintIKS},
	{"+kwok", hintKWOK},
	{"-kwok", hintKWOK},
}

func hintOfVersion(gitVersion string) platformHint {
	for _, m := range versionMarks {
		if strings.Contains(gitVersion, m.mark) {
			return m.hint
		}
	}
	return hintNone
}

// nodeMarks are labels and annotations that only one distribution sets.
var nodeMarks = []struct {
	key  string
	hint platformHint
}{
	{"kwok.x-k8s.io/node", hintKWOK},
	{"eks.amazonaws.com/nodegroup", hintEKS},
	{"eks.amazonaws.com/compute-type", hintEKS},
	{"cloud.google.com/gke-nodepool", hintGKE},
	{"kubernetes.azure.com/cluster", hintAKS},
	{"node.openshift.io/os_id", hintOpenShift},
	{"microk8s.io/cluster", hintMicroK8s},
	{"minikube.k8s.io/name", hintMinikube},
	{"rke2.io/hostname", hintRKE2},
	{"k3s.io/hostname", hintK3s},
	{"node.k0sproject.io/role", hintK0s},
	{"doks.digitalocean.com/node-pool", hintDOKS},
	{"lke.linode.com/pool-id", hintLKE},
	{"k8s.scaleway.com/pool", hintKapsule},
	{"oci.oraclecloud.com/fault-domain", hintOKE},
	{"ibm-cloud.kubernetes.io/worker-id", hintIKS},
	{"alibabacloud.com/nodepool-id", hintACK},
}

// imageMarks are how the OS image of a node begins.
var imageMarks = []struct {
	prefix string
	hint   platformHint
}{
	{"Talos", hintTalos},
	{"Red Hat Enterprise Linux CoreOS", hintOpenShift},
	{"Docker Desktop", hintDockerDesktop},
	{"K3s ", hintK3s},
}

// providerMarks are the schemes of provider IDs.
var providerMarks = map[string]platformHint{
	"kind":         hintKind,
	"kwok":         hintKWOK,
	"k3s":          hintK3s,
	"rke2":         hintRKE2,
	"aws":          hintAWS,
	"gce":          hintGCP,
	"azure":        hintAzure,
	"vsphere":      hintVSphere,
	"openstack":    hintOpenStack,
	"hcloud":       hintHetzner,
	"digitalocean": hintDigitalOcean,
	"linode":       hintLinode,
	"scaleway":     hintScaleway,
	"ovhcloud":     hintOVH,
	"equinixmetal": hintEquinix,
	"proxmox":      hintProxmox,
}

// hintOfNode reads the marks of a node, the surest first: labels and
// annotations, the kubelet's version, the OS image, the provider ID.
func hintOfNode(node *corev1.Node) platformHint {
	for _, m := range nodeMarks {
		if _, ok := node.Labels[m.key]; ok {
			return m.hint
		}
		if _, ok := node.Annotations[m.key]; ok {
			return m.hint
		}
	}
	if hint := hintOfVersion(node.Status.NodeInfo.KubeletVersion); hint != hintNone {
		return hint
	}
	for _, m := range imageMarks {
		if strings.HasPrefix(node.Status.NodeInfo.OSImage, m.prefix) {
			return m.hint
		}
	}
	scheme, _, found := strings.Cut(node.Spec.ProviderID, "://")
	if !found {
		return hintNone
	}
	return providerMarks[scheme]
}
