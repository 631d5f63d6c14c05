// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions of a ServiceSLO besides Ready, Reconciling and Stalled. All are
// written by the hub; each is Unknown while it cannot be told.
const (
	// SLOConditionObjectiveMet says whether every objective is met over its
	// window, in every cluster.
	SLOConditionObjectiveMet = "ObjectiveMet"
	// SLOConditionBudgetHealthy says whether error budget is left and none of the
	// burn tiers is exceeded.
	SLOConditionBudgetHealthy = "BudgetHealthy"
	// SLOConditionDataFresh says whether there is enough recent data to judge.
	// While it is not True, alerts of this SLO are frozen.
	SLOConditionDataFresh = "DataFresh"
	// SLOConditionRouteResolved says whether the target was found and mapped to
	// series of a controller that reports them.
	SLOConditionRouteResolved = "RouteResolved"
	// SLOConditionBackendsReady says whether the target has ready endpoints. Some
	// controllers stop reporting a route without endpoints, so that an outage
	// looks like no traffic; this condition tells the two apart.
	SLOConditionBackendsReady = "BackendsReady"
	// SLOConditionThresholdsExact says whether latency and burn thresholds are
	// applied exactly as written.
	SLOConditionThresholdsExact = "ThresholdsExact"
	// SLOConditionAlertsActive says whether burn alerts are evaluated.
	SLOConditionAlertsActive = "AlertsActive"
)

// Reasons of Ready, Reconciling and Stalled.
const (
	// SLOReasonEvaluating means that the SLO is in force on every connected
	// cluster that it selects.
	SLOReasonEvaluating = "Evaluating"
	// SLOReasonRollingOut means that some connected clusters do not apply this
	// generation yet.
	SLOReasonRollingOut = "RollingOut"
	// SLOReasonNoClusters means that no cluster is selected.
	SLOReasonNoClusters = "NoClusters"
	// SLOReasonInvalidSpec means that the spec can never work; the message says why.
	SLOReasonInvalidSpec = "InvalidSpec"
)

// Reasons of ObjectiveMet and BudgetHealthy.
const (
	// SLOReasonMet means that every objective is met.
	SLOReasonMet = "Met"
	// SLOReasonMissed means that at least one is not; the message names the worst.
	SLOReasonMissed = "Missed"
	// SLOReasonBudgetLeft means that budget is left and burns slowly enough.
	SLOReasonBudgetLeft = "BudgetLeft"
	// SLOReasonBurningFast means that a burn tier is exceeded.
	SLOReasonBurningFast = "BurningFast"
	// SLOReasonBudgetExhausted means that no error budget is left.
	SLOReasonBudgetExhausted = "BudgetExhausted"
)

// Reasons of DataFresh, also used by ObjectiveMet and BudgetHealthy when they
// are Unknown for want of data.
const (
	// SLOReasonFresh means that data is recent and complete enough.
	SLOReasonFresh = "Fresh"
	// SLOReasonNoTraffic means that there were no requests in the window.
	SLOReasonNoTraffic = "NoTraffic"
	// SLOReasonStale means that the newest data is too old.
	SLOReasonStale = "Stale"
	// SLOReasonLowCoverage means that too many slices of the window are missing.
	SLOReasonLowCoverage = "LowCoverage"
	// SLOReasonDataError means that the data contradicts itself, such as more
	// failures than requests.
	SLOReasonDataError = "DataError"
)

// Reasons of RouteResolved.
const (
	// SLOReasonResolved means that the target is mapped to series.
	SLOReasonResolved = "Resolved"
	// SLOReasonTargetNotFound means that no selected cluster has the target.
	SLOReasonTargetNotFound = "TargetNotFound"
	// SLOReasonAmbiguous means that the target shares its series with other
	// routes; the message names them.
	SLOReasonAmbiguous = "Ambiguous"
	// SLOReasonRouterMetricsDisabled means that the controller that serves the
	// target does not expose per-route metrics.
	SLOReasonRouterMetricsDisabled = "RouterMetricsDisabled"
	// SLOReasonUnsupportedController means that AtlHyper cannot read the metrics
	// of that controller.
	SLOReasonUnsupportedController = "UnsupportedController"
)

