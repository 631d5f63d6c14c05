// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// askEvery is how often it is asked what has arrived of a cluster, give or take
	// 10 %, unless something says that the answer is outdated.
	askEvery = 5 * time.Minute
	// askFirst is the pause after the first answer that nothing has arrived yet. It
	// doubles up to askEvery.
	askFirst = 15 * time.Second
	// askAgain is the least time between two questions about a cluster, whatever
	// happens in between.
	askAgain = 5 * time.Second
	// askTimeout is how long an answer may take.
	askTimeout = 5 * time.Second
	// awayAfter is how long the database may fail to answer before it counts as away;
	// a restart of it is shorter.
	awayAfter = 10 * time.Second
	// probeEvery is how often a database that does not answer is asked.
	probeEvery = 10 * time.Second
	// awayCheck is how often a cluster is looked at while the database is away, give
	// or take 10 %.
	awayCheck = 30 * time.Second
	// spreadAll is over how long all clusters are looked at when an event is about
	// all of them.
	spreadAll = 5 * time.Second
)

// receipts remembers what has arrived of the clusters, so that most reconciliations
// cost no query. While the database does not answer, only one question is asked now
// and then, whatever the number of clusters. It is safe for concurrent use.
type receipts struct {
	source Telemetry
	now    func() time.Time

	mu       sync.Mutex
	clusters map[string]*receipt
	storable time.Time // since when the database answers, as far as is known
	failing  time.Time // since when it does not; zero while it does
	away     bool      // it has not for awayAfter
	probeAt  time.Time // while failing: when to ask again
	probing  bool      // while failing: a question is under way
}

// receipt is what is known of one cluster.
type receipt struct {
	id       types.UID
	delivery string // what the agent said when it was asked
	received Received
	asked    time.Time     // when that was true; zero when there was no answer yet
	askAt    time.Time     // when to ask again; zero for at once
	outdated bool          // something has happened since
	pause    time.Duration // while nothing has arrived
}

// next is when to ask.
func (c *receipt) next() time.Time {
	if again := c.asked.Add(askAgain); c.outdated && again.Before(c.askAt) {
		return again
	}
	return c.askAt
}

// question is one that is under way.
type question struct {
	name  string
	id    types.UID
	probe bool
}

func newReceipts(source Telemetry, now func() time.Time) *receipts {
	return &receipts{source: source, now: now, clusters: map[string]*receipt{}, storable: now()}
}

