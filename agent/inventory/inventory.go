// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package inventory watches the cluster that the agent runs in and keeps counts
// of what is in it.
//
// Every kind is listed once and then watched. What arrives is reduced to a few
// numbers at once and dropped; counts follow by the difference that each event
// makes, so that a cluster in which nothing happens costs nothing. A kind that
// cannot be read is named as stale and holds up no other.
//
// With a Sink, the inventory also tells what there is: more kinds are watched, and
// of each object that differs in its slim form from before, or is gone, the sink
// gets a telemetry.ObjectDelta; of each Warning a telemetry.Event. A ledger per
// kind knows what the hub was told. Its queue merges the changes of an object
// that wait, so that a slow sink costs neither memory nor a watch.
//
// With an Observer, every object is handed over as anomaly rules look at it, as it
// arrives; nothing of it is kept here for that but its name.
package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// refusalDamping is for how long the API server must refuse a kind before it is
// stale; see staleness.afterRefusal.
const refusalDamping = 5 * time.Second

// Options tune an Inventory. The zero value of each means its default.
type Options struct {
	// Logger receives what the inventory has to say. Defaults to nowhere.
	Logger logr.Logger
	// HealthInterval is the time between two health checks. Defaults to 10 s.
	HealthInterval time.Duration
	// HealthTimeout bounds each request of a health check. Defaults to 5 s.
	HealthTimeout time.Duration
	// UnhealthyAfter is for how long checks must fail before the API server
	// counts as unhealthy. Defaults to 20 s.
	UnhealthyAfter time.Duration
	// StaleAfter is for how long a kind must be unreadable before it is stale; 5 s
	// suffice when the API server refuses it. Defaults to 20 s.
	StaleAfter time.Duration
	// Sink receives what there is and what changes. Without one, nil, only the
	// kinds that a Snapshot counts are watched.
	Sink Sink
	// NamesOf lists which of telemetry.KindConfigMap and telemetry.KindSecret are
	// sent to the Sink, with names and labels alone. The agent asks the API server
	// for nothing else; but RBAC knows no right to the names without the data, so
	// none is watched unless somebody wants it.
	NamesOf []telemetry.Kind
	// Observer is handed what anomaly rules look at, for which more kinds are
	// watched. It needs a Sink.
	Observer Observer

	// watchTimeout replaces the 5 to 10 minutes after which a watch is renewed.
	watchTimeout time.Duration
	// retryMax is the longest wait, before jitter, between two attempts to watch
	// a kind. Defaults to 10 s.
	retryMax time.Duration
	// versionInterval is the time between two looks at the version. Defaults to 1 h.
	versionInterval time.Duration
	// discoveryInterval is the time between two looks at which kinds of routes the
	// cluster has. Defaults to 30 s.
	discoveryInterval time.Duration
}

func (o Options) withDefaults() Options {
	if o.Logger.GetSink() == nil {
		o.Logger = logr.Discard()
	}
	o.HealthInterval = cmp.Or(o.HealthInterval, 10*time.Second)
	o.HealthTimeout = cmp.Or(o.HealthTimeout, 5*time.Second)
	o.UnhealthyAfter = cmp.Or(o.UnhealthyAfter, 20*time.Second)
	o.StaleAfter = cmp.Or(o.StaleAfter, 20*time.Second)
	o.retryMax = cmp.Or(o.retryMax, 10*time.Second)
	o.versionInterval = cmp.Or(o.versionInterval, time.Hour)
	o.discoveryInterval = cmp.Or(o.discoveryInterval, 30*time.Second)
	return o
}

// Inventory watches one cluster and keeps counts of what is in it. All methods
// may be called at any time from any goroutine; Run once.
type Inventory struct {
	options Options
	clients clients
	kinds   []kind
	// ledgers hold what the Sink was told, by resource. Empty without a Sink.
	ledgers map[string]*ledger
	// shippers move what the Sink has not been told. Nil without a Sink.
	shippers map[telemetry.Stream]*shipper
	routes   []*routeKind
	// changes has the capacity 1: readers learn that something changed, not how often.
	changes chan struct{}
	// answers measure what the clients get.
	answers *answers
	// What superviseHealth told the Observer: since when health checks fail, whether
	// the API server does well, and when its certificate ends.
	notReadySince, toldExpiry time.Time
	toldWell                  bool
	// wake tells superviseStaleness that the next deadline may have moved.
	wake chan struct{}

	// mu guards everything below, the stores' contents included.
	mu sync.Mutex
	stores
	staleness staleness
	health    damper
	version   string
	clusterID string
	stale     []string
	synced    bool
	// observing is set once the Observer was told that every kind was listed, and
	// silent while the API server does not answer.
	observing, silent bool
	// answeringSince is since when the API server has answered; zero before it did.
	answeringSince time.Time
	// unreadable are the kinds that the Observer was told it does not see.
	unreadable map[string]bool
	// deadline is when staleness has to be looked at again; zero for never.
	deadline time.Time
}

