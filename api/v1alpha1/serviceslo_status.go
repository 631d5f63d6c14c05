// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SLOState is the state of an SLO in one word, for people. Programs read the
// conditions.
// +kubebuilder:validation:Enum=Meeting;AtRisk;BudgetExhausted;NoData;Frozen;Invalid
type SLOState string

const (
	// SLOStateMeeting means that budget is left and burns slowly enough.
	SLOStateMeeting SLOState = "Meeting"
	// SLOStateAtRisk means that a burn tier is exceeded.
	SLOStateAtRisk SLOState = "AtRisk"
	// SLOStateBudgetExhausted means that no budget is left.
	SLOStateBudgetExhausted SLOState = "BudgetExhausted"
	// SLOStateNoData means that there was never data, or no request in the window.
	SLOStateNoData SLOState = "NoData"
	// SLOStateFrozen means that data stopped coming; the last state is kept.
	SLOStateFrozen SLOState = "Frozen"
	// SLOStateInvalid means that the spec can never work.
	SLOStateInvalid SLOState = "Invalid"
)

// SLOResolution is how finely a controller separates requests.
// +kubebuilder:validation:Enum=Host;Rule;Service
type SLOResolution string

const (
	// SLOResolutionHost separates hosts and paths.
	SLOResolutionHost SLOResolution = "Host"
	// SLOResolutionRule separates the rules of a route.
	SLOResolutionRule SLOResolution = "Rule"
	// SLOResolutionService separates backends only.
	SLOResolutionService SLOResolution = "Service"
)

// ServiceSLOStatus is how well a promise is kept. Written by the hub when a
// figure shown here changes, at most once a minute.
type ServiceSLOStatus struct {
	// conditions say, each with a reason and a message, how the SLO is: Ready,
	// ObjectiveMet, BudgetHealthy, DataFresh, RouteResolved, BackendsReady,
	// ThresholdsExact and AlertsActive (and Reconciling, Stalled while true).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the hub has acted
	// on, -1 before it has seen the object.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// state is the state in one word: Meeting, AtRisk, BudgetExhausted, NoData,
	// Frozen or Invalid. The worst of all objectives and clusters.
	// +optional
	State SLOState `json:"state,omitempty"`

	// watermark is the time up to which data is complete; windows end here.
	// +optional
	Watermark *metav1.Time `json:"watermark,omitempty"`

	// coverage is how much of the window was observed, in percent.
	// +optional
	Coverage Decimal `json:"coverage,omitempty"`

	// resolution is how finely the controller separates requests: Host, Rule or
	// Service. With Rule or Service, requests to other hosts or routes that share
	// the rule or the backend are counted too.
	// +optional
	Resolution SLOResolution `json:"resolution,omitempty"`

	// selectedClusters is the number of clusters that are selected.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SelectedClusters *int32 `json:"selectedClusters,omitempty"`

	// worst is the objective with the least budget left, for the printed columns.
	// +optional
	Worst *SLOWorst `json:"worst,omitempty"`

	// objectives are the results of all clusters together, one per objective.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Objectives []SLOObjectiveStatus `json:"objectives,omitempty"`

	// clusters are the results per cluster, the worst first. At most 20.
	// +optional
	// +listType=map
	// +listMapKey=cluster
	// +kubebuilder:validation:MaxItems=20
	Clusters []SLOClusterStatus `json:"clusters,omitempty"`
}

// SLOWorst is the objective with the least budget left.
type SLOWorst struct {
	// objective is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Objective string `json:"objective,omitempty"`

	// sli is what was reached, in percent. Unset without data.
	// +optional
	SLI Decimal `json:"sli,omitempty"`

	// budgetRemainingPercent is how much of its error budget is left; negative
	// when overspent. Unset without data.
	// +optional
	BudgetRemainingPercent Decimal `json:"budgetRemainingPercent,omitempty"`

	// burnRate is its burn rate over the last hour. Unset without data.
	// +optional
	BurnRate Decimal `json:"burnRate,omitempty"`
}

