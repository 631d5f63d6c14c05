// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// watcher is a second watch beside the agent's. It notes when each state of each pod
// arrives.
type watcher struct {
	stop context.CancelFunc
	over sync.WaitGroup

	mu sync.Mutex
	// arrived has the moments by resource version.
	arrived map[string]time.Time
	changed chan struct{}
	broken  error
}

// startWatcher watches until close.
func startWatcher(ctx context.Context, kube kubernetes.Interface) (*watcher, error) {
	list, err := kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	w := &watcher{arrived: map[string]time.Time{}, changed: make(chan struct{})}
	ctx, w.stop = context.WithCancel(ctx)
	w.over.Go(func() {
		version := list.ResourceVersion
		for ctx.Err() == nil {
			events, err := kube.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{ResourceVersion: version})
			if err != nil {
				w.fail(fmt.Errorf("watching pods: %w", err))
				return
			}
			version = w.follow(events, version)
			if ctx.Err() == nil {
				// An API server ends the watch of who does not keep up. Late events only
				// make latencies look shorter, so it is said.
				say("The API server ended the watch of the benchmark, which goes on from there.")
			}
		}
	})
	return w, nil
}

// follow takes events until there are no more, and returns the last version.
func (w *watcher) follow(events watch.Interface, version string) string {
	defer events.Stop()
	for event := range events.ResultChan() {
		now := time.Now()
		if pod, ok := event.Object.(*corev1.Pod); ok {
			version = pod.ResourceVersion
			w.note(version, now)
		}
	}
	return version
}

func (w *watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) note(version string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived[version] = now
	close(w.changed)
	w.changed = make(chan struct{})
}

// when returns when a state arrived, and waits for it if it has not.
func (w *watcher) when(ctx context.Context, version string) (time.Time, error) {
	for {
		w.mu.Lock()
		at, ok := w.arrived[version]
		changed, broken := w.changed, w.broken
		w.mu.Unlock()
		if ok || broken != nil {
			return at, broken
		}
		select {
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-changed:
		}
	}
}

func (w *watcher) close() {
	w.stop()
	w.over.Wait()
}