// Reasons of BackendsReady, ThresholdsExact and AlertsActive.
const (
	// SLOReasonEndpointsReady means that every backend has a ready endpoint.
	SLOReasonEndpointsReady = "EndpointsReady"
	// SLOReasonNoReadyEndpoints means that a backend has had none for a minute.
	SLOReasonNoReadyEndpoints = "NoReadyEndpoints"
	// SLOReasonExact means that thresholds are applied as written.
	SLOReasonExact = "Exact"
	// SLOReasonOffBucketBoundary means that a latency threshold lies between two
	// bounds of the controller's histogram; the lower bound is used.
	SLOReasonOffBucketBoundary = "OffBucketBoundary"
	// SLOReasonIncompatibleBuckets means that clusters report histograms whose
	// bounds cannot be merged.
	SLOReasonIncompatibleBuckets = "IncompatibleBuckets"
	// SLOReasonLatencyUnsupported means that the controller reports no histogram.
	SLOReasonLatencyUnsupported = "LatencyUnsupported"
	// SLOReasonBurnThresholdClamped means that a built-in burn factor is out of
	// reach for an objective and was lowered.
	SLOReasonBurnThresholdClamped = "BurnThresholdClamped"
	// SLOReasonAlertsEvaluated means that burn alerts are evaluated.
	SLOReasonAlertsEvaluated = "AlertsEvaluated"
	// SLOReasonAlertsFrozen means that they keep their state until data is fresh.
	SLOReasonAlertsFrozen = "AlertsFrozen"
	// SLOReasonAlertsDisabled means that burnAlerts.policy is None.
	SLOReasonAlertsDisabled = "AlertsDisabled"
)

// BudgetScope says who shares an error budget.
// +kubebuilder:validation:Enum=Cluster;Fleet
type BudgetScope string

const (
	// BudgetScopeCluster gives every cluster a budget of its own.
	BudgetScopeCluster BudgetScope = "Cluster"
	// BudgetScopeFleet lets all selected clusters share one budget.
	BudgetScopeFleet BudgetScope = "Fleet"
)

// ServiceSLOSpec is what a team promises about a service.
// +kubebuilder:validation:XValidation:rule="(self.budgetingMethod == 'Timeslices') == has(self.timeslices)",message="timeslices is required when budgetingMethod is Timeslices, and allowed only then"
// +kubebuilder:validation:XValidation:rule="!has(self.burnAlerts) || !has(self.burnAlerts.tiers) || self.burnAlerts.tiers.all(t, !has(t.factor) || self.objectives.all(o, double(t.factor) * (100.0 - double(o.objective)) < 100.0))",message="a tier's factor must be below 1/(1 - objective): even when every request fails, the budget never burns that fast, so the alert could not fire"
// +kubebuilder:validation:XValidation:rule="!has(self.burnAlerts) || !has(self.burnAlerts.tiers) || self.burnAlerts.tiers.all(t, !has(t.budgetPercent) || self.objectives.all(o, double(t.budgetPercent) / 100.0 * double(has(self.window.rollingDays) ? self.window.rollingDays : {'Week': 7, 'Month': 30, 'Quarter': 90, 'Year': 365}[self.window.calendar.unit]) * 86400.0 / double(t.longSeconds) * (100.0 - double(o.objective)) < 100.0))",message="a tier's budgetPercent cannot be spent within longSeconds: even when every request fails, the budget never burns that fast, so the alert could not fire"
// +kubebuilder:validation:XValidation:rule="!has(self.burnAlerts) || !has(self.burnAlerts.tiers) || !has(self.window.rollingDays) || self.burnAlerts.tiers.all(t, t.longSeconds <= self.window.rollingDays * 86400)",message="a tier's longSeconds must not be longer than the SLO's window"
// +kubebuilder:validation:XValidation:rule="!has(self.corrections) || !has(self.window.rollingDays) || self.corrections.all(c, (c.to - c.from).getSeconds() <= self.window.rollingDays * 86400)",message="a correction must not be longer than the SLO's window"
type ServiceSLOSpec struct {
	// displayName is the name people see in the dashboard and in notifications.
	// Defaults to the name of the object. At most 128 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// service is the name of the service that the SLO is about, the "service" of
	// OpenSLO. SLOs of one service are shown together. Defaults to the name of the
	// object. At most 63 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Service string `json:"service,omitempty"`

	// clusters are the clusters that serve the target. When unset, every cluster
	// that admits this namespace. Clusters without the target do not count.
	// +optional
	Clusters *ClusterSelection `json:"clusters,omitempty"`

	// target is what receives the requests. Exactly one of its members is set.
	// +required
	Target SLOTarget `json:"target,omitzero"`

	// objectives are what is promised, each with a name of its own. From 1 to 8.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Objectives []SLOObjective `json:"objectives,omitempty"`

	// window is the time over which the objectives must hold.
	// +required
	Window SLOWindow `json:"window,omitzero"`

	// budgetScope says who shares the error budget:
	//   - Cluster: every cluster has a budget and alerts of its own
	//   - Fleet: requests of all selected clusters are added up into one budget
	// Results per cluster are shown in either case. Defaults to Cluster.
	// +optional
	// +default="Cluster"
	BudgetScope BudgetScope `json:"budgetScope,omitempty"`

	// budgetingMethod says what the budget counts:
	//   - Occurrences: requests that failed
	//   - Timeslices: slices of time in which too many requests failed, so that
	//     a failure at night weighs as much as one at noon
	// Defaults to Occurrences.
	// +optional
	// +default="Occurrences"
	BudgetingMethod BudgetingMethod `json:"budgetingMethod,omitempty"`

	// timeslices says when a slice of time is good. Required with
	// budgetingMethod: Timeslices, and allowed only then.
	// +optional
	Timeslices *SLOTimeslices `json:"timeslices,omitempty"`

	// minFailures is how many requests must have failed in a burn tier's long
	// window before it can fire: one failure among four requests is no outage. 1
	// turns that off. From 1 to 1000000. Defaults to 5.
	// +optional
	// +default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MinFailures int32 `json:"minFailures,omitempty"`

	// dataPolicy says what missing data means. When unset, its defaults apply.
	// +optional
	DataPolicy *SLODataPolicy `json:"dataPolicy,omitempty"`

	// burnAlerts says at which speeds of burning the budget is at risk; AlertRules
	// with an slo source fire on them. When unset, the built-in tiers apply.
	// +optional
	BurnAlerts *SLOBurnAlerts `json:"burnAlerts,omitempty"`

	// corrections are times that do not count, such as planned maintenance. At
	// most 32. Remove those that have left the window.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Corrections []SLOCorrection `json:"corrections,omitempty"`
}