// New returns an Inventory of the cluster that cfg leads to. It makes no
// request, so that it works while the API server is away. It uses cfg's address
// and credentials, not its rate limits, content types or timeout.
func New(cfg *rest.Config, options Options) (*Inventory, error) {
	options = options.withDefaults()
	if options.Observer != nil && options.Sink == nil {
		return nil, errObserverWithoutSink
	}
	measured := &answers{}
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(measured.wrap)
	clients, err := newClients(cfg)
	if err != nil {
		return nil, err
	}
	i := &Inventory{
		options: options,
		clients: clients,
		answers: measured,
		changes: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		staleness: staleness{
			after:        options.StaleAfter,
			afterRefusal: min(refusalDamping, options.StaleAfter),
			failures:     map[string]failure{},
		},
		health:     damper{after: options.UnhealthyAfter},
		unreadable: map[string]bool{},
	}
	if options.Sink != nil {
		i.addLedgers()
	}
	i.addKinds()
	if options.Sink != nil {
		if err := i.addUncounted(); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// Run watches until ctx ends and then returns nil. The API server may be away
// for any part of that time, the beginning included.
func (i *Inventory) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, quiet(i.options.Logger).V(1))
	group, ctx := errgroup.WithContext(ctx)
	for _, k := range i.kinds {
		group.Go(func() error { k.run(ctx); return nil })
	}
	for _, r := range i.routes {
		group.Go(func() error { i.superviseRoutes(ctx, r); return nil })
	}
	for _, s := range i.shippers {
		group.Go(func() error { s.run(ctx); return nil })
	}
	group.Go(func() error { i.superviseHealth(ctx); return nil })
	group.Go(func() error { i.superviseStaleness(ctx); return nil })
	group.Go(func() error {
		if _, err := i.ClusterID(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	return group.Wait()
}

// Changed returns the channel that receives after any change of what Snapshot
// returns. Its capacity is 1: several changes may be one signal. It is for one
// receiver and is never closed.
func (i *Inventory) Changed() <-chan struct{} { return i.changes }

// Snapshot returns what is known now. Its cost does not depend on the size of
// the cluster.
func (i *Inventory) Snapshot() Snapshot {
	i.mu.Lock()
	defer i.mu.Unlock()
	snapshot := Snapshot{
		Kubernetes: KubernetesInfo{Version: i.version, Platform: platformOf(i.version, &i.nodes.tally.platforms)},
		Workloads: WorkloadCounts{
			Deployments:  workloadCount(i.deployments),
			StatefulSets: workloadCount(i.statefulSets),
			DaemonSets:   workloadCount(i.daemonSets),
			Jobs:         workloadCount(i.jobs),
			CronJobs:     workloadCount(i.cronJobs),
		},
		Synced:    i.synced,
		Stale:     slices.Clone(i.stale),
		APIServer: i.health.state,
		ClusterID: i.clusterID,
	}
	if healthy := i.health.state.Healthy; healthy != nil {
		snapshot.APIServer.Healthy = new(*healthy)
	}
	if i.nodes.synced {
		snapshot.Nodes = new(i.nodes.tally.counts)
		snapshot.Capacity = new(i.nodes.tally.capacity)
		snapshot.Allocatable = new(i.nodes.tally.allocatable)
	}
	if i.pods.synced {
		snapshot.Pods = new(i.pods.tally.counts)
		snapshot.Requested = new(i.pods.tally.requested)
	}
	return snapshot
}

func workloadCount(s *workloadStore) *int32 {
	if !s.synced {
		return nil
	}
	return new(int32(s.tally))
}

// ClusterID returns the UID of the kube-system namespace, which is what a
// cluster is recognised by. It waits for the API server as long as ctx lasts,
// whether or not Run runs; its error says what went wrong last.
func (i *Inventory) ClusterID(ctx context.Context) (string, error) {
	var reported string
	for wait := time.Second; ; wait = min(2*wait, i.options.HealthInterval) {
		i.mu.Lock()
		id := i.clusterID
		i.mu.Unlock()
		if id != "" {
			return id, nil
		}
		id, err := i.readClusterID(ctx)
		if err == nil {
			i.note(func(time.Time) bool {
				changed := i.clusterID != id
				i.clusterID = id
				return changed
			})
			return id, nil
		}
		if fault := err.Error(); ctx.Err() == nil && fault != reported {
			reported = fault
			i.options.Logger.Info("Waiting for the API server to tell the cluster's identity", "reason", fault)
		}
		if !pause(ctx, wait) {
			return "", fmt.Errorf("waiting for the cluster's identity: %w", errors.Join(ctx.Err(), err))
		}
	}
}

func (i *Inventory) readClusterID(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, i.options.HealthTimeout)
	defer cancel()
	var ns corev1.Namespace
	err := i.clients.raw.Get().Resource("namespaces").Name(metav1.NamespaceSystem).Do(ctx).Into(&ns)
	if err != nil {
		return "", fmt.Errorf("reading the namespace %s: %w", metav1.NamespaceSystem, err)
	}
	return string(ns.UID), nil
}

// pause waits for d and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
