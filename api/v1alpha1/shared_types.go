// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NamespacePattern is the name of a namespace or a prefix of it followed by
// "*"; "*" alone means every namespace.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?|[a-z0-9][-a-z0-9]*\*)$`
type NamespacePattern string

// NamespacesFrom says where namespaces are taken from.
// +kubebuilder:validation:Enum=All;Selector;None
type NamespacesFrom string

const (
	// NamespacesFromAll allows every namespace.
	NamespacesFromAll NamespacesFrom = "All"
	// NamespacesFromSelector allows the namespaces that the selector matches.
	NamespacesFromSelector NamespacesFrom = "Selector"
	// NamespacesFromNone allows no namespace.
	NamespacesFromNone NamespacesFrom = "None"
)

// AllowedNamespaces selects namespaces of the hub.
// +kubebuilder:validation:XValidation:rule="(self.from == 'Selector') == has(self.selector)",message="selector is required when from is Selector, and allowed only then"
type AllowedNamespaces struct {
	// from is All, Selector or None:
	//   - All: every namespace
	//   - Selector: the namespaces whose labels selector matches
	//   - None: no namespace
	// +required
	From NamespacesFrom `json:"from,omitempty"`

	// selector matches the labels of namespaces. Only with from: Selector.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// Severity is how bad something is.
// +kubebuilder:validation:Enum=critical;warning;info
type Severity string

const (
	// SeverityCritical needs somebody now.
	SeverityCritical Severity = "critical"
	// SeverityWarning needs somebody soon.
	SeverityWarning Severity = "warning"
	// SeverityInfo is good to know.
	SeverityInfo Severity = "info"
)

// Decimal is a number in decimal notation, such as "0.25", "-3" or "1200". It is
// a string because the value must survive every client unchanged, which a
// floating point number does not.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=24
// +kubebuilder:validation:Pattern=`^-?[0-9]{1,15}(\.[0-9]{1,6})?$`
type Decimal string

// Percent is a percentage above 0 and below 100, with up to four digits after
// the point, such as "99.9".
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=8
// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]{1,3}([.][0-9]{1,4})?$') || (double(self) > 0.0 && double(self) < 100.0)",message="a percentage must be above 0 and below 100, as in \"99.9\""
type Percent string

// ClusterName is the name of a ManagedCluster.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=46
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
type ClusterName string

// ClusterSelection picks ManagedClusters, by name or by label. A cluster whose
// allowedNamespaces does not admit the namespace of the selecting object is never
// picked.
// +kubebuilder:validation:ExactlyOneOf=names;selector
type ClusterSelection struct {
	// names are the names of the clusters. A name without a ManagedCluster is
	// reported, and picked as soon as the ManagedCluster exists. From 1 to 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Names []ClusterName `json:"names,omitempty"`

	// selector matches the labels of ManagedClusters. The empty selector {}
	// matches all of them.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// NamespaceFilter picks namespaces of a member cluster.
// +kubebuilder:validation:MinProperties=1
type NamespaceFilter struct {
	// include are the namespaces to look at; a trailing "*" matches a prefix.
	// When unset, all. From 1 to 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Include []NamespacePattern `json:"include,omitempty"`

	// exclude are the namespaces to leave out, even where include names them; a
	// trailing "*" matches a prefix. When unset, none. From 1 to 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Exclude []NamespacePattern `json:"exclude,omitempty"`
}

// LabelName is the name of a label of an alert: letters, digits and "_", not
// starting with a digit.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_]*$`
type LabelName string

// LabelText is the value of a label.
// +kubebuilder:validation:MaxLength=256
type LabelText string

// MatchType is how a matcher compares. It is words, not signs, because a bare "="
// in the definitions stops YAML 1.1 parsers.
// +kubebuilder:validation:Enum=Equal;NotEqual;Regexp;NotRegexp
type MatchType string

const (
	// MatchEqual compares with the value; Alertmanager's "=".
	MatchEqual MatchType = "Equal"
	// MatchNotEqual is the opposite of MatchEqual; Alertmanager's "!=".
	MatchNotEqual MatchType = "NotEqual"
	// MatchRegexp compares with a regular expression, anchored at both ends;
	// Alertmanager's "=~".
	MatchRegexp MatchType = "Regexp"
	// MatchNotRegexp is the opposite of MatchRegexp; Alertmanager's "!~".
	MatchNotRegexp MatchType = "NotRegexp"
)

// LabelMatcher matches one label of an alert, as in Alertmanager.
// +kubebuilder:validation:XValidation:rule="!has(self.matchType) || !(self.matchType in ['Regexp', 'NotRegexp']) || \"\".matches(self.value) in [true, false]",message="value must be a regular expression in RE2 syntax when matchType is Regexp or NotRegexp"
type LabelMatcher struct {
	// name is the name of the label, such as alertname, cluster, namespace,
	// severity or a label that the AlertRule adds.
	// +required
	Name LabelName `json:"name,omitempty"`

	// matchType is how the label's value is compared:
	//   - Equal: equal to value, "=" in Alertmanager
	//   - NotEqual: not equal to value, "!="
	//   - Regexp: matches the regular expression value, anchored at both ends, "=~"
	//   - NotRegexp: does not match it, "!~"
	// Defaults to Equal.
	// +optional
	MatchType MatchType `json:"matchType,omitempty"`

	// value is what to compare with. An alert without the label counts as having
	// the empty value. Regular expressions have RE2 syntax. At most 256 characters.
	// +required
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=256
	Value *string `json:"value,omitempty"`
}

// SecretKeyReference names one key of a Secret in the namespace of the object
// that refers to it. No other namespace can be named, so nobody can make the hub
// read a Secret that they cannot write next to.
type SecretKeyReference struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key is the key of its data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// ConfigMapKeyReference names one key of a ConfigMap in the namespace of the
// object that refers to it.
type ConfigMapKeyReference struct {
	// name is the name of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key is the key of its data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}
