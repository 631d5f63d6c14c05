// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package facts

import "time"

// Role says when a container of a pod runs.
type Role uint8

// The roles.
const (
	// RoleMain runs for as long as the pod does.
	RoleMain Role = iota
	// RoleInit runs to its end before the main containers start.
	RoleInit
	// RoleSidecar starts like an init container and keeps running.
	RoleSidecar
	// RoleEphemeral was added for debugging.
	RoleEphemeral
)

// Termination is how a container ended.
type Termination struct {
	// Reason is the runtime's word, such as "OOMKilled" or "Error".
	Reason string
	// Message is for people.
	Message string
	// ExitCode of the process.
	ExitCode int32
	// Signal that ended it; 0 when unknown.
	Signal int32
	// Started and Finished are when it ran.
	Started, Finished time.Time
}

// Waiting is why a container does not run.
type Waiting struct {
	// Reason is the kubelet's word; empty when the container does not wait.
	Reason string
	// Message is for people.
	Message string
}

// Container is a container of a pod with its status.
type Container struct {
	// Name of the container.
	Name string
	// Role says when it runs.
	Role Role
	// Image as the spec has it.
	Image string
	// PullPolicy is imagePullPolicy.
	PullPolicy string
	// MemoryLimit in bytes; 0 for none.
	MemoryLimit int64
	// Ready and Started are the kubelet's.
	Ready, Started bool
	// Restarts is restartCount.
	Restarts int32
	// Waiting is state.waiting.
	Waiting Waiting
	// Ended is state.terminated, nil when the container did not end.
	Ended *Termination
	// Last is lastState.terminated, nil when there is none.
	Last *Termination
}

// Pod is a pod.
type Pod struct {
	Meta
	// Labels are those of the object. Only analyze looks at them, in dumps without
	// EndpointSlices.
	Labels map[string]string
	// TemplateHash is the label pod-template-hash or controller-revision-hash.
	TemplateHash string
	// Node it is bound to; empty while it waits for one.
	Node string
	// Phase is status.phase.
	Phase string
	// Reason and Message are those of the status itself.
	Reason, Message string
	// Started is status.startTime.
	Started time.Time
	// Conditions of the status.
	Conditions []Condition
	// Containers of all roles.
	Containers []Container
	// Gates are the scheduling gates that still hold it.
	Gates []string
	// Finalizers of the object.
	Finalizers []string
	// Claims are the PersistentVolumeClaims that it mounts.
	Claims []string
	// Queued is true when it names a queue that decides when it starts (Kueue).
	Queued bool
	// Component is the control plane component or cluster add-on that it is, such
	// as "kube-apiserver" or "coredns"; empty for other pods.
	Component string
	// StartupBudget is how long its startup probes allow it to start.
	StartupBudget time.Duration
	// CPUMillis and MemoryBytes are its effective requests.
	CPUMillis, MemoryBytes int64
}

// Phases of a pod.
const (
	PhasePending   = "Pending"
	PhaseRunning   = "Running"
	PhaseSucceeded = "Succeeded"
	PhaseFailed    = "Failed"
	PhaseUnknown   = "Unknown"
)

// Finished says that the pod will not run again.
func (p *Pod) Finished() bool { return p.Phase == PhaseSucceeded || p.Phase == PhaseFailed }

// Taint of a node.
type Taint struct {
	// Key of the taint.
	Key string
	// Since is timeAdded.
	Since time.Time
}

// Node is a node.
type Node struct {
	Meta
	// Labels are those of the object, by which thresholds pick nodes.
	Labels map[string]string
	// Conditions of the status.
	Conditions []Condition
	// Taints of the spec.
	Taints []Taint
	// Unschedulable is true when the node is cordoned.
	Unschedulable bool
	// Cordoned is when that was set, as far as the object tells.
	Cordoned time.Time
	// BootID is the kernel's random ID of the boot.
	BootID string
	// KubeletVersion is such as "v1.37.2".
	KubeletVersion string
	// Pods is how many pods fit.
	Pods int64
	// CPUMillis and MemoryBytes are allocatable.
	CPUMillis, MemoryBytes int64
}

// Lease is the heartbeat of a node, in the namespace kube-node-lease.
type Lease struct {
	Meta
	// Renewed is spec.renewTime.
	Renewed time.Time
}
