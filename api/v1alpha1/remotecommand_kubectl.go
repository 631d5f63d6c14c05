// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

// KubectlVerb is one of kubectl's reading commands.
// +kubebuilder:validation:Enum=Get;Describe;Logs;Top;Events;Explain;APIResources;RolloutStatus;RolloutHistory
type KubectlVerb string

const (
	// KubectlVerbGet lists objects.
	KubectlVerbGet KubectlVerb = "Get"
	// KubectlVerbDescribe shows objects in detail, with their events.
	KubectlVerbDescribe KubectlVerb = "Describe"
	// KubectlVerbLogs reads logs.
	KubectlVerbLogs KubectlVerb = "Logs"
	// KubectlVerbTop shows the usage of nodes or pods.
	KubectlVerbTop KubectlVerb = "Top"
	// KubectlVerbEvents lists events.
	KubectlVerbEvents KubectlVerb = "Events"
	// KubectlVerbExplain shows the documentation of a resource.
	KubectlVerbExplain KubectlVerb = "Explain"
	// KubectlVerbAPIResources lists the resources that the API server has.
	KubectlVerbAPIResources KubectlVerb = "APIResources"
	// KubectlVerbRolloutStatus says how far a rollout is, without waiting for it.
	KubectlVerbRolloutStatus KubectlVerb = "RolloutStatus"
	// KubectlVerbRolloutHistory lists the revisions of a workload.
	KubectlVerbRolloutHistory KubectlVerb = "RolloutHistory"
)

// KubectlOutput is how kubectl prints objects.
// +kubebuilder:validation:Enum=Table;Wide;Name;YAML;JSON
type KubectlOutput string

const (
	// KubectlOutputTable prints a table.
	KubectlOutputTable KubectlOutput = "Table"
	// KubectlOutputWide prints a table with more columns.
	KubectlOutputWide KubectlOutput = "Wide"
	// KubectlOutputName prints kinds and names.
	KubectlOutputName KubectlOutput = "Name"
	// KubectlOutputYAML prints whole objects as YAML.
	KubectlOutputYAML KubectlOutput = "YAML"
	// KubectlOutputJSON prints whole objects as JSON.
	KubectlOutputJSON KubectlOutput = "JSON"
)

// KubectlArgument is a resource, a name or both: pods, deploy/cart, pods,services.
// It cannot begin with "-", so it is never an option.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._:,/-]*$`
type KubectlArgument string

// KubectlAction are the details of action Kubectl, which RemoteCommandSpec describes.
// +kubebuilder:validation:XValidation:rule="!has(self.namespace) || !has(self.allNamespaces) || !self.allNamespaces",message="namespace and allNamespaces exclude each other"
// +kubebuilder:validation:XValidation:rule="self.verb in ['APIResources', 'Events'] ? !has(self.args) : has(self.args)",message="args is required, except with the verbs APIResources and Events, where it is not allowed"
// +kubebuilder:validation:XValidation:rule="!has(self.args) || self.verb == 'Explain' || !self.args.exists(a, a.lowerAscii().matches('(^|,)secrets?([.][^,]*)?(/|,|$)'))",message="Secrets cannot be read"
// +kubebuilder:validation:XValidation:rule="!has(self.output) || self.verb in ['Get', 'Events', 'APIResources']",message="output is allowed only with the verbs Get, Events and APIResources"
// +kubebuilder:validation:XValidation:rule="!(has(self.container) || has(self.tailLines)) || self.verb == 'Logs'",message="container and tailLines are allowed only with the verb Logs"
type KubectlAction struct {
	// verb is the command:
	//   - Get: lists objects
	//   - Describe: shows objects in detail, with their events
	//   - Logs: reads the logs of a pod
	//   - Top: shows the usage of nodes or pods; fails where the member has no
	//     metrics API
	//   - Events: lists events
	//   - Explain: shows the documentation of a resource
	//   - APIResources: lists the resources that the API server has
	//   - RolloutStatus: says how far a rollout is, without waiting for it
	//   - RolloutHistory: lists the revisions of a workload
	// +required
	Verb KubectlVerb `json:"verb,omitempty"`

	// args are what follows the verb: resources and names, such as [pods], [pod,
	// cart-0] or [deploy/cart]. They cannot be options. Required, except with
	// APIResources and Events, where it is not allowed. From 1 to 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Args []KubectlArgument `json:"args,omitempty"`

	// namespace is the member's namespace to look in. When unset, default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// allNamespaces looks in all namespaces; the allow-lists must then allow "*".
	// Excludes namespace. Defaults to false.
	// +optional
	// +default=false
	AllNamespaces *bool `json:"allNamespaces,omitempty"`

	// labelSelector selects objects by label, as kubectl's -l does:
	// app=cart,tier!=web.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!][A-Za-z0-9 ._/=!,()-]*$`
	LabelSelector string `json:"labelSelector,omitempty"`

	// fieldSelector selects objects by field, as kubectl's --field-selector does:
	// status.phase=Pending.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9 ._:/=!,-]*$`
	FieldSelector string `json:"fieldSelector,omitempty"`

	// output is how objects are printed: Table, Wide, Name, YAML or JSON. Only with
	// Get, Events and APIResources. When unset, Table.
	// +optional
	Output KubectlOutput `json:"output,omitempty"`

	// container is the container whose log is read. Only with Logs. When unset, the
	// pod's default container.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Container string `json:"container,omitempty"`

	// tailLines is how many lines of the log are read, from the end. Only with
	// Logs. When unset, 1000. From 1 to 10000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	TailLines int32 `json:"tailLines,omitempty"`
}
