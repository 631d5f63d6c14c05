// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// writeStatus is the only writer of the hub's part of the status. It writes only
// when something displayed has changed, and only over the version that was read:
// a hub that has lost its leadership without noticing gets a conflict.
func (r *Reconciler) writeStatus(ctx context.Context, mc *v1alpha1.ManagedCluster, report Report) error {
	if report.Equal(ReportOf(&mc.Status)) {
		return nil
	}
	config := atlhyperac.ManagedCluster(mc.Name).WithResourceVersion(mc.ResourceVersion).WithStatus(report.Status())
	if err := r.Client.Status().Apply(ctx, config, client.ForceOwnership); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if config.ObjectMetaApplyConfiguration != nil && config.ResourceVersion != nil {
		mc.ResourceVersion = *config.ResourceVersion
		r.ledger.wrote(mc.Name, mc.UID, mc.ResourceVersion)
	}
	announce(r.Recorder, mc, report)
	return nil
}

// setFinalizer adds or drops the finalizer, over the version that was read.
func (r *Reconciler) setFinalizer(ctx context.Context, mc *v1alpha1.ManagedCluster, change func(client.Object, string) bool) error {
	base := mc.DeepCopy()
	if !change(mc, v1alpha1.FinalizerCluster) {
		return nil
	}
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := r.Patch(ctx, mc, patch); err != nil {
		return fmt.Errorf("writing the finalizer: %w", err)
	}
	r.ledger.wrote(mc.Name, mc.UID, mc.ResourceVersion)
	return nil
}
