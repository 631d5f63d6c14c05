// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions of a RemoteCommand besides Ready, Reconciling and Stalled.
const (
	// CommandConditionAdmitted says whether the hub's allow-list of the cluster
	// admits the command. Written by the hub.
	CommandConditionAdmitted = "Admitted"
	// CommandConditionApproved says whether the command may run as far as approval
	// is concerned. Written by the hub.
	CommandConditionApproved = "Approved"
	// CommandConditionClaimed says whether the agent has taken the command.
	// Written by the agent, before it does anything.
	CommandConditionClaimed = "Claimed"
	// CommandConditionFinished says whether nothing more will happen. Written by
	// the agent for a command that it claimed, else by the hub.
	CommandConditionFinished = "Finished"
)

// Reasons of Admitted and Approved.
const (
	// CommandReasonAllowed means that the hub's allow-list admits the command.
	CommandReasonAllowed = "Allowed"
	// CommandReasonActionNotAllowed means that it does not admit the action.
	CommandReasonActionNotAllowed = "ActionNotAllowed"
	// CommandReasonNamespaceNotAllowed means that it does not admit the namespace.
	CommandReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// CommandReasonClusterSuspended means that the ManagedCluster is suspended.
	CommandReasonClusterSuspended = "ClusterSuspended"
	// CommandReasonNotRequired means that the action needs no approval here.
	CommandReasonNotRequired = "ApprovalNotRequired"
	// CommandReasonAwaitingApproval means that somebody else has to approve.
	CommandReasonAwaitingApproval = "AwaitingApproval"
	// CommandReasonApproved means that somebody did.
	CommandReasonApproved = "Approved"
)

// Reasons of Claimed, and of Ready and Reconciling until the command has finished.
const (
	// CommandReasonQueued means that the command waits for the agent.
	CommandReasonQueued = "Queued"
	// CommandReasonClaimed means that the agent has taken it and works on it.
	CommandReasonClaimed = "Claimed"
)

// Reasons of Finished, and of Ready and Stalled from then on.
const (
	// CommandReasonSucceeded means that the action was done.
	CommandReasonSucceeded = "Succeeded"
	// CommandReasonFailed means that it was tried and failed.
	CommandReasonFailed = "Failed"
	// CommandReasonTimedOut means that it took longer than timeoutSeconds.
	CommandReasonTimedOut = "TimedOut"
	// CommandReasonInterrupted means that the agent stopped in the middle. What was
	// done is unknown; the command is not run again.
	CommandReasonInterrupted = "Interrupted"
	// CommandReasonExpired means that it was not claimed within startDeadlineSeconds.
	CommandReasonExpired = "Expired"
	// CommandReasonDenied means that an allow-list or an approver refused it.
	CommandReasonDenied = "Denied"
	// CommandReasonCancelled means that it was cancelled before it was done.
	CommandReasonCancelled = "Cancelled"
	// CommandReasonSkippedAlreadyExecuted means that the same command, by name and
	// content, ran before: it was deleted and created again, as GitOps tools do.
	CommandReasonSkippedAlreadyExecuted = "SkippedAlreadyExecuted"
	// CommandReasonPreconditionFailed means that the object is not, or no longer,
	// what the command was made for; nothing was done.
	CommandReasonPreconditionFailed = "PreconditionFailed"
)

