// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/agent/nodes"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly"
)

const (
	// urgentInterval is the least time between two reports even when health flaps.
	urgentInterval = time.Second
	// syncGrace is how long the first report waits for the first listing, so that
	// a restart of the agent does not empty the status for a moment.
	syncGrace = 15 * time.Second

	defaultMinInterval   = 10 * time.Second
	defaultDriftInterval = 5 * time.Minute
	retryMin             = time.Second
	retryMax             = time.Minute
)

// Inventory is what there is to report.
type Inventory interface {
	Snapshot() inventory.Snapshot
	Changed() <-chan struct{}
}

// Nodes is what the node collectors say.
type Nodes interface {
	Snapshot() nodes.Snapshot
	Changed() <-chan struct{}
}

// Anomalies are what is open.
type Anomalies interface {
	// Summary returns what is open with the worst, and whether that is known yet.
	Summary() (anomaly.Summary, bool)
	// Changed receives after what Summary returns has changed.
	Changed() <-chan struct{}
}

// Hub is whom to report to.
type Hub interface {
	// Cluster returns the name of the own ManagedCluster, the latest version of it
	// that was seen, and whether the agent may report now.
	Cluster() (string, *v1alpha1.ManagedCluster, bool)
	// Changed receives after what Cluster returns has changed.
	Changed() <-chan struct{}
	// ApplyStatus applies to the status of the ManagedCluster.
	ApplyStatus(context.Context, *atlhyperac.ManagedClusterApplyConfiguration) error
}

// Options say what to report, where and how often.
type Options struct {
	// Inventory and Hub are required.
	Inventory Inventory
	Hub       Hub
	// Agent describes this process.
	Agent Agent
	// Nodes says what the nodes use. Nil when nothing is measured.
	Nodes Nodes
	// Anomalies says what is open. Nil when nothing is judged.
	Anomalies Anomalies
	// Delivery returns how the delivery of telemetry stands. Nil when there is none.
	Delivery func() Delivery
	// MinInterval is the least time between two reports, except that the first
	// one, a change of health and a critical anomaly go at once. Defaults to 10 s.
	MinInterval time.Duration
	// DriftInterval is the time between two comparisons of the hub's copy with
	// what was applied; a difference is applied again. Defaults to 5 min.
	DriftInterval time.Duration
	// Logger receives failures. Defaults to nowhere.
	Logger logr.Logger
}

// Reporter keeps the agent's part of the ManagedCluster's status true.
type Reporter struct {
	options Options
	log     logr.Logger
	memory  memory
	backoff *wait.Backoff
	retryAt time.Time
}

// New returns a Reporter that does nothing before Run.
func New(options Options) (*Reporter, error) {
	if options.Inventory == nil || options.Hub == nil {
		return nil, errors.New("making the reporter: Inventory and Hub are required")
	}
	if options.MinInterval <= 0 {
		options.MinInterval = defaultMinInterval
	}
	if options.DriftInterval <= 0 {
		options.DriftInterval = defaultDriftInterval
	}
	if options.Logger.GetSink() == nil {
		options.Logger = logr.Discard()
	}
	return &Reporter{options: options, log: options.Logger}, nil
}

