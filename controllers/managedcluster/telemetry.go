// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// ErrTelemetryUnavailable says that history's database can take or tell nothing
// now and may later.
var ErrTelemetryUnavailable = errors.New("the history's database is unavailable")

// Telemetry says what has arrived of a cluster.
type Telemetry interface {
	// Received returns what has arrived of the cluster with that name and
	// kube-system UID. It is asked about every 5 minutes per connected cluster, and
	// answers within 5 s or counts as unavailable. An error that wraps
	// ErrTelemetryUnavailable means that the database is away: also when it could
	// be read but takes nothing. Any other error leaves the conditions as they are.
	Received(ctx context.Context, name string, clusterID types.UID) (Received, error)
}

// Received is what has arrived of a cluster.
type Received struct {
	// LastStored is when a batch of any stream was stored last, by any replica, on
	// the hub's clock; zero for never.
	LastStored time.Time
	// LastRefused is when this replica refused a batch last for a reason that lies
	// with the cluster and that waiting does not cure; zero for never. Being asked
	// to slow down is no such reason.
	LastRefused time.Time
	// Refusal is that reason, in words that stay the same while the reason does.
	Refusal string
	// ClockAhead is how far the cluster's clock is at least ahead of the hub's;
	// negative when it is behind, or when everything that came was late.
	ClockAhead time.Duration
	// ClockObserved is when that was found; zero when nothing is known.
	ClockObserved time.Time
}

const (
	// samplesGrace is how long nothing may be stored of a cluster whose node
	// collectors measure every 15 s.
	samplesGrace = 5 * time.Minute
	// refusalHold is for how long a refusal that was reported counts although something
	// of the cluster was stored since: one stream may be refused while others are not.
	refusalHold = 5 * time.Minute
	// maxReason bounds what is shown of words that came from elsewhere.
	maxReason = 256
)

// TelemetryState says how much is known of what has arrived.
type TelemetryState string

const (
	// TelemetryKnown means that Received holds.
	TelemetryKnown TelemetryState = "Known"
	// TelemetryUnsure means that it cannot be told for the moment: what was reported
	// before stays.
	TelemetryUnsure TelemetryState = "Unsure"
	// TelemetryAway means that the database is away.
	TelemetryAway TelemetryState = "Away"
)

// TelemetryView is what this process knows of what has arrived of a cluster.
type TelemetryView struct {
	// State says how much that is.
	State TelemetryState
	// Received is what has arrived, when State is Known.
	Received Received
	// Asked is when Received was true.
	Asked time.Time
	// StorableSince is since when this process knows that the history took what
	// came. Silence before that is no evidence.
	StorableSince time.Time
	// NextCheck is when to look again; zero for never.
	NextCheck time.Time
}

// TelemetryInput is what the conditions about telemetry and clocks rest on.
type TelemetryInput struct {
	// View is what is known of what has arrived; nil when the hub keeps no history.
	View *TelemetryView
	// Connected is the status of the Connected condition.
	Connected bool
	// ConnectedSince is when it became so.
	ConnectedSince time.Time
	// Measured says that node collectors report to the agent, so that something
	// has to arrive every 15 s.
	Measured bool
	// Delivery is what the agent says about its deliveries, or nil.
	Delivery *v1alpha1.AgentDelivery
	// Lease is what the renewals of the Lease say about the cluster's clock.
	Lease ClockReading
	// Previous are the conditions as they were reported.
	Previous []metav1.Condition
}

// TelemetryVerdict is what is to be reported about telemetry and clocks.
type TelemetryVerdict struct {
	// Conditions have type, status, reason and message. What is missing is to be
	// removed.
	Conditions []metav1.Condition
	// NextCheck is when to look again; zero for never.
	NextCheck time.Time
}

// JudgeTelemetry decides on MetricsFlowing, Degraded and ClockSynced. It claims that
// telemetry does not flow only on evidence: a cluster in which nothing changes has
// nothing to send for hours.
func JudgeTelemetry(in TelemetryInput, now time.Time) TelemetryVerdict {
	var out TelemetryVerdict
	add := func(c *metav1.Condition) {
		if c != nil {
			out.Conditions = append(out.Conditions, *c)
		}
	}
	if view := in.View; view != nil {
		out.NextCheck = view.NextCheck
		add(judgeFlow(in))
		add(judgeDegraded(in, now))
	}
	add(judgeClock(in))
	return out
}

