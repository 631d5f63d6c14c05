// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// gather reads what the decisions about a cluster rest on. In the usual case it
// reads from memory alone.
func (r *Reconciler) gather(ctx context.Context, mc *v1alpha1.ManagedCluster, now time.Time) (*Input, error) {
	in := &Input{Cluster: mc, Lease: r.observer.Snapshot(mc.Name)}
	var err error
	if in.desired, err = fingerprint(r.desired(mc)); err != nil {
		return nil, err
	}
	if err := r.gatherMarks(ctx, in, now); err != nil {
		return nil, err
	}
	if mc.DeletionTimestamp.IsZero() {
		if err := r.gatherDoubt(ctx, in, now); err != nil {
			return nil, err
		}
	}
	r.gatherTelemetry(ctx, in, now)
	return in, nil
}

// gatherTelemetry asks what has arrived of a connected cluster, if it is time to.
func (r *Reconciler) gatherTelemetry(ctx context.Context, in *Input, now time.Time) {
	if r.receipts == nil {
		return
	}
	mc := in.Cluster
	in.Telemetry = &TelemetryView{State: TelemetryUnsure}
	pinned := identityOf(in, now).Pinned
	if connected := JudgeHealth(healthInput(mc, in.Lease, pinned), now).Connected(); !connected {
		r.receipts.outdate(mc.Name) // ask when it is back
		return
	}
	if mc.DeletionTimestamp.IsZero() {
		*in.Telemetry = r.receipts.read(ctx, mc.Name, types.UID(pinned), deliveryFails(mc))
	}
}

// gatherMarks reads what was done for the cluster before: from this process's
// memory, or after a restart from the annotations of the namespace.
func (r *Reconciler) gatherMarks(ctx context.Context, in *Input, now time.Time) error {
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(namespaceKind)
	err := r.Get(ctx, types.NamespacedName{Name: namespaceOf(in.Cluster.Name)}, ns)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the namespace of the cluster: %w", err)
	}
	in.namespace = namespace{exists: err == nil, terminating: err == nil && !ns.DeletionTimestamp.IsZero()}
	known, drifted := r.ledger.lookup(in.Cluster.Name, in.Cluster.UID)
	in.drifted = drifted
	switch {
	case known != nil:
		in.marks, in.verifyAt = known.marks, known.verifyAt
	case in.namespace.exists && metav1.IsControlledBy(ns, in.Cluster):
		in.marks, in.verifyAt = marksOf(ns.Annotations), firstVerification(now)
		if !drifted {
			r.ledger.finish(in.Cluster.Name, &record{owner: in.Cluster.UID, marks: in.marks, verifyAt: in.verifyAt})
		}
	default:
		in.verifyAt = nextVerification(now)
	}
	return nil
}

// gatherDoubt looks again before a cluster is called expired: at the Lease itself,
// because the watch may be behind, and at the rest of the fleet, because the hub
// may be the one that is cut off.
func (r *Reconciler) gatherDoubt(ctx context.Context, in *Input, now time.Time) error {
	if !expires(in, now) {
		return nil
	}
	lease := &coordinationv1.Lease{}
	key := types.NamespacedName{Namespace: namespaceOf(in.Cluster.Name), Name: v1alpha1.AgentLease}
	switch err := r.Live.Get(ctx, key, lease); {
	case err == nil:
		r.observer.Observe(lease)
		in.Lease = r.observer.Snapshot(in.Cluster.Name)
	case apierrors.IsNotFound(err):
	default:
		r.observer.Blind()
		return fmt.Errorf("reading the Lease before calling it expired: %w", err)
	}
	if !expires(in, now) {
		return nil
	}
	fleet, err := r.gatherFleet(ctx, now)
	in.Fleet = fleet
	return err
}

func expires(in *Input, now time.Time) bool {
	health := healthInput(in.Cluster, in.Lease, identityOf(in, now).Pinned)
	return NewlyExpired(JudgeHealth(health, now), health.Previous)
}

func (r *Reconciler) gatherFleet(ctx context.Context, now time.Time) (Fleet, error) {
	list := &v1alpha1.ManagedClusterList{}
	// Nothing below changes what the cache holds.
	if err := r.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return Fleet{}, fmt.Errorf("listing the fleet: %w", err)
	}
	members := make([]FleetMember, 0, len(list.Items))
	for i := range list.Items {
		mc := &list.Items[i]
		health := healthInput(mc, r.observer.Snapshot(mc.Name), mc.Status.ClusterID)
		silent := health.Rhythm.Grace
		if began := silenceBegins(health); !began.IsZero() {
			silent = now.Sub(began)
		}
		members = append(members, FleetMember{
			Joined: health.Joined && mc.DeletionTimestamp.IsZero() && MembershipOf(mc) == MembershipAccepted,
			Expired: health.Previous != nil &&
				health.Previous.Reason == v1alpha1.ClusterReasonLeaseExpired,
			Silent: silent, Rhythm: health.Rhythm,
		})
	}
	return CountFleet(members), nil
}
