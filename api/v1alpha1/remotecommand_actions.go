// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

// RemoteAction is one of the closed set of actions a RemoteCommand can ask for.
// +kubebuilder:validation:Enum=RolloutRestart;Scale;SetImage;RolloutUndo;RestartPod;Cordon;Uncordon;Drain;Taint;GetLogs;Kubectl;Exec
type RemoteAction string

// The remote actions. RemoteCommand documents what each of them does.
const (
	RemoteActionRolloutRestart RemoteAction = "RolloutRestart"
	RemoteActionScale          RemoteAction = "Scale"
	RemoteActionSetImage       RemoteAction = "SetImage"
	RemoteActionRolloutUndo    RemoteAction = "RolloutUndo"
	RemoteActionRestartPod     RemoteAction = "RestartPod"
	RemoteActionCordon         RemoteAction = "Cordon"
	RemoteActionUncordon       RemoteAction = "Uncordon"
	RemoteActionDrain          RemoteAction = "Drain"
	RemoteActionTaint          RemoteAction = "Taint"
	RemoteActionGetLogs        RemoteAction = "GetLogs"
	RemoteActionKubectl        RemoteAction = "Kubectl"
	RemoteActionExec           RemoteAction = "Exec"
)

// WorkloadKind is a kind of workload that rolls out.
// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet
type WorkloadKind string

// ScalableKind is a kind of workload that has a number of replicas.
// +kubebuilder:validation:Enum=Deployment;StatefulSet;ReplicaSet
type ScalableKind string

// WorkloadTarget is a workload of the member cluster.
type WorkloadTarget struct {
	// kind is Deployment, StatefulSet or DaemonSet, of the group apps.
	// +required
	Kind WorkloadKind `json:"kind,omitempty"`

	// namespace is its namespace in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// uid is its UID. When set and the object has another one by now, the command
	// fails with PreconditionFailed and nothing is done.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	UID string `json:"uid,omitempty"`
}

// ScalableTarget is a workload of the member cluster that has replicas.
type ScalableTarget struct {
	// kind is Deployment, StatefulSet or ReplicaSet, of the group apps. A
	// ReplicaSet that a Deployment owns is set back by it.
	// +required
	Kind ScalableKind `json:"kind,omitempty"`

	// namespace is its namespace in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// uid is its UID. When set and the object has another one by now, the command
	// fails with PreconditionFailed and nothing is done.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	UID string `json:"uid,omitempty"`
}

// RolloutRestartAction are the details of action RolloutRestart, which RemoteCommandSpec describes.
type RolloutRestartAction struct {
	// workload is what to restart.
	// +required
	Workload WorkloadTarget `json:"workload,omitzero"`
}

// ScaleAction are the details of action Scale, which RemoteCommandSpec describes.
type ScaleAction struct {
	// workload is what to scale.
	// +required
	Workload ScalableTarget `json:"workload,omitzero"`

	// replicas is the number of replicas to set. From 0 to 10000.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Replicas *int32 `json:"replicas,omitempty"`

	// currentReplicas is the number that must be set now. When unset, any. From 0
	// to 1000000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	CurrentReplicas *int32 `json:"currentReplicas,omitempty"`
}

// SetImageAction are the details of action SetImage, which RemoteCommandSpec describes.
type SetImageAction struct {
	// workload is what to change.
	// +required
	Workload WorkloadTarget `json:"workload,omitzero"`

	// images are the images by container. From 1 to 16.
	// +required
	// +listType=map
	// +listMapKey=container
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Images []ContainerImage `json:"images,omitempty"`
}

// ContainerImage is the image of one container.
type ContainerImage struct {
	// container is the name of the container or init container.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Container string `json:"container,omitempty"`

	// image is the reference of its image, with tag or digest. At most 512 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$`
	Image string `json:"image,omitempty"`
}

// RolloutUndoAction are the details of action RolloutUndo, which RemoteCommandSpec describes.
type RolloutUndoAction struct {
	// workload is what to take back.
	// +required
	Workload WorkloadTarget `json:"workload,omitzero"`

	// toRevision is the revision to go back to, as `kubectl rollout history` counts
	// them. When unset, the one before the current. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ToRevision int64 `json:"toRevision,omitempty"`
}

// RestartPodAction are the details of action RestartPod, which RemoteCommandSpec describes.
type RestartPodAction struct {
	// namespace is the pod's namespace in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name is the pod's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// uid is the pod's UID. It is required because a pod of a StatefulSet keeps its
	// name: without it, the command could delete the replacement.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	UID string `json:"uid,omitempty"`

	// gracePeriodSeconds is how long its containers get to stop. When unset, what
	// the pod says. From 1 to 3600: a pod is never removed by force.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	GracePeriodSeconds int32 `json:"gracePeriodSeconds,omitempty"`
}

// GetLogsAction are the details of action GetLogs, which RemoteCommandSpec describes.
type GetLogsAction struct {
	// namespace is the pod's namespace in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// pod is the pod's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Pod string `json:"pod,omitempty"`

	// container is the name of the container. When unset, the pod's default
	// container.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Container string `json:"container,omitempty"`

	// previous reads the log of the container's previous run: the one that
	// crashed. Defaults to false.
	// +optional
	// +default=false
	Previous *bool `json:"previous,omitempty"`

	// lineTimes begins each line with its time, as kubectl's --timestamps does.
	// Defaults to false.
	// +optional
	// +default=false
	LineTimes *bool `json:"lineTimes,omitempty"`

	// tailLines is how many lines are read, from the end. From 1 to 10000.
	// Defaults to 1000.
	// +optional
	// +default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	TailLines int32 `json:"tailLines,omitempty"`

	// sinceSeconds is how far back lines are read. When unset, to the beginning.
	// From 1 to 604800.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	SinceSeconds int32 `json:"sinceSeconds,omitempty"`

	// limitBytes is how much is read at most. From 1024 to 1048576. Defaults to
	// 1048576, which is 1 MiB.
	// +optional
	// +default=1048576
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=1048576
	LimitBytes int32 `json:"limitBytes,omitempty"`
}

// ExecArgument is a program or one of its arguments.
// +kubebuilder:validation:MinLength=0
// +kubebuilder:validation:MaxLength=1024
type ExecArgument string

// ExecAction are the details of action Exec, which RemoteCommandSpec describes.
type ExecAction struct {
	// namespace is the pod's namespace in the member cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// pod is the pod's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Pod string `json:"pod,omitempty"`

	// uid is the pod's UID.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	UID string `json:"uid,omitempty"`

	// container is the name of the container.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Container string `json:"container,omitempty"`

	// command is the program and its arguments. It is not given to a shell, so
	// "|", "$" and "*" have no meaning. From 1 to 32, each at most 1024 characters.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="size(self[0]) > 0",message="command must begin with a program"
	Command []ExecArgument `json:"command,omitempty"`
}