// SLOObjectiveStatus is the result of one objective.
type SLOObjectiveStatus struct {
	// name is the name of the objective.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// sli is how many of the requests were good over the window, in percent.
	// Unset without data: it is then unknown, neither 100 nor 0.
	// +optional
	SLI Decimal `json:"sli,omitempty"`

	// total is the number of requests that counted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Total *int64 `json:"total,omitempty"`

	// bad is the number of them that were not good.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bad *int64 `json:"bad,omitempty"`

	// requestsPerSecond is the request rate over the last 5 minutes.
	// +optional
	RequestsPerSecond Decimal `json:"requestsPerSecond,omitempty"`

	// errorPercent is how many of the requests of the last 5 minutes were not
	// good, in percent.
	// +optional
	ErrorPercent Decimal `json:"errorPercent,omitempty"`

	// budget is the error budget. Unset without data.
	// +optional
	Budget *SLOBudget `json:"budget,omitempty"`

	// burnRates are the burn rates over the windows that the tiers use. At most 16.
	// +optional
	// +listType=map
	// +listMapKey=windowSeconds
	// +kubebuilder:validation:MaxItems=16
	BurnRates []SLOBurnRate `json:"burnRates,omitempty"`

	// tiers are the burn tiers and whether they are exceeded.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Tiers []SLOTierStatus `json:"tiers,omitempty"`

	// latency are percentiles of the last 5 minutes. Only of latency objectives.
	// +optional
	Latency *SLOLatencyStatus `json:"latency,omitempty"`
}

// SLOBudget is an error budget.
type SLOBudget struct {
	// total is how many bad requests (or slices) the objective allows over the
	// window, rounded down. With a calendar window, for the requests so far.
	// +required
	// +kubebuilder:validation:Minimum=0
	Total *int64 `json:"total,omitempty"`

	// consumed is how many there were.
	// +required
	// +kubebuilder:validation:Minimum=0
	Consumed *int64 `json:"consumed,omitempty"`

	// remainingPercent is what is left, in percent; negative when overspent.
	// +required
	RemainingPercent Decimal `json:"remainingPercent,omitempty"`

	// exhaustsAt is when nothing is left if the budget burns on as in the last
	// hour. Unset when it does not burn or nothing is left.
	// +optional
	ExhaustsAt *metav1.Time `json:"exhaustsAt,omitempty"`
}

// SLOBurnRate is a burn rate over a window.
type SLOBurnRate struct {
	// windowSeconds is the length of the window.
	// +required
	// +kubebuilder:validation:Minimum=1
	WindowSeconds int32 `json:"windowSeconds,omitempty"`

	// rate is the burn rate; 1 spends the budget exactly by the end of the SLO's
	// window. Unset without data.
	// +optional
	Rate Decimal `json:"rate,omitempty"`
}

// SLOTierState says whether a burn tier is exceeded.
// +kubebuilder:validation:Enum=Inactive;Exceeded;Frozen
type SLOTierState string

const (
	// SLOTierInactive means that it is not exceeded.
	SLOTierInactive SLOTierState = "Inactive"
	// SLOTierExceeded means that it is.
	SLOTierExceeded SLOTierState = "Exceeded"
	// SLOTierFrozen means that data is missing and the last state is kept.
	SLOTierFrozen SLOTierState = "Frozen"
)

// SLOTierStatus is a burn tier.
type SLOTierStatus struct {
	// name is the name of the tier.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`

	// factor is the burn rate above which it is exceeded.
	// +required
	Factor Decimal `json:"factor,omitempty"`

	// thresholdErrorPercent is the same as an error rate, in percent: what people
	// compare with a graph.
	// +required
	ThresholdErrorPercent Decimal `json:"thresholdErrorPercent,omitempty"`

	// state is Inactive, Exceeded or Frozen.
	// +required
	State SLOTierState `json:"state,omitempty"`
}

// SLOLatencyStatus are percentiles of latency, in milliseconds.
type SLOLatencyStatus struct {
	// p50Milliseconds is the median.
	// +required
	// +kubebuilder:validation:Minimum=0
	P50Milliseconds *int32 `json:"p50Milliseconds,omitempty"`

	// p95Milliseconds is the 95th percentile.
	// +required
	// +kubebuilder:validation:Minimum=0
	P95Milliseconds *int32 `json:"p95Milliseconds,omitempty"`

	// p99Milliseconds is the 99th percentile.
	// +required
	// +kubebuilder:validation:Minimum=0
	P99Milliseconds *int32 `json:"p99Milliseconds,omitempty"`

	// saturated says that at least one percentile is above the histogram's largest
	// bound: the figure is that bound, the truth is higher.
	// +optional
	Saturated *bool `json:"saturated,omitempty"`
}

// SLOClusterStatus is the result of one cluster: of its worst objective.
type SLOClusterStatus struct {
	// cluster is the name of the ManagedCluster.
	// +required
	Cluster ClusterName `json:"cluster,omitempty"`

	// state is the state in one word.
	// +required
	State SLOState `json:"state,omitempty"`

	// objective is the name of the objective with the least budget left.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Objective string `json:"objective,omitempty"`

	// sli is what was reached of it, in percent. Unset without data.
	// +optional
	SLI Decimal `json:"sli,omitempty"`

	// budgetRemainingPercent is how much of its error budget is left; negative
	// when overspent. Unset without data.
	// +optional
	BudgetRemainingPercent Decimal `json:"budgetRemainingPercent,omitempty"`
}
