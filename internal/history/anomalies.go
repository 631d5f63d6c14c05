// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Anomaly is a transition of an anomaly, or one that is open as it stands.
type Anomaly struct {
	// Cluster it is in.
	Cluster ClusterUID
	// At is when the transition happened, on the agent's clock.
	At time.Time
	// Epoch of the record.
	Epoch telemetry.Epoch
	// Seq is the sequence number of the record.
	Seq uint64
	// AnomalyTransition is what was said.
	telemetry.AnomalyTransition
}

// AnomalyQuery asks for anomalies. Empty filters match everything.
type AnomalyQuery struct {
	// Cluster is required.
	Cluster ClusterUID
	// Range is required for transitions and not used for open anomalies.
	Range Range
	// Namespaces of the objects; "" stands for objects without.
	Namespaces []string
	// Rules to look for.
	Rules []string
	// MinSeverity leaves out what is less severe; 0 for all.
	MinSeverity telemetry.Severity
	// Paging bounds the result.
	Paging
}

// AnomalyReader reads anomalies.
type AnomalyReader interface {
	// OpenAnomalies returns the anomalies that are not cleared, the most severe
	// first, then by rule and fingerprint. Those of an agent that is away stay
	// open: absence is not health.
	OpenAnomalies(ctx context.Context, q AnomalyQuery) (Page[Anomaly], error)
	// AnomalyTransitions returns transitions, newest first.
	AnomalyTransitions(ctx context.Context, q AnomalyQuery) (Page[Anomaly], error)
}
