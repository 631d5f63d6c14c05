// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// conditionTypes are the conditions that the agent writes, in their order.
var conditionTypes = []string{
	v1alpha1.ClusterConditionAPIServerHealthy,
	v1alpha1.ClusterConditionNodesHealthy,
	v1alpha1.ClusterConditionInventorySynced,
}

func conditions(snapshot inventory.Snapshot, previous []metav1.Condition, now time.Time) []metav1.Condition {
	verdicts := []metav1.Condition{apiServerHealthy(snapshot.APIServer), nodesHealthy(snapshot), inventorySynced(snapshot)}
	for i := range verdicts {
		c := &verdicts[i]
		c.Type = conditionTypes[i]
		c.Message = truncate(c.Message, maxMessage)
		before := find(previous, c.Type)
		switch {
		case before != nil && before.Status == c.Status:
			c.LastTransitionTime = before.LastTransitionTime
		case c.LastTransitionTime.IsZero() || c.LastTransitionTime.After(now):
			c.LastTransitionTime = seconds(now)
		}
	}
	return verdicts
}

func apiServerHealthy(health inventory.APIServerHealth) metav1.Condition {
	switch {
	case health.Healthy == nil:
		return verdict(metav1.ConditionUnknown, v1alpha1.ClusterReasonNotReported, "the agent has not finished its first health check")
	case *health.Healthy:
		c := verdict(metav1.ConditionTrue, v1alpha1.ClusterReasonLivezOK, "the API server answers its health checks")
		c.LastTransitionTime = since(health.Since)
		return c
	default:
		message := "the API server fails its health checks"
		if health.Message != "" {
			message = "the API server fails its health checks: " + health.Message
		}
		c := verdict(metav1.ConditionFalse, v1alpha1.ClusterReasonLivezFailed, message)
		c.LastTransitionTime = since(health.Since)
		return c
	}
}

func nodesHealthy(snapshot inventory.Snapshot) metav1.Condition {
	nodes := snapshot.Nodes
	switch {
	case slices.Contains(snapshot.Stale, "nodes"):
		return verdict(metav1.ConditionUnknown, v1alpha1.ClusterReasonInventoryStale, "the agent cannot read nodes at the moment")
	case nodes == nil:
		return verdict(metav1.ConditionUnknown, v1alpha1.ClusterReasonNotReported, "the agent has not listed the nodes yet")
	case nodes.Total == 0:
		return verdict(metav1.ConditionUnknown, v1alpha1.ClusterReasonNoNodes, "the cluster has no nodes")
	case nodes.Ready < nodes.Total:
		return verdict(metav1.ConditionFalse, v1alpha1.ClusterReasonNodesNotReady,
			fmt.Sprintf("%d of %d nodes are not Ready", nodes.Total-nodes.Ready, nodes.Total))
	default:
		return verdict(metav1.ConditionTrue, v1alpha1.ClusterReasonAllNodesReady, "all nodes are Ready")
	}
}

func inventorySynced(snapshot inventory.Snapshot) metav1.Condition {
	switch {
	case len(snapshot.Stale) > 0:
		return verdict(metav1.ConditionFalse, v1alpha1.ClusterReasonInventoryStale,
			"the agent cannot read "+strings.Join(snapshot.Stale, ", ")+" at the moment; what is reported of them is old or missing")
	case !snapshot.Synced:
		return verdict(metav1.ConditionFalse, v1alpha1.ClusterReasonInventorySyncing, "the first listing is under way")
	default:
		return verdict(metav1.ConditionTrue, v1alpha1.ClusterReasonInventoryCurrent, "the agent watches every kind it reports about")
	}
}

func verdict(status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Status: status, Reason: reason, Message: message}
}

// since is the zero time for the zero time.
func since(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.Time{}
	}
	return seconds(t)
}

func find(conditions []metav1.Condition, kind string) *metav1.Condition {
	i := slices.IndexFunc(conditions, func(c metav1.Condition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &conditions[i]
}
