// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

const (
	// MinInterval is the least time between two readings of a node: kubelets measure
	// containers about every 10 s, and volumes every minute.
	MinInterval = 15 * time.Second
	// MaxInterval is the longest: how much of its CPU time a container was denied is
	// judged by readings of 5 minutes.
	MaxInterval = 2 * time.Minute

	// readTimeout bounds each request to a node. A kubelet that does not answer one is
	// not asked for more.
	readTimeout = 10 * time.Second
)

// Observer takes what was read. Its methods return at once.
type Observer interface {
	// Observe takes a *facts.ContainerUsage or *facts.VolumeUsage as it is now.
	Observe(facts.Object)
	// Forget takes one of which nothing more is told.
	Forget(facts.Ref)
}

// Options tune a Reader.
type Options struct {
	// Interval is the time between two readings of a node, from MinInterval to
	// MaxInterval. Required.
	Interval time.Duration
	// Observer takes what was read. Required.
	Observer Observer
	// Direct has the Reader ask kubelets itself, with tokens of the ServiceAccount
	// Account in Namespace, instead of having the API server ask them. Their
	// certificates have to be from the authorities in CAFile, or where that is "" from
	// the one that signs for the API server.
	Direct            bool
	Namespace, CAFile string
	// Logger receives what a human may act on. Defaults to nowhere.
	Logger logr.Logger
}

// Reader reads the kubelets of one cluster, one at a time. Run once; everything else
// may be called at any time from any goroutine.
type Reader struct {
	options Options
	source  source
	// holders is how many nodes tell of an object: a claim may be mounted on several.
	// Only Run uses it.
	holders map[facts.Ref]int
	// failing and behind are what was said last. Only Run uses them.
	failing, behind bool

	wake chan struct{}
	// mu guards the nodes, but for what is in their watches, which Run alone uses.
	mu       sync.Mutex
	schedule *schedule
	// gone are nodes that Run has to forget.
	gone []*node

	stats counters
}

type counters struct {
	read, failed, held atomic.Int64
	refused            atomic.Bool
}

// New returns a Reader of the kubelets of the cluster that config leads to. It makes no request before Run. Nodes come from Follow.
func New(config *rest.Config, options Options) (*Reader, error) {
	if options.Interval < MinInterval || options.Interval > MaxInterval {
		return nil, fmt.Errorf("preparing to read kubelets: the interval is %s; it must be from %s to %s", options.Interval, MinInterval, MaxInterval)
	}
	if options.Observer == nil {
		return nil, errors.New("preparing to read kubelets: an observer is required")
	}
	if options.Direct {
		from, err := newDirect(config, options.Namespace, options.CAFile)
		if err != nil {
			return nil, err
		}
		return newReader(from, options), nil
	}
	from, err := newProxy(config)
	if err != nil {
		return nil, err
	}
	return newReader(from, options), nil
}

func newReader(from source, options Options) *Reader {
	if options.Logger.GetSink() == nil {
		options.Logger = logr.Discard()
	}
	return &Reader{
		options: options, source: from, holders: map[facts.Ref]int{},
		wake: make(chan struct{}, 1), schedule: newSchedule(options.Interval),
	}
}

// Follow returns an Observer of an Inventory that passes everything on to next, and has
// the Reader learn from it which nodes there are.
func (r *Reader) Follow(next inventory.Observer) inventory.Observer {
	return follower{Observer: next, reader: r}
}

type follower struct {
	inventory.Observer
	reader *Reader
}

// Observe implements inventory.Observer.
func (f follower) Observe(o facts.Object) {
	if n, ok := o.(*facts.Node); ok {
		f.reader.add(n)
	}
	f.Observer.Observe(o)
}

// Forget implements inventory.Observer.
func (f follower) Forget(ref facts.Ref) {
	if ref.Kind == facts.KindNode {
		f.reader.remove(ref.Name)
	}
	f.Observer.Forget(ref)
}

func (r *Reader) add(o *facts.Node) {
	r.mu.Lock()
	r.schedule.add(o.Name, facts.Is(o.Conditions, "Ready", facts.Unknown) != nil, time.Now())
	r.mu.Unlock()
	r.nudge()
}

func (r *Reader) remove(name string) {
	r.mu.Lock()
	if n := r.schedule.remove(name); n != nil {
		r.gone = append(r.gone, n)
	}
	r.mu.Unlock()
	r.nudge()
}

func (r *Reader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run reads kubelets until ctx ends. It outlives kubelets and an API server that do
// not answer, and having no right to read them.
func (r *Reader) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		n := r.plan()
		now := time.Now()
		if n != nil && !n.due.After(now) {
			r.finish(ctx, n, r.read(ctx, n))
			continue
		}
		timer.Stop()
		if n != nil {
			timer.Reset(n.due.Sub(now))
		}
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
	}
	return nil
}

