// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

const (
	// settle is how long changes are gathered before they are drawn together.
	settle = 200 * time.Millisecond
	// agesEvery is how often a terminal is redrawn although nothing has changed,
	// because ages have. Nothing is read for that.
	agesEvery = 30 * time.Second
)

// follow prints the fleet whenever it changes, until ctx ends. It says whether
// every cluster was available in the end.
func (o *statusOptions) follow(ctx context.Context, c client.WithWatch, streams genericiooptions.IOStreams) (bool, error) {
	mirror := newMirror(c, client.MatchingLabelsSelector{Selector: o.labels})
	_, terminal := o.layout(streams.Out)
	refresh := time.Duration(0)
	if terminal {
		refresh = agesEvery
	}
	healthy := true
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return mirror.run(ctx) })
	group.Go(func() error {
		return redraw(ctx, mirror.changed, refresh, func() error {
			clusters, notice := mirror.read()
			if len(o.names) > 0 {
				clusters = slices.DeleteFunc(clusters, func(c v1alpha1.ManagedCluster) bool { return !slices.Contains(o.names, c.Name) })
			}
			var err error
			healthy, err = o.print(streams.Out, clusters, notice)
			return err
		})
	})
	return healthy, group.Wait()
}

// redraw calls draw some time after something arrives on changed, once for all
// that arrives meanwhile, and every refresh unless that is 0. It returns nil when
// ctx ends.
func redraw(ctx context.Context, changed <-chan struct{}, refresh time.Duration, draw func() error) error {
	var ages <-chan time.Time
	if refresh > 0 {
		ticker := time.NewTicker(refresh)
		defer ticker.Stop()
		ages = ticker.C
	}
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			if settled == nil {
				settled = time.After(settle)
			}
			continue
		case <-settled:
			settled = nil
		case <-ages:
		}
		if err := draw(); err != nil {
			return err
		}
	}
}

// mirror keeps a copy of the ManagedClusters by watching them.
type mirror struct {
	informer cache.SharedIndexInformer
	changed  chan struct{}
	// lost is why the hub does not answer, nil while it does.
	lost atomic.Pointer[string]
}

func newMirror(c client.WithWatch, selection ...client.ListOption) *mirror {
	m := &mirror{changed: make(chan struct{}, 1)}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := &v1alpha1.ManagedClusterList{}
			err := c.List(ctx, list, append(slices.Clone(selection), &client.ListOptions{Raw: &options})...)
			m.observe(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			w, err := c.Watch(ctx, &v1alpha1.ManagedClusterList{}, append(slices.Clone(selection), &client.ListOptions{Raw: &options})...)
			m.observe(ctx, err)
			return w, err
		},
	}
	m.informer = cache.NewSharedIndexInformer(source, &v1alpha1.ManagedCluster{}, 0, cache.Indexers{})
	return m
}

// run watches until ctx ends.
func (m *mirror) run(ctx context.Context) error {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { m.notify() },
		UpdateFunc: func(any, any) { m.notify() },
		DeleteFunc: func(any) { m.notify() },
	}
	if _, err := m.informer.AddEventHandler(handler); err != nil {
		return fmt.Errorf("watching the managedclusters: %w", err)
	}
	m.informer.RunWithContext(ctx)
	return nil
}

// observe keeps what the last request has ended with. The error handler of the
// informer would not do: it is not called while connections are refused.
func (m *mirror) observe(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil, apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		// Either it is over, or the informer lists again at once.
	case err != nil:
		if m.lost.Swap(new(err.Error())) == nil {
			m.notify()
		}
	default:
		if m.lost.Swap(nil) != nil {
			m.notify()
		}
	}
}

// notify never blocks: one pending notice stands for any number of changes.
func (m *mirror) notify() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// read returns a copy of what was seen last and, while the hub does not answer,
// a notice that says so.
func (m *mirror) read() ([]v1alpha1.ManagedCluster, string) {
	var clusters []v1alpha1.ManagedCluster
	for _, object := range m.informer.GetStore().List() {
		if cluster, ok := object.(*v1alpha1.ManagedCluster); ok {
			clusters = append(clusters, *cluster.DeepCopy())
		}
	}
	if notice := m.lost.Load(); notice != nil {
		return clusters, "NOT CONNECTED to the hub; this is what was read last: " + *notice
	}
	return clusters, ""
}
