// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// maxHolders bounds what is remembered of one Lease: the agent itself and a few
// clones. An agent that invents identities only forgets its own.
const maxHolders = 8

// Observation is what this process has seen of one cluster's Lease.
type Observation struct {
	// Since is when it began to see renewals; silence before is no evidence.
	Since time.Time
	// Holders are the clusters that held the Lease, by cluster ID.
	Holders map[string]Holder
	// Released says that the holder has given the Lease up.
	Released bool
	// Joined is the nonce of the token that the agent joined with last.
	Joined string

	changes int
}

// Interest is what the last reconciliation of a cluster decided. A change of the
// Lease that cannot alter it costs no reconciliation.
type Interest struct {
	// Connected says that the cluster is connected.
	Connected bool
	// Pinned and Conflicting are the cluster IDs in the status.
	Pinned, Conflicting string
	// Joined is the nonce that was acted on last.
	Joined string
}

// Observer remembers when this process, by its own clock, saw each Lease change.
// It runs on every replica, so that a standby that becomes the leader knows what
// the old leader knew. It is safe for concurrent use.
type Observer struct {
	now func() time.Time

	mu       sync.Mutex
	blind    time.Time // when the process last could not see, at first its start
	clusters map[string]*observed
}

type observed struct {
	Observation

	uid      types.UID
	version  string
	renewed  time.Time
	holder   string
	interest *Interest
}

// NewObserver returns an observer that has seen nothing yet.
func NewObserver(now func() time.Time) *Observer {
	return &Observer{now: now, blind: now(), clusters: map[string]*observed{}}
}

// Handler observes the events of an informer on Leases and enqueues the clusters
// whose status may change by them.
func (o *Observer) Handler() handler.TypedEventHandler[*coordinationv1.Lease, reconcile.Request] {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	observe := func(lease *coordinationv1.Lease, q queue) {
		if o.Observe(lease) {
			q.Add(requestFor(lease.Labels[v1alpha1.LabelCluster]))
		}
	}
	return handler.TypedFuncs[*coordinationv1.Lease, reconcile.Request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*coordinationv1.Lease], q queue) {
			observe(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*coordinationv1.Lease], q queue) {
			observe(e.ObjectNew, q)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*coordinationv1.Lease], _ queue) {
			o.lost(e.Object.Labels[v1alpha1.LabelCluster])
		},
	}
}

// Observe takes note of a Lease as the API server has it now. It returns whether
// the cluster has to be reconciled. Leases that belong to no cluster and states
// older than one already seen are ignored.
func (o *Observer) Observe(lease *coordinationv1.Lease) bool {
	name := clusterOf(lease)
	if name == "" {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	c, known := o.clusters[name]
	first := !known || c.uid != lease.UID
	if !first && !newer(lease.ResourceVersion, c.version) {
		return false
	}
	if first {
		fresh := &observed{Observation: Observation{Since: now, Holders: map[string]Holder{}}, uid: lease.UID}
		if known {
			fresh.interest, fresh.changes = c.interest, c.changes
		}
		c = fresh
		o.clusters[name] = c
	}
	before := *c
	c.read(lease)
	renewed := first || c.holder != before.holder || !c.renewed.Equal(before.renewed)
	if !renewed && c.Joined == before.Joined {
		return false
	}
	c.changes++
	if !renewed {
		return c.interesting("")
	}
	id, ok := ClusterIDOf(c.holder)
	if ok && !c.renewed.IsZero() {
		h := Holder{LastSeen: now, Renewed: !first}
		if !first {
			h.Clock = c.Holders[id].Clock.read(c.renewed, now)
		}
		c.remember(id, h)
	}
	return c.interesting(id)
}

// clusterOf returns the cluster whose agent renews a Lease, or nothing.
func clusterOf(lease *coordinationv1.Lease) string {
	name := lease.Labels[v1alpha1.LabelCluster]
	if lease.Name != v1alpha1.AgentLease || lease.Namespace != v1alpha1.ClusterNamespacePrefix+name {
		return ""
	}
	return name
}

// read copies what matters from a Lease.
func (c *observed) read(lease *coordinationv1.Lease) {
	c.version = lease.ResourceVersion
	c.Joined = lease.Annotations[v1alpha1.AnnotationJoined]
	c.holder, c.renewed, c.Released = "", time.Time{}, false
	if h := lease.Spec.HolderIdentity; h != nil {
		c.holder, c.Released = *h, *h == ""
	}
	if t := lease.Spec.RenewTime; t != nil {
		c.renewed = t.Time
	}
}

func (c *observed) remember(id string, h Holder) {
	if _, known := c.Holders[id]; !known && len(c.Holders) >= maxHolders {
		oldest := ""
		for other, seen := range c.Holders {
			if oldest == "" || seen.LastSeen.Before(c.Holders[oldest].LastSeen) {
				oldest = other
			}
		}
		delete(c.Holders, oldest)
	}
	c.Holders[id] = h
}

// interesting says whether a change, made by the given cluster ID, may alter what
// the last reconciliation decided.
func (c *observed) interesting(id string) bool {
	i := c.interest
	return i == nil || !i.Connected || c.Released || c.Joined != i.Joined ||
		(id != "" && id != i.Pinned && id != i.Conflicting)
}

// Snapshot returns what was observed of a cluster.
func (o *Observer) Snapshot(name string) Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, known := o.clusters[name]
	if !known {
		return Observation{Since: o.blind}
	}
	out := c.Observation
	out.Holders = maps.Clone(c.Holders)
	if o.blind.After(out.Since) {
		out.Since = o.blind
	}
	return out
}

// Clusters returns the clusters whose Lease this process has seen, in no order.
func (o *Observer) Clusters() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.clusters))
}

// Settle takes note of what a reconciliation decided from a snapshot. It returns
// whether the Lease has changed since in a way that may alter the decision.
func (o *Observer) Settle(name string, from Observation, interest Interest) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, known := o.clusters[name]
	if !known {
		return false
	}
	c.interest = &interest
	if c.changes == from.changes {
		return false
	}
	id, _ := ClusterIDOf(c.holder)
	return c.interesting(id)
}

// Blind takes note that this process could not reach the API server just now, so
// that silence until now is no evidence against any cluster.
func (o *Observer) Blind() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blind = o.now()
}

// lost takes note that a Lease is gone. Until there is a new one, nobody can
// renew it, so the silence counts from now.
func (o *Observer) lost(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, known := o.clusters[name]; known {
		o.clusters[name] = &observed{
			Observation: Observation{Since: o.now(), Holders: map[string]Holder{}, changes: c.changes + 1},
			interest:    c.interest,
		}
	}
}

// Forget drops what is known of a cluster.
func (o *Observer) Forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.clusters, name)
}

func requestFor(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// newer says whether resource version a is later than b. An unknown b is earlier
// than anything; versions that cannot be compared are taken as later.
func newer(a, b string) bool {
	if b == "" {
		return true
	}
	c, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || c > 0
}