// Run reports until ctx ends.
func (r *Reporter) Run(ctx context.Context) error {
	started := time.Now()
	var nodesChanged, anomaliesChanged <-chan struct{}
	if r.options.Nodes != nil {
		nodesChanged = r.options.Nodes.Changed()
	}
	if r.options.Anomalies != nil {
		anomaliesChanged = r.options.Anomalies.Changed()
	}
	for {
		pause := r.step(ctx, started)
		if r.options.Delivery != nil {
			pause = min(pause, deliveryInterval)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-r.options.Inventory.Changed():
		case <-r.options.Hub.Changed():
		case <-nodesChanged:
		case <-anomaliesChanged:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step reports if it is time to and returns when to look again, unless something
// changes before.
func (r *Reporter) step(ctx context.Context, started time.Time) time.Duration {
	cluster, observed, connected := r.options.Hub.Cluster()
	if !connected || observed == nil {
		return r.options.DriftInterval
	}
	now := time.Now()
	if pause := r.retryAt.Sub(now); pause > 0 {
		return pause
	}
	snapshot := r.options.Inventory.Snapshot()
	summary, judged := r.anomalies()
	if pause := started.Add(syncGrace).Sub(now); pause > 0 && !worthReporting(snapshot, judged) {
		return pause
	}
	if r.memory.cluster != cluster || r.memory.uid != observed.UID {
		r.memory = memory{cluster: cluster, uid: observed.UID}
	}
	present := agentPart(observed.Status)
	desired := Status(snapshot, r.options.Agent, r.memory.conditions(present.Conditions), now)
	if r.options.Nodes != nil {
		desired.Used = used(r.options.Nodes.Snapshot().Used)
	}
	desired.Anomalies = summary
	if r.options.Delivery != nil {
		desired.Agent.Delivery = r.options.Delivery().shown(r.memory.delivery(), now)
	}
	apply, pause := r.memory.decide(desired, present, now, r.options.MinInterval, r.options.DriftInterval)
	if !apply {
		return pause
	}
	if err := r.apply(ctx, cluster, desired); err != nil {
		if ctx.Err() != nil {
			return 0
		}
		if r.backoff == nil {
			r.log.Error(err, "Status could not be reported and is tried again")
			r.backoff = &wait.Backoff{Duration: retryMin, Factor: 2, Jitter: 0.5, Steps: 32, Cap: retryMax}
		}
		delay := r.backoff.Step()
		r.retryAt = now.Add(delay)
		return delay
	}
	r.backoff = nil
	r.memory.remember(desired, now)
	return r.options.DriftInterval
}

func (r *Reporter) apply(ctx context.Context, cluster string, status v1alpha1.ManagedClusterStatus) error {
	configuration, err := Configuration(cluster, status)
	if err != nil {
		return err
	}
	return r.options.Hub.ApplyStatus(ctx, configuration)
}

// worthReporting says whether there is more to say than that the agent has just
// started.
func worthReporting(snapshot inventory.Snapshot, judged bool) bool {
	return snapshot.Synced && judged || snapshot.APIServer.Healthy != nil && !*snapshot.APIServer.Healthy
}

// memory is what the hub was told last.
type memory struct {
	cluster string
	uid     types.UID
	// applied is nil until something was applied to this object, or found on it
	// just as it should be.
	applied   *v1alpha1.ManagedClusterStatus
	appliedAt time.Time
	// comparedAt is when the hub's copy was last known to be, or made, right.
	comparedAt time.Time
}

// conditions are those to take lastTransitionTimes from.
func (m *memory) conditions(observed []metav1.Condition) []metav1.Condition {
	if m.applied != nil {
		return m.applied.Conditions
	}
	return observed
}

// delivery is what was shown of the delivery last.
func (m *memory) delivery() *v1alpha1.AgentDelivery {
	if m.applied == nil || m.applied.Agent == nil {
		return nil
	}
	return m.applied.Agent.Delivery
}

func (m *memory) remember(applied v1alpha1.ManagedClusterStatus, now time.Time) {
	m.applied, m.appliedAt, m.comparedAt = &applied, now, now
}

// decide says whether to apply desired now, and if not, when to decide again.
// Observed, the hub's copy, lags behind what was applied, so it is only compared
// with it after driftInterval.
func (m *memory) decide(desired, observed v1alpha1.ManagedClusterStatus, now time.Time, minInterval, driftInterval time.Duration) (bool, time.Duration) {
	if m.applied == nil {
		if !same(desired, observed) {
			return true, 0
		}
		m.applied, m.comparedAt = &desired, now
		return false, driftInterval
	}
	if !same(desired, *m.applied) {
		interval := minInterval
		if healthChanged(desired, *m.applied) || moreCritical(desired.Anomalies, m.applied.Anomalies) {
			interval = min(urgentInterval, minInterval)
		}
		pause := m.appliedAt.Add(interval).Sub(now)
		return pause <= 0, max(pause, 0)
	}
	if pause := m.comparedAt.Add(driftInterval).Sub(now); pause > 0 {
		return false, pause
	}
	m.comparedAt = now
	return !same(desired, observed), driftInterval
}
