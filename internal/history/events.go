// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Event is a Kubernetes event as it stood last.
type Event struct {
	// Cluster it is of.
	Cluster ClusterUID
	// Event is what was said last.
	telemetry.Event
}

// EventQuery asks for events. Empty filters match everything.
type EventQuery struct {
	// Cluster is required.
	Cluster ClusterUID
	// Range of LastSeen is required.
	Range Range
	// Namespaces of the regarding objects; "" stands for objects without.
	Namespaces []string
	// Kinds of the regarding objects.
	Kinds []string
	// Reasons to look for.
	Reasons []string
	// Name and UID are those of the regarding object.
	Name, UID string
	// Type is Normal or Warning; 0 for both.
	Type telemetry.EventType
	// Paging bounds the result, newest LastSeen first. An event that happens
	// again while somebody pages moves to the front.
	Paging
}

// EventReader reads events.
type EventReader interface {
	// Events returns events of a cluster.
	Events(ctx context.Context, q EventQuery) (Page[Event], error)
}
