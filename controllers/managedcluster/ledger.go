// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// verifyEvery is how often everything that was provisioned is applied again,
// give or take 10 %.
const verifyEvery = time.Hour

// removed stands for the resource version of an object that was removed on
// purpose.
const removed = "removed"

// objectRef names one of the objects that belong to a cluster.
type objectRef struct{ kind, name string }

// record is what this process knows about the objects of one cluster.
type record struct {
	owner    types.UID
	marks    marks
	versions map[objectRef]string
	verifyAt time.Time
}

// ledger remembers what this process has written, to tell its own changes from
// those of others. It is safe for concurrent use.
type ledger struct {
	mu       sync.Mutex
	clusters map[string]*ledgerEntry
}

type ledgerEntry struct {
	record  *record
	status  map[types.UID]string // the ManagedCluster as written last
	writing bool
	seen    map[objectRef]change // while writing
	drifted bool
}

type change struct {
	version string
	deleted bool
}

func newLedger() *ledger { return &ledger{clusters: map[string]*ledgerEntry{}} }

func (l *ledger) entry(name string) *ledgerEntry {
	e, ok := l.clusters[name]
	if !ok {
		e = &ledgerEntry{}
		l.clusters[name] = e
	}
	return e
}

// handler enqueues a cluster when one of its objects was changed by somebody
// else, or when its namespace is gone.
func (l *ledger) handler(kind string) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	changed := func(o client.Object, deleted bool, q queue) {
		name := o.GetLabels()[v1alpha1.LabelCluster]
		if name == "" {
			return
		}
		drift := l.changed(name, objectRef{kind, o.GetName()}, change{o.GetResourceVersion(), deleted})
		if drift || (deleted && kind == kindNamespace) {
			q.Add(requestFor(name))
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList {
				changed(e.Object, false, q)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				changed(e.ObjectNew, false, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { changed(e.Object, true, q) },
	}
}

// changed takes note of a change and returns whether it was made by somebody
// else to a cluster this process has written.
func (l *ledger) changed(name string, ref objectRef, c change) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.clusters[name]
	if !ok {
		return false
	}
	if e.writing {
		e.seen[ref] = c
		return false
	}
	if e.record == nil || !e.record.foreign(ref, c) {
		return false
	}
	e.drifted = true
	return true
}

// foreign says whether a change is later than what was written.
func (r *record) foreign(ref objectRef, c change) bool {
	if ref.kind == kindLease && !c.deleted {
		return false // renewals are the agent's
	}
	written := r.versions[ref]
	switch {
	case written == removed:
		return !c.deleted
	case c.deleted:
		return written == "" || c.version == written || newer(c.version, written)
	default:
		return newer(c.version, written)
	}
}

// lookup returns what is known about the objects of a cluster, nil when nothing
// is or somebody else has changed them; drifted tells the two apart.
func (l *ledger) lookup(name string, owner types.UID) (_ *record, drifted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(name)
	if e.drifted {
		return nil, true
	}
	if e.record == nil || e.record.owner != owner {
		return nil, false
	}
	return e.record, false
}

// begin is to be called before objects of a cluster are written.
func (l *ledger) begin(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(name)
	e.writing, e.drifted, e.seen = true, false, map[objectRef]change{}
}

// finish is to be called after that, with nil when it failed. It returns whether
// somebody else has changed an object in the meantime.
func (l *ledger) finish(name string, r *record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(name)
	e.writing, e.record = false, r
	// After a failure nobody knows what is there: look at everything again.
	e.drifted = e.drifted || r == nil
	if r != nil {
		for ref, c := range e.seen {
			e.drifted = e.drifted || r.foreign(ref, c)
		}
	}
	e.seen = nil
	return e.drifted
}

// wrote takes note of the version of a ManagedCluster that this process wrote.
func (l *ledger) wrote(name string, uid types.UID, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entry(name).status = map[types.UID]string{uid: version}
}

// stale says whether a ManagedCluster was read from a cache that has not caught
// up with what this process wrote.
func (l *ledger) stale(mc *v1alpha1.ManagedCluster) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.clusters[mc.Name]
	if !ok {
		return false
	}
	written, ok := e.status[mc.UID]
	return ok && written != mc.ResourceVersion && !newer(mc.ResourceVersion, written)
}

// forget drops what is known of a cluster.
func (l *ledger) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clusters, name)
}

// nextVerification is about an hour from now.
func nextVerification(now time.Time) time.Time {
	return now.Add(about(verifyEvery))
}

// firstVerification spreads what a restarted hub has to verify over an hour.
func firstVerification(now time.Time) time.Time {
	return now.Add(rand.N(verifyEvery)) //nolint:gosec // spreads work, keeps no secret
}
