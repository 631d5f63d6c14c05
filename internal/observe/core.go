// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

const (
	labelTemplateHash = "pod-template-hash"
	labelRevision     = "controller-revision-hash"
	labelQueue        = "kueue.x-k8s.io/queue-name"
	taintCordoned     = "node.kubernetes.io/unschedulable"
)

// Pod converts a Pod.
func Pod(o *corev1.Pod) *facts.Pod {
	p := &facts.Pod{
		Meta: meta(facts.KindPod, &o.ObjectMeta), Node: intern(o.Spec.NodeName),
		Phase: intern(string(o.Status.Phase)), Reason: o.Status.Reason, Message: o.Status.Message,
		Started: timeOf(o.Status.StartTime), Conditions: conditions(o.Status.Conditions, podCondition),
		Labels: o.Labels, Finalizers: o.Finalizers, Component: component(o), StartupBudget: startupBudget(&o.Spec),
	}
	if p.TemplateHash = intern(o.Labels[labelTemplateHash]); p.TemplateHash == "" {
		p.TemplateHash = intern(o.Labels[labelRevision])
	}
	p.Queued = o.Labels[labelQueue] != ""
	for i := range o.Spec.SchedulingGates {
		p.Gates = append(p.Gates, o.Spec.SchedulingGates[i].Name)
	}
	for i := range o.Spec.Volumes {
		v := &o.Spec.Volumes[i]
		switch {
		case v.PersistentVolumeClaim != nil:
			p.Claims = append(p.Claims, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			p.Claims = append(p.Claims, o.Name+"-"+v.Name)
		}
	}
	if !p.Finished() {
		requests := resourcehelper.PodRequests(o, resourcehelper.PodResourcesOptions{
			UseStatusResources: true,
			InPlacePodLevelResourcesVerticalScalingEnabled: true,
			UseDRANodeAllocatableResourceClaimStatus:       true,
		})
		p.CPUMillis, p.MemoryBytes = requests.Cpu().MilliValue(), requests.Memory().Value()
	}
	p.Containers = containers(o)
	return p
}

func podCondition(c *corev1.PodCondition) facts.Condition {
	return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
}

// containers converts those that have a status: the others have nothing to tell.
func containers(o *corev1.Pod) []facts.Container {
	s := &o.Status
	n := len(s.InitContainerStatuses) + len(s.ContainerStatuses) + len(s.EphemeralContainerStatuses)
	if n == 0 {
		return nil
	}
	list := make([]facts.Container, 0, n)
	for i := range s.InitContainerStatuses {
		c := container(&s.InitContainerStatuses[i], facts.RoleInit)
		for k := range o.Spec.InitContainers {
			if spec := &o.Spec.InitContainers[k]; spec.Name == c.Name {
				specified(&c, spec)
				if spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways {
					c.Role = facts.RoleSidecar
				}
			}
		}
		list = append(list, c)
	}
	for i := range s.ContainerStatuses {
		c := container(&s.ContainerStatuses[i], facts.RoleMain)
		for k := range o.Spec.Containers {
			if spec := &o.Spec.Containers[k]; spec.Name == c.Name {
				specified(&c, spec)
			}
		}
		list = append(list, c)
	}
	for i := range s.EphemeralContainerStatuses {
		list = append(list, container(&s.EphemeralContainerStatuses[i], facts.RoleEphemeral))
	}
	return list
}

func specified(c *facts.Container, spec *corev1.Container) {
	c.Image, c.PullPolicy = spec.Image, string(spec.ImagePullPolicy)
	c.MemoryLimit = spec.Resources.Limits.Memory().Value()
}

func container(s *corev1.ContainerStatus, role facts.Role) facts.Container {
	c := facts.Container{
		Name: s.Name, Role: role, Image: s.Image, Ready: s.Ready, Started: value(s.Started), Restarts: s.RestartCount,
		Ended: termination(s.State.Terminated), Last: termination(s.LastTerminationState.Terminated),
	}
	if w := s.State.Waiting; w != nil {
		c.Waiting = facts.Waiting{Reason: w.Reason, Message: w.Message}
	}
	return c
}

func termination(t *corev1.ContainerStateTerminated) *facts.Termination {
	if t == nil {
		return nil
	}
	return &facts.Termination{
		Reason: t.Reason, Message: t.Message, ExitCode: t.ExitCode, Signal: t.Signal, Started: t.StartedAt.Time, Finished: t.FinishedAt.Time,
	}
}

// startupBudget is how long the slowest startup probe allows.
func startupBudget(spec *corev1.PodSpec) time.Duration {
	budget := int32(0)
	look := func(c *corev1.Container) {
		if p := c.StartupProbe; p != nil {
			period, failures := p.PeriodSeconds, p.FailureThreshold
			if period == 0 {
				period = 10
			}
			if failures == 0 {
				failures = 3
			}
			budget = max(budget, p.InitialDelaySeconds+period*failures)
		}
	}
	for i := range spec.InitContainers {
		look(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		look(&spec.Containers[i])
	}
	return time.Duration(budget) * time.Second
}

var (
	staticComponents = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}
	// addons says by which label values the add-ons that all depend on are known.
	addons = map[string]string{
		"kube-dns": "coredns", "coredns": "coredns", "kube-proxy": "kube-proxy", "calico-node": "calico-node", "cilium": "cilium",
		"flannel": "flannel", "kube-flannel": "flannel", "weave-net": "weave-net", "canal": "canal", "kube-router": "kube-router",
		"aws-node": "aws-node", "antrea": "antrea", "kindnet": "kindnet", "azure-cns": "azure-cns", "ovnkube-node": "ovnkube-node",
	}
	// addonLabels are the keys of those labels; "name" is Weave Net's.
	addonLabels = []string{"k8s-app", "app", "app.kubernetes.io/name", "name"}
)

// component names the part of the control plane that a pod is, if it is one.
func component(o *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(o)
	if o.Namespace != metav1.NamespaceSystem || owner != nil && ownerKind(owner) == facts.KindJob {
		return ""
	}
	// The pod stands for one that a kubelet runs by itself.
	_, static := o.Annotations[corev1.MirrorPodAnnotationKey]
	static = static || owner != nil && ownerKind(owner) == facts.KindNode
	for _, name := range staticComponents {
		if o.Labels["component"] == name || static && strings.HasPrefix(o.Name, name+"-") {
			return name
		}
	}
	for _, key := range addonLabels {
		if name, ok := addons[o.Labels[key]]; ok {
			return name
		}
	}
	return ""
}

// Node converts a Node.
func Node(o *corev1.Node) *facts.Node {
	n := &facts.Node{
		Meta: meta(facts.KindNode, &o.ObjectMeta), Labels: o.Labels, Unschedulable: o.Spec.Unschedulable,
		BootID: o.Status.NodeInfo.BootID, KubeletVersion: o.Status.NodeInfo.KubeletVersion,
		Pods: o.Status.Capacity.Pods().Value(), CPUMillis: o.Status.Allocatable.Cpu().MilliValue(), MemoryBytes: o.Status.Allocatable.Memory().Value(),
	}
	n.Conditions = conditions(o.Status.Conditions, func(c *corev1.NodeCondition) facts.Condition {
		return facts.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time}
	})
	for i := range o.Spec.Taints {
		t := &o.Spec.Taints[i]
		n.Taints = append(n.Taints, facts.Taint{Key: t.Key, Since: timeOf(t.TimeAdded)})
		if t.Key == taintCordoned {
			n.Cordoned = timeOf(t.TimeAdded)
		}
	}
	if n.Unschedulable && n.Cordoned.IsZero() {
		n.Cordoned = fieldSet(&o.ObjectMeta, "unschedulable")
	}
	return n
}
