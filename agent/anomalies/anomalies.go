// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// defaultSampleInterval is the time between two samples of a node whose sample does
// not tell.
const defaultSampleInterval = 15 * time.Second

// Sink takes telemetry in the order in which it is to reach the hub.
//
// When it has lost transitions, it has Anomalies.Resync called, from any goroutine
// and also from within Append.
type Sink interface {
	// Append takes values of telemetry.StreamAnomalies that are of one moment:
	// *telemetry.AnomalyTransition and, where transitions had to be given up, a
	// *telemetry.Gap whose From and To the sink sets. One call is under way at any
	// time. After an error the same is handed over again, one by one. Values are
	// not changed afterwards.
	Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error
}

// Options say where to tell anomalies.
type Options struct {
	// Sink takes the transitions. Required.
	Sink Sink
	// File is where to remember what has to outlive a restart. Its folder is made.
	// Required.
	File string
	// Lines, when set, is asked for what a container wrote last when an anomaly about
	// its end is raised. The lines follow as evidence, without what looks like a
	// credential, in a transition of their own: nothing waits for them.
	Lines Lines
	// Logger receives what a human may act on. Defaults to nowhere.
	Logger logr.Logger
}

// Anomalies judges one cluster. It is an inventory.Observer. All methods may be
// called at any time from any goroutine, also before Run; Run once.
type Anomalies struct {
	options Options
	inbox   *inbox
	outbox  *outbox
	summary atomic.Pointer[anomaly.Summary]
	stats   atomic.Pointer[Stats]
	changes chan struct{}
	// saves holds what is to be written next.
	saves chan *memory
}

// New returns an Anomalies that knows nothing yet. It reads and writes nothing
// before Run.
func New(options Options) (*Anomalies, error) {
	if options.Sink == nil || options.File == "" {
		return nil, errors.New("preparing the anomalies: a sink and a file are required")
	}
	if options.Logger.GetSink() == nil {
		options.Logger = logr.Discard()
	}
	return &Anomalies{
		options: options, inbox: newInbox(), outbox: newOutbox(options.Sink, options.Logger),
		changes: make(chan struct{}, 1), saves: make(chan *memory, 1),
	}, nil
}

// Observe takes an object as it is now.
func (a *Anomalies) Observe(o facts.Object) { a.inbox.observe(o) }

// ObserveSample takes the latest sample of a node. It has the moment at which it was
// taken twice: by the node's clock and by this one.
func (a *Anomalies) ObserveSample(sample *telemetry.NodeSample, theirs, ours time.Time) {
	interval := sample.Interval.Round(time.Second)
	if interval <= 0 {
		interval = defaultSampleInterval
	}
	a.inbox.observe(&facts.NodeSample{
		Meta:   facts.Meta{Ref: facts.Ref{Kind: facts.KindNodeSample, Name: sample.Node}},
		Sample: sample, Taken: theirs, Received: ours, Interval: interval,
	})
}

// Forget takes an object that is gone.
func (a *Anomalies) Forget(ref facts.Ref) { a.inbox.forget(ref) }

// Synced says that all there is has been observed, but for the kinds in partial.
// Nothing is told before.
func (a *Anomalies) Synced(partial []string) { a.inbox.say(allListed{partial}) }

// Readable says that a kind cannot be read from now on, or can be again and has been
// observed.
func (a *Anomalies) Readable(kind string, yes bool) { a.inbox.say(kindReadable{kind, yes}) }

// Answering says whether the API server answers.
func (a *Anomalies) Answering(yes bool) { a.inbox.say(serverAnswers{yes}) }

// Thresholds takes the document of thresholds that metrics are compared with, which
// internal/anomaly/threshold defines, instead of the one before. Until it is called,
// those that were evaluated before the start are.
func (a *Anomalies) Thresholds(document string) { a.inbox.say(newThresholds{document}) }

// Resync has the sink told again what is open, and what has cleared lately. It does
// nothing for streams other than telemetry.StreamAnomalies, and returns at once.
func (a *Anomalies) Resync(stream telemetry.Stream) {
	if stream == telemetry.StreamAnomalies {
		a.inbox.say(tellAgain{})
	}
}

// Summary returns what is open, with the worst. It is false until everything has been
// observed once. It is not to be changed.
func (a *Anomalies) Summary() (anomaly.Summary, bool) {
	if s := a.summary.Load(); s != nil {
		return *s, true
	}
	return anomaly.Summary{}, false
}

// Changed returns the channel that receives after what Summary returns has changed.
// Its capacity is 1. It is for one receiver and is never closed.
func (a *Anomalies) Changed() <-chan struct{} { return a.changes }

// Run judges until ctx ends, and then remembers where it stands. It outlives a sink
// that refuses and a file that cannot be written.
func (a *Anomalies) Run(ctx context.Context) error {
	now := time.Now()
	before, err := load(a.options.File)
	if err != nil {
		a.options.Logger.Error(err, "Starting with no memory of anomalies: what happened more than 10 minutes ago is not told, "+
			"what is open is told again", "file", a.options.File)
	}
	j := a.newJudge(before, now)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { j.run(ctx); return nil })
	group.Go(func() error { a.outbox.run(ctx); return nil })
	group.Go(func() error { a.keep(ctx); return nil })
	if j.quotes != nil {
		group.Go(func() error { a.fetch(ctx, j.quotes.wanted); return nil })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	a.outbox.flush()
	if m := j.memory(time.Now()); m != nil {
		if err := save(a.options.File, m); err != nil {
			a.options.Logger.Error(err, "Stopping without a memory of anomalies", "file", a.options.File)
		}
	}
	return nil
}

// keep writes what is to be remembered until ctx ends.
func (a *Anomalies) keep(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-a.saves:
			err := save(a.options.File, m)
			switch {
			case err != nil && !failing:
				a.options.Logger.Error(err, "Cannot remember anomalies, a restart would tell the open ones again", "file", a.options.File)
			case err == nil && failing:
				a.options.Logger.Info("Can remember anomalies again", "file", a.options.File)
			}
			failing = err != nil
		}
	}
}
