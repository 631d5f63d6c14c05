// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// State is the one word that a cluster is sorted and counted by.
type State string

// The states, worst first.
const (
	// StateUnavailable means that Available is False.
	StateUnavailable State = "Unavailable"
	// StateUnknown means that nobody can say whether the cluster is available.
	StateUnknown State = "Unknown"
	// StateAwaitingApproval means that somebody has to accept the cluster.
	StateAwaitingApproval State = "AwaitingApproval"
	// StateDegraded means that the cluster is available but something is not right.
	StateDegraded State = "Degraded"
	// StateDeleting means that the cluster is being removed from the fleet.
	StateDeleting State = "Deleting"
	// StateDenied means that somebody refused the cluster.
	StateDenied State = "Denied"
	// StateAvailable means that nothing is wrong.
	StateAvailable State = "Available"
)

var statesWorstFirst = []State{
	StateUnavailable, StateUnknown, StateAwaitingApproval, StateDegraded, StateDeleting, StateDenied, StateAvailable,
}

// FleetStatus is what `kubectl atlhyper status -o json` prints. Fields are added
// to it, but not renamed or removed.
type FleetStatus struct {
	// Summary has the totals of the clusters below.
	Summary FleetSummary `json:"summary"`
	// Clusters are sorted worst first.
	Clusters []ClusterStatus `json:"clusters"`
	// Attention is everything that is not right, worst cluster first.
	Attention []Attention `json:"attention"`
}

// FleetSummary counts clusters, each in one of the states, and what they hold.
type FleetSummary struct {
	// Clusters is the number of clusters.
	Clusters int `json:"clusters"`
	// Available counts those that are available, degraded or not.
	Available int `json:"available"`
	// Unavailable counts those that are known not to be available.
	Unavailable int `json:"unavailable"`
	// Unknown counts those that nobody can tell about.
	Unknown int `json:"unknown"`
	// AwaitingApproval counts those that somebody has to accept.
	AwaitingApproval int `json:"awaitingApproval"`
	// Deleting counts those that are being removed.
	Deleting int `json:"deleting"`
	// Denied counts those that were refused.
	Denied int `json:"denied"`
	// Nodes sums what was reported last. Nil when no cluster has reported any.
	Nodes *ReadyCount `json:"nodes,omitempty"`
	// Pods sums what was reported last. Nil when no cluster has reported any.
	Pods *RunningCount `json:"pods,omitempty"`
	// Outdated is how many clusters are in the two sums with old figures,
	// because they do not report at the moment.
	Outdated int `json:"outdated"`
	// Missing is how many clusters are in neither sum because they never reported.
	Missing int `json:"missing"`
}

// ReadyCount counts nodes.
type ReadyCount struct {
	// Ready of Total are Ready.
	Ready int64 `json:"ready"`
	// Total is the number of nodes.
	Total int64 `json:"total"`
}

// RunningCount counts pods.
type RunningCount struct {
	// Running of Total are in phase Running.
	Running int64 `json:"running"`
	// Total is the number of pods.
	Total int64 `json:"total"`
}

// ClusterStatus is one cluster in a few words. What is not known is absent.
type ClusterStatus struct {
	// Name is the name of the ManagedCluster.
	Name string `json:"name"`
	// State is the word that the cluster is sorted and counted by.
	State State `json:"state"`
	// Available is True, False or Unknown.
	Available metav1.ConditionStatus `json:"available"`
	// Reason is the reason of the worst condition; empty when nothing is wrong.
	Reason string `json:"reason,omitempty"`
	// Since is when that began, or since when the cluster has been available.
	Since *metav1.Time `json:"since,omitempty"`
	// Suspended means that remote commands and alerts are stopped by the spec.
	Suspended bool `json:"suspended,omitempty"`
	// Version is the version of the member's API server.
	Version string `json:"version,omitempty"`
	// Platform is the member's distribution.
	Platform string `json:"platform,omitempty"`
	// Nodes counts the member's nodes.
	Nodes *ReadyCount `json:"nodes,omitempty"`
	// Pods counts the member's pods.
	Pods *RunningCount `json:"pods,omitempty"`
	// CPURequestedPercent is requested of allocatable CPU, rounded.
	CPURequestedPercent *int64 `json:"cpuRequestedPercent,omitempty"`
	// MemoryRequestedPercent is requested of allocatable memory, rounded.
	MemoryRequestedPercent *int64 `json:"memoryRequestedPercent,omitempty"`
	// AgentVersion is the agent's release.
	AgentVersion string `json:"agentVersion,omitempty"`
	// LastSeen is when the hub last saw the agent, to 5 minutes.
	LastSeen *metav1.Time `json:"lastSeen,omitempty"`
}

// Attention is one thing that is not right.
type Attention struct {
	// Cluster is the name of the ManagedCluster.
	Cluster string `json:"cluster"`
	// Reason is one word.
	Reason string `json:"reason"`
	// Message says more.
	Message string `json:"message,omitempty"`
	// Since is when it began.
	Since *metav1.Time `json:"since,omitempty"`
}

