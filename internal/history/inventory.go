// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package history

import (
	"context"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Object is an object as the hub last heard of it.
type Object struct {
	// Cluster it is in.
	Cluster ClusterUID
	// ObjectDelta is what was said last; its Op is OpDelete once it is gone.
	telemetry.ObjectDelta
	// FirstSeen is when the hub's history of it begins, on the agent's clock.
	FirstSeen time.Time
	// Changed is when it was last different from before.
	Changed time.Time
	// Gone is when its deletion was noticed; zero while it exists.
	Gone time.Time
}

// ObjectChange is one step in the life of an object.
type ObjectChange struct {
	// Cluster it is in.
	Cluster ClusterUID
	// At is when the agent saw it.
	At time.Time
	// Epoch and Seq are those of the record.
	Epoch telemetry.Epoch
	// Seq is the sequence number; that of the snapshot's end for an object that
	// was found missing.
	Seq uint64
	// ObjectDelta is how the object looked after it, or OpDelete.
	telemetry.ObjectDelta
}

// ObjectQuery asks for objects. Empty filters match everything.
type ObjectQuery struct {
	// Cluster is required.
	Cluster ClusterUID
	// Kinds, Namespaces and Phases are lists of which one has to match. A
	// namespace "" stands for objects without.
	Kinds []telemetry.Kind
	// Namespaces to look in.
	Namespaces []string
	// Phases to look for.
	Phases []string
	// Node is where a pod runs.
	Node string
	// NamePrefix is how the name begins.
	NamePrefix string
	// Ready is the readiness to look for; nil for any.
	Ready *telemetry.Readiness
	// Deleted includes objects that are gone.
	Deleted bool
	// Paging bounds the result, which is ordered by kind, namespace and name.
	Paging
}

// ObjectChangeQuery asks for changes of objects.
type ObjectChangeQuery struct {
	// Cluster is required.
	Cluster ClusterUID
	// Range is required.
	Range Range
	// UID asks for one object; empty for all.
	UID string
	// Kinds and Namespaces are as in ObjectQuery.
	Kinds []telemetry.Kind
	// Namespaces to look in.
	Namespaces []string
	// Paging bounds the result, newest first.
	Paging
}

// InventoryReader reads what exists and what existed.
type InventoryReader interface {
	// Objects returns objects of a cluster.
	Objects(ctx context.Context, q ObjectQuery) (Page[Object], error)
	// Object returns one object, also when it is gone, or ErrNotFound.
	Object(ctx context.Context, cluster ClusterUID, uid string) (Object, error)
	// ObjectChanges returns what changed.
	ObjectChanges(ctx context.Context, q ObjectChangeQuery) (Page[ObjectChange], error)
}
