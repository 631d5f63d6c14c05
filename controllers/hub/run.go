// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hub

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers"
	"github.com/atlhyper/atlhyper/controllers/managedcluster"
	"github.com/atlhyper/atlhyper/internal/observability"
)

// LeaderElectionID is the name of the Lease with which the replicas of the hub
// agree on their leader.
const LeaderElectionID = "atlhyper-hub"

const (
	leaseDuration         = 15 * time.Second
	renewDeadline         = 10 * time.Second
	retryPeriod           = 2 * time.Second
	reconciliationTimeout = 60 * time.Second
	preflightTimeout      = 30 * time.Second
)

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=atlhyper-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=atlhyper-system,resources=leases,resourceNames=atlhyper-hub,verbs=get;update;patch
// +kubebuilder:rbac:groups="",namespace=atlhyper-system,resources=events,verbs=create;patch

// Run runs a hub until ctx ends, which is no error, or until it cannot go on:
// when the API server cannot be reached at the start, the custom resources are
// not installed, or leadership is lost.
func Run(ctx context.Context, c Config) error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("checking the configuration: %w", err)
	}
	logger, err := c.Log.Logger()
	if err != nil {
		return err
	}
	setGlobalLoggers(logger)
	if c.Version == "" {
		c.Version = observability.Version()
	}
	restConfig, err := c.restConfig(c.Version)
	if err != nil {
		return err
	}
	if err := preflight(ctx, restConfig); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ctx ended, which is no failure
		}
		return err
	}
	metrics.RegisterRESTClientMetrics(metrics.MetricRequestLatency, metrics.MetricRateLimiterLatency, metrics.MetricRequestRetry)
	mgr, err := c.manager(ctx, logger, restConfig)
	if err != nil {
		return err
	}
	if err := c.setup(ctx, mgr); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ctx ended, which is no failure
		}
		return err
	}
	logger.Info("Starting the hub", "version", c.Version, "apiServer", restConfig.Host, "advertiseURL", c.AdvertiseURL)
	if err := mgr.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("running the hub: %w", err)
	}
	return nil
}

// preflight finds out early, and says clearly, why a hub cannot work.
func preflight(ctx context.Context, restConfig *rest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, preflightTimeout)
	defer cancel()
	discoverer, err := discovery.NewDiscoveryClientForConfig(restConfig)
	if err != nil {
		return fmt.Errorf("making a client for the API server: %w", err)
	}
	found := &metav1.APIResourceList{}
	err = discoverer.RESTClient().Get().AbsPath("/apis", v1alpha1.GroupVersion.String()).Do(ctx).Into(found)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the API server %s does not serve %s: apply config/crd first", restConfig.Host, v1alpha1.GroupVersion)
	case err != nil:
		return fmt.Errorf("reaching the API server %s: %w", restConfig.Host, err)
	}
	for _, r := range found.APIResources {
		if r.Name == "managedclusters" {
			return nil
		}
	}
	return fmt.Errorf("the API server %s serves %s, but no managedclusters: apply config/crd first", restConfig.Host, v1alpha1.GroupVersion)
}

// Libraries log through globals, which the first hub of a process sets.
var globalLoggers sync.Once

func setGlobalLoggers(logger logr.Logger) {
	globalLoggers.Do(func() {
		log.SetLogger(logger)
		klog.SetLogger(logger.WithName("client-go"))
	})
}

func (c *Config) manager(ctx context.Context, logger logr.Logger, restConfig *rest.Config) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	ofClusters, err := labels.Parse(v1alpha1.LabelCluster)
	if err != nil {
		return nil, fmt.Errorf("selecting the objects of clusters: %w", err)
	}
	selected := map[client.Object]cache.ByObject{&coordinationv1.Lease{}: {Label: ofClusters}}
	for _, object := range managedcluster.WatchedMetadata() {
		selected[object] = cache.ByObject{Label: ofClusters}
	}
	mgr, err := ctrl.NewManager(restConfig, manager.Options{
		Scheme: scheme,
		Logger: logger,
		Cache: cache.Options{
			DefaultTransform:            cache.TransformStripManagedFields(),
			ReaderFailOnMissingInformer: true,
			ByObject:                    selected,
		},
		Client: client.Options{Cache: &client.CacheOptions{
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}},
		}},
		Controller: config.Controller{
			// One process may run several hubs, one after the other or side by side.
			SkipNameValidation:      new(true),
			MaxConcurrentReconciles: c.ConcurrentReconciles,
			ReconciliationTimeout:   reconciliationTimeout,
			RecoverPanic:            new(true),
			EnableWarmup:            new(true),
		},
		Metrics: metricsserver.Options{
			BindAddress: c.MetricsBindAddress, SecureServing: true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
		},
		HealthProbeBindAddress:        c.HealthProbeBindAddress,
		LeaderElection:                c.LeaderElect,
		LeaderElectionID:              LeaderElectionID,
		LeaderElectionNamespace:       c.LeaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(retryPeriod),
		BaseContext:                   func() context.Context { return context.WithoutCancel(ctx) },
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return mgr, nil
}

func (c *Config) setup(ctx context.Context, mgr manager.Manager) error {
	ca, err := c.advertiseCA()
	if err != nil {
		return err
	}
	if err := addProbes(ctx, mgr); err != nil {
		return err
	}
	live, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return fmt.Errorf("making an uncached client: %w", err)
	}
	clusters := managedcluster.Options{
		HubVersion: c.Version, AdvertiseURL: c.AdvertiseURL, AdvertiseCA: ca,
		Outage:   managedcluster.OutageOptions{Fraction: c.MassOutageFraction, Hold: c.MassOutageHold},
		Live:     live,
		Recorder: mgr.GetEventRecorder(v1alpha1.FieldOwnerHub),
	}
	if err := c.addTelemetry(ctx, mgr, live, &clusters); err != nil {
		return err
	}
	return controllers.Setup(mgr, controllers.Deps{ManagedCluster: clusters})
}

// addProbes makes /readyz say no until everything that is watched was listed, so
// that a replica which is ready can take over at once.
func addProbes(ctx context.Context, mgr manager.Manager) error {
	watched := append(managedcluster.WatchedMetadata(), &coordinationv1.Lease{}, &v1alpha1.ManagedCluster{})
	for _, object := range watched {
		if _, err := mgr.GetCache().GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	var synced atomic.Bool
	if err := mgr.Add(everywhere(func(ctx context.Context) error {
		synced.Store(mgr.GetCache().WaitForCacheSync(ctx))
		<-ctx.Done()
		return nil
	})); err != nil {
		return fmt.Errorf("adding the watch over the caches: %w", err)
	}
	ready := func(*http.Request) error {
		if !synced.Load() {
			return errors.New("the first listing is under way")
		}
		return nil
	}
	return errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("caches", ready))
}

// everywhere is a runnable that every replica runs, leader or not.
type everywhere func(context.Context) error

// Start implements manager.Runnable.
func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everywhere) NeedLeaderElection() bool { return false }

func parsePEM(data []byte) [][]byte {
	var out [][]byte
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		if block.Type == "CERTIFICATE" {
			out = append(out, block.Bytes)
		}
	}
}
