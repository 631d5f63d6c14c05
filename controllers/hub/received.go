// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers/managedcluster"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/keeper"
	"github.com/atlhyper/atlhyper/internal/ingest"
)

// storedFor is for how long one answer of the history serves all clusters, so that
// a large fleet costs it no more than a small one.
const storedFor = 30 * time.Second

// changesRetry is the time between two attempts to listen to the history.
const changesRetry = 10 * time.Second

// received tells the controller of ManagedClusters what has arrived of each: from
// history what any replica stored, from ingest what this one refused.
type received struct {
	keeper *keeper.Keeper
	ingest *ingest.Server // nil when telemetry is not taken
	reader client.Reader
	log    logr.Logger
	// events asks for a cluster to be looked at again.
	events chan event.GenericEvent

	mu     sync.Mutex
	stored map[history.ClusterUID]time.Time
	readAt time.Time
}

var _ managedcluster.Telemetry = (*received)(nil)

// Received implements managedcluster.Telemetry.
func (r *received) Received(ctx context.Context, name string, id types.UID) (managedcluster.Received, error) {
	var out managedcluster.Received
	if state := r.keeper.State(); !state.Available {
		return out, fmt.Errorf("%w: %s", managedcluster.ErrTelemetryUnavailable, state.Reason)
	}
	stored, err := r.lastStored(ctx)
	if errors.Is(err, history.ErrUnavailable) {
		return out, fmt.Errorf("%w: %w", managedcluster.ErrTelemetryUnavailable, err)
	}
	if err != nil {
		return out, fmt.Errorf("reading when telemetry of %s was stored last: %w", name, err)
	}
	out.LastStored = stored[history.ClusterUID(id)]
	if r.ingest == nil {
		return out, nil
	}
	if activity, ok := r.ingest.Activity(name); ok {
		if activity.LastAccepted.After(out.LastStored) { // the history's answer may be older
			out.LastStored = activity.LastAccepted
		}
		out.LastRefused, out.Refusal = activity.LastRefused, string(activity.LastRefusal)
		out.ClockAhead, out.ClockObserved = activity.Skew.Ahead, activity.Skew.Observed
	}
	return out, nil
}

// lastStored returns when telemetry of each cluster was stored last, as it was at
// most storedFor ago. The map is not changed afterwards.
func (r *received) lastStored(ctx context.Context) (map[history.ClusterUID]time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stored != nil && time.Since(r.readAt) < storedFor {
		return r.stored, nil
	}
	at := time.Now()
	stored, err := r.keeper.LastStored(ctx)
	if err != nil {
		return nil, err
	}
	r.stored, r.readAt = stored, at
	return stored, nil
}

// forget makes the next lastStored ask again.
func (r *received) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = nil
}

// run asks for clusters to be looked at when there is news of them: all when the
// history went away or came back, and one when its first records arrive. What
// follows is not news; the controller looks from time to time.
func (r *received) run(ctx context.Context) error {
	told := map[history.ClusterUID]bool{}
	var changes <-chan history.Change
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.keeper.Changed():
			clear(told)
			r.forget()
			r.ask(ctx, event.GenericEvent{})
			retry.Reset(0)
		case <-retry.C:
			if changes != nil {
				continue
			}
			var err error
			if changes, err = r.keeper.Changes(ctx); err != nil {
				changes = nil
				retry.Reset(changesRetry)
			}
		case change, ok := <-changes:
			if !ok {
				changes = nil
				retry.Reset(changesRetry)
				continue
			}
			if !told[change.Cluster] {
				r.forget()
				told[change.Cluster] = r.tell(ctx, change.Cluster)
			}
		}
	}
}

// tell has the ManagedCluster of a UID looked at, and returns whether there is one.
func (r *received) tell(ctx context.Context, id history.ClusterUID) bool {
	clusters := &v1alpha1.ManagedClusterList{}
	if err := r.reader.List(ctx, clusters, client.UnsafeDisableDeepCopy); err != nil {
		if ctx.Err() == nil {
			r.log.Error(err, "Cannot list the clusters, their conditions about telemetry are looked at later")
		}
		return false
	}
	found := false
	for i := range clusters.Items {
		if cluster := &clusters.Items[i]; cluster.Status.ClusterID == string(id) {
			found = true
			r.ask(ctx, event.GenericEvent{Object: &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name}}})
		}
	}
	return found
}

// ask has a cluster looked at, or all when the event names none.
func (r *received) ask(ctx context.Context, e event.GenericEvent) {
	select {
	case <-ctx.Done():
	case r.events <- e:
	}
}

// addTelemetry adds history and ingest to a manager, and what the controller of
// ManagedClusters needs of them to its options.
func (c *Config) addTelemetry(ctx context.Context, mgr manager.Manager, live client.Client, clusters *managedcluster.Options) error {
	t, err := c.telemetry(ctx, mgr, live)
	if t == nil || err != nil {
		return err
	}
	r := &received{keeper: t.keeper, ingest: t.ingest, reader: mgr.GetClient(), log: mgr.GetLogger(), events: make(chan event.GenericEvent, 16)}
	clusters.Telemetry, clusters.TelemetryEvents = r, r.events
	if t.ingest != nil && c.Telemetry.IngestURL != "" {
		clusters.IngestURL, clusters.IngestCA = c.Telemetry.IngestURL, t.ca
	}
	if err := mgr.Add(manager.RunnableFunc(r.run)); err != nil {
		return fmt.Errorf("adding the watch over telemetry: %w", err)
	}
	if t.ingest == nil {
		return nil
	}
	informer, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.ManagedCluster{})
	if err != nil {
		return fmt.Errorf("watching ManagedClusters: %w", err)
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(object any) {
		if name, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			t.ingest.Forget(name)
		}
	}}); err != nil {
		return fmt.Errorf("watching ManagedClusters: %w", err)
	}
	return nil
}