// RemoteCommandSpec is what to do, and on whose account. It cannot be changed,
// except that approval can be given once and cancel set once.
// +kubebuilder:validation:XValidation:rule="(self.action == 'RolloutRestart') == has(self.rolloutRestart)",message="rolloutRestart is required when action is RolloutRestart, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'Scale') == has(self.scale)",message="scale is required when action is Scale, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'SetImage') == has(self.setImage)",message="setImage is required when action is SetImage, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'RolloutUndo') == has(self.rolloutUndo)",message="rolloutUndo is required when action is RolloutUndo, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'RestartPod') == has(self.restartPod)",message="restartPod is required when action is RestartPod, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'Cordon') == has(self.cordon)",message="cordon is required when action is Cordon, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'Uncordon') == has(self.uncordon)",message="uncordon is required when action is Uncordon, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'Drain') == has(self.drain)",message="drain is required when action is Drain, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'Taint') == has(self.taint)",message="taint is required when action is Taint, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'GetLogs') == has(self.getLogs)",message="getLogs is required when action is GetLogs, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'Kubectl') == has(self.kubectl)",message="kubectl is required when action is Kubectl, and allowed only then"
// +kubebuilder:validation:XValidation:rule="(self.action == 'Exec') == has(self.exec)",message="exec is required when action is Exec, and allowed only then"
// +kubebuilder:validation:XValidation:rule="!self.dryRun || !(self.action in ['GetLogs', 'Kubectl', 'Exec'])",message="dryRun is not possible for GetLogs, Kubectl and Exec"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.approval)",optionalOldSelf=true,message="approval cannot be given when the command is created"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.approval) || (has(self.approval) && self.approval == oldSelf.approval)",message="approval is given once and cannot be changed or taken back"
type RemoteCommandSpec struct {
	// action is what to do. The member of the same name has the details.
	//   - RolloutRestart: replaces the pods of a workload, a few at a time
	//   - Scale: sets the number of replicas of a workload
	//   - SetImage: sets images of a workload's containers
	//   - RolloutUndo: takes a workload back to an earlier revision
	//   - RestartPod: deletes one pod, so that its owner replaces it
	//   - Cordon: keeps new pods off a node
	//   - Uncordon: lets new pods on a node again
	//   - Drain: evicts the pods of a node and keeps new ones off
	//   - Taint: adds and removes taints of a node
	//   - GetLogs: reads the log of a container
	//   - Kubectl: runs one of kubectl's reading commands
	//   - Exec: runs a program in a container
	// The ManagedCluster's spec.remoteCommands and the member's own list must both
	// allow it, and the requester needs the verb "execute" on the resource
	// "remotecommands/<action>", lower case.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Action RemoteAction `json:"action,omitempty"`

	// rolloutRestart replaces all pods of a workload, a few at a time, as its
	// update strategy says. The agent sets the annotation
	// kubectl.kubernetes.io/restartedAt of the pod template and does not wait for
	// the rollout. It fails if the workload does not exist, if a Deployment is
	// paused, or if the strategy is OnDelete, with which nothing would happen.
	// Required with action: RolloutRestart, and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	RolloutRestart *RolloutRestartAction `json:"rolloutRestart,omitempty"`

	// scale sets the number of replicas of a workload, through its scale
	// subresource, and does not wait for the pods. It fails if the workload does
	// not exist or has not currentReplicas; a HorizontalPodAutoscaler may set the
	// number back, which the result warns about. Required with action: Scale, and
	// allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Scale *ScaleAction `json:"scale,omitempty"`

	// setImage sets images of a workload's containers and does not wait for the
	// rollout. It fails, with no image changed, if the workload or one of the
	// containers does not exist. A GitOps tool that owns the workload sets them
	// back. Required with action: SetImage, and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	SetImage *SetImageAction `json:"setImage,omitempty"`

	// rolloutUndo takes a workload back to an earlier revision, as `kubectl
	// rollout undo` does, and does not wait for the rollout. It fails if the
	// revision is not kept any more (see revisionHistoryLimit), if there is no
	// earlier one, or if a Deployment is paused. A GitOps tool that owns the
	// workload sets it back. Required with action: RolloutUndo, and allowed only
	// then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	RolloutUndo *RolloutUndoAction `json:"rolloutUndo,omitempty"`

	// restartPod deletes one pod, so that its owner makes a new one. It fails if
	// the pod has another UID by now, and refuses a pod that nobody would replace.
	// It does not ask PodDisruptionBudgets. Required with action: RestartPod, and
	// allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	RestartPod *RestartPodAction `json:"restartPod,omitempty"`

	// cordon marks a node as unschedulable: it gets no new pods, and those it has
	// stay. It fails if the node does not exist; a node that is cordoned already
	// is a success. Required with action: Cordon, and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Cordon *CordonAction `json:"cordon,omitempty"`

	// uncordon marks a node as schedulable again. It fails if the node does not
	// exist; a node that is not cordoned is a success. Required with action:
	// Uncordon, and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Uncordon *UncordonAction `json:"uncordon,omitempty"`

	// drain cordons a node and evicts its pods through the eviction API, so that
	// PodDisruptionBudgets are kept. Mirror pods and pods of DaemonSets stay. It
	// fails, before any pod is evicted, if a pod would lose data (see
	// deleteEmptyDirData) or would not come back (see force), and it times out
	// while a PodDisruptionBudget holds a pod back. Whenever it fails, the node
	// stays cordoned and pods that were evicted stay evicted. It usually needs a
	// timeoutSeconds well above the default. Required with action: Drain, and
	// allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Drain *DrainAction `json:"drain,omitempty"`

	// taint adds taints to a node and removes some. It fails, with nothing
	// changed, if the node does not exist or keeps changing. A taint that is there
	// already, or one to remove that is not, is a success. With NoExecute the pods
	// that do not tolerate it are evicted at once, without regard to
	// PodDisruptionBudgets. Required with action: Taint, and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Taint *TaintAction `json:"taint,omitempty"`

	// getLogs reads the log of one container. It changes nothing. It fails if the
	// pod or the container does not exist, if the container has not started, or if
	// the node cannot be reached. The output is cut at limitBytes, keeping the
	// end, and credentials that are recognised are blanked out. Required with
	// action: GetLogs, and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	GetLogs *GetLogsAction `json:"getLogs,omitempty"`

	// kubectl runs one of kubectl's reading commands inside the agent, on
	// kubectl's own code: no shell, no program, no options but the fields below.
	// It changes nothing. It fails like kubectl: the resource does not exist, the
	// agent may not read it, a selector is wrong. Secrets are refused, and the
	// values of Secrets never appear in any output. The output is cut at 1 MiB.
	//
	// For example `kubectl get pods -n shop -o wide` is {verb: Get, args: [pods],
	// namespace: shop, output: Wide}, and `kubectl rollout status deploy/cart -n
	// shop` is {verb: RolloutStatus, args: [deploy/cart], namespace: shop}.
	// Required with action: Kubectl, and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Kubectl *KubectlAction `json:"kubectl,omitempty"`

	// exec runs a program in a container, without a shell, standard input or
	// terminal. It is off unless the member cluster's own list allows it; the hub
	// cannot switch it on. It fails if the pod has another UID by now, if the
	// container does not run, if the program does not exist or ends with another
	// status than 0. On timeout the connection is closed, but the program may go
	// on. Its output, standard output and error together, is cut at 1 MiB, and
	// credentials that are recognised are blanked out. Required with action: Exec,
	// and allowed only then.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Exec *ExecAction `json:"exec,omitempty"`

	// dryRun asks the member's API server to check the change and not to make it.
	// Not with GetLogs, Kubectl and Exec. Defaults to false.
	// +optional
	// +default=false
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	DryRun *bool `json:"dryRun,omitempty"`

	// reason says why, for the approver and the audit log, such as a ticket's
	// number and a few words. From 8 to 512 characters.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	Reason string `json:"reason,omitempty"`

	// requestedBy is who asks. Admission refuses any other name than that of the
	// user who creates the command.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	RequestedBy Requester `json:"requestedBy,omitzero"`

	// startDeadlineSeconds is how long, from creation and by the hub's clock, the
	// agent may take to claim the command, approval included. Later it expires and
	// never runs, so that a cluster that comes back after a day does not obey
	// yesterday's orders. From 10 to 86400. Defaults to 300.
	// +optional
	// +default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	StartDeadlineSeconds int32 `json:"startDeadlineSeconds,omitempty"`

	// timeoutSeconds is how long the action may take once claimed. What was done
	// by then stays done. From 1 to 3600. Defaults to 60.
	// +optional
	// +default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// ttlSecondsAfterFinished is how long the object is kept after it has finished;
	// the audit log and the output stay in the history. From 60 to 7776000. Defaults
	// to 604800, a week.
	// +optional
	// +default=604800
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=7776000
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a command cannot be changed: create a new one"
	TTLSecondsAfterFinished int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// approval is the decision of somebody who may approve, where the
	// ManagedCluster's spec.remoteCommands.approvalRequiredFor asks for one. It is
	// given once, by an update, by somebody other than the requester.
	// +optional
	Approval *CommandApproval `json:"approval,omitempty"`

	// cancel asks to stop. A command that is not claimed never runs; one that is
	// stops if it still can, and what it did stays done. It can be set to true but
	// not back. Defaults to false.
	// +optional
	// +default=false
	// +kubebuilder:validation:XValidation:rule="self || !oldSelf",message="cancel cannot be taken back"
	Cancel *bool `json:"cancel,omitempty"`
}

