// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// ControllerName is the name of the controller in logs and metrics.
const ControllerName = "managedcluster"

// staleRetry is how long to wait for the cache to catch up with a write.
const staleRetry = 50 * time.Millisecond

// Options are what a Reconciler needs besides the manager.
type Options struct {
	// HubVersion is the version of this hub, in semantic versioning with a leading v.
	HubVersion string
	// AdvertiseURL is the URL at which agents reach the hub's API server. When
	// empty, the bundle names none and whoever asks to join has to know it.
	AdvertiseURL string
	// AdvertiseCA are the PEM certificates for AdvertiseURL; empty means the
	// system's certificates.
	AdvertiseCA []byte
	// IngestURL is the URL at which agents reach the hub's ingest endpoint. When
	// empty, the bundle names none, and agents ship nothing.
	IngestURL string
	// IngestCA are the PEM certificates for IngestURL; empty means the system's
	// certificates.
	IngestCA []byte
	// Telemetry says what has arrived of a cluster. When nil, the hub keeps no
	// history and says nothing about it.
	Telemetry Telemetry
	// TelemetryEvents has clusters looked at before their time: when ingest has
	// refused the cluster that an event's Object names, and, without Object, all of
	// them when the database goes away or comes back. Every replica receives from
	// it as long as its manager runs. May be nil.
	TelemetryEvents <-chan event.GenericEvent
	// Outage tunes the guard against a mass false alarm.
	Outage OutageOptions
	// Live reads from the API server. It is asked only before a cluster is called
	// expired, because then the silence may be that of the watch.
	Live client.Reader
	// Recorder records events about ManagedClusters.
	Recorder events.EventRecorder
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Reconciler reconciles ManagedClusters; the package comment says how.
type Reconciler struct {
	client.Client
	Options

	bundle   map[string]string // what the bundle of every cluster holds
	observer *Observer
	ledger   *ledger
	receipts *receipts // nil without Telemetry
}

// Setup adds a Reconciler to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
	if options.Now == nil {
		options.Now = time.Now
	}
	bundle, err := bundleOf(options)
	if err != nil {
		return err
	}
	r := &Reconciler{
		Client: client.WithFieldOwner(mgr.GetClient(), v1alpha1.FieldOwnerHub), Options: options,
		bundle: bundle, observer: NewObserver(options.Now), ledger: newLedger(),
	}
	b := ctrl.NewControllerManagedBy(mgr).Named(ControllerName).
		For(&v1alpha1.ManagedCluster{}, builder.WithPredicates(relevant())).
		WatchesRawSource(source.Kind(mgr.GetCache(), &coordinationv1.Lease{}, r.observer.Handler())).
		WatchesRawSource(source.Kind[client.Object](mgr.GetCache(), &coordinationv1.Lease{}, r.ledger.handler(kindLease)))
	for _, object := range WatchedMetadata() {
		b = b.WatchesMetadata(object, r.ledger.handler(object.GetObjectKind().GroupVersionKind().Kind))
	}
	if options.Telemetry != nil {
		r.receipts = newReceipts(options.Telemetry, options.Now)
		if options.TelemetryEvents != nil {
			b = b.WatchesRawSource(source.Channel(options.TelemetryEvents, r.receipts.handler(r.observer.Clusters)))
		}
	}
	if err := b.Complete(reconcile.AsReconciler(r.Client, r)); err != nil {
		return fmt.Errorf("setting up the controller of ManagedClusters: %w", err)
	}
	return nil
}

// Whoever creates a Role has to hold every right in it. So some rules are here
// only because the agents need them.