func say(kind string, status metav1.ConditionStatus, reason, message string) *metav1.Condition {
	return &metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// judgeFlow decides on MetricsFlowing; nil when nothing can be said.
func judgeFlow(in TelemetryInput) *metav1.Condition {
	const kind = v1alpha1.ClusterConditionMetricsFlowing
	previous := meta.FindStatusCondition(in.Previous, kind)
	switch {
	case !in.Connected:
		return say(kind, metav1.ConditionUnknown, v1alpha1.ClusterReasonNotConnected,
			"the cluster is not connected; what its agent keeps on disk is delivered when it is back")
	case in.View.State == TelemetryAway:
		return say(kind, metav1.ConditionUnknown, v1alpha1.ClusterReasonDatabaseUnavailable, "the database of the history is away, see Degraded")
	case in.View.State == TelemetryUnsure && previous != nil && previous.Reason == v1alpha1.ClusterReasonNotConnected:
		return say(kind, metav1.ConditionUnknown, v1alpha1.ClusterReasonAwaitingTelemetry,
			"the cluster is connected; what has arrived of it could not be read yet")
	case in.View.State == TelemetryUnsure:
		return previous
	}
	received, delivery := in.View.Received, in.Delivery
	switch {
	case refused(in.View, previous):
		return say(kind, metav1.ConditionFalse, v1alpha1.ClusterReasonIngestRejected,
			because("the hub refuses what the agent delivers", received.Refusal))
	case delivery != nil && delivery.FailingSince != nil:
		return say(kind, metav1.ConditionFalse, v1alpha1.ClusterReasonSamplesStale, failingMessage(delivery))
	case silent(in, previous):
		return say(kind, metav1.ConditionFalse, v1alpha1.ClusterReasonSamplesStale,
			fmt.Sprintf("node collectors measure, but nothing was stored for more than %s", samplesGrace))
	case received.LastStored.IsZero():
		return say(kind, metav1.ConditionUnknown, v1alpha1.ClusterReasonAwaitingTelemetry, "nothing of the cluster was stored yet")
	}
	return say(kind, metav1.ConditionTrue, v1alpha1.ClusterReasonSamplesFresh, "telemetry of the cluster is stored")
}

// refused says whether what the cluster delivers is refused now.
func refused(view *TelemetryView, previous *metav1.Condition) bool {
	received := view.Received
	switch {
	case received.LastRefused.IsZero():
		return false
	case received.LastRefused.After(received.LastStored):
		return true
	}
	return previous != nil && previous.Reason == v1alpha1.ClusterReasonIngestRejected &&
		view.Asked.Before(received.LastRefused.Add(refusalHold))
}

// silent says whether samples that must come do not.
func silent(in TelemetryInput, previous *metav1.Condition) bool {
	if !in.Measured {
		return false
	}
	began := in.View.Received.LastStored
	if previous == nil || previous.Reason != v1alpha1.ClusterReasonSamplesStale {
		// Nobody could have delivered before that.
		for _, t := range []time.Time{in.View.StorableSince, in.ConnectedSince} {
			if t.After(began) {
				began = t
			}
		}
	}
	return in.View.Asked.Sub(began) > samplesGrace
}

func failingMessage(d *v1alpha1.AgentDelivery) string {
	return because(fmt.Sprintf("the agent has not been able to deliver since %s by its clock, and keeps its telemetry on disk",
		d.FailingSince.UTC().Format(time.RFC3339)), d.Problem)
}

// judgeDegraded decides on Degraded; nil while nothing is.
func judgeDegraded(in TelemetryInput, now time.Time) *metav1.Condition {
	const kind = v1alpha1.ClusterConditionDegraded
	previous := meta.FindStatusCondition(in.Previous, kind)
	known := previous != nil && previous.Reason == v1alpha1.ClusterReasonDatabaseUnavailable
	switch {
	case !in.Connected, in.View.State == TelemetryKnown, in.View.State == TelemetryUnsure && !known:
		return nil
	case known:
		return previous
	}
	return say(kind, metav1.ConditionTrue, v1alpha1.ClusterReasonDatabaseUnavailable, fmt.Sprintf(
		"the database of the history has been away since %s: agents keep their telemetry on disk and deliver it later; everything but history works",
		now.UTC().Format(time.RFC3339)))
}

// because adds a reason, in words that came from elsewhere, on one line and not at
// any length.
func because(message, reason string) string {
	reason = strings.Join(strings.Fields(reason), " ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	if reason == "" {
		return message
	}
	return message + ": " + reason
}
