// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func TestJudgeSkew(t *testing.T) {
	for _, c := range []struct{ hub, agent, want string }{
		{"v1.5.0", "", "Unknown/NotReported"},
		{"v1.5.0", "v1.5.0", "True/InSkew"},
		{"v1.5.0", "v1.5.9", "True/InSkew"},
		{"v1.5.0", "v1.3.0", "True/InSkew"},
		{"v1.5.0", "v1.2.9", "False/TooOld"},
		{"v1.5.0", "v1.6.0", "False/TooNew"},
		{"v1.5.0", "v2.0.0", "False/TooNew"},
		{"v2.0.0", "v1.9.0", "False/TooOld"},
		{"v1.1.0", "v1.0.0-rc.1", "True/InSkew"},
		{"v1.5.0", "v0.0.0-dev", "Unknown/UnknownVersion"},
		{"v0.0.0-dev", "v1.5.0", "Unknown/UnknownVersion"},
		{"v0.0.0-dev", "v0.0.0-dev", "True/InSkew"},
		{"v1.5.0", "latest", "Unknown/UnknownVersion"},
		{"v1.5.0", "v1.5", "Unknown/UnknownVersion"},
	} {
		status, reason, message := JudgeSkew(c.hub, c.agent)
		if got := string(status) + "/" + reason; got != c.want || message == "" {
			t.Errorf("hub %s, agent %s: got %s (%s), want %s", c.hub, c.agent, got, message, c.want)
		}
	}
}

func TestDecideJoin(t *testing.T) {
	later := noon.Add(time.Hour)
	for name, c := range map[string]struct {
		in   JoinInput
		want Join
	}{
		"nothing asked":       {JoinInput{Member: true}, Join{}},
		"asked":               {JoinInput{Member: true, Requested: "a"}, Join{Issue: true}},
		"answered":            {JoinInput{Member: true, Requested: "a", Answered: "a", OpenUntil: later}, Join{NextCheck: later}},
		"used":                {JoinInput{Member: true, Requested: "a", Answered: "a", OpenUntil: later, Joined: "a"}, Join{Withdraw: true}},
		"used and withdrawn":  {JoinInput{Member: true, Requested: "a", Answered: "a", Joined: "a"}, Join{}},
		"expired":             {JoinInput{Member: true, Requested: "a", Answered: "a", OpenUntil: noon}, Join{Withdraw: true}},
		"expired, withdrawn":  {JoinInput{Member: true, Requested: "a", Answered: "a"}, Join{}},
		"asked again":         {JoinInput{Member: true, Requested: "b", Answered: "a", OpenUntil: later, Joined: "a"}, Join{Issue: true}},
		"used, marks lost":    {JoinInput{Member: true, Requested: "a", Joined: "a"}, Join{}},
		"another one used":    {JoinInput{Member: true, Requested: "b", Answered: "b", OpenUntil: later, Joined: "a"}, Join{NextCheck: later}},
		"request taken back":  {JoinInput{Member: true, Answered: "a", OpenUntil: later}, Join{NextCheck: later}},
		"denied with a token": {JoinInput{Requested: "b", Answered: "a", OpenUntil: later}, Join{Withdraw: true}},
		"denied without one":  {JoinInput{Requested: "b"}, Join{}},
	} {
		if diff := cmp.Diff(c.want, DecideJoin(c.in, noon)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNextDeletion(t *testing.T) {
	reachable := DeletionInput{DeletedAt: noon, AgentReachable: true}
	with := func(change func(*DeletionInput)) DeletionInput {
		in := reachable
		change(&in)
		return in
	}
	deadline := noon.Add(300 * time.Second)
	for name, c := range map[string]struct {
		in             DeletionInput
		after          time.Duration
		reason         string
		revoke, finish bool
		next           time.Time
	}{
		"connected":                {in: reachable, reason: v1alpha1.ClusterReasonWaitingForAgent, next: deadline},
		"said goodbye":             {in: with(func(in *DeletionInput) { in.Released = true }), reason: v1alpha1.ClusterReasonRemovingNamespace, revoke: true, next: deadline},
		"offline":                  {in: DeletionInput{DeletedAt: noon}, reason: v1alpha1.ClusterReasonRemovingNamespace, revoke: true, next: deadline},
		"nothing left":             {in: DeletionInput{DeletedAt: noon, NamespaceGone: true}, reason: v1alpha1.ClusterReasonRemovingNamespace, revoke: true, finish: true},
		"just before the deadline": {in: reachable, after: 300*time.Second - 1, reason: v1alpha1.ClusterReasonWaitingForAgent, next: deadline},
		"at the deadline":          {in: reachable, after: 300 * time.Second, reason: v1alpha1.ClusterReasonRemovingNamespace, revoke: true, finish: true},
		"forced":                   {in: with(func(in *DeletionInput) { in.Forced = true }), reason: v1alpha1.ClusterReasonRemovingNamespace, revoke: true, finish: true},
		"no cleanup wanted": {
			in: with(func(in *DeletionInput) {
				in.Policy = &v1alpha1.ClusterDeletionPolicy{AgentCleanup: v1alpha1.AgentCleanupNone}
			}),
			reason: v1alpha1.ClusterReasonRemovingNamespace, revoke: true, next: deadline,
		},
		"a deadline of its own": {
			in:     with(func(in *DeletionInput) { in.Policy = &v1alpha1.ClusterDeletionPolicy{TimeoutSeconds: 7} }),
			reason: v1alpha1.ClusterReasonWaitingForAgent, next: noon.Add(7 * time.Second),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := NextDeletion(c.in, noon.Add(c.after))
			if got.Reason != c.reason || got.Revoke != c.revoke || got.Finish != c.finish || !got.NextCheck.Equal(c.next) || got.Message == "" {
				t.Errorf("got %+v", got)
			}
		})
	}
}
