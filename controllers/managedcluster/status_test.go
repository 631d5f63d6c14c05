// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// asWritten returns a cluster whose status is what the hub would have written.
func asWritten(mc *v1alpha1.ManagedCluster, r Report) *v1alpha1.ManagedCluster {
	out := mc.DeepCopy()
	out.Status.ObservedGeneration = &r.ObservedGeneration
	out.Status.Namespace, out.Status.ClusterID = r.Namespace, r.ClusterID
	out.Status.ConflictingClusterID, out.Status.LastHeartbeatTime = r.ConflictingClusterID, r.LastHeartbeat
	for _, kind := range hubConditions {
		meta.RemoveStatusCondition(&out.Status.Conditions, kind)
	}
	out.Status.Conditions = append(out.Status.Conditions, r.Conditions...)
	return out
}

func healthy(last time.Time) Verdict {
	return Verdict{
		Membership: MembershipAccepted, Identity: Identity{Pinned: idA},
		Health: Health{Status: metav1.ConditionTrue, Reason: v1alpha1.ClusterReasonLeaseRenewed, Message: "renewed", LastHeartbeat: last},
	}
}

// progress is what kstatus, which tools that apply and wait use, makes of a cluster.
func progress(t *testing.T, mc *v1alpha1.ManagedCluster) kstatus.Status {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(mc)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: content}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ManagedCluster"))
	result, err := kstatus.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

func TestBuildReport(t *testing.T) {
	agentSays := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ClusterConditionAPIServerHealthy, Status: status, Reason: reason, Message: "m"}}
	}
	silent := healthy(noon)
	silent.Health = Health{Status: metav1.ConditionFalse, Reason: v1alpha1.ClusterReasonLeaseExpired, Message: "silent"}
	cloned := healthy(noon)
	cloned.Identity.Conflicting, cloned.Identity.Conflict = idB, "two of them"
	waiting := healthy(noon)
	waiting.Wait = true
	never := Verdict{Membership: MembershipAwaiting, Health: Health{Status: metav1.ConditionUnknown, Reason: v1alpha1.ClusterReasonNeverJoined, Message: "never"}}
	denied := silent
	denied.Membership = MembershipDenied
	leaving := Deletion{Reason: v1alpha1.ClusterReasonWaitingForAgent, Message: "waiting"}
	for name, c := range map[string]struct {
		facts   Facts
		agent   []metav1.Condition
		deleted bool
		want    map[string]string
		kstatus kstatus.Status
	}{
		"in the best of states": {
			facts: Facts{Verdict: healthy(noon)}, agent: agentSays("True", "LivezOK"), kstatus: kstatus.CurrentStatus,
			want: map[string]string{"Ready": "True/Provisioned", "Accepted": "True/Accepted", "Connected": "True/LeaseRenewed", "Available": "True/Available", "AgentCompatible": "Unknown/NotReported"},
		},
		"its API server is ill": {
			facts: Facts{Verdict: healthy(noon)}, agent: agentSays("False", "LivezFailed"), kstatus: kstatus.CurrentStatus,
			want: map[string]string{"Ready": "True/Provisioned", "Accepted": "True/Accepted", "Connected": "True/LeaseRenewed", "Available": "False/LivezFailed", "AgentCompatible": "Unknown/NotReported"},
		},
		"its agent has said nothing": {
			facts: Facts{Verdict: healthy(noon)}, kstatus: kstatus.CurrentStatus,
			want: map[string]string{"Ready": "True/Provisioned", "Accepted": "True/Accepted", "Connected": "True/LeaseRenewed", "Available": "Unknown/NotReported", "AgentCompatible": "Unknown/NotReported"},
		},
		"silent, which is no reason to hold a sync": {
			facts: Facts{Verdict: silent}, agent: agentSays("True", "LivezOK"), kstatus: kstatus.CurrentStatus,
			want: map[string]string{"Ready": "True/Provisioned", "Accepted": "True/Accepted", "Connected": "False/LeaseExpired", "Available": "Unknown/LeaseExpired", "AgentCompatible": "Unknown/NotReported"},
		},
		"awaiting approval": {
			facts: Facts{Verdict: never}, kstatus: kstatus.InProgressStatus,
			want: map[string]string{"Ready": "False/AwaitingApproval", "Accepted": "Unknown/AwaitingApproval", "Connected": "Unknown/NeverJoined", "Available": "Unknown/NeverJoined", "AgentCompatible": "Unknown/NotReported"},
		},
		"denied": {
			facts: Facts{Verdict: denied}, kstatus: kstatus.InProgressStatus,
			want: map[string]string{"Ready": "False/Denied", "Accepted": "False/Denied", "Connected": "False/LeaseExpired", "Available": "Unknown/LeaseExpired", "AgentCompatible": "Unknown/NotReported"},
		},
		"cloned": {
			facts: Facts{Verdict: cloned}, agent: agentSays("True", "LivezOK"), kstatus: kstatus.FailedStatus,
			want: map[string]string{"Ready": "False/IdentityConflict", "Stalled": "True/IdentityConflict", "Accepted": "False/IdentityConflict", "Connected": "True/LeaseRenewed", "Available": "True/Available", "AgentCompatible": "Unknown/NotReported"},
		},
		"not provisioned": {
			facts: Facts{Verdict: healthy(noon), ProvisionError: errors.New("no")}, agent: agentSays("True", "LivezOK"), kstatus: kstatus.InProgressStatus,
			want: map[string]string{"Ready": "False/ProvisionFailed", "Reconciling": "True/ProvisionFailed", "Accepted": "True/Accepted", "Connected": "True/LeaseRenewed", "Available": "True/Available", "AgentCompatible": "Unknown/NotReported"},
		},
		"its old namespace still goes": {
			facts: Facts{Verdict: waiting}, agent: agentSays("True", "LivezOK"), kstatus: kstatus.InProgressStatus,
			want: map[string]string{"Ready": "False/Provisioning", "Reconciling": "True/Provisioning", "Accepted": "True/Accepted", "Connected": "True/LeaseRenewed", "Available": "True/Available", "AgentCompatible": "Unknown/NotReported"},
		},
		"being deleted": {
			facts: Facts{Verdict: healthy(noon), Deletion: &leaving}, agent: agentSays("True", "LivezOK"), deleted: true, kstatus: kstatus.TerminatingStatus,
			want: map[string]string{"Ready": "False/WaitingForAgent", "Deleting": "True/WaitingForAgent", "Accepted": "True/Accepted", "Connected": "True/LeaseRenewed", "Available": "True/Available", "AgentCompatible": "Unknown/NotReported"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "x", Generation: 7}}
			mc.Status.Conditions = c.agent
			if c.deleted {
				mc.DeletionTimestamp = new(metav1.NewTime(noon))
			}
			c.facts.HubVersion = "v1.0.0"
			report := BuildReport(mc, c.facts, noon)
			got := map[string]string{}
			for _, condition := range report.Conditions {
				got[condition.Type] = string(condition.Status) + "/" + condition.Reason
				if condition.ObservedGeneration != 7 || condition.Message == "" || !condition.LastTransitionTime.Time.Equal(noon) {
					t.Errorf("incomplete: %+v", condition)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			written := asWritten(mc, report)
			if s := progress(t, written); s != c.kstatus {
				t.Errorf("kstatus %s, want %s", s, c.kstatus)
			}
			if again := BuildReport(written, c.facts, noon.Add(time.Hour)); !again.Equal(ReportOf(&written.Status)) {
				t.Errorf("would be written again:\n%s", cmp.Diff(ReportOf(&written.Status), again))
			}
		})
	}
}