// ServiceSLO is a promise about a service, and how well it is kept: for example
// that 99.9 % of the requests to an Ingress succeed over 30 days.
//
// The hub counts requests from the metrics of the ingress controllers, needs no
// Prometheus, and knows which series belong to which Ingress, HTTPRoute or
// Service. Missing data is shown as missing, never as success.
//
// Ready says that the SLO is valid and evaluated. Whether it is met is
// ObjectiveMet, and whether budget is left BudgetHealthy, so that a slow service
// never blocks the release that makes it fast again.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=sslo,categories=atlhyper
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Objective",type=string,JSONPath=`.spec.objectives[0].objective`,description="First objective, in percent."
// +kubebuilder:printcolumn:name="SLI",type=string,JSONPath=`.status.worst.sli`,description="What was reached of the worst objective, in percent."
// +kubebuilder:printcolumn:name="Budget",type=string,JSONPath=`.status.worst.budgetRemainingPercent`,description="Error budget left of the worst objective, in percent; negative when overspent."
// +kubebuilder:printcolumn:name="Burn-1h",type=string,JSONPath=`.status.worst.burnRate`,description="Burn rate of the worst objective over the last hour; 1 spends the budget exactly."
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,priority=1
// +kubebuilder:printcolumn:name="Clusters",type=integer,JSONPath=`.status.selectedClusters`,priority=1
// +kubebuilder:printcolumn:name="Coverage",type=string,JSONPath=`.status.coverage`,priority=1
// +kubebuilder:printcolumn:name="Watermark",type=date,JSONPath=`.status.watermark`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ServiceSLO struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. AlertRules select SLOs of their
	// namespace by its labels.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what is promised.
	// +required
	Spec ServiceSLOSpec `json:"spec,omitzero"`

	// status is how well the promise is kept.
	// +optional
	// +default={"observedGeneration":-1}
	Status ServiceSLOStatus `json:"status,omitzero"`
}

// ServiceSLOList is a list of ServiceSLOs.
// +kubebuilder:object:root=true
type ServiceSLOList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []ServiceSLO `json:"items"`
}
