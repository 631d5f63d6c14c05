// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import "slices"

// Kind is the kind of an inventoried object, without its group. It is a word and
// not a number, so that a hub keeps kinds that only a newer agent knows.
type Kind string

// The kinds of the inventory, with what Phase and Ready mean for each.
const (
	// KindPod has the pod's phase. Ready is the condition of that name. Reason is
	// the most telling among its containers' and its own. Node, Restarts,
	// NumberContainers, NumberReadyContainers, requests and limits are set.
	KindPod Kind = "Pod"
	// KindNode has "Ready", "NotReady" or "Unknown", from the condition Ready.
	// Reason names the first pressure condition. Capacity and allocatable are set.
	KindNode Kind = "Node"
	// KindNamespace has the namespace's phase.
	KindNamespace Kind = "Namespace"
	// KindDeployment has "Complete", "Progressing" or "Failed", from the
	// condition Progressing. Ready is the condition Available.
	KindDeployment Kind = "Deployment"
	// KindStatefulSet has "Complete" or "Progressing". Ready is true when every
	// desired replica is.
	KindStatefulSet Kind = "StatefulSet"
	// KindDaemonSet has "Complete" or "Progressing". Ready is true when it is
	// ready on every node it should run on.
	KindDaemonSet Kind = "DaemonSet"
	// KindReplicaSet has no phase. Those without replicas are not sent.
	KindReplicaSet Kind = "ReplicaSet"
	// KindJob has "Running", "Complete", "Failed" or "Suspended".
	KindJob Kind = "Job"
	// KindCronJob has "Active" or "Suspended".
	KindCronJob Kind = "CronJob"
	// KindService has no phase; AttributeType is its type.
	KindService Kind = "Service"
	// KindEndpointSlice has no phase. NumberEndpoints and NumberReadyEndpoints
	// are set; Owner is its Service.
	KindEndpointSlice Kind = "EndpointSlice"
	// KindIngress has no phase. Ready is true when it has an address.
	KindIngress Kind = "Ingress"
	// KindHTTPRoute has no phase. Ready is true when every parent accepted it.
	KindHTTPRoute Kind = "HTTPRoute"
	// KindIngressRoute is Traefik's and has no phase.
	KindIngressRoute Kind = "IngressRoute"
	// KindPersistentVolumeClaim has the claim's phase.
	KindPersistentVolumeClaim Kind = "PersistentVolumeClaim"
	// KindPersistentVolume has the volume's phase.
	KindPersistentVolume Kind = "PersistentVolume"
	// KindHorizontalPodAutoscaler has no phase. Ready is the condition
	// ScalingActive. NumberMinReplicas and NumberMaxReplicas are set.
	KindHorizontalPodAutoscaler Kind = "HorizontalPodAutoscaler"
	// KindConfigMap is sent with its names and labels alone, and nothing of its data.
	KindConfigMap Kind = "ConfigMap"
	// KindSecret is sent with its names and labels alone: neither its type nor
	// anything of its data.
	KindSecret Kind = "Secret"
)

var kinds = []Kind{
	KindPod, KindNode, KindNamespace, KindDeployment, KindStatefulSet, KindDaemonSet, KindReplicaSet, KindJob, KindCronJob, KindService,
	KindEndpointSlice, KindIngress, KindHTTPRoute, KindIngressRoute, KindPersistentVolumeClaim, KindPersistentVolume,
	KindHorizontalPodAutoscaler, KindConfigMap, KindSecret,
}

// Kinds returns every kind that this version sends.
func Kinds() []Kind { return slices.Clone(kinds) }

// NumberID is what a Number counts. The numbers are part of the wire format; one
// that this version does not know is kept.
type NumberID uint16

// Number is a quantity of an object. A quantity that is absent is unknown or not
// set, which is not zero.
type Number struct {
	// ID says what it is.
	ID NumberID
	// Value in the unit that the ID's name ends in.
	Value int64
}

