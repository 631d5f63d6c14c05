// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package facts

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Event is a Kubernetes event as it stands.
type Event struct {
	Meta
	// Regarding is the object that it is about.
	Regarding Ref
	// RegardingUID is that object's; empty when the event does not tell. An object of
	// the same name with another UID is another one.
	RegardingUID string
	// Reason is the machine's word.
	Reason string
	// Message is for people.
	Message string
	// Container is the one that it is about; empty for the whole object.
	Container string
	// Warning is true for the type Warning.
	Warning bool
	// Count is how often it has happened, at least 1.
	Count int32
	// First and Last are when it happened.
	First, Last time.Time
}

// Cluster is what is known of the cluster as a whole. Its name is ClusterName.
type Cluster struct {
	Meta
	// Version of the API server, such as "v1.37.2"; empty when unknown.
	Version string
}

// ManagedCluster is a cluster as the hub sees it.
type ManagedCluster struct {
	Meta
	// Heartbeat is status.lastHeartbeatTime.
	Heartbeat time.Time
	// Interval is how often the agent sends one.
	Interval time.Duration
	// Refresh is how much older Heartbeat may be because the hub does not write
	// every one of them.
	Refresh time.Duration
	// Conditions of the status.
	Conditions []Condition
}

// RemoteCommand is a command of the hub.
type RemoteCommand struct {
	Meta
	// State is the command's phase in one word.
	State string
	// Finished is true when nothing more will happen.
	Finished bool
	// Deadline is by when it has to be finished.
	Deadline time.Time
}

// NodeSample is a sample of the node collector. Its name is the node's.
type NodeSample struct {
	Meta
	// Sample is what was measured.
	Sample *telemetry.NodeSample
	// Taken is the moment of the sample on the node's clock.
	Taken time.Time
	// Received is when it arrived, on the agent's clock.
	Received time.Time
	// Interval is how often samples are sent.
	Interval time.Duration
}

// ContainerUsage is what the kubelet tells about a running container. Its name is
// that of the pod, a slash, and that of the container.
type ContainerUsage struct {
	Meta
	// Pod and Container name it.
	Pod, Container string
	// At is the moment of the measurement.
	At time.Time
	// Interval is how often there is one.
	Interval time.Duration
	// WorkingSet and MemoryLimit are bytes; a limit of 0 is none.
	WorkingSet, MemoryLimit int64
	// Periods and Throttled are the CFS periods since the container started; 0
	// without a CPU limit.
	Periods, Throttled uint64
}

// VolumeUsage is what the kubelet tells about the filesystem of a claim, by whose
// namespace and name it is known.
type VolumeUsage struct {
	Meta
	// At is the moment of the measurement.
	At time.Time
	// Interval is how often there is one.
	Interval time.Duration
	// Capacity and Available are bytes.
	Capacity, Available int64
	// Inodes and InodesFree are 0 when the filesystem has none.
	Inodes, InodesFree int64
}

// APIServer is how the API server has answered the agent in the last 5 minutes.
// Its name is ClusterName.
type APIServer struct {
	Meta
	// At is the moment of the measurement.
	At time.Time
	// Interval is how often there is one.
	Interval time.Duration
	// P99 is the latency that 99 % of the requests stay below.
	P99 time.Duration
	// ErrorRatio is the part of requests answered with 5xx, from 0 to 1.
	ErrorRatio float64
	// NotReadySince is since when /readyz fails; zero when it does not.
	NotReadySince time.Time
}

// Expiry is the end of a certificate of the control plane. Its name is that of
// the component, such as "apiserver" or "kubelet/node-1/client".
type Expiry struct {
	Meta
	// NotAfter is when the certificate ends.
	NotAfter time.Time
}
