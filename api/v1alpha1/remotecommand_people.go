// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

// Requester is who asks for a command.
type Requester struct {
	// username is the user's name at the hub's API server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Username string `json:"username,omitempty"`

	// uid is the user's UID at the hub's API server, where it has one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	UID string `json:"uid,omitempty"`

	// groups are the user's groups at the hub's API server. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Groups []string `json:"groups,omitempty"`
}

// ApprovalDecision is what an approver decided.
// +kubebuilder:validation:Enum=Approved;Denied
type ApprovalDecision string

const (
	// ApprovalDecisionApproved lets the command run.
	ApprovalDecisionApproved ApprovalDecision = "Approved"
	// ApprovalDecisionDenied ends it.
	ApprovalDecisionDenied ApprovalDecision = "Denied"
)

// CommandApproval is the decision of an approver.
type CommandApproval struct {
	// decision is Approved or Denied.
	// +required
	Decision ApprovalDecision `json:"decision,omitempty"`

	// by is the approver's user name at the hub's API server. Admission refuses any
	// other name than that of the user who makes the update.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	By string `json:"by,omitempty"`

	// comment says why. At most 512 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Comment string `json:"comment,omitempty"`
}