// RemoteCommand asks the agent of one cluster to do one thing, once.
//
// It lives in the cluster's namespace on the hub, atlhyper-cluster-NAME. The hub
// checks it against the ManagedCluster's allow-list and waits for approval where
// that is required; the agent claims it before it acts, checks it against the
// member's own allow-list, acts, and writes the result. There is no shell and no
// free-form command: every action is typed.
//
// A command runs at most once. One that is not claimed in time expires, one that
// was interrupted is not retried, and one that is deleted and created again under
// the same name is skipped.
//
// Ready is True when the command succeeded; a command that ended otherwise is
// Stalled, and the reason says how.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=rcmd,categories=atlhyper
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.status.target`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Requested-By",type=string,JSONPath=`.spec.requestedBy.username`
// +kubebuilder:printcolumn:name="Approved-By",type=string,JSONPath=`.spec.approval.by`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`,priority=1
// +kubebuilder:printcolumn:name="Milliseconds",type=integer,JSONPath=`.status.durationMilliseconds`,description="How long the action took."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RemoteCommand struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what to do, and on whose account.
	// +required
	Spec RemoteCommandSpec `json:"spec,omitzero"`

	// status is what became of it.
	// +optional
	// +default={"observedGeneration":-1}
	Status RemoteCommandStatus `json:"status,omitzero"`
}

// RemoteCommandList is a list of RemoteCommands.
// +kubebuilder:object:root=true
type RemoteCommandList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []RemoteCommand `json:"items"`
}
