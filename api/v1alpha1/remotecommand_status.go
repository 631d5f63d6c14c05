// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CommandState is the state of a command in one word, for people. Programs read
// the conditions.
// +kubebuilder:validation:Enum=PendingApproval;Queued;Claimed;Succeeded;Failed;TimedOut;Interrupted;Expired;Denied;Cancelled;SkippedAlreadyExecuted
type CommandState string

const (
	// CommandStatePendingApproval means that somebody else has to approve.
	CommandStatePendingApproval CommandState = "PendingApproval"
	// CommandStateQueued means that the command waits for the agent.
	CommandStateQueued CommandState = "Queued"
	// CommandStateClaimed means that the agent works on it.
	CommandStateClaimed CommandState = "Claimed"
	// CommandStateSucceeded means that the action was done.
	CommandStateSucceeded CommandState = "Succeeded"
	// CommandStateFailed means that it was tried, or refused by the member, and failed.
	CommandStateFailed CommandState = "Failed"
	// CommandStateTimedOut means that it took longer than timeoutSeconds.
	CommandStateTimedOut CommandState = "TimedOut"
	// CommandStateInterrupted means that the agent stopped in the middle.
	CommandStateInterrupted CommandState = "Interrupted"
	// CommandStateExpired means that it was not claimed in time.
	CommandStateExpired CommandState = "Expired"
	// CommandStateDenied means that an allow-list or an approver refused it.
	CommandStateDenied CommandState = "Denied"
	// CommandStateCancelled means that it was cancelled.
	CommandStateCancelled CommandState = "Cancelled"
	// CommandStateSkippedAlreadyExecuted means that the same command ran before.
	CommandStateSkippedAlreadyExecuted CommandState = "SkippedAlreadyExecuted"
)

// RemoteCommandStatus is what became of a command. The hub writes what comes before
// the claim, the agent what comes after it.
type RemoteCommandStatus struct {
	// conditions say, each with a reason and a message, how far the command is:
	// Admitted and Approved from the hub, Claimed from the agent, Finished from
	// either, and Ready (and Reconciling, Stalled while true) from the hub.
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

	// state is the state in one word: PendingApproval, Queued, Claimed, Succeeded,
	// Failed, TimedOut, Interrupted, Expired, Denied, Cancelled or
	// SkippedAlreadyExecuted.
	// +optional
	State CommandState `json:"state,omitempty"`

	// target is what the command is about in a few words, such as "Deployment
	// shop/cart", for the printed column.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=384
	Target string `json:"target,omitempty"`

	// executionID identifies this execution in the audit log, the history and the
	// member's own audit log.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ExecutionID string `json:"executionID,omitempty"`

	// expiresAt is when the command expires unless it is claimed before, by the
	// hub's clock.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// claimedBy is the agent that took the command.
	// +optional
	ClaimedBy *CommandClaim `json:"claimedBy,omitempty"`

	// startTime is when the agent began to act, by the member's clock.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// completionTime is when nothing more happened.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// durationMilliseconds is how long the action took.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DurationMilliseconds *int64 `json:"durationMilliseconds,omitempty"`

	// result is what came out of it.
	// +optional
	Result *CommandResult `json:"result,omitempty"`
}

// CommandClaim is the claim of an agent.
type CommandClaim struct {
	// agent is the instance of the agent, as in the holder of its Lease.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Agent string `json:"agent,omitempty"`

	// at is when.
	// +required
	At metav1.Time `json:"at,omitzero"`
}

// CommandResult is what came out of a command. The output itself is in the history.
type CommandResult struct {
	// summary is the result in a few words, or the end of the output. At most 1024
	// characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Summary string `json:"summary,omitempty"`

	// exitCode is the status that a program ended with. Only of Exec. From 0 to 255.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	ExitCode *int32 `json:"exitCode,omitempty"`

	// outputRef is where the history keeps the output. Unset when there is none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	OutputRef string `json:"outputRef,omitempty"`

	// outputBytes is the size of the output that is kept. At most 1048576.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1048576
	OutputBytes *int32 `json:"outputBytes,omitempty"`

	// outputSHA256 is the SHA-256 of the output that is kept, in hexadecimal.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	OutputSHA256 string `json:"outputSHA256,omitempty"`

	// truncated says that the output was longer than what is kept.
	// +optional
	Truncated *bool `json:"truncated,omitempty"`
}