// +kubebuilder:rbac:groups=atlhyper.io,resources=managedclusters,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=atlhyper.io,resources=managedclusters/status,verbs=get;patch
// +kubebuilder:rbac:groups=atlhyper.io,resources=remotecommands,verbs=get;list;watch
// +kubebuilder:rbac:groups=atlhyper.io,resources=remotecommands/status,verbs=get;patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,resourceNames=agent,verbs=get;create;patch
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,resourceNames=agent,verbs=create
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=agent-session;agent-join,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps,resourceNames=agent-bundle,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=list;watch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,resourceNames=agent,verbs=get;create;patch;update
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=list;watch
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,resourceNames=agent,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles;clusterrolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile brings one ManagedCluster up to date.
func (r *Reconciler) Reconcile(ctx context.Context, mc *v1alpha1.ManagedCluster) (ctrl.Result, error) {
	if r.ledger.stale(mc) {
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	now := r.Now()
	in, err := r.gather(ctx, mc, now)
	if err != nil {
		return ctrl.Result{}, err
	}
	verdict := Decide(in, r.Outage, now)
	var next time.Time
	if mc.DeletionTimestamp.IsZero() {
		next, err = r.uphold(ctx, in, verdict, now)
	} else {
		next, err = r.finalize(ctx, in, verdict, now)
	}
	if apierrors.IsConflict(err) {
		// The agent has written its part of the status in the meantime.
		log.FromContext(ctx).V(1).Info("Retrying after a conflict", "cause", err.Error())
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	interest := Interest{
		Connected: verdict.Health.Connected(), Pinned: verdict.Identity.Pinned,
		Conflicting: verdict.Identity.Conflicting, Joined: in.Lease.Joined,
	}
	if r.observer.Settle(mc.Name, in.Lease, interest) {
		next = now
	}
	if next.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(r.Now()), time.Millisecond)}, nil
}

// uphold acts on a verdict about a cluster that is not being deleted, reports it
// and returns when to look again.
func (r *Reconciler) uphold(ctx context.Context, in *Input, v Verdict, now time.Time) (time.Time, error) {
	mc := in.Cluster
	var verifyAt time.Time
	acted := r.act(ctx, in, &v, now, &verifyAt)
	if apierrors.IsConflict(acted) {
		return time.Time{}, acted
	}
	report := BuildReport(mc, Facts{Verdict: v, ProvisionError: acted, HubVersion: r.HubVersion}, now)
	if err := r.writeStatus(ctx, mc, report); err != nil {
		return time.Time{}, err
	}
	return earliest(v.Health.NextCheck, v.Identity.NextCheck, v.Join.NextCheck, v.Telemetry.NextCheck, verifyAt), acted
}

// finalize takes a cluster out of the fleet, step by step, and returns when to
// look again.
func (r *Reconciler) finalize(ctx context.Context, in *Input, v Verdict, now time.Time) (time.Time, error) {
	mc := in.Cluster
	if !controllerutil.ContainsFinalizer(mc, v1alpha1.FinalizerCluster) {
		r.forget(mc.Name)
		return time.Time{}, nil
	}
	from := deletionInput(in, v)
	step := NextDeletion(from, now)
	if step.Revoke {
		if _, err := r.revoke(ctx, mc.Name); err != nil {
			return time.Time{}, err
		}
		gone, err := r.removeNamespace(ctx, in)
		if err != nil {
			return time.Time{}, err
		}
		from.NamespaceGone = gone
		step = NextDeletion(from, now)
	}
	if step.Finish {
		err := r.setFinalizer(ctx, mc, controllerutil.RemoveFinalizer)
		if err == nil {
			log.FromContext(ctx).Info("Removed the cluster from the fleet")
			r.forget(mc.Name)
		}
		return time.Time{}, client.IgnoreNotFound(err)
	}
	report := BuildReport(mc, Facts{Verdict: v, Deletion: &step, HubVersion: r.HubVersion}, now)
	if err := r.writeStatus(ctx, mc, report); err != nil {
		return time.Time{}, client.IgnoreNotFound(err)
	}
	return earliest(step.NextCheck, v.Health.NextCheck), nil
}

func (r *Reconciler) forget(cluster string) {
	r.observer.Forget(cluster)
	r.ledger.forget(cluster)
	if r.receipts != nil {
		r.receipts.forget(cluster)
	}
}
