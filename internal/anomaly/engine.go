// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package anomaly makes anomalies of what the rules find: it lets time pass. An
// anomaly is pending while a rule matches, raised once it has matched for long
// enough, escalated when it gets worse, and cleared when it has not matched for
// long enough. Fifty replicas that crash are one anomaly with a count.
//
// The Engine is a pure state machine: objects and moments go in, transitions come
// out. It has no clock, reads nothing and logs nothing. After each call the caller
// sets one timer for Due and calls Advance then:
//
//	engine := anomaly.New(anomaly.Options{Now: now, State: state})
//	engine.Observe(object, now)               // each object of the first lists
//	engine.Partial(facts.KindSecret, now)     // what it may not list
//	send(engine.Synced(now))                  // the first lists are complete
//	send(engine.Observe(object, now))         // from then on, each change
//	send(engine.Forget(reference, now))       // each deletion
//	send(engine.SetThresholds(list, now))     // whenever they are told, also before
//	send(engine.Advance(now))                 // at Due
//
// Besides the rules of the catalogue it evaluates metric thresholds, each a rule of
// its own. Of those, what cannot be compared stays as it is, however long that takes.
//
// What has to outlive a restart is in State, to be stored now and then and when
// the caller stops.
package anomaly

import (
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// firstSight is how old something that happened once may be to be reported by an
// engine that has never run before.
const firstSight = 10 * time.Minute

// Options of an Engine.
type Options struct {
	// Now is when it begins.
	Now time.Time
	// State of the engine before it, nil when there was none.
	State *State
	// Snapshot is true to judge objects that are seen once, such as a file of
	// them: durations rest on the times that objects tell, there is no storm
	// guard, and nothing is too old to be told.
	Snapshot bool
}

// Transition is a change of an anomaly at a moment.
type Transition struct {
	// At is when it happened.
	At time.Time
	// AnomalyTransition is what is told.
	telemetry.AnomalyTransition
}

// Engine keeps the anomalies of one cluster. It is not safe for concurrent use.
type Engine struct {
	options Options
	world   *rules.World
	now     time.Time
	synced  bool
	round   uint64

	incidents map[rules.Key]*incident
	// subjects are the incidents that an object is a member of, kin those that
	// are about an owner.
	subjects map[facts.Ref][]*incident
	kin      map[facts.Ref][]*incident
	// waiting are the incidents that an inhibitor holds back.
	waiting map[rules.Key]map[*incident]struct{}
	kills   map[facts.Ref][]kill
	// holding counts the incidents of each rule that hold at the moment.
	holding map[catalogue.ID]int
	// merged is room for merge.
	merged map[rules.Key]int
	timers timers
	storm  storm
	// frozen are the incidents of thresholds that would clear if anything were known
	// of a subject, and ended those that cleared before anything could be told.
	frozen map[facts.Ref][]*incident
	ended  []*incident
	// dirty are the incidents to settle before the call returns.
	dirty []*incident
	out   []Transition
}

// New returns an Engine that knows no objects yet.
func New(options Options) *Engine {
	horizon := options.Now.Add(-firstSight)
	if options.State != nil && options.State.At.Before(horizon) {
		horizon = options.State.At
	}
	if options.Snapshot {
		horizon = time.Time{}
	}
	e := &Engine{
		options: options, now: options.Now,
		world:     rules.NewWorld(rules.Options{Snapshot: options.Snapshot, Horizon: horizon}),
		incidents: map[rules.Key]*incident{}, subjects: map[facts.Ref][]*incident{}, kin: map[facts.Ref][]*incident{},
		waiting: map[rules.Key]map[*incident]struct{}{}, kills: map[facts.Ref][]kill{}, holding: map[catalogue.ID]int{}, merged: map[rules.Key]int{},
		frozen: map[facts.Ref][]*incident{}, storm: storm{withheld: map[*incident]struct{}{}},
	}
	if options.State != nil {
		e.restore(options.State)
	}
	return e
}

// Partial says that not all objects of a kind are observed, because the caller may
// not list them or no longer can: no rule concludes anything from one that is not
// there, and what was concluded before Partial stays as it is. It is said before
// Synced for what is missing from the beginning.
func (e *Engine) Partial(kind string, now time.Time) []Transition {
	return e.setPartial(kind, true, now)
}

// Complete takes Partial back, once every object of the kind has been observed.
func (e *Engine) Complete(kind string, now time.Time) []Transition {
	return e.setPartial(kind, false, now)
}

func (e *Engine) setPartial(kind string, partial bool, now time.Time) []Transition {
	e.enter(now)
	for _, ref := range slices.Clone(e.world.Partial(kind, partial)) {
		e.judge(ref)
	}
	for _, ref := range e.world.Orphans() {
		e.drop(ref)
	}
	return e.leave()
}

// Observe takes an object as it is now, and returns what changes because of it,
// and what has become due. Before Synced it returns nothing. The list is the
// caller's.
func (e *Engine) Observe(o facts.Object, now time.Time) []Transition {
	e.enter(now)
	ref := o.About().Ref
	if uid, known := e.world.UID(ref); known && uid != o.About().UID && uid != "" {
		e.drop(ref)
	}
	for _, touched := range e.world.Put(o, e.now) {
		e.judge(touched)
	}
	return e.leave()
}

// Forget takes an object that is gone.
func (e *Engine) Forget(ref facts.Ref, now time.Time) []Transition {
	e.enter(now)
	e.drop(ref)
	return e.leave()
}

// Synced says that every object there is has been observed. From now on
// transitions are told.
func (e *Engine) Synced(now time.Time) []Transition {
	e.enter(now)
	if e.synced {
		return e.leave()
	}
	e.synced = true
	for _, inc := range e.ended {
		e.tellCleared(inc)
	}
	e.ended = nil
	unseen, unjudged := e.world.Unseen(), e.world.Synced(e.now)
	for _, ref := range append(unseen, e.world.Orphans()...) {
		e.drop(ref)
	}
	for _, ref := range unjudged {
		e.judge(ref)
	}
	all := e.sorted()
	for _, inc := range all {
		e.confirm(inc)
		e.weigh(inc)
	}
	for _, inc := range all {
		e.settle(inc)
	}
	return e.leave()
}

// Advance returns what has become due by now.
func (e *Engine) Advance(now time.Time) []Transition {
	e.enter(now)
	return e.leave()
}

// Due returns when Advance has to be called next; zero when never.
func (e *Engine) Due() time.Time {
	due := e.timers.first()
	if release := e.storm.release(); !release.IsZero() && (due.IsZero() || release.Before(due)) {
		due = release
	}
	return due
}

// enter moves the clock, which never goes back, and does what has become due on
// the way, each at its own moment.
func (e *Engine) enter(now time.Time) {
	e.out = nil
	if !e.synced {
		e.now = later(e.now, now)
		return
	}
	for {
		due := e.Due()
		if due.IsZero() || due.After(now) {
			break
		}
		e.now = later(e.now, due)
		e.releaseStorm()
		for inc := e.timers.pop(e.now); inc != nil; inc = e.timers.pop(e.now) {
			e.settle(inc)
		}
		e.settleDirty()
	}
	e.now = later(e.now, now)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (e *Engine) leave() []Transition {
	if e.synced {
		e.settleDirty()
		e.tellStorm()
	} else {
		e.dirty = e.dirty[:0]
	}
	out := e.out
	e.out = nil
	return out
}

// judge has a subject judged and takes the difference to before.
func (e *Engine) judge(ref facts.Ref) {
	e.round++
	found := e.merge(e.world.Findings(ref, e.now))
	e.thawAll(ref)
	known := e.subjects[ref]
	if len(found) == 0 && len(known) == 0 {
		return
	}
	for i := range found {
		e.match(ref, &found[i])
	}
	// What follows may change the list.
	for _, inc := range append([]*incident(nil), e.subjects[ref]...) {
		e.unmatched(inc, ref)
	}
}

// unmatched takes away what was not found again.
func (e *Engine) unmatched(inc *incident, ref facts.Ref) {
	e.unfound(inc, ref)
	m := inc.members[ref]
	if m == nil || m.round == e.round || !m.matched || !e.judged(inc, ref, m) {
		return
	}
	counted := !m.since.After(e.now)
	e.lose(inc, m)
	if e.leaves(inc, ref, m, counted) {
		return
	}
	// A failed Job is only taken back by a newer one that succeeded.
	inc.clearNow = inc.key.Rule == "JobFailed"
	e.dirty = append(e.dirty, inc)
}

// judged says whether it means something that a member was not found again.
func (e *Engine) judged(inc *incident, ref facts.Ref, m *member) bool {
	if inc.metric {
		return e.below(inc, ref, m)
	}
	return !e.world.Unjudged(inc.key.Rule) || !e.synced && !m.restored
}

func (e *Engine) lose(inc *incident, m *member) {
	m.matched, m.lost = false, e.now
	if !m.since.After(e.now) {
		inc.lastMatch = e.now
	}
}

// drop takes an object away, with what it was a member of.
func (e *Engine) drop(ref facts.Ref) {
	touched := append([]facts.Ref(nil), e.world.Delete(ref)...)
	for _, inc := range append([]*incident(nil), e.subjects[ref]...) {
		if m := inc.members[ref]; m != nil {
			counted := m.matched && !m.since.After(e.now)
			if m.matched {
				e.lose(inc, m)
			}
			delete(inc.members, ref)
			e.unlink(ref, inc)
			if e.leaves(inc, ref, nil, counted) {
				continue
			}
			e.gone(inc, ref)
		}
		e.dirty = append(e.dirty, inc)
	}
	delete(e.subjects, ref)
	e.nodeGone(ref)
	for _, inc := range e.kin[ref] {
		if len(inc.members) == 0 && len(inc.edges) == 0 && inc.key.Rule != "JobFailed" {
			inc.clearNow = true
			e.dirty = append(e.dirty, inc)
		}
	}
	for _, t := range touched {
		e.judge(t)
	}
}

// gone decides how long an incident outlives an object: not at all when it is
// about that object, or when the owner that would replace it is gone as well.
func (e *Engine) gone(inc *incident, ref facts.Ref) {
	if inc.key.Rule == "JobFailed" {
		// The failure stays visible for a while, also where Jobs are cleaned up
		// at once.
		inc.lastMatch = later(inc.raised, inc.since)
		return
	}
	owner := ownerOf(inc.key)
	if owner == ref {
		inc.clearNow = true
		return
	}
	switch owner.Kind {
	case facts.KindDeployment, facts.KindStatefulSet, facts.KindDaemonSet, facts.KindReplicaSet, facts.KindJob, facts.KindCronJob:
		if _, known := e.world.UID(owner); !known && !e.world.IsPartial(owner.Kind) {
			inc.clearNow = true
		}
	}
}
