// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// judgeBatch is how many entries are judged at one moment.
	judgeBatch = 64
	// worst is how many anomalies a summary names.
	worst = 20
	// summaryPause is the least time between two summaries, and countPause between
	// two when nothing was told: then only counts can differ.
	summaryPause = 100 * time.Millisecond
	countPause   = 5 * time.Second
	// savePause is the least time between two savings, and saveInterval the time
	// after which is saved although nothing was told.
	savePause    = time.Second
	saveInterval = 10 * time.Minute
	// leasePause is how long heartbeats of nodes may wait to be looked at, far less
	// than it takes for one to be missed.
	leasePause = leaseGrace / 4
	// leastWait keeps an engine that is due again and again from using a core.
	leastWait = time.Millisecond
	// noticed is after what time at most it is noticed that the API server does not
	// answer.
	noticed = 30 * time.Second
)

// judge owns the engine. Its methods are called by one goroutine.
type judge struct {
	anomalies *Anomalies
	log       logr.Logger
	engine    *anomaly.Engine
	leases    *leases
	recent    *recent
	// quotes is nil when nobody asked for lines of logs.
	quotes *quotes
	synced bool
	// before is what the engine began with; nil for nothing.
	before *anomaly.State
	// silentSince is since when the API server has not answered; zero while it does.
	silentSince time.Time
	// storm is the last transition of the anomaly that stands for many.
	storm *anomaly.Transition
	// summaryDue and saveDue are when to make a summary and to save; zero for not
	// before something happens.
	summaryDue, saveDue time.Time
	summarized, saved   time.Time
}

func (a *Anomalies) newJudge(before *memory, now time.Time) *judge {
	j := &judge{
		anomalies: a, log: a.options.Logger, leases: newLeases(), recent: newRecent(), saved: now.Add(-savePause),
	}
	if a.options.Lines != nil {
		j.quotes = newQuotes()
	}
	options := anomaly.Options{Now: now}
	if before != nil {
		options.State, j.before = before.Engine, before.Engine
		a.outbox.push(before.Unsent)
		if storm := before.Storm; storm != nil {
			storm.At, storm.State, storm.Count = now, telemetry.AnomalyCleared, 0
			a.outbox.push([]anomaly.Transition{*storm})
		}
		j.log.Info("Remembering anomalies", "savedAt", before.SavedAt, "incidents", len(before.Engine.Incidents), "unsent", len(before.Unsent))
	}
	j.engine = anomaly.New(options)
	if before != nil {
		a.stats.Store(&Stats{Thresholds: len(before.Engine.Thresholds)})
	}
	return j
}

// run judges until ctx ends.
func (j *judge) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		entries, lost := j.anomalies.inbox.take(judgeBatch)
		now := time.Now()
		if lost > 0 {
			j.log.Info("Leaving out Kubernetes events, there are more than can be judged", "events", lost)
		}
		j.step(entries, now)
		if len(entries) == judgeBatch {
			continue
		}
		wait := saveInterval
		if len(j.leases.known) > 0 || !j.synced {
			wait = leasePause
		}
		for _, due := range []time.Time{j.engine.Due(), j.summaryDue, j.saveDue} {
			if !due.IsZero() {
				wait = min(wait, due.Sub(now))
			}
		}
		timer.Reset(max(wait, leastWait))
		select {
		case <-ctx.Done():
		case <-j.anomalies.inbox.wake:
		case <-timer.C:
		}
	}
}

// step judges what has come in, all of it at one moment, and passes on what is new.
// What came in is judged before what is due: a heartbeat that waited here was in time.
func (j *judge) step(entries []entry, now time.Time) {
	var told []anomaly.Transition
	moment := now
	if due := j.engine.Due(); !due.IsZero() && !due.After(now) {
		moment = due.Add(-1)
	}
	for i := range entries {
		if entries[i].object != nil {
			told = append(told, j.see(entries[i].object, moment)...)
		} else {
			told = append(told, j.heed(entries[i].message, moment)...)
		}
	}
	told = append(told, j.engine.Advance(now)...)
	for i := range told {
		t := &told[i]
		j.recent.note(t)
		j.quotes.note(t)
		switch {
		case t.Rule != string(anomaly.StormRule):
		case t.State == telemetry.AnomalyCleared:
			j.storm = nil
		default:
			j.storm = new(*t)
		}
		j.log.V(1).Info("Anomaly", "state", t.State.String(), "severity", t.Severity.String(), "rule", t.Rule,
			"namespace", t.Object.Namespace, "kind", t.Object.Kind, "name", t.Object.Name, "count", t.Count)
	}
	j.anomalies.outbox.push(told)
	j.schedule(len(told) > 0, len(entries) > 0)
	if !j.summaryDue.IsZero() && !now.Before(j.summaryDue) {
		j.summarize(now)
	}
	if !j.saveDue.IsZero() && !now.Before(j.saveDue) {
		j.save(now)
	}
}

// see judges what has become of an object.
func (j *judge) see(o *object, now time.Time) (told []anomaly.Transition) {
	if o.first != nil {
		told = append(told, j.observe(o.first, now)...)
	}
	if o.gone {
		j.leases.forget(o.ref)
		told = append(told, j.engine.Forget(o.ref, now)...)
	}
	if o.then != nil {
		told = append(told, j.observe(o.then, now)...)
	}
	return told
}