// plan forgets nodes that are gone and returns a copy of the one to read next, with its
// watch; nil for none.
func (r *Reader) plan() *node {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.gone {
		r.tell(n.watch.end())
	}
	r.gone = nil
	next := r.schedule.next()
	if next == nil {
		return nil
	}
	return new(*next)
}

// outcome is what became of reading a node: all of it, something or nothing.
type outcome struct {
	err  error
	some bool
}

// read reads a node: its containers also when its volumes cannot be read, and the other
// way round, unless it is its kubelet that does not answer.
func (r *Reader) read(ctx context.Context, n *node) (out outcome) {
	volumes, err := fetch(ctx, r.source, n.name, pathSummary, readSummary)
	switch {
	case err == nil:
		out.some = true
		r.tell(n.watch.volumes(volumes, time.Now()))
	case errors.Is(err, errRefused), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		out.err = err
		return out
	}
	containers, other := fetch(ctx, r.source, n.name, pathContainers, readContainers)
	if other == nil {
		out.some = true
		r.tell(n.watch.containers(containers, time.Now()))
	}
	out.err = errors.Join(err, other)
	return out
}

// fetch reads a document of a node, within readTimeout.
func fetch[T any](ctx context.Context, from source, name, path string, parse func(io.Reader) ([]T, error)) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	body, err := from.open(ctx, name, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	all, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return all, nil
}

// tell passes on what is new.
func (r *Reader) tell(n news) {
	for _, ref := range n.begin {
		r.holders[ref]++
	}
	for _, o := range n.observe {
		r.options.Observer.Observe(o)
	}
	for _, ref := range n.forget {
		r.holders[ref]--
		if r.holders[ref] <= 0 {
			delete(r.holders, ref)
			r.options.Observer.Forget(ref)
		}
	}
	r.stats.held.Store(int64(len(r.holders)))
}

// finish plans the next reading of a node, and says what has become better or worse.
func (r *Reader) finish(ctx context.Context, n *node, out outcome) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if out.err == nil {
		r.stats.read.Add(1)
	} else {
		r.stats.failed.Add(1)
	}
	r.mu.Lock()
	kept := r.schedule.nodes[n.name]
	current := kept != nil && kept.watch == n.watch
	switch {
	case errors.Is(out.err, errRefused):
		r.schedule.refused(now)
	case current && out.some:
		kept.failing = out.err != nil
		r.schedule.succeeded(kept, now)
	case current:
		kept.failing = true
		r.schedule.failed(kept, now)
	}
	_, _, failing := r.schedule.count()
	r.mu.Unlock()
	if r.reportRight(n, out.err) && current { // that it went explains everything
		r.report(n, out.err, failing)
	}
	switch late := now.Sub(n.due); {
	case late > r.options.Interval && !r.behind:
		r.behind = true
		r.options.Logger.Info("Reading kubelets takes longer than the interval: each is read when its turn comes", "late", late.String())
	case late < r.options.Interval/2:
		r.behind = false
	}
}

// reportRight says when the agent has no right to read kubelets, and when it has again.
// It is true unless it has none.
func (r *Reader) reportRight(n *node, err error) bool {
	refused := errors.Is(err, errRefused)
	log := r.options.Logger
	switch {
	case refused && !r.stats.refused.Swap(true):
		log.Error(err, "Cannot read kubelets, so that nothing is known of how full claims are and of what containers use", "node", n.name)
	case refused:
	case err == nil && r.stats.refused.Swap(false):
		log.Info("Can read kubelets")
	}
	return !refused
}

// report says when the first kubelet cannot be read, and when all can again.
func (r *Reader) report(n *node, err error, failing int) {
	log := r.options.Logger
	switch {
	case err != nil && !r.failing:
		r.failing = true
		log.Error(err, "Cannot read a kubelet, what it told is getting old", "node", n.name)
	case err != nil:
		log.V(1).Info("Cannot read a kubelet", "node", n.name, "failing", failing, "reason", err.Error())
	case failing == 0 && r.failing:
		r.failing = false
		log.Info("Can read all kubelets again")
	}
}

// Stats is how reading goes.
type Stats struct {
	// Nodes is how many there are. Of these the control plane does not hear from Lost,
	// which are not read; and Failing could not be read completely last time.
	Nodes, Lost, Failing int
	// Read and Failed count readings since the start.
	Read, Failed int64
	// Watched is how many containers and claims are near a threshold.
	Watched int
	// Refused is true while the agent has no right to read kubelets.
	Refused bool
}

// Stats returns how reading goes.
func (r *Reader) Stats() Stats {
	s := Stats{Read: r.stats.read.Load(), Failed: r.stats.failed.Load(), Watched: int(r.stats.held.Load()), Refused: r.stats.refused.Load()}
	r.mu.Lock()
	s.Nodes, s.Lost, s.Failing = r.schedule.count()
	r.mu.Unlock()
	return s
}
