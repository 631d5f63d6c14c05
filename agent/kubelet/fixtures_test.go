// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// fleet is a source of kubelets that answer as told.
type fleet struct {
	mu sync.Mutex
	// answers are the documents by "node path"; hangs has the nodes that never answer.
	answers map[string]string
	hangs   map[string]bool
	fails   map[string]error
	// asked are the moments of the readings of volumes, by node; busy is how many are
	// under way, most how many there were at most.
	asked      map[string][]time.Time
	busy, most int
	// takes is how long a document takes.
	takes time.Duration
}

func newFleet() *fleet {
	return &fleet{answers: map[string]string{}, hangs: map[string]bool{}, fails: map[string]error{}, asked: map[string][]time.Time{}, takes: 20 * time.Millisecond}
}

func (f *fleet) open(ctx context.Context, node, path string) (io.ReadCloser, error) {
	f.mu.Lock()
	if path == pathSummary {
		f.asked[node] = append(f.asked[node], time.Now())
	}
	f.busy++
	f.most = max(f.most, f.busy)
	hangs, err, answer := f.hangs[node], f.fails[node+" "+path], f.answers[node+" "+path]
	if err == nil {
		err = f.fails[""]
	}
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.busy--; f.mu.Unlock() }()
	if hangs {
		<-ctx.Done()
		return nil, fmt.Errorf("asking: %w", ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(f.takes)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	}
	if answer == "" {
		answer = map[string]string{pathSummary: `{"pods":[]}`, pathContainers: named(familyLimit, "/", "", "0")}[path]
	}
	return io.NopCloser(strings.NewReader(answer)), nil
}

// set has a kubelet tell of a claim that is nearly full.
func (f *fleet) set(node, claim string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[node+" "+pathSummary] = summaryOf(claim, 2)
}

// summaryOf is the Summary of a node with a claim of which a part is free; negative for
// that it is not there.
func summaryOf(claim string, percent int) string {
	if percent < 0 {
		return `{"pods":[]}`
	}
	return fmt.Sprintf(`{"node":{},"pods":[{"podRef":{"name":"db","namespace":"shop"},"volume":[{"availableBytes":%d,"capacityBytes":100,"name":"v","pvcRef":{"name":%q,"namespace":"shop"}}]}]}`, percent, claim)
}

func (f *fleet) fail(key string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[key] = err
}

func (f *fleet) times(node string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked[node])
}

// heard is an Observer.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) Observe(o facts.Object) { h.note(news{observe: []facts.Object{o}}.said()) }

func (h *heard) Forget(ref facts.Ref) { h.note("not " + ref.Name) }

func (h *heard) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, what)
}

func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.all
	h.all = nil
	return all
}

// reading runs a Reader of a fleet in a bubble.
type reading struct {
	*Reader
	*fleet
	heard *heard
	mu    sync.Mutex
	log   []string
}

func readFleet(t *testing.T) *reading {
	t.Helper()
	r := &reading{fleet: newFleet(), heard: &heard{}}
	r.Reader = newReader(r.fleet, Options{Interval: time.Minute, Observer: r.heard, Logger: funcr.New(func(_, args string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.log = append(r.log, args)
	}, funcr.Options{})})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// logged is how often something was logged.
func (r *reading) logged(what string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.log {
		if strings.Contains(line, what) {
			n++
		}
	}
	return n
}

func (r *reading) node(name, ready string) {
	r.add(&facts.Node{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindNode, Name: name}}, Conditions: []facts.Condition{{Type: "Ready", Status: ready}}})
}

// pass lets time pass.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}