func (j *judge) observe(o facts.Object, now time.Time) []anomaly.Transition {
	if lease, ok := o.(*facts.Lease); ok && !j.leases.hear(lease) {
		return nil
	}
	return j.engine.Observe(o, now)
}

// heed does what a message says.
func (j *judge) heed(message any, now time.Time) (told []anomaly.Transition) {
	switch m := message.(type) {
	case allListed:
		for _, kind := range m.partial {
			j.engine.Partial(kind, now)
		}
		j.synced = true
		told = append(told, j.engine.Synced(now)...)
		j.summaryDue = now
		if j.anomalies.Stats() != (Stats{}) {
			j.saveSoon() // thresholds that came before could not be remembered
		}
	case kindReadable:
		return j.read(m.kind, m.yes, now)
	case serverAnswers:
		j.leases.silent = !m.yes
		if m.yes {
			j.silentSince = time.Time{}
			return j.listen(j.leases.resume(now), now)
		}
		j.silentSince = now.Add(-noticed)
		return j.deafen(now)
	case quoted:
		return j.quotes.take(m, now)
	case tellAgain:
		return j.again(now)
	case newThresholds:
		return j.compare(m.document, now)
	}
	return told
}

// read takes it that a kind can be read, or cannot be.
func (j *judge) read(kind string, yes bool, now time.Time) (told []anomaly.Transition) {
	if kind == facts.KindLease {
		if j.leases.refused = !yes; yes {
			told = j.listen(j.leases.resume(now), now)
		} else {
			told = j.deafen(now)
		}
	}
	if yes {
		return append(told, j.engine.Complete(kind, now)...)
	}
	return append(told, j.engine.Partial(kind, now)...)
}

// deafen takes away the heartbeats that nobody can hear any more.
func (j *judge) deafen(now time.Time) (told []anomaly.Transition) {
	for _, ref := range j.leases.suspend(now) {
		told = append(told, j.engine.Forget(ref, now)...)
	}
	return told
}

// listen has heartbeats judged.
func (j *judge) listen(heard []*facts.Lease, now time.Time) (told []anomaly.Transition) {
	for _, lease := range heard {
		told = append(told, j.engine.Observe(lease, now)...)
	}
	return told
}

// again returns what the sink was told of and is not over, and what is over since
// not long.
func (j *judge) again(now time.Time) []anomaly.Transition {
	told := j.recent.all()
	state := j.engine.State()
	for i := range state.Incidents {
		if x := &state.Incidents[i]; x.Told != 0 {
			told = append(told, anomaly.Transition{At: now, AnomalyTransition: x.Last})
		}
	}
	if j.storm != nil {
		told = append(told, *j.storm)
	}
	j.log.Info("Telling anomalies again", "transitions", len(told))
	return told
}

// saveSoon has the present remembered although nothing was told.
func (j *judge) saveSoon() {
	if due := j.saved.Add(savePause); j.saveDue.IsZero() || due.Before(j.saveDue) {
		j.saveDue = due
	}
}

// schedule decides when to make a summary and when to save.
func (j *judge) schedule(told, seen bool) {
	sooner := func(due *time.Time, at time.Time) {
		if due.IsZero() || at.Before(*due) {
			*due = at
		}
	}
	switch {
	case !j.synced:
	case told:
		sooner(&j.summaryDue, j.summarized.Add(summaryPause))
	case seen:
		sooner(&j.summaryDue, j.summarized.Add(countPause))
	}
	if told {
		sooner(&j.saveDue, j.saved.Add(savePause))
	}
	sooner(&j.saveDue, j.saved.Add(saveInterval))
}

func (j *judge) summarize(now time.Time) {
	j.summarized, j.summaryDue = now, time.Time{}
	fresh := j.engine.Open(worst)
	if old := j.anomalies.summary.Load(); old != nil && shownAlike(old, &fresh) {
		return
	}
	j.anomalies.summary.Store(&fresh)
	select {
	case j.anomalies.changes <- struct{}{}:
	default:
	}
}

// shownAlike says whether two summaries name the same.
func shownAlike(a, b *anomaly.Summary) bool {
	if a.Critical != b.Critical || a.Warning != b.Warning || a.Info != b.Info || a.Pending != b.Pending || len(a.Worst) != len(b.Worst) {
		return false
	}
	for i := range a.Worst {
		x, y := &a.Worst[i], &b.Worst[i]
		if x.Fingerprint != y.Fingerprint || x.Severity != y.Severity || x.Count != y.Count || x.Reason != y.Reason || !x.Since.Equal(y.Since) {
			return false
		}
	}
	return true
}

// save has the present remembered. What waits to be written and is older is not.
func (j *judge) save(now time.Time) {
	j.saved, j.saveDue = now, now.Add(saveInterval)
	m := j.memory(now)
	if m == nil {
		return
	}
	select {
	case <-j.anomalies.saves:
	default:
	}
	j.anomalies.saves <- m
}

// memory returns what has to outlive a restart now, nil when there is nothing. An
// engine that has not seen the cluster must not make old news of what happened since
// the one before it.
func (j *judge) memory(now time.Time) *memory {
	m := &memory{Version: memoryVersion, SavedAt: now, Engine: j.before, Storm: j.storm, Unsent: j.anomalies.outbox.unsent()}
	if j.synced {
		m.Engine = j.engine.State()
		if since := j.silentSince; !since.IsZero() && since.Before(m.Engine.At) {
			m.Engine.At = since
		}
	}
	if m.Engine == nil {
		return nil
	}
	return m
}