// The numbers of objects.
const (
	// NumberObjects is how many objects a snapshot has.
	NumberObjects NumberID = 1
	// NumberContainers is how many containers a pod has.
	NumberContainers NumberID = 2
	// NumberReadyContainers is how many of them are ready.
	NumberReadyContainers NumberID = 3
	// NumberCPURequestMillis is what the scheduler counts for a pod.
	NumberCPURequestMillis NumberID = 4
	// NumberCPULimitMillis is the sum of a pod's limits, if each container has one.
	NumberCPULimitMillis NumberID = 5
	// NumberMemoryRequestBytes is what the scheduler counts for a pod.
	NumberMemoryRequestBytes NumberID = 6
	// NumberMemoryLimitBytes is the sum of a pod's limits, if each container has one.
	NumberMemoryLimitBytes NumberID = 7
	// NumberCPUCapacityMillis is a node's capacity.
	NumberCPUCapacityMillis NumberID = 8
	// NumberCPUAllocatableMillis is what a node has for pods.
	NumberCPUAllocatableMillis NumberID = 9
	// NumberMemoryCapacityBytes is a node's capacity.
	NumberMemoryCapacityBytes NumberID = 10
	// NumberMemoryAllocatableBytes is what a node has for pods.
	NumberMemoryAllocatableBytes NumberID = 11
	// NumberPodsCapacity is how many pods a node may have.
	NumberPodsCapacity NumberID = 12
	// NumberPodsAllocatable is how many pods a node has room for in all.
	NumberPodsAllocatable NumberID = 13
	// NumberEphemeralCapacityBytes is a node's local storage.
	NumberEphemeralCapacityBytes NumberID = 14
	// NumberEphemeralAllocatableBytes is what a node has of it for pods.
	NumberEphemeralAllocatableBytes NumberID = 15
	// NumberStorageRequestBytes is what a claim asks for.
	NumberStorageRequestBytes NumberID = 16
	// NumberStorageCapacityBytes is what a volume, or a bound claim, has.
	NumberStorageCapacityBytes NumberID = 17
	// NumberMinReplicas is the lower end of an autoscaler.
	NumberMinReplicas NumberID = 18
	// NumberMaxReplicas is the upper end of an autoscaler.
	NumberMaxReplicas NumberID = 19
	// NumberEndpoints is how many endpoints a slice has.
	NumberEndpoints NumberID = 20
	// NumberReadyEndpoints is how many of them are ready.
	NumberReadyEndpoints NumberID = 21
	// NumberExitCode is that of the container that gives a pod its reason.
	NumberExitCode NumberID = 22
	// NumberParallelism is how many pods a Job runs at once.
	NumberParallelism NumberID = 23
	// NumberBackoffLimit is how often a Job tries again.
	NumberBackoffLimit NumberID = 24
	// NumberLastScheduledSeconds is the Unix time at which a CronJob last ran.
	NumberLastScheduledSeconds NumberID = 25
	// NumberLastSucceededSeconds is the Unix time at which a CronJob last succeeded.
	NumberLastSucceededSeconds NumberID = 26
	// NumberStartedSeconds is the Unix time at which a pod or Job started.
	NumberStartedSeconds NumberID = 27
	// NumberFinishedSeconds is the Unix time at which a Job ended.
	NumberFinishedSeconds NumberID = 28
)

// Keys of attributes, sorted. Lists are joined by commas, in the order of the object.
const (
	AttributeAccessModes      = "accessModes"
	AttributeAddresses        = "addresses"
	AttributeArchitecture     = "architecture"
	AttributeClass            = "class" // ingress class or gateway class
	AttributeClusterIP        = "clusterIP"
	AttributeContainer        = "container" // the container that Reason is about
	AttributeContainerRuntime = "containerRuntime"
	AttributeHosts            = "hosts"
	AttributeImage            = "image" // images of the containers
	AttributeInternalIP       = "internalIP"
	AttributeKernel           = "kernel"
	AttributeKubeletVersion   = "kubeletVersion"
	AttributeOSImage          = "osImage"
	AttributeParents          = "parents" // gateways of an HTTPRoute
	AttributePodIP            = "podIP"
	AttributePorts            = "ports"
	AttributePriorityClass    = "priorityClass"
	AttributeQOSClass         = "qosClass"
	AttributeRoles            = "roles"
	AttributeSchedule         = "schedule"
	AttributeSelector         = "selector"
	AttributeStorageClass     = "storageClass"
	AttributeStrategy         = "strategy"
	AttributeTaints           = "taints"
	AttributeTarget           = "target" // what an autoscaler scales, or a claim of a volume
	AttributeTemplateHash     = "templateHash"
	AttributeTimeZone         = "timeZone"
	AttributeType             = "type"
	AttributeUnschedulable    = "unschedulable" // "true" for a cordoned node
	AttributeVolume           = "volume"        // the volume of a claim
)
