// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// maxMinorSkew is how many minor versions an agent may be older than the hub.
const maxMinorSkew = 2

// JudgeSkew compares the versions of the hub and of an agent, both in semantic
// versioning with a leading v, and returns status, reason and message of the
// AgentCompatible condition. An empty agent version means that it has not
// reported one.
func JudgeSkew(hub, agent string) (metav1.ConditionStatus, string, string) {
	if agent == "" {
		return metav1.ConditionUnknown, v1alpha1.ClusterReasonNotReported, "the agent has not reported its version yet"
	}
	if agent == hub {
		return metav1.ConditionTrue, v1alpha1.ClusterReasonInSkew, fmt.Sprintf("agent and hub are both %s", hub)
	}
	h, hubOK := release(hub)
	a, agentOK := release(agent)
	if !hubOK || !agentOK {
		return metav1.ConditionUnknown, v1alpha1.ClusterReasonUnknownVersion,
			fmt.Sprintf("agent %s and hub %s cannot be compared, because one of them is not a release", agent, hub)
	}
	switch {
	case a.Major() > h.Major(), a.Major() == h.Major() && a.Minor() > h.Minor():
		return metav1.ConditionFalse, v1alpha1.ClusterReasonAgentTooNew,
			fmt.Sprintf("agent %s is newer than hub %s: upgrade the hub first", agent, hub)
	case a.Major() < h.Major(), a.Minor()+maxMinorSkew < h.Minor():
		return metav1.ConditionFalse, v1alpha1.ClusterReasonAgentTooOld,
			fmt.Sprintf("agent %s is more than %d minor versions older than hub %s: upgrade the agent", agent, maxMinorSkew, hub)
	}
	return metav1.ConditionTrue, v1alpha1.ClusterReasonInSkew,
		fmt.Sprintf("agent %s is within %d minor versions of hub %s", agent, maxMinorSkew, hub)
}

// release parses the version of a release. Builds between releases are v0.0.0
// with a suffix, which says nothing about their age.
func release(s string) (*version.Version, bool) {
	v, err := version.ParseSemantic(s)
	if err != nil || (v.Major() == 0 && v.Minor() == 0 && v.Patch() == 0) {
		return nil, false
	}
	return v, true
}
