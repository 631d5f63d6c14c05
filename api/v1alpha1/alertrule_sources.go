// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AlertSource is what raises alerts. Exactly one member is set.
// +kubebuilder:validation:ExactlyOneOf=anomaly;metric;slo;cluster
type AlertSource struct {
	// anomaly raises an alert for each broken object that the agents find, such as
	// a container that crashes again and again. The empty anomaly {} is all of them.
	// +optional
	Anomaly *AnomalySource `json:"anomaly,omitempty"`

	// metric raises an alert for each node or cluster whose metric crosses a
	// threshold. The agent compares, so it goes on while the hub is away.
	// +optional
	Metric *MetricSource `json:"metric,omitempty"`

	// slo raises an alert for each ServiceSLO of this namespace whose budget burns
	// too fast or runs out, per cluster where the SLO's budgets are.
	// +optional
	SLO *SLOSource `json:"slo,omitempty"`

	// cluster raises an alert for each ManagedCluster with a condition that it
	// should not have, such as one that is not available. A cluster that never
	// joined raises nothing, and neither does a suspended one.
	// +optional
	Cluster *ClusterSource `json:"cluster,omitempty"`
}

// AnomalyRule is the id of an anomaly rule.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
type AnomalyRule string

// OwnerKind is the kind of the object that an anomaly is about.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
type OwnerKind string

// AnomalySource picks anomalies. All that is set must match.
// +kubebuilder:validation:MinProperties=0
type AnomalySource struct {
	// rules are the ids of anomaly rules, such as PodCrashLoopBackOff or
	// NodeNotReady. When unset, all. From 1 to 128.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Rules []AnomalyRule `json:"rules,omitempty"`

	// severities are the severities of anomalies. When unset, critical and
	// warning. From 1 to 3.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Severities []Severity `json:"severities,omitempty"`

	// namespaces are the member's namespaces. Anomalies of objects without a
	// namespace match only when include is unset. When unset, all.
	// +optional
	Namespaces *NamespaceFilter `json:"namespaces,omitempty"`

	// ownerKinds are the kinds of the top owner of what is broken, such as
	// Deployment, StatefulSet or Node. When unset, all. From 1 to 16.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	OwnerKinds []OwnerKind `json:"ownerKinds,omitempty"`

	// labelSelector matches the labels of the broken object. When unset, all.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// MetricScope says what a metric is measured of.
// +kubebuilder:validation:Enum=Node;Cluster
type MetricScope string

const (
	// MetricScopeNode compares each node's value.
	MetricScopeNode MetricScope = "Node"
	// MetricScopeCluster compares one value per cluster.
	MetricScopeCluster MetricScope = "Cluster"
)

// ThresholdOperator compares a value with a threshold.
// +kubebuilder:validation:Enum=GreaterThan;GreaterThanOrEqual;LessThan;LessThanOrEqual
type ThresholdOperator string

const (
	// ThresholdGreaterThan is true when the value is above the threshold.
	ThresholdGreaterThan ThresholdOperator = "GreaterThan"
	// ThresholdGreaterThanOrEqual is true when it is not below.
	ThresholdGreaterThanOrEqual ThresholdOperator = "GreaterThanOrEqual"
	// ThresholdLessThan is true when the value is below the threshold.
	ThresholdLessThan ThresholdOperator = "LessThan"
	// ThresholdLessThanOrEqual is true when it is not above.
	ThresholdLessThanOrEqual ThresholdOperator = "LessThanOrEqual"
)

// MetricSource compares a metric with a threshold.
// +kubebuilder:validation:XValidation:rule="!has(self.nodeSelector) || self.scope == 'Node'",message="nodeSelector is allowed only with scope: Node"
type MetricSource struct {
	// scope says whether every node has a value or the cluster has one:
	//   - Node: an alert per node (and per device or filesystem, where the metric
	//     has one)
	//   - Cluster: an alert per cluster, over the sum or mean of its nodes as the
	//     metric defines it
	// +required
	Scope MetricScope `json:"scope,omitempty"`

	// name is the name of the metric, such as cpu_usage_percent. A name that
	// does not exist makes the rule Stalled with reason UnknownMetric.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]*$`
	Name string `json:"name,omitempty"`

	// operator compares the value with threshold: GreaterThan,
	// GreaterThanOrEqual, LessThan or LessThanOrEqual. A missing value compares as
	// neither: the alert freezes.
	// +required
	Operator ThresholdOperator `json:"operator,omitempty"`

	// threshold is what the value is compared with, in the metric's unit, as a
	// decimal string such as "90" or "0.25".
	// +required
	Threshold Decimal `json:"threshold,omitempty"`

	// labels are labels that a value must have, with exactly these values, such as
	// mount: /var. When unset, all values. From 1 to 16.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 64 && k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",message="a label name has at most 64 letters, digits and underscores and does not start with a digit"
	Labels map[string]LabelText `json:"labels,omitempty"`

	// nodeSelector matches the labels of nodes. Only with scope: Node. When unset,
	// all nodes.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
}

// SLOName is the name of a ServiceSLO.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
type SLOName string

// BurnTierName is the name of a burn tier.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^[a-z][a-zA-Z0-9]*$`
type BurnTierName string

// SLOSource picks ServiceSLOs of the rule's namespace, and what about them is
// worth an alert.
// +kubebuilder:validation:ExactlyOneOf=burnTiers;budgetBelowPercent
// +kubebuilder:validation:XValidation:rule="!(has(self.names) && has(self.selector))",message="names and selector exclude each other"
type SLOSource struct {
	// names are the names of the ServiceSLOs. Excludes selector. From 1 to 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Names []SLOName `json:"names,omitempty"`

	// selector matches the labels of ServiceSLOs. When names is unset too, all
	// SLOs of the namespace.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// burnTiers alerts while one of these tiers is exceeded: fastPage, slowPage,
	// fastTicket, slowTicket, or the names of custom ones. Tiers that an SLO does
	// not have are left out. From 1 to 8.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	BurnTiers []BurnTierName `json:"burnTiers,omitempty"`

	// budgetBelowPercent alerts while less than this share of the error budget, in
	// percent, is left; 0 when it is overspent. From 0 to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	BudgetBelowPercent *int32 `json:"budgetBelowPercent,omitempty"`
}

// AlertableCondition is a condition of a ManagedCluster to alert on.
// +kubebuilder:validation:Enum=Available;Connected;APIServerHealthy;NodesHealthy;InventorySynced;MetricsFlowing;ClockSynced;AgentCompatible;Accepted
type AlertableCondition string

// AlertableStatus is a status that a condition should not have.
// +kubebuilder:validation:Enum=False;Unknown
type AlertableStatus string

const (
	// AlertableStatusFalse is False.
	AlertableStatusFalse AlertableStatus = "False"
	// AlertableStatusUnknown is Unknown.
	AlertableStatusUnknown AlertableStatus = "Unknown"
)

// ClusterSource alerts on a condition of ManagedClusters.
type ClusterSource struct {
	// condition is the type of the condition, usually Available (connected, and
	// its API server healthy) or Connected.
	// +required
	Condition AlertableCondition `json:"condition,omitempty"`

	// statuses are the statuses to alert on, False and Unknown. When unset, both.
	// While the hub suspects that it is itself cut off, nothing fires.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Statuses []AlertableStatus `json:"statuses,omitempty"`
}