// read returns what has arrived of a cluster. It asks when the last answer is old or
// outdated: by an event, or because the agent says something else about its
// deliveries than it did then.
func (r *receipts) read(ctx context.Context, name string, id types.UID, delivery string) TelemetryView {
	view, q := r.begin(name, id, delivery)
	if q == nil {
		return view
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	received, err := r.source.Received(asking, name, id)
	switch {
	case err == nil:
		return r.answered(q, &received)
	case ctx.Err() != nil:
		return r.abandoned(q)
	case errors.Is(err, ErrTelemetryUnavailable), asking.Err() != nil:
		return r.unanswered(q)
	}
	log.FromContext(ctx).Error(err, "Reading what has arrived of the cluster failed; what is reported about it stays")
	return r.answered(q, nil)
}

// begin returns what is known, or the question to ask.
func (r *receipts) begin(name string, id types.UID, delivery string) (TelemetryView, *question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	c, known := r.clusters[name]
	if !known || c.id != id {
		c = &receipt{id: id, delivery: delivery}
		r.clusters[name] = c
	}
	if c.delivery != delivery {
		c.delivery, c.outdated = delivery, true
	}
	current, failing := now.Before(c.next()), !r.failing.IsZero()
	probe := failing && !r.probing && !now.Before(r.probeAt)
	switch {
	case probe, !failing && !current:
		r.probing = r.probing || probe
		c.askAt, c.outdated = now.Add(about(askEvery)), false
		return TelemetryView{}, &question{name: name, id: id, probe: probe}
	case !failing:
		return r.view(c), nil
	case current && !r.away:
		view := r.view(c)
		view.NextCheck = earliest(view.NextCheck, r.afterProbe(now))
		return view, nil
	}
	return r.doubt(now), nil
}

// view returns the last answer about a cluster.
func (r *receipts) view(c *receipt) TelemetryView {
	if c.asked.IsZero() {
		return TelemetryView{State: TelemetryUnsure, NextCheck: c.next()}
	}
	return TelemetryView{State: TelemetryKnown, Received: c.received, Asked: c.asked, StorableSince: r.storable, NextCheck: c.next()}
}

// doubt returns what to say while the database does not answer.
func (r *receipts) doubt(now time.Time) TelemetryView {
	if r.away && !r.probing {
		return TelemetryView{State: TelemetryAway, NextCheck: now.Add(about(awayCheck))}
	}
	view := TelemetryView{State: TelemetryUnsure, NextCheck: r.afterProbe(now)}
	if r.away {
		view.State = TelemetryAway
	}
	return view
}

// afterProbe is shortly after the next answer is to be expected.
func (r *receipts) afterProbe(now time.Time) time.Time {
	at := r.probeAt
	if r.probing || at.Before(now) {
		at = now
	}
	return at.Add(about(time.Second))
}

// answered takes note of an answer, nil for one that says nothing.
func (r *receipts) answered(q *question, received *Received) TelemetryView {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !r.failing.IsZero() {
		r.failing, r.away, r.probing, r.storable = time.Time{}, false, false, now
	}
	c, known := r.clusters[q.name]
	if !known || c.id != q.id {
		return TelemetryView{State: TelemetryUnsure}
	}
	if received == nil {
		return r.view(c)
	}
	c.received, c.asked, c.askAt = *received, now, now.Add(about(askEvery))
	if received.LastStored.IsZero() {
		c.pause = min(max(2*c.pause, askFirst), askEvery)
		c.askAt = now.Add(about(c.pause))
	}
	return r.view(c)
}

// unanswered takes note that the database did not answer.
func (r *receipts) unanswered(q *question) TelemetryView {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.failing.IsZero() {
		r.failing = now
	}
	r.away = r.away || now.Sub(r.failing) >= awayAfter
	r.probeAt = now.Add(probeEvery)
	r.release(q)
	return r.doubt(now)
}

// abandoned takes note that nobody waits for an answer any more.
func (r *receipts) abandoned(q *question) TelemetryView {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(q)
	return TelemetryView{State: TelemetryUnsure}
}

// release lets a question be asked again.
func (r *receipts) release(q *question) {
	if q.probe {
		r.probing = false
	}
	if c, known := r.clusters[q.name]; known {
		c.askAt = time.Time{}
	}
}

// outdate makes the next read of a cluster ask.
func (r *receipts) outdate(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, known := r.clusters[name]; known {
		c.outdated = true
	}
}

// news makes the next read of a cluster ask, or of every one for an empty name, also
// while the database does not answer.
func (r *receipts) news(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, c := range r.clusters {
		if name == "" || name == other {
			c.outdated = true
		}
	}
	r.probeAt = time.Time{}
}

// forget drops what is known of a cluster.
func (r *receipts) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clusters, name)
}

// about returns d give or take 10 %, so that what began together does not stay so.
func about(d time.Duration) time.Duration {
	return d*9/10 + rand.N(d/5) //nolint:gosec // spreads work, keeps no secret
}

// handler enqueues the cluster that an event is about, or all of them, and has it
// asked what has arrived.
func (r *receipts) handler(clusters func() []string) handler.EventHandler {
	return handler.Funcs{GenericFunc: func(_ context.Context, e event.GenericEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if e.Object != nil && e.Object.GetName() != "" {
			r.news(e.Object.GetName())
			q.Add(requestFor(e.Object.GetName()))
			return
		}
		r.news("")
		for _, name := range clusters() {
			q.AddAfter(requestFor(name), rand.N(spreadAll)) //nolint:gosec // spreads work, keeps no secret
		}
	}}
}