// Fleet computes the status of the fleet at now from what was read of it.
func Fleet(clusters []v1alpha1.ManagedCluster, now time.Time) FleetStatus {
	fleet := FleetStatus{Clusters: []ClusterStatus{}, Attention: []Attention{}}
	attention := map[string][]Attention{}
	for i := range clusters {
		status, problems := clusterStatus(&clusters[i], now)
		fleet.Clusters = append(fleet.Clusters, status)
		attention[status.Name] = problems
		fleet.Summary.add(&status)
	}
	slices.SortStableFunc(fleet.Clusters, compareWorstFirst)
	for _, cluster := range fleet.Clusters {
		// A denied cluster is as somebody wanted it.
		if cluster.State != StateDenied {
			fleet.Attention = append(fleet.Attention, attention[cluster.Name]...)
		}
	}
	return fleet
}

func compareWorstFirst(a, b ClusterStatus) int {
	return cmp.Or(
		cmp.Compare(slices.Index(statesWorstFirst, a.State), slices.Index(statesWorstFirst, b.State)),
		cmp.Compare(a.Name, b.Name),
	)
}

func clusterStatus(cluster *v1alpha1.ManagedCluster, now time.Time) (ClusterStatus, []Attention) {
	s := &cluster.Status
	problems := findProblems(cluster, now)
	status := ClusterStatus{
		Name:      cluster.Name,
		Available: availability(cluster, now),
		Suspended: cluster.Spec.Suspended != nil && *cluster.Spec.Suspended,
		LastSeen:  s.LastHeartbeatTime,
		Nodes:     readyCount(s.Nodes),
		Pods:      runningCount(s.Pods),
	}
	status.State = state(cluster, status.Available, len(problems) > 0)
	if len(problems) > 0 {
		status.Reason, status.Since = problems[0].Reason, problems[0].Since
	} else if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ClusterConditionAvailable); c != nil {
		status.Since = &c.LastTransitionTime
	}
	if s.Kubernetes != nil {
		status.Version, status.Platform = s.Kubernetes.Version, s.Kubernetes.Platform
	}
	if s.Agent != nil {
		status.AgentVersion = s.Agent.Version
	}
	if s.Requested != nil && s.Allocatable != nil {
		status.CPURequestedPercent = percent(s.Requested.CPU, s.Allocatable.CPU)
		status.MemoryRequestedPercent = percent(s.Requested.Memory, s.Allocatable.Memory)
	}
	return status, problems
}

func state(cluster *v1alpha1.ManagedCluster, available metav1.ConditionStatus, problems bool) State {
	switch {
	case !cluster.DeletionTimestamp.IsZero():
		return StateDeleting
	case pending(cluster):
		return StateAwaitingApproval
	case !accepted(cluster):
		return StateDenied
	case available == metav1.ConditionFalse:
		return StateUnavailable
	case available == metav1.ConditionUnknown:
		return StateUnknown
	case problems:
		return StateDegraded
	default:
		return StateAvailable
	}
}

func (s *FleetSummary) add(cluster *ClusterStatus) {
	s.Clusters++
	switch cluster.State {
	case StateUnavailable:
		s.Unavailable++
	case StateUnknown:
		s.Unknown++
	case StateAwaitingApproval:
		s.AwaitingApproval++
	case StateDeleting:
		s.Deleting++
	case StateDenied:
		s.Denied++
	case StateDegraded, StateAvailable:
		s.Available++
	}
	if cluster.Nodes == nil && cluster.Pods == nil {
		s.Missing++
		return
	}
	if cluster.Available != metav1.ConditionTrue {
		s.Outdated++
	}
	if n := cluster.Nodes; n != nil {
		if s.Nodes == nil {
			s.Nodes = &ReadyCount{}
		}
		s.Nodes.Ready += n.Ready
		s.Nodes.Total += n.Total
	}
	if p := cluster.Pods; p != nil {
		if s.Pods == nil {
			s.Pods = &RunningCount{}
		}
		s.Pods.Running += p.Running
		s.Pods.Total += p.Total
	}
}

func readyCount(n *v1alpha1.NodeCounts) *ReadyCount {
	if n == nil || n.Ready == nil || n.Total == nil {
		return nil
	}
	return &ReadyCount{Ready: int64(*n.Ready), Total: int64(*n.Total)}
}

func runningCount(p *v1alpha1.PodCounts) *RunningCount {
	if p == nil || p.Running == nil || p.Total == nil {
		return nil
	}
	return &RunningCount{Running: int64(*p.Running), Total: int64(*p.Total)}
}

// percent is nil where there is nothing to divide or to divide by.
func percent(part, whole *resource.Quantity) *int64 {
	if part == nil || whole == nil || whole.Sign() <= 0 {
		return nil
	}
	return new(int64(part.AsApproximateFloat64()/whole.AsApproximateFloat64()*100 + 0.5))
}