func TestUnseenClusterIsInProgress(t *testing.T) {
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
	mc.Status.ObservedGeneration = new(int64(-1))
	if got := progress(t, mc); got != kstatus.InProgressStatus {
		t.Errorf("got %s", got)
	}
}

func TestHeartbeatIsWrittenRarely(t *testing.T) {
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "x", Generation: 1}}
	mc = asWritten(mc, BuildReport(mc, Facts{Verdict: healthy(noon)}, noon))
	writes := 0
	for second := range 3600 {
		now := noon.Add(time.Duration(second) * time.Second)
		r := BuildReport(mc, Facts{Verdict: healthy(now.Add(300 * time.Millisecond))}, now)
		if !r.Equal(ReportOf(&mc.Status)) {
			writes++
			mc = asWritten(mc, r)
		}
	}
	if writes != 11 {
		t.Errorf("%d writes in an hour, want one every 5 minutes", writes)
	}
	silent := healthy(noon.Add(3601 * time.Second))
	silent.Health.Status, silent.Health.Reason = metav1.ConditionFalse, v1alpha1.ClusterReasonLeaseExpired
	if r := BuildReport(mc, Facts{Verdict: silent}, noon.Add(2*time.Hour)); !r.LastHeartbeat.Time.Equal(noon.Add(3601 * time.Second)) {
		t.Errorf("not written when Connected changed: %v", r.LastHeartbeat)
	}
}

func TestTransitionTimes(t *testing.T) {
	mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "x", Generation: 1}}
	mc = asWritten(mc, BuildReport(mc, Facts{Verdict: healthy(noon)}, noon))
	mc.Generation = 2
	later := noon.Add(time.Hour)
	v := healthy(noon)
	v.Health.Message = "another message"
	report := BuildReport(mc, Facts{Verdict: v}, later)
	c := meta.FindStatusCondition(report.Conditions, v1alpha1.ClusterConditionConnected)
	if !c.LastTransitionTime.Time.Equal(noon) || c.ObservedGeneration != 2 || c.Message != "another message" {
		t.Errorf("a change of message moved the transition: %+v", c)
	}
	v.Health.Status = metav1.ConditionFalse
	c = meta.FindStatusCondition(BuildReport(mc, Facts{Verdict: v}, later).Conditions, v1alpha1.ClusterConditionConnected)
	if !c.LastTransitionTime.Time.Equal(later) {
		t.Errorf("a change of status did not: %+v", c)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	mc := &v1alpha1.ManagedCluster{}
	r := BuildReport(mc, Facts{Verdict: healthy(noon), ProvisionError: errors.New(strings.Repeat("é", 40_000))}, noon)
	for _, c := range r.Conditions {
		if len(c.Message) > maxMessage {
			t.Errorf("%s has a message of %d bytes", c.Type, len(c.Message))
		}
	}
}
